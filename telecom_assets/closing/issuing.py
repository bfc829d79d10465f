"""The documents of a period: its bills and separate documents get numbers, and become files.

Belongs here: which documents there are, in which order, and that their numbers are kept before a file can be seen. Does not belong
here: the numbers themselves (`numbering`), the shape of a document and of a set (`telecom_assets.invoices`).

The files are written aside; then the rows of `documents` are committed, from which on the numbers are given; then the files take their
place. A close that was killed in between and is made again finds the numbers in the table.
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import (
    Partitions,
    PinnedTable,
    Refused,
    Warehouse,
    WarehouseError,
    stream_batches,
    sum_exactly,
)
from telecom_assets.billing.adjustment_lines import document_totals
from telecom_assets.billing.corrections import history_of
from telecom_assets.billing.lines import DOCUMENT
from telecom_assets.billing.recipients import holders_of_month
from telecom_assets.billing.tables import BILL, BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE, HOLDER
from telecom_assets.billing.zero_bills import SKIP, zero_bills
from telecom_assets.books.totals import note_totals
from telecom_assets.closing.earlier import billed_of, with_billed
from telecom_assets.closing.numbering import Numbers, last_given
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.home.output_files import invoice_directory
from telecom_assets.home.setting_values import InvoiceFormat
from telecom_assets.home.settings import Settings
from telecom_assets.invoices.by_day import with_usage_by_day
from telecom_assets.invoices.document import Issued
from telecom_assets.invoices.files import InvoiceSummary, InvoiceTotals, Issuing, write_invoices
from telecom_assets.invoices.index import Written
from telecom_assets.invoices.issuer import issuer_of, read_issuer
from telecom_assets.model.currencies import currency_scale
from telecom_assets.model.text import plain
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import Periods
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.reference.tables import CUSTOMERS

#: The tables with a row for each document of a period.
OF_DOCUMENTS = (FACTURATION_COMPLETE, CORRECTION_DOCUMENTS)
#: Hears how many documents are written, and how many there will be.
Progress = Callable[[int, int], None]
_RATE = ("tax_category", "tax_pct", "amount", "discount", "tax", "due")
_ROWS_AT_A_TIME = 10_000


def issue_documents(
    warehouse: Warehouse,
    settings: Settings,
    month: str,
    issue_date: dt.date,
    closed_with: ClosedWith,
    *,
    approved_at: dt.datetime,
    other_usage: bool,
    at_phase: Callable[[str], None],
    progress: Progress,
) -> InvoiceSummary:
    """Give the documents of a month their numbers, keep them in `documents`, and write their files. Returns what was written.

    at_phase hears "numbered" when the numbers are given; progress, how many documents of how many are written. Repeated, it finds
    its own numbers and writes the same files. Raises InvoiceError where a document does not add up, WarehouseError where somebody
    else gave numbers meanwhile; no number is given then.
    """
    totals = [warehouse.pin_period(each.name, month) for each in OF_DOCUMENTS]
    lines = warehouse.pin_period(BILL_LINES.name, month)
    documents = warehouse.pin_period(DOCUMENTS.name, month)
    issuing = _Issuing(documents, month, issue_date, closed_with)
    customers = _customers(warehouse, closed_with, approved_at)
    rows = documents_to_issue(totals, lines, customers, currency_scale(closed_with.currency))
    skipped = 0
    if closed_with.zero_bills == SKIP:
        zero = zero_bills(totals[0].df, lines.df).select(*HOLDER, F.lit(BILL).alias("document"))
        rows, skipped = rows.join(zero, on=list(DOCUMENT), how="left_anti"), zero.count()
    rows = with_billed(rows, lines)
    if "pdf" in settings.invoice_formats:
        rows = with_usage_by_day(rows, charges_of_month(warehouse, month).df)
    sums = [table.totals() for table in totals]
    expected = InvoiceTotals(
        sum(sum(table.rows_by_partition().values()) for table in totals) - skipped,
        {name: sum_exactly(each[name] for each in sums) for name in totals[0].contract.money},
    )

    def keep() -> None:
        issuing.keep()
        at_phase("numbered")

    def reached(done: int) -> None:
        progress(done, expected.invoices)

    return write_invoices(
        stream_batches(rows.orderBy(*HOLDER, F.col("document") != BILL, "document")),
        month,
        invoice_directory(settings, month),
        totals[0].version,
        issuer_of(closed_with.issuer) if closed_with.issuer else read_issuer(settings.issuer),
        expected=expected,
        other_usage=other_usage,
        issuing=Issuing(issuing.issue, issuing.note, closed_with, settings.invoice_formats, reached),
        before_swap=keep,
    )


class _Issuing:
    """The documents of one month on their way: each is given its number, noted with its file, and then all are kept."""

    def __init__(self, documents: PinnedTable, month: str, issue_date: dt.date, closed_with: ClosedWith) -> None:
        self._documents = documents
        self._before = terms_of_closed(read_periods(documents.warehouse))
        self._month = month
        self._issue_date = issue_date
        self._due_date = issue_date + dt.timedelta(days=closed_with.payment_days)
        self._closed_with = closed_with
        self._stored = documents.arrow()
        self._given = {_key(row): row["number"] for row in self._stored.to_pylist()}
        self._numbers = Numbers(issue_date.year, _last_numbers(documents, issue_date.year))
        self._rows: list[dict[str, Any]] = []
        self._batches: list[pa.RecordBatch] = []

    def issue(self, bill: Mapping[str, Any]) -> Issued:
        """What makes a bill a document. Bills come in the order of customer_id, holder_no, and the bill before separate documents."""
        kind = bill["document_kind"]
        number = self._given[_key(bill)] if self._given else self._numbers.next(kind)
        lines, rates = issued_with(bill, self._closed_with, self._before)
        return Issued(
            number=number,
            kind=kind,
            issue_date=self._issue_date,
            due_date=self._due_date,
            lines=lines,
            rates=rates,
            original_period=bill["original_period"],
            billed=billed_of(bill),
        )

    def note(self, bill: Mapping[str, Any], issued: Issued, written: Mapping[InvoiceFormat, Written]) -> None:
        """Take note of a document that was written."""
        further = {each.name: each.sha256 for form, each in written.items() if form != "xml"}
        rates = [{name: _as_text(rate[name]) for name in _RATE} for rate in issued.rates]
        self._rows.append(
            {
                **{
                    name: bill[name]
                    for name in (*DOCUMENT, "original_period", "amount_due", "currency", "billing_period")
                },
                "number": issued.number,
                "kind": issued.kind,
                "issue_date": issued.issue_date,
                "due_date": issued.due_date,
                "tax_breakdown": json.dumps(rates),
                "file": written["xml"].name,
                "sha256": written["xml"].sha256,
                "further_files": json.dumps(further) if further else None,
            }
        )
        if len(self._rows) == _ROWS_AT_A_TIME:
            self._flush()

    def keep(self) -> None:
        """Commit the rows of `documents`, unless they are there already: from then on the numbers are given."""
        self._keep()
        note_totals(self._documents.warehouse.pin_period(self._documents.name, self._month))

    def _keep(self) -> None:
        self._flush()
        warehouse, contract = self._documents.warehouse, self._documents.contract
        made = pa.Table.from_batches(self._batches, contract.arrow_schema()).sort_by("number")
        if self._stored.sort_by("number").equals(made):
            return
        files = warehouse.stage_arrow(contract.name, made)
        on = self._documents.version
        while True:
            try:
                warehouse.commit(contract.name, files, on, replace=Partitions(self._month, self._month))
            except Refused:
                newest = warehouse.version(contract.name)
                if not warehouse.log(contract.name).rows_changed(on, newest):
                    on = newest
                    continue
                warehouse.drop(contract.name, files.folder)
                raise WarehouseError(
                    f"documents of {self._month}: another close gave numbers at the same time; nothing was changed, and "
                    f"`telecom bill close --month {self._month} --by NAME` goes on"
                ) from None
            return

    def _flush(self) -> None:
        schema = self._documents.contract.arrow_schema()
        self._batches += [pa.RecordBatch.from_pylist(self._rows, schema)] if self._rows else []
        self._rows = []


def documents_to_issue(
    totals: list[PinnedTable], bill_lines: PinnedTable, customers: DataFrame, scale: int
) -> DataFrame:
    """All documents of a month with their lines and tax rates, in no order."""
    lines = bill_lines.df
    bills = (
        totals[0]
        .df.withColumn("document", F.lit(BILL))
        .withColumn("document_kind", F.lit("invoice"))
        .withColumn("original_period", F.lit(None).cast("string"))
    )
    for separate in totals[1:]:
        bills = bills.unionByName(separate.df.withColumnRenamed("kind", "document_kind"))
    of_line = [name for name in BILL_LINES.column_names if name not in (*DOCUMENT, "billing_period")]
    by_document = lines.groupBy(*DOCUMENT).agg(F.collect_list(F.struct(*of_line)).alias("lines"))
    rates = (
        document_totals(lines, history_of(bill_lines), scale)
        .groupBy(*DOCUMENT)
        .agg(F.collect_list(F.struct(*_RATE)).alias("rates"))
    )
    month = (totals[0].partitions or Partitions("", "")).first
    names = holders_of_month(customers, month).select(*HOLDER, "customer_name")
    return (
        bills.join(by_document, on=list(DOCUMENT), how="left")
        .join(rates, on=list(DOCUMENT), how="left")
        .join(names, on=list(HOLDER), how="left")
    )


def issued_with(
    bill: Mapping[str, Any], closed_with: ClosedWith | None, before: Mapping[str, ClosedWith]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines and tax rates of a row of `documents_to_issue`, in their order.

    A rate has the exemption reasons of the terms that its lines are made with: those of the period (closed_with; None: a draft, which
    names none), and of the closed periods that corrections are of (before: `terms_of_closed`).
    """
    lines = sorted(bill["lines"] or [], key=lambda line: line["line_no"])
    rates = sorted(bill["rates"] or [], key=lambda rate: (rate["tax_category"], rate["tax_pct"]))
    if closed_with is None:
        return lines, rates
    reasons: dict[tuple[Any, ...], list[str]] = {}
    for line in lines:
        terms = before.get(line["original_period"]) if line["original_period"] else closed_with
        found = reasons.setdefault((line["tax_category"], line["tax_pct"]), [])
        if (
            terms is not None
            and terms.tax_category == line["tax_category"]
            and terms.exemption_reason not in (None, *found)
        ):
            found.append(str(terms.exemption_reason))
    named = ["; ".join(reasons.get((rate["tax_category"], rate["tax_pct"]), ())) for rate in rates]
    return lines, [
        {**rate, **({"exemption_reason": reason} if reason else {})} for rate, reason in zip(rates, named, strict=True)
    ]


def terms_of_closed(periods: Periods) -> dict[str, ClosedWith]:
    """What each closed period was closed with."""
    changes = (periods.last(month) for month in periods.closed)
    return {each.billing_period: ClosedWith.read(each.closed_with) for each in changes if each and each.closed_with}


def _customers(warehouse: Warehouse, closed_with: ClosedWith, approved_at: dt.datetime) -> DataFrame:
    """The customers as they were at the approval, so that a close that is repeated writes the same names.

    Where that version may have been removed, as they are now.
    """
    kept = dt.datetime.now(dt.UTC) - approved_at < dt.timedelta(days=warehouse.retention_days)
    return warehouse.pin(CUSTOMERS.name, version=closed_with.versions.get(CUSTOMERS.name) if kept else None).all()


def _last_numbers(documents: PinnedTable, year: int) -> dict[str, int]:
    """The last numbers that were given in a year, over all periods."""
    of_year = documents.all().where(F.col("number").contains(f"-{year}-"))
    last = of_year.groupBy(F.substring("number", 1, 3).alias("series"), F.length("number").alias("length")).agg(
        F.max("number").alias("number")
    )
    return last_given((row["number"] for row in last.toArrow().to_pylist()), year)


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in DOCUMENT)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else plain(value)
