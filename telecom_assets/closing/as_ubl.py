"""One customer's documents of a closed month as UBL, made on demand from the tables.

Belongs here: what a document is made of, and which earlier documents it corrects. Does not belong here: the elements
(`telecom_assets.invoices.ubl`).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pyspark.sql import functions as F

from resources.expected_errors import ExpectedError
from resources.warehouse import Warehouse
from telecom_assets.billing.corrections import closed_lines
from telecom_assets.billing.lines import DOCUMENT
from telecom_assets.billing.tables import BILL
from telecom_assets.closing.preview import documents_of_holder, issued_again, issued_of, terms_of
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.invoices.document import Issued
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.invoices.ubl import Billed, beyond_en16931, ubl_document


class NotClosed(ExpectedError):
    """A draft is asked for as UBL. The message says what closes its month."""


class AsUbl(NamedTuple):
    """A document as UBL: its name in the month, its number, and why it is not EN 16931, unless it is."""

    document: str
    number: str
    ubl: bytes
    beyond: str | None


def documents_as_ubl(
    warehouse: Warehouse, issuer: Issuer, month: str, customer_id: str, holder_no: int = 1
) -> list[AsUbl]:
    """The bill of a holder and his separate documents of a closed month (yyyy-MM). Raises NoDocument, or NotClosed for a draft."""
    documents = documents_of_holder(warehouse, month, customer_id, holder_no)
    closed_with = terms_of(warehouse, month)
    given = issued_of(warehouse, month, customer_id)
    if not given or closed_with is None:
        raise NotClosed(
            f"{month} is not closed, and only a document with a number can be UBL; `telecom bill close --month {month} --by NAME` "
            "gives it one, and --pdf shows the draft"
        )
    earlier = _Earlier(warehouse, month, customer_id, holder_no)
    made = []
    for row in documents.orderBy(F.col("document") != BILL, "document").toArrow().to_pylist():
        issued = issued_again(row, given[tuple(row[name] for name in DOCUMENT)], closed_with)
        ubl = ubl_document(row, issued, issuer, closed_with, earlier.billed(issued))
        made.append(AsUbl(row["document"], issued.number, ubl, beyond_en16931(row, issued, issuer)))
    return made


class _Earlier:
    """The documents of a holder in the closed months before one."""

    def __init__(self, warehouse: Warehouse, month: str, customer_id: str, holder_no: int) -> None:
        his = (F.col("customer_id") == customer_id) & (F.col("holder_no") == holder_no)
        history = closed_lines(warehouse, month)
        self._corrected: set[tuple[str, str, str]] = set()
        self._documents: list[Mapping[str, Any]] = []
        if history is not None:
            corrects = history.df.where(his & F.col("original_period").isNotNull())
            names = ("original_period", "billing_period", "document")
            rows = corrects.select(*names).distinct().toArrow().to_pylist()
            self._corrected = {(row["original_period"], row["billing_period"], row["document"]) for row in rows}
            before = warehouse.pin(DOCUMENTS.name).all().where(his & (F.col("billing_period") < month))
            self._documents = before.orderBy("issue_date", "number").toArrow().to_pylist()

    def billed(self, issued: Issued) -> list[Billed]:
        """Every document that billed an original period of a document: that period's bill, and what corrected it since."""
        periods = {line["original_period"] for line in issued.lines} | {issued.original_period}
        return [
            Billed(row["number"], row["issue_date"])
            for row in self._documents
            if any(
                (row["billing_period"], row["document"]) == (period, BILL)
                or (period, row["billing_period"], row["document"]) in self._corrected
                for period in periods
            )
        ]
