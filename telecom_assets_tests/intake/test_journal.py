"""What the log of raw_cdrs says, while somebody else lands: a state is that of one version, whatever comes in between.

Belongs here: reading the state. Does not belong here: who commits what (`test_land`, `test_decisions`).
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from resources.engine import SparkEngine
from resources.kafka import KafkaConnection, TopicState
from resources.warehouse import Staged, Warehouse, WarehouseError, new_folder
from telecom_assets.intake import journal
from telecom_assets.intake.journal import Decision, LandingState, displaced_days, read_state, settle
from telecom_assets.intake.landing import landed_info
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.tables import TABLES
from telecom_assets_tests.intake.test_landing import (
    assert_sound,
    delete_records,
    landing,
    landing_module,
    produced,
    rows_of,
    values_of,
)
from telecom_assets_tests.stages.chain import contract_table

DAY, OTHER = date(2026, 6, 1), date(2026, 6, 2)
RAW = RAW_CDRS.name
#: More than the tables that a state is read from are opened.
PLACES = 12


class Home:
    """A warehouse as one home sees it. Without a running engine: none of this asks it."""

    def __init__(self, root: Path) -> None:
        self.warehouse = Warehouse(str(root), SparkEngine(kind="sail"), TABLES)

    def lands(self) -> None:
        """One message of part 0 lands, which displaces a copy of another day; the ledger is written."""
        here = read_state(self.warehouse)
        end = here.ends.get(0, 0)
        files = self.warehouse.stage_arrow(
            RAW, contract_table(RAW_CDRS, [{"source_part": 0, "source_position": end, "event_date": DAY}])
        )
        said = {
            journal.LANDED: landed_info("id", "cdr", [(0, end, end + 1, 1)], "run"),
            journal.DISPLACED: [OTHER.isoformat()],
        }
        self.warehouse.commit(RAW, files, here.raw_version, positions={journal.key("id", 0): end + 1}, info=said)
        settle(self.warehouse)

    def decides(self) -> None:
        """A month is opened; the ledger is written."""
        month = f"2026-{len(read_state(self.warehouse).decisions) + 1:02d}"
        decision = Decision("month_opened", datetime.now(UTC), month=month)
        info = {journal.DECIDED: decision.said()}
        self.warehouse.commit(RAW, Staged(new_folder()), read_state(self.warehouse).raw_version, info=info)
        settle(self.warehouse)


@contextmanager
def between(warehouse: Warehouse, place: int, meddle: Callable[[], Any]) -> Iterator[None]:
    """Somebody does something just before a table is opened for the `place`-th time."""
    at, opened = warehouse.tables.at, 0

    def meddling(*arguments: Any) -> Any:
        nonlocal opened
        opened += 1
        if opened == place:
            meddle()
        return at(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warehouse.tables, "at", meddling)
        yield


@pytest.mark.parametrize("place", range(1, PLACES + 1))
def test_a_state_is_that_of_one_version(tmp_path: Path, place: int) -> None:
    """Whenever the other home lands, or opens a month, while the state is read."""
    mine, other = Home(tmp_path), Home(tmp_path)
    mine.lands()
    for what in (other.lands, other.decides):
        before = read_state(mine.warehouse)
        with between(mine.warehouse, place, what):
            found = read_state(mine.warehouse)
        after = read_state(mine.warehouse)
        assert found.raw_version in (before.raw_version, after.raw_version)
        same = before if found.raw_version == before.raw_version else after
        assert (found.ends, found.decisions, found.source_id) == (same.ends, same.decisions, same.source_id)


@pytest.mark.parametrize("place", range(1, PLACES + 1))
def test_a_displaced_day_is_not_overlooked_while_it_is_written_down(tmp_path: Path, place: int) -> None:
    """It was landed before; the other home writes it into displaced_days while somebody asks for it."""
    mine, other = Home(tmp_path), Home(tmp_path)
    mine.lands()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "settle", lambda _: None)  # the process dies before
        other.lands()
    version = mine.warehouse.version(RAW)
    with between(mine.warehouse, place, lambda: settle(other.warehouse)):
        assert displaced_days(mine.warehouse) == {OTHER: version}


# ---------------------------------------------------------------------------------- the topic and the table, side by side


@dataclass
class Overtaken(KafkaConnection):
    """A topic of which more is landed by another home just after its state was asked for."""

    overtake: Callable[[], None] = lambda: None

    def topic_state(self) -> TopicState:
        state = super().topic_state()
        self.overtake()
        self.overtake = lambda: None
        return state


def test_what_another_home_landed_meanwhile_is_not_missed_on_the_topic(
    plain: Warehouse, kafka: KafkaConnection
) -> None:
    """The topic ended at offset 1 when it was asked; offset 1 came and was landed before the table was read."""
    other = Warehouse(plain.root, plain.engine, TABLES)
    produced(kafka, b"0")
    landing(plain, kafka)

    def overtake() -> None:
        produced(kafka, b"1")
        assert landing(other, kafka).records == 1

    overtaken = Overtaken(kafka.bootstrap_servers, kafka.topic, kafka.options, overtake=overtake)
    assert landing(plain, overtaken).records == 0
    assert values_of(plain) == {0: [(0, b"0"), (1, b"1")]}


def test_what_retention_took_behind_another_home_is_not_missed(plain: Warehouse, kafka: KafkaConnection) -> None:
    """Offset 1 came, was landed by the other home and taken by retention, all while this one looks at both."""
    other = Warehouse(plain.root, plain.engine, TABLES)
    produced(kafka, b"0")
    landing(plain, kafka)
    read: Callable[[Warehouse], LandingState] = landing_module.read_state

    def overtaken(warehouse: Warehouse) -> LandingState:
        state = read(warehouse)
        patch.setattr(landing_module, "read_state", read)
        produced(kafka, b"1")
        assert landing(other, kafka).records == 1
        delete_records(kafka, 2)
        return state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landing_module, "read_state", overtaken)
        assert landing(plain, kafka).records == 0
    produced(kafka, b"2")
    assert landing(plain, kafka).records == 1
    assert values_of(plain) == {0: [(0, b"0"), (1, b"1"), (2, b"2")]}


def test_a_ledger_that_has_lost_its_rows_lands_nothing_twice(plain: Warehouse, kafka: KafkaConnection) -> None:
    """Somebody has deleted them: the positions in raw_cdrs say that the source is no new one."""
    produced(kafka, b"0", b"1", b"2")
    landing(plain, kafka)
    DeltaTable(plain.path("landing_ranges")).delete()
    with pytest.raises(WarehouseError, match="landing_ranges"):
        landing(plain, kafka)
    assert values_of(plain) == {0: [(0, b"0"), (1, b"1"), (2, b"2")]}


@pytest.mark.parametrize("what", ["gone", "older"])
def test_a_ledger_that_was_put_back_is_made_whole_again(
    plain: Warehouse, kafka: KafkaConnection, what: str, tmp_path: Path
) -> None:
    """From the commits of raw_cdrs that it does not know."""
    produced(kafka, b"0", b"1", b"2")
    landing(plain, kafka)
    shutil.copytree(plain.path("landing_ranges"), tmp_path / "older")
    produced(kafka, b"3")
    landing(plain, kafka)
    shutil.rmtree(plain.path("landing_ranges"))
    if what == "older":
        shutil.copytree(tmp_path / "older", plain.path("landing_ranges"))
    assert landing(Warehouse(plain.root, plain.engine, TABLES), kafka).records == 0
    assert_sound(plain)
    assert values_of(plain) == {0: [(0, b"0"), (1, b"1"), (2, b"2"), (3, b"3")]}


@pytest.mark.parametrize("place", [1, 2, 3])
def test_the_books_are_not_out_of_balance_because_another_home_lands(
    plain: Warehouse, kafka: KafkaConnection, place: int
) -> None:
    """It lands, and writes the ledger, between two tables that the check looks at."""
    other = Warehouse(plain.root, plain.engine, TABLES)
    produced(kafka, b"0")
    landing(plain, kafka)
    produced(kafka, b"1")
    with between(plain, place, lambda: landing(other, kafka)):
        assert_sound(plain)
    assert len(rows_of(plain)) == 2
