"""How much of a landing is malformed, from the tables alone.

Belongs here: which messages count, and what is said of them. Does not belong here: how the check is shown
(`graph/test_checks.py`), what is malformed (`intake/test_admission.py`).
"""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from resources.engine import SparkEngine
from resources.warehouse import Warehouse
from telecom_assets.intake.malformed import few_are_malformed
from telecom_assets.intake.tables import LANDING_RANGES, RAW_CDRS
from telecom_assets.tables import TABLES
from telecom_assets_tests.stages.chain import contract_table

FIFTH = Decimal("0.2")


class Landings:
    """A warehouse in which runs have landed messages: `.` is a message that can be read, `x` one that cannot."""

    def __init__(self, root: Path, engine: SparkEngine) -> None:
        self.warehouse = Warehouse(str(root), engine, TABLES)
        self.ends: dict[tuple[str, int], int] = {}

    def land(self, run: str, messages: str, part: int = 0, source: str = "topic") -> None:
        begin = self.ends.get((source, part), 0)
        end = self.ends[source, part] = begin + len(messages)
        coordinates = {"source_id": source, "source_part": part}
        rows = [
            coordinates
            | {
                "source_position": position,
                "admission_error": "malformed_json" if message == "x" else None,
                "event_date": date(2026, 6, 1 + position % 2),
            }
            for position, message in enumerate(messages, start=begin)
        ]
        version = self.warehouse.append_arrow(RAW_CDRS.name, contract_table(RAW_CDRS, rows)).version if rows else 0
        landed = {"from_position": begin, "to_position": end, "records": len(messages), "raw_version": version}
        ledger = contract_table(LANDING_RANGES, [coordinates | landed | {"run_id": run}])
        self.warehouse.append_arrow(LANDING_RANGES.name, ledger)


@pytest.fixture
def landings(tmp_path: Path, sail: SparkEngine) -> Landings:
    return Landings(tmp_path, sail)


def test_more_than_the_share_is_a_finding(landings: Landings) -> None:
    """Two of nine, 22.22 %: both are named."""
    landings.land("run", "....x...x")
    verdict = few_are_malformed(landings.warehouse, FIFTH)
    assert not verdict.passed
    assert verdict.summary.startswith("more than 20 % of a landing is malformed: ")
    assert (
        "2 of the 9 messages that landed last are malformed, 22.22 %: partition 0 offset 4 (malformed_json), "
        "partition 0 offset 8 (malformed_json); see what is sent to the topic"
    ) in verdict.summary
    sample = "partition 0 offset 4 (malformed_json), partition 0 offset 8 (malformed_json)"
    assert dict(verdict.figures) == {
        "malformed": 2,
        "messages": 9,
        "share": "0.2222",
        "threshold": "0.2",
        "sample": sample,
    }


def test_the_share_itself_is_none(landings: Landings) -> None:
    landings.land("run", "....x")
    verdict = few_are_malformed(landings.warehouse, FIFTH)
    assert verdict.passed
    assert (verdict.figures["malformed"], verdict.figures["share"]) == (1, "0.2000")


@pytest.mark.parametrize(("most", "passed"), [("0", False), ("0.0999", False), ("0.1", True), ("1", True)])
def test_the_share_is_set(landings: Landings, most: str, passed: bool) -> None:
    landings.land("run", ".........x")
    assert few_are_malformed(landings.warehouse, Decimal(most)).passed == passed


def test_only_the_newest_landing_counts_and_all_of_it(landings: Landings) -> None:
    """A run lands its partitions chunk by chunk, another topic beside them; what landed before is of another run."""
    landings.land("before", "xxxxxxxx")
    landings.land("run", "..x")
    landings.land("run", "x...", part=1)
    landings.land("run", "...")
    landings.land("run", "..xx", part=0, source="another")
    figures = few_are_malformed(landings.warehouse, FIFTH).figures
    assert (figures["malformed"], figures["messages"]) == (4, 14)
    assert str(figures["sample"]).split(", ") == [
        "partition 0 offset 2 (malformed_json)",
        "partition 0 offset 3 (malformed_json)",
        "partition 0 offset 10 (malformed_json)",
        "partition 1 offset 0 (malformed_json)",
    ]


def test_of_many_only_some_are_shown(landings: Landings) -> None:
    landings.land("run", "x" * 12)
    verdict = few_are_malformed(landings.warehouse, FIFTH)
    assert str(verdict.figures["sample"]).count("partition") == 5
    assert "100 %" in verdict.summary
    assert "offset 4 (malformed_json) and others; see" in verdict.summary


def test_no_messages_and_no_landing_are_no_finding(landings: Landings) -> None:
    nothing = {"malformed": 0, "messages": 0, "share": "0.0000", "threshold": "0.2", "sample": ""}
    assert dict(few_are_malformed(landings.warehouse, FIFTH).figures) == nothing
    landings.land("run", "")
    verdict = few_are_malformed(landings.warehouse, FIFTH)
    assert verdict.passed
    assert dict(verdict.figures) == nothing
