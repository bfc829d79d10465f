"""When bills may be approved: their turn, their draft; and a closed month that a restored warehouse does not know."""

import datetime as dt
import shutil
from pathlib import Path

import pytest

from resources.engine import SparkEngine
from resources.warehouse import Warehouse
from telecom_assets.billing.restored import RestoredWarehouse, adopt, assert_not_restored
from telecom_assets.closing.approving import Books, approve
from telecom_assets.closing.closing import close
from telecom_assets.periods.journal import change_state, changed_now, read_periods
from telecom_assets.periods.states import Change, PeriodError, Periods, State, Way
from telecom_assets_tests.closing.months import ISSUED, MONTH, approved, billed, books, rated
from telecom_assets_tests.sample_tables import TABLES

_AT = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
BEFORE, AFTER = "2026-09", "2026-11"


def _moved(of: Books, month: str, *states: State, way: Way | None = None) -> None:
    for state in states:
        change = changed_now(month, state, by="Anna", way=way)
        change_state(of.warehouse, lambda _, to=change: to)  # type: ignore[misc]


@pytest.fixture
def of(tmp_path: Path, sail: SparkEngine, postgres_dsn: str) -> Books:
    """October 2026 with its bills, drafted."""
    made = books(tmp_path, sail, postgres_dsn)
    rated(made)
    billed(made)
    _moved(made, MONTH, "drafted")
    return made


def _refused(of: Books) -> str:
    """Why October is not approved; nothing is changed."""
    version = of.warehouse.version("billing_periods")
    with pytest.raises(PeriodError) as refused:
        approve(of, MONTH, by="Anna")
    assert of.warehouse.version("billing_periods") == version
    return str(refused.value)


def test_months_are_approved_in_their_order(of: Books) -> None:
    """While September has drafts, October waits; also drafts of a former version, which noted no state."""
    billed(of, BEFORE)
    assert _refused(of) == (
        f"approving {MONTH}: months close in order, and {BEFORE} has drafts that are not closed: {BEFORE} has no bills; `telecom run "
        f"--month {BEFORE}` makes its bills; or `telecom bill close --month {BEFORE} --empty --by NAME` closes it without bills"
    )
    _moved(of, BEFORE, "drafted", "approved")
    assert f"{BEFORE} is approved by Anna; `telecom bill close --month {BEFORE} --by NAME` closes it" in _refused(of)


def test_a_month_before_a_closed_one_is_not_approved(of: Books) -> None:
    """Its usage comes late, on the bills of the month after all closed ones."""
    _moved(of, AFTER, "closing", "closed", way="empty")
    _moved(of, MONTH, "drafted")
    assert _refused(of).endswith(
        f"{AFTER} is closed already; `telecom bill close --month {MONTH} --empty --by NAME` closes it without bills, and its usage "
        "comes as late usage on the bills of 2026-12"
    )


def test_a_draft_that_is_older_than_the_last_close_is_made_again(of: Books) -> None:
    """It lacks what the close has left for it. A draft that comes after the close is no older one."""
    _moved(of, BEFORE, "closing", "closed", way="empty")
    assert _refused(of) == (
        f"approving {MONTH}: {BEFORE} was closed after its draft; `telecom run --month {MONTH}` makes its bills"
    )
    _moved(of, MONTH, "drafted")
    assert read_periods(of.warehouse).why_drafted_again(MONTH) is None


def test_what_has_to_be_made_before_an_approval() -> None:
    """No draft, or one whose approval was withdrawn; an approved or closed month needs none."""
    periods, said = Periods(), []
    for state in ("drafted", "approved", "withdrawn", "drafted", "approved", "closing", "closed"):
        said.append(periods.why_drafted_again(MONTH))
        periods = periods.with_change(Change(MONTH, state, _AT, "anna"))
    said.append(periods.why_drafted_again(MONTH))
    assert said == ["it has no draft", None, None, "its approval was withdrawn", None, None, None, None]


def test_a_closed_month_is_not_opened_again_by_a_backup(
    of: Books, tmp_path: Path, sail: SparkEngine, postgres_dsn: str
) -> None:
    """A warehouse of before the close: nothing is billed from it, and nobody can make it the truth."""
    backup = tmp_path / "backup"
    shutil.copytree(of.warehouse.root, backup)
    approved(of)
    close(of, MONTH, by="Bea", today=ISSUED)
    assert_not_restored(of.warehouse, of.postgres)
    restored = Warehouse(str(backup), sail, TABLES)
    for refuse in (
        lambda: assert_not_restored(restored, of.postgres),
        lambda: adopt(restored, of.postgres.connect(), by="Bea", why="the disk died"),
    ):
        with pytest.raises(RestoredWarehouse, match=f"^{MONTH} is closed by PostgreSQL, and not by billing_periods"):
            refuse()
    # Restored in part: the documents are there, and the states are not.
    shutil.rmtree(Path(of.warehouse.root, "billing_periods"))
    with pytest.raises(RestoredWarehouse, match=f"^{MONTH} is closed by PostgreSQL"):
        assert_not_restored(Warehouse(of.warehouse.root, sail, TABLES), of.postgres)
