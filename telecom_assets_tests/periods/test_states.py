"""The states of a billing period, and the table that keeps them."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse
from telecom_assets.periods.guard import may_write, refuse_frozen
from telecom_assets.periods.journal import change_state, changed_now, read_periods
from telecom_assets.periods.states import STATES, Change, PeriodError, Periods, State
from telecom_assets_tests.sample_tables import TABLES

_AT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def _periods(*states: State, month: str = "2026-10") -> Periods:
    periods = Periods()
    for state in states:
        periods = periods.with_change(Change(month, state, _AT, "anna"))
    return periods


@pytest.mark.parametrize(
    ("before", "may_follow"),
    [
        ((), {"drafted"}),
        (("drafted",), {"drafted", "approved"}),
        (("drafted", "approved"), {"withdrawn", "closing"}),
        (("drafted", "approved", "withdrawn"), {"drafted"}),
        (("drafted", "approved", "closing"), {"closed"}),
        (("drafted", "approved", "closing", "closed"), set()),
    ],
)
def test_what_may_follow_a_state(before: tuple[State, ...], may_follow: set[State]) -> None:
    """No way leads back from closing; only a withdrawal opens an approved period."""
    allowed = set()
    for state in STATES:
        try:
            _periods(*before, state)
        except PeriodError:
            continue
        allowed.add(state)
    assert allowed == may_follow


def test_a_period_that_was_never_approved_closes_empty_or_as_it_stands() -> None:
    """Not with bills: these are approved first."""
    for way in ("empty", "as_it_stands"):
        assert Periods().with_change(Change("2026-10", "closing", _AT, "anna", way=way)).closed == ["2026-10"]
    with pytest.raises(PeriodError, match="2026-10 cannot become closing: 2026-10 has no bills; `telecom run"):
        Periods().with_change(Change("2026-10", "closing", _AT, "anna", way="bills"))


def test_corrections_are_of_the_period_after_every_closed_one() -> None:
    """December's bills correct November, also where October was closed last; a close that is not finished counts."""
    assert Periods().corrects is None
    closed = _periods("drafted", "approved", "closing", "closed", month="2026-12")
    assert closed.corrects == "2027-01"
    both = Periods((*closed.changes, *_periods("drafted", "approved", "closing", month="2026-10").changes))
    assert (both.corrects, both.closed, both.frozen) == ("2027-01", ["2026-10", "2026-12"], ["2026-10", "2026-12"])


def test_a_refusal_says_the_state_who_made_it_and_what_to_do() -> None:
    """One sentence."""
    periods = Periods((Change("2026-10", "approved", _AT, "anna", changed_by="Anna B."),), 1)
    with pytest.raises(PeriodError) as refused:
        periods.assert_open("2026-10", "billing of 2026-10")
    assert str(refused.value) == (
        "billing of 2026-10: 2026-10 is approved by Anna B.; `telecom bill close --month 2026-10 --by NAME` closes it, "
        "`telecom bill withdraw --month 2026-10 --by NAME --why …` opens it again"
    )
    periods.assert_open("2026-11", "billing of 2026-11")


def _moved(warehouse: Warehouse, *states: State) -> None:
    for state in states:
        change_state(warehouse, lambda _, to=state: changed_now("2026-10", to, by="Anna", why=f"it is {to}"))  # type: ignore[misc]


def test_changes_are_kept_in_the_table(plain: Warehouse) -> None:
    """What was written is read again, with its order."""
    assert read_periods(plain).changes == ()
    _moved(plain, "drafted", "approved", "closing")
    other = Warehouse(plain.root, plain.engine, TABLES)
    periods = read_periods(other)
    assert periods == read_periods(plain)
    assert [(change.state, change.why) for change in periods.changes] == [
        ("drafted", "it is drafted"),
        ("approved", "it is approved"),
        ("closing", "it is closing"),
    ]
    assert plain.pin("billing_periods").arrow().sort_by("change_no")["change_no"].to_pylist() == [1, 2, 3]


