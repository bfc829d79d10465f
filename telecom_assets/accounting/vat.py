"""The VAT journal: what the documents of a calendar month of issue come to at each tax rate.

Belongs here: its rows, and that they are the documents and the bills. Does not belong here: how a tax is worked out
(`telecom_assets.billing.lines`), entries in accounts (`close_journal`).
"""

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyspark.sql import functions as F

from resources.warehouse import Warehouse, stream_batches, sum_exactly
from telecom_assets.billing.zero_bills import skipped_bills
from telecom_assets.books.agreement import labelled, totals_agree
from telecom_assets.books.verdict import require
from telecom_assets.closing.issuing import OF_DOCUMENTS
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.model.currencies import currency_scale
from telecom_assets.model.months import month_days, previous_month
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import CLOSING, PeriodError, Periods

#: A document of `documents` in the journal; then one tax rate of it.
_OF_DOCUMENT = ("number", "issue_date", "kind", "billing_period", "original_period", "customer_id", "holder_no")
_MONEY = ("base", "tax", "amount_due")
#: What `vat_rows` reads of a document.
VAT_COLUMNS = (*_OF_DOCUMENT, "tax_breakdown", "amount_due", "currency")


def vat_schema(currency: str) -> pa.Schema:
    """Columns of the VAT journal. One row per document and tax category and rate.

    number, issue_date, kind (invoice, supplementary, credit_note), billing_period, original_period (of a separate document),
    customer_id, holder_no, tax_category (UNCL 5305), tax_pct; base (amounts less discounts), tax and amount_due (base + tax) in the
    currency's decimals, below 0 where more is given back than charged; currency.
    """
    amount = pa.decimal128(18, currency_scale(currency))
    texts = {name: pa.string() for name in _OF_DOCUMENT}
    types = {**texts, "issue_date": pa.date32(), "holder_no": pa.int32()}
    return pa.schema(
        [
            *((name, types[name]) for name in _OF_DOCUMENT),
            ("tax_category", pa.string()),
            ("tax_pct", pa.decimal128(7, 4)),
            *((name, amount) for name in _MONEY),
            ("currency", pa.string()),
        ]
    )


@dataclass(frozen=True)
class VatJournal:
    """The journal of a calendar month (yyyy-MM), ordered by number, category and rate. documents: how many there are.

    as_they_stood: of this month and the one before, those that were closed as they stood. Their documents may have been issued in the
    month, by a former version, and are not here.
    """

    month: str
    currency: str
    rows: pa.Table
    documents: int
    as_they_stood: tuple[str, ...] = ()

    def by_rate(self) -> pa.Table:
        """What the rows come to: kind, tax_category, tax_pct, documents, base, tax, amount_due."""
        keys = ["kind", "tax_category", "tax_pct"]
        sums = self.rows.group_by(keys).aggregate([("number", "count"), *((name, "sum") for name in _MONEY)])
        named = sums.select([*keys, "number_count", *(f"{name}_sum" for name in _MONEY)])
        return named.rename_columns([*keys, "documents", *_MONEY]).sort_by([(name, "ascending") for name in keys])


def vat_journal(warehouse: Warehouse, month: str, currency: str) -> VatJournal:
    """The VAT journal of the documents that were issued in a calendar month.

    A document of nothing has a row of 0 at the rate of its period, so that no number is missing. Raises PeriodError while a period is
    being closed with documents of the month, ConservationError where the rows are not the documents and their bills.
    """
    periods = read_periods(warehouse)
    issued = periods_issued_in(periods, month)
    for period in issued:
        if periods.state(period) == CLOSING:
            raise PeriodError(f"VAT journal of {month}: {periods.says(period)}")
    days = month_days(month)
    of_month = warehouse.pin(DOCUMENTS.name).all().where(F.col("issue_date").between(F.lit(days[0]), F.lit(days[-1])))
    terms = {period: _terms(periods, period) for period in issued}
    schema = vat_schema(currency)
    rows: list[pa.RecordBatch] = []
    found: Counter[str] = Counter()
    differing: dict[str, Decimal] = {}
    stated: dict[str, Decimal] = {}
    for batch in stream_batches(
        of_month.select(*VAT_COLUMNS).orderBy(F.substring("number", 1, 3), F.length("number"), "number")
    ):
        documents = batch.to_pylist()
        made = [row for document in documents for row in vat_rows(document, terms.get(document["billing_period"]))]
        rows.append(pa.RecordBatch.from_pylist(made, schema))
        found.update(document["billing_period"] for document in documents)
        for number, ours, theirs in _differing(documents, made):
            differing[number], stated[number] = ours, theirs
    table = pa.Table.from_batches(rows, schema)
    require(
        totals_agree("VAT of each document = its amount due", differing, stated, ("VAT journal", "documents")),
        totals_agree(
            "VAT journal = bills and separate documents",
            _sums(table, found),
            _bills(warehouse, issued),
            ("VAT journal", "bills"),
        ),
        before=f"the VAT journal of {month}",
    )
    return VatJournal(month, currency, table, found.total(), tuple(_as_they_stood(periods, month)))


