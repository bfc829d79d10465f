"""One customer's documents of a closed month as UBL, made on demand from the tables.

Belongs here: what a document is made of. Does not belong here: the elements (`telecom_assets.invoices.ubl`).
"""

from typing import NamedTuple

from pyspark.sql import functions as F

from resources.expected_errors import ExpectedError
from resources.warehouse import Warehouse
from telecom_assets.billing.tables import BILL, BILL_LINES
from telecom_assets.closing.earlier import with_billed
from telecom_assets.closing.preview import close_of, documents_of_holder
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.invoices.ubl import beyond_en16931, ubl_document


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
    """The bill of a holder and his separate documents of a closed month (yyyy-MM). Raises NoDocument, or NotClosed for a draft.

    issuer: the one of today, for a month whose close has not kept its own.
    """
    documents = documents_of_holder(warehouse, month, customer_id, holder_no)
    close = close_of(warehouse, month, customer_id)
    if close.closed_with is None or not (close.given or close.skips):
        raise NotClosed(
            f"{month} is not closed, and only a document with a number can be UBL; `telecom bill close --month {month} --by NAME` "
            "gives it one, and --pdf shows the draft"
        )
    rows = with_billed(documents, warehouse.pin_period(BILL_LINES.name, month))
    found = rows.orderBy(F.col("document") != BILL, "document").toArrow().to_pylist()
    issuer = close.issuer or issuer
    made = []
    for row in close.documents(found):
        issued = close.issued(row)
        assert issued is not None
        ubl = ubl_document(row, issued, issuer, close.closed_with)
        made.append(AsUbl(row["document"], issued.number, ubl, beyond_en16931(row, issued, issuer)))
    return made