def test_of_two_changes_at_a_time_the_second_is_decided_anew(plain: Warehouse) -> None:
    """Both approve; the second sees that it is approved, and makes no row."""
    change_state(plain, lambda _: changed_now("2026-10", "drafted"))
    seen: list[str | None] = []

    def slow(periods: Periods) -> Change | None:
        seen.append(periods.state("2026-10"))
        if seen == ["drafted"]:
            change_state(
                Warehouse(plain.root, plain.engine, TABLES), lambda _: changed_now("2026-10", "approved", by="B")
            )
        return changed_now("2026-10", "approved", by="A") if periods.state("2026-10") == "drafted" else None

    after = change_state(plain, slow)
    assert seen == ["drafted", "approved"]
    assert [(change.state, change.changed_by) for change in after.changes] == [("drafted", None), ("approved", "B")]


@pytest.fixture
def guarded(tmp_path: Path, sail: SparkEngine) -> Warehouse:
    """A warehouse in which 2026-10 is approved, and which has a row of rated_cdrs on its last day and the day after."""
    warehouse = Warehouse(str(tmp_path), sail, TABLES, guard=refuse_frozen)
    for day in (dt.date(2026, 10, 31), dt.date(2026, 11, 1)):
        warehouse.overwrite_arrow("rated_cdrs", _rated(day), Partitions(day, day))
    _moved(warehouse, "drafted", "approved")
    return warehouse


def _rated(day: dt.date) -> pa.Table:
    schema = TABLES["rated_cdrs"].arrow_schema()
    return pa.Table.from_pylist([{"record_id": f"r-{day}", "event_date": day}], schema=schema)


def test_rows_of_a_frozen_period_stay(guarded: Warehouse) -> None:
    """By whatever range or way; the next month is written as ever, and tables that do not close take late rows."""
    october, november = dt.date(2026, 10, 31), dt.date(2026, 11, 1)
    empty = TABLES["rated_cdrs"].arrow_schema().empty_table()
    version = guarded.version("rated_cdrs")
    refusals: list[Callable[[], object]] = [
        lambda: guarded.overwrite_arrow("rated_cdrs", empty, Partitions(october, october)),
        lambda: guarded.overwrite_arrow("rated_cdrs", _rated(november), Partitions(october, november)),
        lambda: guarded.overwrite_arrow("rated_cdrs", empty),
        lambda: guarded.append_arrow("rated_cdrs", _rated(october)),
    ]
    for write in refusals:
        with pytest.raises(PeriodError, match="table rated_cdrs was not changed: 2026-10 is approved by Anna"):
            write()
    assert guarded.version("rated_cdrs") == version
    guarded.overwrite_arrow("rated_cdrs", _rated(november), Partitions(november, november))
    raw = TABLES["raw_cdrs"].arrow_schema()
    guarded.append_arrow("raw_cdrs", pa.Table.from_pylist([{"event_date": october}], schema=raw))


def test_the_close_alone_writes_a_frozen_period(guarded: Warehouse) -> None:
    """The permission names its month and ends with its block."""
    october = dt.date(2026, 10, 31)
    with may_write("2026-10"):
        guarded.overwrite_arrow("rated_cdrs", _rated(october), Partitions(october, october))
    with may_write("2026-09"), pytest.raises(PeriodError):
        guarded.overwrite_arrow("rated_cdrs", _rated(october), Partitions(october, october))
    with pytest.raises(PeriodError):
        guarded.overwrite_arrow("rated_cdrs", _rated(october), Partitions(october, october))


def test_a_withdrawn_period_is_written_again(guarded: Warehouse) -> None:
    """It is open."""
    october = dt.date(2026, 10, 31)
    change_state(guarded, lambda _: changed_now("2026-10", "withdrawn", by="Anna", why="a price was wrong"))
    guarded.overwrite_arrow("rated_cdrs", _rated(october), Partitions(october, october))
