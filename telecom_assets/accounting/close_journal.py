"""The close journal of a period, from the tables: its sums, and that they are its documents and bills.

Belongs here: which rows make up which sum, and what must agree. Does not belong here: entries, sides and accounts (`entries`).
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from decimal import Decimal

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import Partitions, Warehouse, stream_batches, sum_exactly
from telecom_assets.accounting.accounts import Accounts
from telecom_assets.accounting.entries import Entry, Lines, Outside, Sums, balance, close_entries
from telecom_assets.accounting.former_bills import former_bills
from telecom_assets.accounting.vat import VAT_COLUMNS, vat_rows
from telecom_assets.billing.adjustment_lines import corrections_by_rate
from telecom_assets.billing.corrections import history_of
from telecom_assets.billing.lines import totals_by_rate
from telecom_assets.billing.tables import ADJUSTMENT, BILL_LINES
from telecom_assets.books.agreement import totals_agree
from telecom_assets.books.verdict import require
from telecom_assets.closing.issuing import OF_DOCUMENTS
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.corrections.suspense import waiting_rows, with_value
from telecom_assets.corrections.tables import ADJUSTMENTS, UNSETTLED, WRITTEN_OFF
from telecom_assets.model.currencies import currency_scale
from telecom_assets.model.months import month_days, months_between
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import CLOSED, Change, PeriodError
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.record_types.in_force import RecordTypes

#: Money that the journal and the bills both say.
_AGREED = ("amount_before_tax", "discount", "tax", "amount_due")


@dataclass(frozen=True)
class CloseJournal:
    """The journal of a period (yyyy-MM): its entries in order. issue_date: of its documents, and the day of what is unbilled.

    A period that was closed as it stood has no issue_date: that of its documents is not known here.
    """

    period: str
    currency: str
    issue_date: dt.date | None
    entries: list[Entry]

    def table(self) -> pa.Table:
        """The entries as rows: section, entry, detail, original_period, account, events, exact_amount, debit, credit, currency,
        issue_date, billing_period.
        """
        amount = pa.decimal128(28, currency_scale(self.currency))
        kinds = {"events": pa.int64(), "exact_amount": pa.decimal128(28, 6), "debit": amount, "credit": amount}
        schema = pa.schema(
            [
                *((each.name, kinds.get(each.name, pa.string())) for each in fields(Entry)),
                ("currency", pa.string()),
                ("issue_date", pa.date32()),
                ("billing_period", pa.string()),
            ]
        )
        of = {"currency": self.currency, "issue_date": self.issue_date, "billing_period": self.period}
        return pa.Table.from_pylist([{**asdict(each), **of} for each in self.entries], schema)


def close_journal(
    warehouse: Warehouse, period: str, currency: str, accounts: Accounts, record_types: RecordTypes
) -> CloseJournal:
    """The close journal of a closed period.

    Raises PeriodError for one that is not closed; AccountsError for a missing account; ConservationError where debits are not credits,
    or the entries are not the bills.
    """
    closed = _closed(warehouse, period)
    scale = currency_scale(currency)
    stood = closed.way == "as_it_stands"
    issued = None if stood else closed.issue_date
    outside, balances = _outside(warehouse, period)
    balances += _unbilled(warehouse, period, issued or month_days(period)[-1], record_types)
    lines = _lines(warehouse, period)
    if stood:
        assert closed.closed_with is not None
        former = former_bills(warehouse, period, ClosedWith.read(closed.closed_with), scale)
        sums = Sums(
            lines, {None: former.discount}, former.taxes, former.due, outside, balances, former.billed_otherwise
        )
    else:
        discounts = _discounts(warehouse, period, scale)
        sums = Sums(lines, discounts, *_documents(warehouse, period), outside, balances)
    entries = close_entries(sums, accounts, scale)
    debits, credits_ = balance(entries, "ledger")
    require(
        totals_agree("close journal = bills", _agreed(sums), _bills(warehouse, period), ("close journal", "bills")),
        totals_agree("debits = credits", {"ledger": debits}, {"ledger": credits_}, ("debits", "credits")),
        before=f"the close journal of {period}",
    )
    return CloseJournal(period, currency, issued, entries)


def _closed(warehouse: Warehouse, period: str) -> Change:
    periods = read_periods(warehouse)
    last = periods.last(period)
    if last is None or last.state != CLOSED:
        raise PeriodError(f"close journal of {period}: {periods.says(period)}")
    return last


def _lines(warehouse: Warehouse, period: str) -> list[Lines]:
    keys = ("kind", "service", "original_period")
    sums = (
        warehouse.pin_period(BILL_LINES.name, period)
        .df.groupBy(*keys)
        .agg(*(F.sum(name).alias(name) for name in ("events", "exact_amount", "amount")))
    )
    return [Lines(**row) for row in sums.toArrow().to_pylist()]


def _discounts(warehouse: Warehouse, period: str, scale: int) -> dict[str | None, Decimal]:
    """Discounts of own lines (None), and those that corrections bring by their original period."""
    lines = warehouse.pin_period(BILL_LINES.name, period)
    own = totals_by_rate(lines.df.where(F.col("kind") != ADJUSTMENT), scale)
    made = own.select(F.lit(None).cast("string").alias("original_period"), "discount")
    history = history_of(lines)
    if history is not None:
        corrections = corrections_by_rate(lines.df.where(F.col("kind") == ADJUSTMENT), history, scale)
        made = made.unionByName(corrections.select("original_period", "discount"))
    sums = made.groupBy("original_period").agg(F.sum("discount").alias("discount")).toArrow().to_pylist()
    return {row["original_period"]: row["discount"] for row in sums}


def _documents(warehouse: Warehouse, period: str) -> tuple[dict[tuple[str, Decimal], Decimal], dict[str, Decimal]]:
    """Tax by rate, as in the VAT journal, and amount due by kind, of the documents of a period."""
    taxes: defaultdict[tuple[str, Decimal], Decimal] = defaultdict(Decimal)
    due: defaultdict[str, Decimal] = defaultdict(Decimal)
    read = warehouse.pin_period(DOCUMENTS.name, period).df
    for batch in stream_batches(read.select(*VAT_COLUMNS)):
        for document in batch.to_pylist():
            due[document["kind"]] += document["amount_due"]
            for row in vat_rows(document, None):
                taxes[row["tax_category"], row["tax_pct"]] += row["tax"]
    return taxes, due


def _agreed(sums: Sums) -> dict[str, Decimal]:
    figures = (
        (*(line.amount for line in sums.lines), sums.billed_otherwise),
        sums.discounts.values(),
        sums.taxes.values(),
        sums.due.values(),
    )
    return {name: sum_exactly(amounts) for name, amounts in zip(_AGREED, figures, strict=True)}


def _bills(warehouse: Warehouse, period: str) -> dict[str, Decimal]:
    totals = [warehouse.pin_period(each.name, period).totals() for each in OF_DOCUMENTS]
    return {name: sum_exactly(each[name] for each in totals) for name in _AGREED}


def _outside(warehouse: Warehouse, period: str) -> tuple[list[Outside], list[Outside]]:
    """Corrections on no document by original period: what the period has written off, and what stands at its end.

    What was written off is taken back by rows of the same disposition, so the sum of all is what stands. What awaits acceptance or is
    refused comes again with each period, so that the period's own rows are all.
    """
    rows = warehouse.pin(ADJUSTMENTS.name, Partitions("", period)).df
    of_period = F.col("billing_period") == period
    written_off = rows.where(F.col("disposition") == WRITTEN_OFF)
    unsettled = rows.where(of_period & F.col("disposition").isin(*UNSETTLED))
    return list(_summed(written_off.where(of_period))), [*_summed(written_off), *_summed(unsettled)]


def _summed(rows: DataFrame) -> Iterator[Outside]:
    sums = rows.groupBy("disposition", "original_period").agg(
        F.sum("events").alias("events"), F.sum("amount").alias("amount")
    )
    for row in sums.toArrow().to_pylist():
        if row["events"] or row["amount"]:
            yield Outside(row["disposition"], row["original_period"], row["events"], row["amount"])


def _unbilled(warehouse: Warehouse, period: str, until: dt.date, record_types: RecordTypes) -> Iterator[Outside]:
    """Usage of days up to the day of issue that is on no document of the period or before.

    Open: charged by days after the period. Suspended: by its day, in any period, unless a correction has settled it since; at its
    price, where it has one.
    """
    for month in months_between(period, f"{until:%Y-%m}")[1:]:
        charges = charges_of_month(warehouse, month).df.where(F.col("event_date") <= F.lit(until))
        row = charges.agg(F.count("*").alias("events"), F.sum("amount").alias("amount")).toArrow().to_pylist()[0]
        if row["events"]:
            yield Outside("unbilled_open", month, row["events"], row["amount"])
    rows = waiting_rows(warehouse, Partitions(dt.date.min, until), until=period)
    sums = (
        with_value(warehouse, rows, record_types)
        .groupBy("billing_period", "reason")
        .agg(F.count("*").alias("events"), F.sum("amount").alias("amount"))
    )
    for row in sums.toArrow().to_pylist():
        yield Outside(
            "unbilled_suspended", row["billing_period"], row["events"], row["amount"] or Decimal(0), row["reason"]
        )
