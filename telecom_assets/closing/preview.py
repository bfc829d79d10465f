"""The PDF of one customer's documents of a month, made on demand: a preview of drafts, or once more what was issued.

A run makes no PDFs of drafts: a month's bills are made again every night, nobody looks at most of them, and ten thousand pages take
minutes. Belongs here: finding what a document is made of. Does not belong here: the page (`telecom_assets.invoices.pdf`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.expected_errors import ExpectedError
from resources.warehouse import Warehouse
from telecom_assets.billing.lines import DOCUMENT
from telecom_assets.billing.tables import BILL, BILL_LINES
from telecom_assets.billing.zero_bills import SKIP
from telecom_assets.closing.earlier import billed_of
from telecom_assets.closing.issuing import OF_DOCUMENTS, documents_to_issue, issued_with, terms_of_closed
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.invoices.by_day import with_usage_by_day
from telecom_assets.invoices.document import Issued
from telecom_assets.invoices.issuer import Issuer, issuer_of
from telecom_assets.invoices.pdf import Content, PdfWriter
from telecom_assets.model.currencies import currency_scale
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import CLOSED
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.reference.tables import CUSTOMERS


class NoDocument(ExpectedError):
    """A customer has no such document in a month. The message says which there are."""


class Shown(NamedTuple):
    """A document as PDF: its name in the month (`bill`, or a separate document's), its number unless it is a draft."""

    document: str
    number: str | None
    pdf: bytes


@dataclass(frozen=True)
class Close:
    """What the close of a month has made of a customer's bills; of a draft there is nothing.

    given: the rows of `documents`, by DOCUMENT. closed_with: what the month was approved with. issuer: who has issued them,
    where the close has kept it. skips: whether a bill of 0 has no document, for good. before: the terms of all closed months.
    """

    given: Mapping[tuple[Any, ...], Mapping[str, Any]]
    closed_with: ClosedWith | None
    issuer: Issuer | None = None
    skips: bool = False
    before: Mapping[str, ClosedWith] = field(default_factory=dict)

    def documents(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of `documents_to_issue` of the customer that are documents. Raises NoDocument where the close has skipped all."""
        found = [row for row in rows if not self.skips or _key(row) in self.given]
        if not found:
            month, customer = rows[0]["billing_period"], rows[0]["customer_id"]
            raise NoDocument(
                f"{month}: the bill of customer {customer!r} is 0, and has no document: it was closed with TELECOM_ZERO_BILLS=skip"
            )
        return found

    def issued(self, row: Mapping[str, Any]) -> Issued | None:
        """What made a row of `documents_to_issue` a document; None: it is a draft."""
        given = self.given.get(_key(row))
        if given is None:
            return None
        lines, rates = issued_with(row, self.closed_with, self.before)
        days = (given["issue_date"], given["due_date"])
        return Issued(given["number"], given["kind"], *days, lines, rates, row["original_period"], billed_of(row))


def documents_shown(
    warehouse: Warehouse, issuer: Issuer, month: str, customer_id: str, holder_no: int = 1
) -> list[Shown]:
    """The bill of a holder and his separate documents of a month (yyyy-MM). Raises NoDocument where there are none.

    issuer: the one of today, for a draft, and for a month whose close has not kept its own.
    """
    documents = documents_of_holder(warehouse, month, customer_id, holder_no)
    charges = charges_of_month(warehouse, month).df.where(F.col("customer_id") == customer_id)
    rows = with_usage_by_day(documents, charges)
    close = close_of(warehouse, month, customer_id)
    writer = PdfWriter(month, close.issuer or issuer)
    found = rows.orderBy(F.col("document") != BILL, "document").toArrow().to_pylist()
    return [_shown(writer, row, close) for row in close.documents(found)]


def documents_of_holder(warehouse: Warehouse, month: str, customer_id: str, holder_no: int) -> DataFrame:
    """The rows of `documents_to_issue` of one holder. Raises NoDocument where there are none."""
    totals = [warehouse.pin_period(each.name, month) for each in OF_DOCUMENTS]
    lines = warehouse.pin_period(BILL_LINES.name, month)
    his = (F.col("customer_id") == customer_id) & (F.col("holder_no") == holder_no)
    found = totals[0].df.where(his).select("currency").unionByName(totals[1].df.where(his).select("currency")).limit(1)
    currencies = found.toArrow().to_pylist()
    if not currencies:
        raise NoDocument(
            f"{month}: customer {customer_id!r} (holder {holder_no}) has no bill; `telecom run --month {month}` makes them, "
            "and a customer's number is written as in facturation_complete"
        )
    scale = currency_scale(currencies[0]["currency"])
    return documents_to_issue(totals, lines, warehouse.pin(CUSTOMERS.name).all(), scale).where(his)


def close_of(warehouse: Warehouse, month: str, customer_id: str) -> Close:
    """What the close of a month has made of a customer's bills."""
    periods = read_periods(warehouse)
    change = periods.last(month)
    closed_with = ClosedWith.read(change.closed_with) if change and change.closed_with else None
    if month not in periods.closed or closed_with is None:
        return Close({}, closed_with, before=terms_of_closed(periods))
    rows = warehouse.pin_period(DOCUMENTS.name, month).df.where(F.col("customer_id") == customer_id)
    given = {_key(row): row for row in rows.toArrow().to_pylist()}
    issuer = issuer_of(closed_with.issuer) if closed_with.issuer else None
    skips = periods.state(month) == CLOSED and closed_with.zero_bills == SKIP
    return Close(given, closed_with, issuer, skips, terms_of_closed(periods))


def _shown(writer: PdfWriter, row: Mapping[str, Any], close: Close) -> Shown:
    lines, rates = issued_with(row, close.closed_with, close.before)
    issued = close.issued(row)
    pdf = writer.document(row, Content(lines, rates, row["days"] or ()), issued)
    return Shown(row["document"], issued.number if issued else None, pdf)


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in DOCUMENT)
