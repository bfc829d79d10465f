"""Which days are stale, and why: new rows, a displaced copy, rewritten tables."""

import datetime as dt
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from resources.engine import SparkEngine
from resources.warehouse import Warehouse, paths_of
from telecom_assets.intake import journal
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.stale_days import (
    DISPLACED_COPY,
    NEW_ROWS,
    Stale,
    days_of_displaced_copies,
    days_with_new_rows,
    stale_days,
    stale_since_mediation,
)
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS
from telecom_assets.tables import TABLES
from telecom_assets_tests.stages.chain import contract_table

A, B, C = (date(2026, 6, number) for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("landed", "mediated", "expected"),
    [
        ({}, {}, set()),
        ({A: 5}, {}, {A}),
        ({A: 5}, {A: 5}, set()),
        ({A: 6}, {A: 5}, {A}),  # late records
        ({A: 5}, {A: 5, B: 0}, set()),  # a day without records was mediated, and is empty
        ({A: 5, C: 1}, {A: 5, B: 0}, {C}),
        ({A: 5}, {A: -1}, {A}),
    ],
)
def test_days_whose_rows_are_not_those_that_were_mediated(
    landed: dict[dt.date, int], mediated: dict[dt.date, int], expected: set[dt.date]
) -> None:
    assert days_with_new_rows(landed, mediated) == expected


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Without a running engine: none of this asks it."""
    return Warehouse(str(tmp_path), SparkEngine(kind="sail"), TABLES)


def landed(warehouse: Warehouse, *days: date, displaces: tuple[date, ...] = ()) -> int:
    """A commit of raw_cdrs with a row on each day, which asks for a mediation of other days; its version."""
    rows = [{"source_part": 0, "source_position": offset, "event_date": day} for offset, day in enumerate(days)]
    files = warehouse.stage_arrow(RAW_CDRS.name, contract_table(RAW_CDRS, rows))
    said = {
        journal.LANDED: {
            "source_id": "id",
            "topic": "cdr",
            "ranges": [],
            "run_id": "r",
            "landed_at": "2026-01-01T00:00",
        },
        journal.DISPLACED: [day.isoformat() for day in displaces],
    }
    return warehouse.commit(RAW_CDRS.name, files, warehouse.version(RAW_CDRS.name), info=said).version


def written(warehouse: Warehouse, name: str, day: date) -> int:
    """Somebody writes a row of a day into cleaned_cdrs or rejected_cdrs; the version."""
    return warehouse.append_arrow(name, contract_table(TABLES[name], [{"event_date": day}])).version


def mediated(warehouse: Warehouse, rows: dict[date, int]) -> None:
    """Days were mediated with so many raw rows, from the newest versions of today."""
    versions = {
        "raw_version": warehouse.version(RAW_CDRS.name),
        "cleaned_version": warehouse.version(CLEANED_CDRS.name),
        "rejected_version": warehouse.version(REJECTED_CDRS.name),
    }
    ledger = [
        {"raw_rows": count, "raw_positions": Decimal(0), "event_date": day, **versions} for day, count in rows.items()
    ]
    warehouse.append_arrow(MEDIATED_DAYS.name, pa.Table.from_pylist(ledger, schema=MEDIATED_DAYS.arrow_schema()))


def test_stale_days_of_a_warehouse(warehouse: Warehouse) -> None:
    """From the tables alone, without an engine."""
    assert stale_days(warehouse) == {}
    assert landed(warehouse, A, A, B) == 1
    assert stale_days(warehouse) == {A: Stale(NEW_ROWS, 0), B: Stale(NEW_ROWS, 0)}
    mediated(warehouse, {A: 2, B: 1, C: 0})
    assert stale_days(warehouse) == {}
    landed(warehouse, B)
    assert stale_days(warehouse) == {B: Stale(NEW_ROWS, 1)}, "mediated from version 1"


@pytest.mark.parametrize("settled", [True, False], ids=["in the table", "in the log alone"])
def test_a_day_whose_copy_was_displaced_is_stale(warehouse: Warehouse, settled: bool) -> None:
    landed(warehouse, A, B)
    mediated(warehouse, {A: 1, B: 1})
    assert landed(warehouse, C, displaces=(A,)) == 2
    if settled:
        journal.settle(warehouse)
    assert stale_days(warehouse) == {A: Stale(DISPLACED_COPY, 2), C: Stale(NEW_ROWS, 0)}
    days = warehouse.pin(MEDIATED_DAYS.name)
    assert days_of_displaced_copies(days) == {A}
    assert stale_since_mediation(days) == {
        A: "a copy has landed that came before one that the day keeps, or another copy was chosen"
    }


def test_a_displaced_day_that_was_mediated_since_is_not_stale(warehouse: Warehouse) -> None:
    landed(warehouse, A)
    landed(warehouse, B, displaces=(A,))
    mediated(warehouse, {A: 1, B: 1})
    assert stale_days(warehouse) == {}


@pytest.mark.parametrize("name", [CLEANED_CDRS.name, REJECTED_CDRS.name])
def test_a_day_that_another_wrote_after_its_mediation_is_stale(warehouse: Warehouse, name: str) -> None:
    """As a slower run of another home does: what mediated_days says is not what the tables hold."""
    landed(warehouse, A, B)
    written(warehouse, name, A)
    mediated(warehouse, {A: 1, B: 1})
    assert stale_days(warehouse) == {}
    assert written(warehouse, name, B) == 2
    reason = f"{name} was written after the mediation that mediated_days tells of"
    assert stale_days(warehouse) == {B: Stale(reason, 2)}
    days = warehouse.pin(MEDIATED_DAYS.name)
    assert stale_since_mediation(days) == {B: reason}
    assert days_of_displaced_copies(days) == set()


def test_rows_that_only_move_to_other_files_make_nothing_stale(warehouse: Warehouse) -> None:
    landed(warehouse, A)
    for _ in range(2):
        written(warehouse, CLEANED_CDRS.name, A)
    mediated(warehouse, {A: 1})
    name = CLEANED_CDRS.name
    rows = warehouse.pin(name).arrow()
    files, paths = warehouse.stage_arrow(name, rows), paths_of(warehouse.pin(name, version=2), {A})
    assert len(paths) == 2
    warehouse.commit(name, files, 2, remove=paths, moved=True)
    assert stale_days(warehouse) == {}


@pytest.mark.thorough
def test_a_long_log_is_listed_and_gives_the_same_answer(warehouse: Warehouse) -> None:
    """More versions than are looked for one by one; some have left the log."""
    landed(warehouse, A, B)
    mediated(warehouse, {A: 1, B: 1})
    for number in range(30):
        written(warehouse, CLEANED_CDRS.name, (A, B)[number % 2])
    warehouse.log(CLEANED_CDRS.name).checkpoint(10)
    log = warehouse.place.files(CLEANED_CDRS.name)
    for version in range(10):
        log.delete_file(f"_delta_log/{version:020d}.json")
    assert {day: stale.version for day, stale in stale_days(warehouse).items()} == {A: 29, B: 30}
