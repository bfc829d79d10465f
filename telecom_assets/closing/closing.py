"""Closing a period: its bills become documents with numbers, and nothing changes them any more.

Belongs here: the steps of a close, and what each of its ways does. Does not belong here: what must hold before bills are approved
(`approving`), numbers and files (`issuing`), the states (`telecom_assets.periods`).

A close has these phases, and whoever is killed in one is followed by a repeat that ends the same:

1. `begun`      the state is `closing`: the issue date and the issuer are fixed, and no way leads back
2. `bills`      the bills say that they are closed
3. `numbered`   the documents have their numbers (table `documents`); their files are written, and not shown yet
4. `filed`      the files have taken their place, and `bills.csv` and the dashboard say that the month is closed
5. `published`  PostgreSQL has the bills, and refuses whatever would change them
6. `closed`     the state is `closed`
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

from pyspark.sql import functions as F

from resources.postgres import assert_can_close, entries_ahead, publish_period
from resources.warehouse import Partitions, PinnedTable
from telecom_assets.billing.restored import assert_nothing_went_back
from telecom_assets.billing.tables import CLOSED as CLOSED_BILL
from telecom_assets.billing.terms import terms_of
from telecom_assets.closing import as_it_stands, empty
from telecom_assets.closing.approving import AtPhase, Books, kept_terms, versions_now
from telecom_assets.closing.files import write_files
from telecom_assets.closing.issuing import OF_DOCUMENTS, Progress, issue_documents
from telecom_assets.closing.order import assert_in_order, assert_none_before
from telecom_assets.closing.review import assert_nothing_blocks, blocking
from telecom_assets.home.output_files import invoice_directory
from telecom_assets.invoices.issuer import Issuer, read_issuer
from telecom_assets.invoices.issuer import kept as issuer_as_kept
from telecom_assets.invoices.pdf_folder import remove_made_pdfs
from telecom_assets.model.calendar import local_today
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.digest import differing_tables, digest_of
from telecom_assets.periods.guard import may_write
from telecom_assets.periods.journal import change_state, changed_now, read_periods
from telecom_assets.periods.states import APPROVED, CLOSED, CLOSING, Change, PeriodError, Periods, Way
from telecom_assets.reference.tables import BILLING_TERMS

#: The phases, in their order; `at_phase` hears of each when it has been reached.
PHASES = ("begun", "bills", "numbered", "filed", "published", "closed")

_IN_WORDS: dict[Way, str] = {"bills": "with its bills", "empty": "without bills", "as_it_stands": "as it stands"}
_OPTIONS: dict[Way, str] = {"bills": "", "empty": " --empty", "as_it_stands": " --as-it-stands"}


def close(
    books: Books,
    month: str,
    *,
    by: str,
    why: str | None = None,
    way: Way = "bills",
    today: dt.date | None = None,
    at_phase: AtPhase = lambda _: None,
    progress: Progress = lambda _done, _of: None,
) -> Change:
    """Close a month (yyyy-MM). Returns the change of state. Repeated after it was killed, it goes on where it was.

    bills: the approved bills become documents. empty: it has no bills, numbers or documents, and its usage counts as not settled.
    as_it_stands: the bills of a former version, which have documents already, stay as they are. today: the issue date, local.
    progress: hears how many documents of how many are written.

    Raises, with nothing changed: PostgresError where PostgreSQL would not take the bills; PeriodError where it is not the month's
    turn, its bills are not approved, are not those that were approved any more, or may not be closed by this name; ReviewBlocks where
    a finding of its review blocks. ExpectedError of other kinds where a step cannot be done, after which a repeat goes on.
    """
    assert way in get_args(Way)
    begun = _begin(books, month, by=by, why=why, way=way, today=today or local_today())
    at_phase("begun")
    with may_write(month):
        _CARRIED_OUT[way](books, begun, at_phase, progress)
    warehouse = books.warehouse
    digest = begun.digest or digest_of(warehouse, month)
    kept = as_it_stands.with_differing(warehouse, begun) if way == "as_it_stands" else begun.closed_with
    closed = changed_now(
        month, CLOSED, by=by, why=why, way=way, issue_date=begun.issue_date, digest=digest, closed_with=kept
    )
    _remove_made_pdfs(
        books, change_state(warehouse, lambda periods: None if periods.state(month) == CLOSED else closed)
    )
    at_phase("closed")
    return closed


def _begin(books: Books, month: str, *, by: str, why: str | None, way: Way, today: dt.date) -> Change:
    """The change to `closing`: the one that is there, where a close was begun before, or a new one."""
    warehouse, settings = books.warehouse, books.settings
    issuer = read_issuer(settings.issuer)
    state_before = read_periods(warehouse).state(month)
    if state_before != CLOSING:
        assert_nothing_went_back(warehouse, books.postgres)
    if state_before != CLOSED:
        _assert_can_publish(books, month)

    def decide(periods: Periods) -> Change | None:
        state, last = periods.state(month), periods.last(month)
        if state == CLOSED:
            _remove_made_pdfs(books, periods)
            raise PeriodError(f"closing {month}: {periods.says(month)}")
        if state == CLOSING and last is not None:
            _assert_same_way(last, way)
            if way == "bills":
                _assert_as_approved(books, last)
            return None
        if way == "bills":
            assert_in_order(warehouse, periods, month, "closing")
            approved = _approved(books, periods, month, by)
            digest, kept = approved.digest, _with_issuer(approved, settings.zero_bills, issuer)
        else:
            digest, kept = None, _checked_for(books, periods, month, way)
        return changed_now(month, CLOSING, by=by, why=why, way=way, issue_date=today, digest=digest, closed_with=kept)

    begun = change_state(warehouse, decide).last(month)
    assert begun is not None
    return begun


def _with_issuer(approved: Change, zero_bills: str, issuer: Issuer) -> str:
    """What is kept of a month with its approval, with who issues its documents, and what becomes of bills of 0 (JSON)."""
    assert approved.closed_with is not None
    return replace(
        ClosedWith.read(approved.closed_with), zero_bills=zero_bills, issuer=issuer_as_kept(issuer)
    ).as_json()


def _approved(books: Books, periods: Periods, month: str, by: str) -> Change:
    """The approval of a month, if its bills are still those, and this name may close it. Raises PeriodError."""
    approved = periods.last(month)
    if approved is None or approved.state != APPROVED:
        raise PeriodError(f"closing {month}: {periods.says(month)}")
    if books.settings.approver_is_not_closer and _same_name(approved.changed_by, by):
        raise PeriodError(
            f"closing {month}: {by.strip()} has approved its bills, and TELECOM_APPROVER_IS_NOT_CLOSER asks for another name; "
            "nothing was changed"
        )
    _assert_as_approved(books, approved)
    found = blocking(books.settings, books.warehouse, books.record_types, month)
    assert_nothing_blocks(found, f"closing {month}")
    return approved


def _assert_as_approved(books: Books, approved: Change) -> None:
    """Raise PeriodError where the rows of a period are not those of its digest any more."""
    month, warehouse = approved.billing_period, books.warehouse
    if approved.digest is not None and (others := differing_tables(approved.digest, digest_of(warehouse, month))):
        raise PeriodError(
            f"closing {month}: {', '.join(others)} of it {'is' if len(others) == 1 else 'are'} not as approved by "
            f"{approved.changed_by}; nothing was changed. Restore the rows from a copy, or, before its close has begun, withdraw the "
            f"approval with `telecom bill withdraw --month {month} --by NAME --why …` and make its bills again"
        )


def _assert_same_way(begun: Change, way: Way) -> None:
    if begun.way != way:
        month, was = begun.billing_period, begun.way or "bills"
        raise PeriodError(
            f"closing {month} {_IN_WORDS[way]}: its close {_IN_WORDS[was]} has begun, and no way leads back; "
            f"`telecom bill close --month {month}{_OPTIONS[was]} --by NAME` goes on with it"
        )


def _checked_for(books: Books, periods: Periods, month: str, way: Way) -> str:
    """Raise unless a month that was not approved may be closed in this way. Returns what is kept of its terms (JSON)."""
    warehouse, settings = books.warehouse, books.settings
    if way == "empty":
        assert_none_before(warehouse, periods, month, "closing")
        empty.assert_may_be_empty(warehouse, month)
    else:
        assert_in_order(warehouse, periods, month, "closing")
        if (terms := as_it_stands.terms_billed(warehouse, month)) is not None:
            return kept_terms(settings, terms, versions_now(warehouse)).as_json()
    terms = terms_of(warehouse.pin(BILLING_TERMS.name).arrow(), month, settings.currency)
    return kept_terms(settings, terms, versions_now(warehouse)).as_json()


def _same_name(one: str | None, other: str) -> bool:
    return one is not None and one.strip().casefold() == other.strip().casefold()


def _with_bills(books: Books, begun: Change, at_phase: AtPhase, progress: Progress) -> None:
    """The approved bills become documents."""
    warehouse, settings, month = books.warehouse, books.settings, begun.billing_period
    assert begun.closed_with is not None and begun.issue_date is not None
    _mark_closed(books, month)
    at_phase("bills")
    approved_at = max(
        change.changed_at
        for change in read_periods(warehouse).changes
        if (change.billing_period, change.state) == (month, APPROVED)
    )
    issue_documents(
        warehouse,
        settings,
        month,
        begun.issue_date,
        ClosedWith.read(begun.closed_with),
        approved_at=approved_at,
        other_usage=any(not each.on_bill for each in books.record_types),
        at_phase=at_phase,
        progress=progress,
    )
    write_files(warehouse, settings, month)
    at_phase("filed")
    _publish(books, month)
    at_phase("published")


def _empty(books: Books, begun: Change, at_phase: AtPhase, _: Progress) -> None:
    """The rows of the month and the files of its drafts go; PostgreSQL has no bills of it, and takes none."""
    empty.remove_rows(books.warehouse, begun.billing_period)
    at_phase("bills")
    empty.remove_files(books.settings, begun.billing_period)
    at_phase("filed")
    _publish(books, begun.billing_period)
    at_phase("published")


def _as_it_stands(books: Books, begun: Change, at_phase: AtPhase, _: Progress) -> None:
    """The lines of the month are made once; its bills say that they are closed; its documents stay as they are."""
    as_it_stands.make_lines(books.warehouse, begun)
    _mark_closed(books, begun.billing_period)
    at_phase("bills")
    _publish(books, begun.billing_period)
    at_phase("published")


_CARRIED_OUT: dict[Way, Callable[[Books, Change, AtPhase, Progress], None]] = {
    "bills": _with_bills,
    "empty": _empty,
    "as_it_stands": _as_it_stands,
}


def _mark_closed(books: Books, month: str) -> None:
    """Have the bills and separate documents of a month say that they are closed, where they do not yet."""
    for table in _totals(books, month):
        if table.df.where(F.col("status") != CLOSED_BILL).limit(1).count():
            rows = table.df.withColumn("status", F.lit(CLOSED_BILL))
            books.warehouse.overwrite(table.name, rows, Partitions(month, month), reads={table.name: table.version})


def _assert_can_publish(books: Books, month: str) -> None:
    """Raise PostgresError, or PeriodError, where PostgreSQL would not take the bills and separate documents of a month.

    Asked before anything is done, since publishing comes after all files are made.
    """
    connection, totals = books.postgres.connect(), _totals(books, month)
    assert_can_close(connection, [table.contract for table in totals], month)
    for table in totals:
        ahead = entries_ahead(connection, table.name, table.table_id, table.version)
        if month in ahead:
            raise _is_later(table, month, ahead[month])


def _is_later(table: PinnedTable, month: str, published: int) -> PeriodError:
    return PeriodError(
        f"closing {month}: PostgreSQL has {table.name} of a later version ({published}) than this warehouse's ({table.version}); "
        "`telecom warehouse adopt --by NAME --why REASON` makes this one the truth, then close again"
    )


def _publish(books: Books, month: str) -> None:
    """Publish the bills and separate documents of a month for the last time."""
    for table in _totals(books, month):
        result = publish_period(
            books.postgres.connect(),
            table.contract,
            month,
            table.batches(),
            delta_table_id=table.table_id,
            delta_version=table.version,
            expected_rows=sum(table.rows_by_partition().values()),
            expected_sums=table.totals(),
            closes=True,
        )
        if not result.published:
            raise _is_later(table, month, result.delta_version)


def _remove_made_pdfs(books: Books, periods: Periods) -> None:
    """Remove the PDFs that were kept for a repeat, of every closed month: whoever closed one may have been killed just before."""
    for month in periods.closed:
        if periods.state(month) == CLOSED:
            remove_made_pdfs(invoice_directory(books.settings, month))


def _totals(books: Books, month: str) -> list[PinnedTable]:
    return [books.warehouse.pin_period(each.name, month) for each in OF_DOCUMENTS]
