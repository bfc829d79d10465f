"""On days of approved months: cleaned = rated + suspended + late − gone, by record id."""

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from resources.contract import TableContract
from resources.engine import SparkEngine
from resources.warehouse import Partitions, PinnedTable, Warehouse
from telecom_assets.books.verdict import Verdict
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.rating.identities import cleaned_equals_ratings, late_less_gone
from telecom_assets.rating.tables import RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.tables import TABLES

DAY, OPEN_DAY = date(2026, 6, 10), date(2026, 7, 10)


def stored(warehouse: Warehouse, contract: TableContract, day: date, ids: str) -> None:
    """One row for each letter; its position is the letter's number."""
    rows: list[dict[str, Any]] = [
        {"record_id": letter, "source_position": ord(letter) - ord("a"), "event_date": day} for letter in ids
    ]
    if contract is SUSPENDED_CDRS:
        rows = [{**row, "disposition": "suspended", "reason": "no_price"} for row in rows]
    table = pa.Table.from_pylist(rows, schema=contract.arrow_schema())
    warehouse.overwrite_arrow(contract.name, table, Partitions(day, day))


def approved_june(folder: Path, engine: SparkEngine) -> Warehouse:
    """June is approved, with a and b rated and c suspended; of July d is rated."""
    made = Warehouse(str(folder), engine, TABLES)
    for day, cleaned, rated, suspended in ((DAY, "abc", "ab", "c"), (OPEN_DAY, "d", "d", "")):
        stored(made, CLEANED_CDRS, day, cleaned)
        stored(made, RATED_CDRS, day, rated)
        stored(made, SUSPENDED_CDRS, day, suspended)
    for state in ("drafted", "approved"):
        change_state(made, lambda _, to=state: changed_now("2026-06", to))  # type: ignore[misc]
    return made


@pytest.fixture
def warehouse(tmp_path: Path, sail: SparkEngine) -> Warehouse:
    return approved_june(tmp_path, sail)


def tables(warehouse: Warehouse) -> tuple[PinnedTable, PinnedTable, PinnedTable]:
    cleaned, rated, suspended = (warehouse.pin(each.name) for each in (CLEANED_CDRS, RATED_CDRS, SUSPENDED_CDRS))
    return cleaned, rated, suspended


def verdict(warehouse: Warehouse) -> Verdict:
    return cleaned_equals_ratings(*tables(warehouse))


def test_what_came_late_and_what_has_gone(tmp_path: Path, engine: SparkEngine) -> None:
    warehouse = approved_june(tmp_path, engine)
    assert (late_less_gone(*tables(warehouse)), verdict(warehouse).findings) == ({}, [])
    stored(warehouse, CLEANED_CDRS, DAY, "abcxy")
    assert late_less_gone(*tables(warehouse)) == {DAY: (2, 23 + 24)}
    assert verdict(warehouse).findings == []
    stored(warehouse, CLEANED_CDRS, DAY, "bcx")  # one late, one gone: as many as before
    assert late_less_gone(*tables(warehouse)) == {DAY: (0, 23)}
    assert verdict(warehouse).findings == []


def test_a_record_of_which_another_copy_is_kept_is_neither_late_nor_gone(warehouse: Warehouse) -> None:
    """The copy of b lies at 9, where the one that was rated lay at 1; beside it x came late."""
    copies = [("a", 0), ("b", 9), ("c", 2)]
    for others in ([], [("x", 23)]):
        rows = [{"record_id": name, "source_position": at, "event_date": DAY} for name, at in (*copies, *others)]
        table = pa.Table.from_pylist(rows, schema=CLEANED_CDRS.arrow_schema())
        warehouse.overwrite_arrow(CLEANED_CDRS.name, table, Partitions(DAY, DAY))
        assert late_less_gone(*tables(warehouse)) == {DAY: (len(others), 9 - 1 + sum(at for _, at in others))}
        assert verdict(warehouse).findings == []


def test_an_outcome_that_stands_twice_is_no_late_record(warehouse: Warehouse) -> None:
    stored(warehouse, SUSPENDED_CDRS, DAY, "bc")
    assert late_less_gone(*tables(warehouse)) == {}
    (finding,) = verdict(warehouse).findings
    assert finding == f"{DAY}: 3 cleaned, 2 rated + 2 suspended"


def test_on_an_open_day_nothing_is_late(warehouse: Warehouse) -> None:
    stored(warehouse, CLEANED_CDRS, OPEN_DAY, "de")
    assert late_less_gone(*tables(warehouse)) == {}
    assert verdict(warehouse).failed == frozenset({OPEN_DAY})
