"""The index of a set of invoices: a line for each document, and the sums over them.

Belongs here: what stands in `index.csv`, in which order. Does not belong here: the documents (`document`), the set (`files`).
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from telecom_assets.billing.tables import BILL, FACTURATION_COMPLETE
from telecom_assets.home.setting_values import InvoiceFormat
from telecom_assets.invoices.document import InvoiceError
from telecom_assets.model.csv_text import csv_line, guarded
from telecom_assets.model.text import plain

INDEX_FILE = "index.csv"
#: The columns of the name and the SHA-256 of a document's file, by its format; empty where there is no such file.
OF_FILE: dict[InvoiceFormat, tuple[str, str]] = {
    "xml": ("file", "sha256"),
    "ubl": ("ubl_file", "ubl_sha256"),
    "pdf": ("pdf_file", "pdf_sha256"),
}
INDEX_COLUMNS = (
    *("customer_id", "file", "amount_before_tax", "amount_due", "currency", "bytes", "sha256", "number"),
    *OF_FILE["ubl"],
    *OF_FILE["pdf"],
)


class Written(NamedTuple):
    """A file of a document: its name in the set, its SHA-256, its size in bytes."""

    name: str
    sha256: str
    size: int


class Index:
    """The lines of the index, ordered on disk, and the sums over them."""

    def __init__(self) -> None:
        self._lines = sqlite3.connect("", isolation_level=None)  # a temporary file that ends with the connection
        self._lines.execute("PRAGMA journal_mode = OFF")
        self._lines.execute("BEGIN")
        self._lines.execute(
            "CREATE TABLE line (customer BLOB, holder INTEGER, document TEXT, content BLOB,"
            " PRIMARY KEY (customer, holder, document)) WITHOUT ROWID"
        )
        self.count = 0
        self.sums = dict.fromkeys(FACTURATION_COMPLETE.money, Decimal(0))
        self.currency: str | None = None

    def add(self, bill: Mapping[str, Any], number: str, written: Mapping[InvoiceFormat, Written]) -> None:
        """Take note of a document and its files. Raises InvoiceError for a second bill of a holder or a second currency."""
        customer, document, xml = bill["customer_id"], bill.get("document", BILL), written["xml"]
        further = [written.get(form) for form in OF_FILE if form != "xml"]
        line = csv_line(
            (
                guarded(customer),
                guarded(xml.name),
                plain(bill["amount_before_tax"]),
                plain(bill["amount_due"]),
                bill["currency"],
                str(xml.size),
                xml.sha256,
                number,
                *(text for each in further for text in ((guarded(each.name), each.sha256) if each else ("", ""))),
            )
        )
        try:
            self._lines.execute(
                "INSERT INTO line VALUES (?, ?, ?, ?)", (customer.encode(), bill["holder_no"], document, line)
            )
        except sqlite3.IntegrityError:
            raise InvoiceError(f"customer {customer!r}: two bills in one period") from None
        if self.currency not in (None, bill["currency"]):
            raise InvoiceError(
                f"customer {customer!r}: a bill in {bill['currency']} among bills in {self.currency}; "
                "a period is billed in one currency"
            )
        self.currency = bill["currency"]
        self.count += 1
        for column in self.sums:
            self.sums[column] += bill[column]

    def write(self, path: Path) -> str:
        """Write the index file; returns its SHA-256."""
        digest = hashlib.sha256()
        with path.open("xb") as file:
            for line in self._written_lines():
                digest.update(line)
                file.write(line)
        return digest.hexdigest()

    def _written_lines(self) -> Iterator[bytes]:
        yield csv_line(INDEX_COLUMNS)
        for (line,) in self._lines.execute(
            "SELECT content FROM line ORDER BY customer, holder, document <> 'bill', document"
        ):
            yield line

    def close(self) -> None:
        self._lines.close()