def vat_rows(document: Mapping[str, Any], terms: ClosedWith | None) -> Iterator[dict[str, Any]]:
    """The rows of a row of `documents`, in the order of category and rate. terms: those that its period was closed with."""
    same = {**{name: document[name] for name in _OF_DOCUMENT}, "currency": document["currency"]}
    rates = json.loads(document["tax_breakdown"])
    for rate in sorted(rates, key=lambda each: (each["tax_category"], Decimal(each["tax_pct"]))):
        exact = {name: Decimal(rate[name]) for name in ("tax_pct", "amount", "discount", "tax", "due")}
        yield {
            **same,
            "tax_category": rate["tax_category"],
            "tax_pct": exact["tax_pct"],
            "base": exact["amount"] - exact["discount"],
            "tax": exact["tax"],
            "amount_due": exact["due"],
        }
    if not rates and terms is not None:
        nothing = dict.fromkeys(_MONEY, Decimal(0))
        yield {**same, "tax_category": terms.tax_category, "tax_pct": terms.tax_pct, **nothing}


def periods_issued_in(periods: Periods, month: str) -> list[str]:
    """The closed periods whose documents have a day of a calendar month as their day of issue."""
    days = month_days(month)
    return [each for each in periods.closed if (day := _issue_date(periods, each)) and days[0] <= day <= days[-1]]


def _as_they_stood(periods: Periods, month: str) -> Iterator[str]:
    """This month and the one before, where they were closed as they stood."""
    for period in (previous_month(month_days(month)[0]), month):
        last = periods.last(period)
        if last is not None and last.way == "as_it_stands":
            yield period


def _issue_date(periods: Periods, period: str) -> dt.date | None:
    """The day of issue of a period's documents; None where it was closed without any."""
    last = periods.last(period)
    return last.issue_date if last is not None and last.way == "bills" else None


def _terms(periods: Periods, period: str) -> ClosedWith | None:
    last = periods.last(period)
    return ClosedWith.read(last.closed_with) if last is not None and last.closed_with else None


def _differing(
    documents: Sequence[Mapping[str, Any]], rows: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, Decimal, Decimal]]:
    """Documents that their rows do not come to: number, sum of the rows' base and tax, amount due."""
    sums: dict[str, Decimal] = {document["number"]: Decimal(0) for document in documents}
    for row in rows:
        sums[row["number"]] += row["base"] + row["tax"]
    for document in documents:
        if sums[document["number"]] != document["amount_due"]:
            yield document["number"], sums[document["number"]], document["amount_due"]


def _sums(rows: pa.Table, documents: Mapping[str, int]) -> dict[str, object]:
    """Documents and money of the journal by period."""
    sums = rows.group_by("billing_period").aggregate([(name, "sum") for name in _MONEY]).to_pylist()
    money = {row["billing_period"]: {name: row[f"{name}_sum"] for name in _MONEY} for row in sums}
    return _labelled((period, count, money.get(period, {})) for period, count in documents.items())


def _bills(warehouse: Warehouse, periods: Iterable[str]) -> dict[str, object]:
    """The same of the bills and the separate documents of periods, less the bills of 0 that have no document."""

    def of(period: str) -> tuple[str, int, dict[str, Decimal]]:
        tables = [warehouse.pin_period(each.name, period) for each in OF_DOCUMENTS]
        sums = [each.totals() for each in tables]
        total = {name: sum_exactly(each[name] for each in sums) for name in sums[0]}
        money = {"base": total["amount_before_tax"] - total["discount"], **total}
        count = sum(sum(each.rows_by_partition().values()) for each in tables) - skipped_bills(warehouse, period)
        return period, count, {name: money[name] for name in _MONEY}

    return _labelled(map(of, periods))


def _labelled(periods: Iterable[tuple[str, int, dict[str, Decimal]]]) -> dict[str, object]:
    """Periods that have documents, as totals by name."""
    found: dict[str, object] = {}
    for period, count, money in periods:
        found |= labelled(period, count, money) if count else {}
    return found
