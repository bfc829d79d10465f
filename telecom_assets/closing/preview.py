"""The PDF of one customer's documents of a month, made on demand: a preview of drafts, or once more what was issued.

A run makes no PDFs of drafts: a month's bills are made again every night, nobody looks at most of them, and ten thousand pages take
minutes. Belongs here: finding what a document is made of. Does not belong here: the page (`telecom_assets.invoices.pdf`).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.expected_errors import ExpectedError
from resources.warehouse import Warehouse
from telecom_assets.billing.lines import DOCUMENT
from telecom_assets.billing.tables import BILL, BILL_LINES
from telecom_assets.closing.issuing import OF_DOCUMENTS, documents_to_issue, issued_with
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.invoices.by_day import with_usage_by_day
from telecom_assets.invoices.document import Issued
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.invoices.pdf import Content, PdfWriter
from telecom_assets.model.currencies import currency_scale
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import read_periods
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.reference.tables import CUSTOMERS


class NoDocument(ExpectedError):
    """A customer has no such document in a month. The message says which there are."""


class Shown(NamedTuple):
    """A document as PDF: its name in the month (`bill`, or a separate document's), its number unless it is a draft."""

    document: str
    number: str | None
    pdf: bytes


def documents_shown(
    warehouse: Warehouse, issuer: Issuer, month: str, customer_id: str, holder_no: int = 1
) -> list[Shown]:
    """The bill of a holder and his separate documents of a month (yyyy-MM). Raises NoDocument where there are none."""
    documents = documents_of_holder(warehouse, month, customer_id, holder_no)
    charges = charges_of_month(warehouse, month).df.where(F.col("customer_id") == customer_id)
    rows = with_usage_by_day(documents, charges)
    issued = issued_of(warehouse, month, customer_id)
    closed_with = terms_of(warehouse, month)
    writer = PdfWriter(month, issuer)
    return [
        _shown(writer, row, issued.get(tuple(row[name] for name in DOCUMENT)), closed_with)
        for row in rows.orderBy(F.col("document") != BILL, "document").toArrow().to_pylist()
    ]


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


def _shown(
    writer: PdfWriter, row: Mapping[str, Any], given: Mapping[str, Any] | None, closed_with: ClosedWith | None
) -> Shown:
    lines, rates = issued_with(row, closed_with)
    issued = issued_again(row, given, closed_with) if given else None
    pdf = writer.document(row, Content(lines, rates, row["days"] or ()), issued)
    return Shown(row["document"], issued.number if issued else None, pdf)


def issued_again(row: Mapping[str, Any], given: Mapping[str, Any], closed_with: ClosedWith | None) -> Issued:
    """What made a row of `documents_to_issue` the document of a row of `documents`."""
    lines, rates = issued_with(row, closed_with)
    days = (given["issue_date"], given["due_date"])
    return Issued(given["number"], given["kind"], *days, lines, rates, row["original_period"])


def issued_of(warehouse: Warehouse, month: str, customer_id: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows of `documents` of a customer's closed month, by DOCUMENT."""
    if month not in read_periods(warehouse).closed:
        return {}
    rows = warehouse.pin_period(DOCUMENTS.name, month).df.where(F.col("customer_id") == customer_id)
    return {tuple(row[name] for name in DOCUMENT): row for row in rows.toArrow().to_pylist()}


def terms_of(warehouse: Warehouse, month: str) -> ClosedWith | None:
    """What the month was approved with; None: it is a draft."""
    change = read_periods(warehouse).last(month)
    return ClosedWith.read(change.closed_with) if change and change.closed_with else None
