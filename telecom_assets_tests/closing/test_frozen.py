"""What a nightly check finds of frozen periods: rows that another hand wrote, whatever the warehouse refuses."""

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest

from resources.warehouse import Partitions, Warehouse, maintain
from telecom_assets.books.factory import CheckInputs
from telecom_assets.closing.checks import digested_periods
from telecom_assets.closing.frozen import frozen_rows_are_unwritten, frozen_rows_have_their_digest
from telecom_assets.home.deployment import OnDemand
from telecom_assets.home.settings import Settings
from telecom_assets.periods.digest import digest_of, digested_tables
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.periods.states import State
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets_tests.sample_tables import TABLES

_DAY = dt.date(2026, 10, 31)
_HOUR = dt.timedelta(hours=1)


def _write(warehouse: Warehouse, amount: str, day: dt.date = _DAY) -> None:
    """One row of rated_cdrs on a day, in the place of what the day has. No guard is asked: it is somebody else's warehouse."""
    row = {"record_id": "r", "amount": Decimal(amount), "event_date": day}
    rows = pa.Table.from_pylist([row], schema=TABLES["rated_cdrs"].arrow_schema())
    warehouse.overwrite_arrow("rated_cdrs", rows, Partitions(day, day))


def _moved(warehouse: Warehouse, state: State, ago: dt.timedelta = dt.timedelta(0)) -> None:
    """October changes its state, some time ago."""
    digest = digest_of(warehouse, "2026-10")
    versions = {each.name: warehouse.version(each.name) for each in digested_tables(warehouse)}
    change = changed_now("2026-10", state, digest=digest, closed_with=json.dumps({"versions": versions}))
    change_state(warehouse, lambda _: replace(change, changed_at=change.changed_at - ago))


@pytest.fixture
def approved(plain: Warehouse) -> Warehouse:
    """A warehouse in which October is approved, with a row on its last day."""
    _write(plain, "1.000000")
    for state in ("drafted", "approved"):
        _moved(plain, state, 3 * _HOUR)
    return plain


def _found(warehouse: Warehouse) -> tuple[list[str], list[str]]:
    """What both checks say of October."""
    months = ["2026-10"]
    return (
        list(frozen_rows_are_unwritten(warehouse, months).findings),
        list(frozen_rows_have_their_digest(warehouse, months).findings),
    )


def test_each_night_one_frozen_month_is_read_in_turn(plain: Warehouse) -> None:
    """Of three, each in three nights; a run of one month reads that month, if it is frozen; `full` reads all."""
    frozen = ["2026-08", "2026-09", "2026-10"]
    for month in frozen:
        for state in ("drafted", "approved"):
            change_state(plain, lambda _, to=(month, state): changed_now(*to))  # type: ignore[misc]
    nights = iter(range(1, 4))
    inputs = CheckInputs(
        Settings.load(),
        plain,
        OnDemand(pytest.fail),
        lambda: dt.datetime(2026, 11, next(nights), 3, tzinfo=dt.UTC),
        RecordTypes(RECORD_TYPES),
    )
    assert sorted(month for _ in range(3) for month in digested_periods(inputs)) == frozen
    assert digested_periods(inputs.over("2026-09", "2026-09")) == ["2026-09"]
    assert digested_periods(inputs.over("2026-11", "2026-11")) == []
    assert digested_periods(replace(inputs, full=True)) == frozen


def test_nothing_is_found_where_nothing_was_written(approved: Warehouse) -> None:
    """Other months, and files that were merged, are no finding."""
    for number in range(3):
        _write(approved, f"{number}.500000", _DAY + dt.timedelta(days=1))
    for _ in maintain(approved, target_file_bytes=2**20, now=dt.datetime.now(dt.UTC)):
        pass
    assert _found(approved) == ([], [])


def test_another_row_is_found_twice(approved: Warehouse) -> None:
    """By its commit and by the digest."""
    _write(approved, "2.000000")
    assert _found(approved) == (
        ["2026-10: version 2 of rated_cdrs has changed its rows"],
        ["2026-10: rated_cdrs is not as it was when the period became approved"],
    )


def test_rows_that_were_changed_and_changed_back_are_found_by_the_log(approved: Warehouse) -> None:
    """The digest cannot know."""
    _write(approved, "2.000000")
    _write(approved, "1.000000")
    assert _found(approved) == (["2026-10: version 3 of rated_cdrs has changed its rows"], [])


def test_what_the_close_writes_is_no_finding_and_what_comes_after_is(approved: Warehouse) -> None:
    """The close began two hours ago. While it goes on, and if it ended in an hour, the commit of now is its own."""
    _moved(approved, "closing", 2 * _HOUR)
    _write(approved, "1.000000")
    assert _found(approved) == ([], [])
    _moved(approved, "closed", -_HOUR)
    assert _found(approved) == ([], [])


def test_a_commit_after_the_close_is_found(approved: Warehouse) -> None:
    """It ended an hour ago."""
    _moved(approved, "closing", 2 * _HOUR)
    _moved(approved, "closed", _HOUR)
    _write(approved, "1.000000")
    assert _found(approved)[0] == ["2026-10: version 2 of rated_cdrs has changed its rows"]
