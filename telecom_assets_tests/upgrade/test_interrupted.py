"""An upgrade that is killed, that meets another writer, or that cannot begin: nothing is half, and a sentence says what to do."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from resources.engine import SparkEngine
from resources.warehouse import Warehouse, WarehouseError
from telecom_assets.intake.identities import landed_rows_are_consumed
from telecom_assets.intake.journal import read_state
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.tables import TABLES
from telecom_assets.upgrade import upgrade
from telecom_assets_tests.examples import examples
from telecom_assets_tests.stages.chain import CALENDAR_START
from telecom_assets_tests.upgrade.former import SCHEMAS, TOPIC_ID, A, B, C, FormerWarehouse, filled, message, of_days
from telecom_assets_tests.upgrade.test_upgrade import LEDGER, RAW, REJECTED, assert_sound, planned, rows, upgraded

pytestmark = pytest.mark.thorough


class Crash(Exception):
    """Stands for a process that is killed."""


# ------------------------------------------------------------------------------------------------- kills, other writers


def after_many(former: FormerWarehouse) -> None:
    """Everything at once: doubled, died, marked."""
    former.land(of_days(A))
    former.land([message(C, 0, 7)], dies=True)
    former.mark(B)


def whole(warehouse: Warehouse) -> dict[str, Any]:
    """All that an upgrade is for, without versions, which tell how often it was tried."""
    aside = {"raw_version", "cleaned_version", "rejected_version", "decided_at", "landed_at", "why"}
    tables: dict[str, list[Any]] = {}
    for name in (*SCHEMAS, "landing_decisions"):
        found = [[(key, str(row[key])) for key in row if key not in aside] for row in rows(warehouse, name)]
        # A decision that is written twice means nothing more than once.
        tables[name] = [
            each for n, each in enumerate(sorted(found)) if name in SCHEMAS or each not in sorted(found)[:n]
        ]
    state = read_state(warehouse)
    return {**tables, "ends": state.ends, "stale": set(stale_days(warehouse)), "opened": state.opened_months}


def test_an_upgrade_that_is_killed_at_any_commit_is_finished_by_the_next(
    tmp_path: Path, sail: SparkEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the first, before the second, and so on, with the files of that commit written."""

    after_many(filled(FormerWarehouse(str(tmp_path / "former"))))

    def made(name: str) -> Callable[[], Warehouse]:
        root = str(shutil.copytree(tmp_path / "former", tmp_path / name))
        return lambda: Warehouse(root, sail, TABLES)

    straight = made("straight")
    upgraded(straight(), "2026-05")
    expected = whole(straight())
    assert (expected["stale"], expected["ends"]) == ({A, B, C}, {0: 8, 1: 5})
    commit, kills = Warehouse.commit, 0
    step = 100 // examples(100)  # `make check` passes over some
    while True:
        left = kills

        def killed(self: Warehouse, *arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash
            return commit(self, *arguments, **named)

        once = made(f"killed {kills}")
        with monkeypatch.context() as patch:
            patch.setattr(Warehouse, "commit", killed)
            try:
                upgraded(once(), "2026-05")
            except Crash:
                pass
            else:
                break
        upgraded(once(), "2026-05")
        assert whole(once()) == expected, f"killed at commit {kills}"
        assert_sound(once())
        kills += step
    assert kills >= 9, "seven tables, displaced days, the ledger's rows, the month"


def test_a_half_upgraded_warehouse_is_refused(
    former: FormerWarehouse, opened: Callable[[], Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever table comes first: nothing lands into it and nothing is billed from it."""
    commit = Warehouse.commit

    def all_but_the_ledger(self: Warehouse, name: str, *arguments: Any, **named: Any) -> Any:
        if name == LEDGER:
            raise Crash
        return commit(self, name, *arguments, **named)

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(Warehouse, "commit", all_but_the_ledger)
        upgraded(opened())
    for ask in (read_state, landed_rows_are_consumed, stale_days):
        with pytest.raises(WarehouseError, match="landing_ranges .* `telecom warehouse upgrade`"):
            ask(opened())
    assert [shape.name for shape in planned(opened()).shapes] == [LEDGER]


@pytest.mark.parametrize("name", [RAW, REJECTED, LEDGER])
def test_another_writer_is_not_overwritten(former: FormerWarehouse, opened: Callable[[], Warehouse], name: str) -> None:
    """A run of the version before that goes on in another home."""
    warehouse = opened()
    plan = planned(warehouse)
    former.write(name, [{"event_date": A} if name != LEDGER else {"topic_id": TOPIC_ID, "kafka_partition": 0}])
    with pytest.raises(
        WarehouseError, match=f"table {name}: another process wrote it .* run `telecom warehouse upgrade` again"
    ):
        upgrade(warehouse, plan, calendar_start=CALENDAR_START, dedupe_days=31)
    assert DeltaTable(former.path(name)).schema().to_arrow() is not None
    assert "kafka_partition" in [each.name for each in DeltaTable(former.path(name)).schema().fields]
    assert not list(Path(former.path(name)).glob("rows-*"))


# ------------------------------------------------------------------------------------------------------------- refusals


def test_no_warehouse_is_said(opened: Callable[[], Warehouse], root: str) -> None:
    with pytest.raises(WarehouseError, match=f"no warehouse at {root}.*`telecom run` makes one"):
        planned(opened())
    assert not Path(root).exists()


def test_rows_of_several_topics_cannot_be_told_apart(former: FormerWarehouse, opened: Callable[[], Warehouse]) -> None:
    former.topic_id, former.topic = "topic-2", "other"
    former.watch([0])
    with pytest.raises(WarehouseError, match=r"several topics, cdr_topic \(topic-1\), other \(topic-2\); expected one"):
        planned(opened())


def test_rows_without_a_ledger_are_refused(root: str, opened: Callable[[], Warehouse]) -> None:
    made = FormerWarehouse(root)
    made.append(of_days(A))
    with pytest.raises(WarehouseError, match="raw_cdrs have rows, and landing_ranges does not say from which topic"):
        planned(opened())


def test_a_table_that_no_version_made_is_refused(former: FormerWarehouse, opened: Callable[[], Warehouse]) -> None:
    schema = pa.schema([("customer_id", pa.string()), ("billing_period", pa.string())])
    DeltaTable.create(former.path("traffic_hourly"), schema=schema, partition_by=["billing_period"])
    with pytest.raises(
        WarehouseError,
        match="traffic_hourly at .* lacks billing_date, hour, total_gb; expected the columns of this version",
    ):
        planned(opened())
