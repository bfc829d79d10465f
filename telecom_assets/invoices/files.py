"""The invoices of a billing period: one XML document a customer, an index and a manifest, whole or not at all.

Belongs here: the set, its totals, its checks. Does not belong here: what one document holds (`invoice_document`), how
a set takes the place of another (`atomic`).

The set: `<customer_id>.xml` (see `invoice_file_name`), `index.csv` (one line a document, ordered by customer_id and holder),
`manifest.json` (period, version of the bills, totals, hash of the index). Memory does not grow with the number of
customers: bills stream through, the index is sorted in a temporary database on disk.
"""

import csv
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from resources.atomic_files import read_directory, replaced_directory
from telecom_assets.billing.tables import BILL, FACTURATION_COMPLETE
from telecom_assets.invoices.document import (
    NAMESPACE,
    InvoiceError,
    InvoiceWriter,
    Issued,
    invoice_file_name,
    read_amounts,
    safe_parser,
)
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.model.csv_text import csv_line, guarded, unguarded
from telecom_assets.model.text import plain

INDEX_FILE = "index.csv"
MANIFEST_FILE = "manifest.json"
INDEX_COLUMNS = ("customer_id", "file", "amount_before_tax", "amount_due", "currency", "bytes", "sha256", "number")

#: What a document is made from.
_OF_DOCUMENT = (*FACTURATION_COMPLETE.column_names, "customer_name")
_ROWS_AT_A_TIME = 2_000
_FILES_AT_A_TIME = 500


@dataclass(frozen=True)
class InvoiceSummary:
    """What was written: how many documents, and the sums over them. `currency` is None for an empty set."""

    period: str
    version: str
    count: int
    amount_before_tax: Decimal
    discount: Decimal
    tax: Decimal
    amount_due: Decimal
    rounding_difference: Decimal
    currency: str | None
    index_sha256: str
    directory: Path

    def manifest(self) -> dict[str, Any]:
        """The summary as `manifest.json` holds it, decimals as text; without where it lies."""
        fields = {key: value for key, value in vars(self).items() if key != "directory"}
        shown = {key: plain(value) if isinstance(value, Decimal) else value for key, value in fields.items()}
        return {"namespace": NAMESPACE, **shown}


class InvoiceTotals(NamedTuple):
    """How many documents a set has and what they add up to: as read from them, or as the bills say."""

    invoices: int
    amount_due: Decimal
    amount_before_tax: Decimal

    def __str__(self) -> str:
        return f"{self.invoices} invoices, {plain(self.amount_due)} due, {plain(self.amount_before_tax)} before tax"


def write_invoices(
    bills: Iterable[pa.RecordBatch],
    period: str,
    directory: Path,
    version: int | str,
    issuer: Issuer | None = None,
    *,
    expected: InvoiceTotals | None = None,
    other_usage: bool = False,
    issue: Callable[[dict[str, Any]], Issued | None] = lambda _: None,
    note: Callable[[dict[str, Any], Issued | None, str, str], None] = lambda *_: None,
    before_swap: Callable[[], None] = lambda: None,
    at_phase: Callable[[str], None] = lambda _: None,
) -> InvoiceSummary:
    """Write the invoices of `period` and let `directory` show them, in place of the set it showed before.

    `bills` are rows of FACTURATION_COMPLETE, one a holder, in any order, with an optional column `customer_name`;
    `issue` gets each, with all its columns, and says what makes it a document that is issued; None: it is a draft. A column `document`
    tells the documents of a holder apart (`telecom_assets.billing.tables.BILL`). `note` hears of each: the bill, what it was issued
    with, its file and its SHA-256. `version` is the version of the bills they were read from. The same bills give the same
    bytes. No bills give an empty set. `expected` is what the bills add up to, known from elsewhere: a stream that ends
    early looks like a whole one. `other_usage`: whether usage may be charged that a bill has no columns for.
    `before_swap` is asked last and may raise, see `atomic.replaced_directory`.

    Raises InvoiceError (two bills for a holder, another period, sums that do not hold or are not the expected ones,
    mixed currencies, an invalid document), `atomic.PublishError` (another thing is in the place), `atomic.Superseded`
    (a set of a newer version was put there meanwhile). Whatever is raised, the old set stays. `at_phase` hears the
    names in `atomic.PHASES`.
    """
    writer = InvoiceWriter(period, issuer or Issuer(), other_usage=other_usage)
    with (
        replaced_directory(directory, version, at_phase, before_swap=before_swap) as stage,
        closing(_Index()) as index,
    ):
        with _BehindWriter(stage) as files:
            for bill in _rows(bills):
                issued = issue(bill)
                name = invoice_file_name(bill["customer_id"], bill["holder_no"], bill.get("document", BILL))
                content = writer.document({column: bill[column] for column in _OF_DOCUMENT if column in bill}, issued)
                sha256 = index.add(bill, name, content, issued.number if issued else "")
                files.write(name, content)
                note(bill, issued, name, sha256)
        written = InvoiceTotals(index.count, index.sums["amount_due"], index.sums["amount_before_tax"])
        if expected is not None and written != expected:
            raise InvoiceError(f"{period}: the bills say {expected}; written were {written}; run again")
        summary = InvoiceSummary(
            period=period,
            version=str(version),
            count=index.count,
            **index.sums,
            currency=index.currency,
            index_sha256=index.write(stage / INDEX_FILE),
            directory=directory,
        )
        (stage / MANIFEST_FILE).write_text(json.dumps(summary.manifest(), indent=2) + "\n", encoding="utf-8")
    return summary


def read_invoice_totals(directory: Path) -> InvoiceTotals:
    """Parse every invoice of the set and add up what the documents themselves say; index and manifest are not used.

    Raises InvoiceError for a file that is not an invoice, FileNotFoundError when there is no set.
    """

    def read(shown: Path) -> InvoiceTotals:
        count, due, before_tax = 0, Decimal(0), Decimal(0)
        parser = safe_parser()
        for path in _documents(shown):
            document_due, document_before_tax = read_amounts(path, parser)
            count += 1
            due += document_due
            before_tax += document_before_tax
        return InvoiceTotals(count, due, before_tax)

    return read_directory(directory, read)


def invoice_set_problems(directory: Path) -> list[str]:
    """What is wrong with the files of a set, one line each: missing, added or changed documents, index or totals.

    Empty when the documents, the index and the manifest agree. Raises FileNotFoundError when there is no set.
    """
    return read_directory(directory, _set_problems)


def _set_problems(shown: Path) -> list[str]:
    manifest = json.loads((shown / MANIFEST_FILE).read_text(encoding="utf-8"))
    index = shown / INDEX_FILE
    problems = []
    if _sha256(index) != manifest["index_sha256"]:
        problems.append(f"{INDEX_FILE} was changed after it was written")
    count, due, before_tax = 0, Decimal(0), Decimal(0)
    for line in _index_lines(index):
        count += 1
        due += Decimal(line["amount_due"])
        before_tax += Decimal(line["amount_before_tax"])
        path = shown / Path(line["file"]).name
        if not path.is_file():
            problems.append(f"{line['file']} is missing (customer {unguarded(line['customer_id'])})")
        elif _sha256(path) != line["sha256"]:
            problems.append(f"{line['file']} was changed after it was written")
    documents = sum(1 for _ in _documents(shown))
    if documents > count:
        problems.append(f"{documents} documents, but {count} lines in {INDEX_FILE}")
    totals = {"count": str(count), "amount_due": plain(due), "amount_before_tax": plain(before_tax)}
    for name, found in totals.items():
        if Decimal(manifest[name]) != Decimal(found):
            problems.append(f"{name}: {INDEX_FILE} says {found}, {MANIFEST_FILE} says {manifest[name]}")
    return problems


def _documents(shown: Path) -> Iterator[str]:
    """Paths of the documents of a set, in the order of the disk, without holding them all."""
    with os.scandir(shown) as entries:
        yield from (entry.path for entry in entries if entry.name.endswith(".xml"))


def _index_lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, strict=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """The bills one by one. Holds one batch at a time, and few of its rows."""
    for batch in batches:
        missing = [name for name in FACTURATION_COMPLETE.column_names if name not in batch.schema.names]
        if missing:
            raise InvoiceError(f"bills without {', '.join(missing)}: expected the columns of facturation_complete")
        for start in range(0, batch.num_rows, _ROWS_AT_A_TIME):
            yield from batch.slice(start, _ROWS_AT_A_TIME).to_pylist()


class _BehindWriter:
    """Writes files in a second thread while the first makes the next ones; holds few at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._collected: list[tuple[str, bytes]] = []
        self._pool = ThreadPoolExecutor(1)
        self._running: Future[None] | None = None

    def __enter__(self) -> "_BehindWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._pool:
            if kind is None:
                self._pass_on()
                self._wait()

    def write(self, name: str, content: bytes) -> None:
        """Write a new file, soon. An error is raised by a later call or at the end of the block."""
        self._collected.append((name, content))
        if len(self._collected) >= _FILES_AT_A_TIME:
            self._pass_on()

    def _pass_on(self) -> None:
        self._wait()
        self._running = self._pool.submit(_write_files, self._directory, self._collected)
        self._collected = []

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()


def _write_files(directory: Path, files: list[tuple[str, bytes]]) -> None:
    """Names relative to an open directory: pathlib keeps every name it has seen (interned), which is not flat."""
    parent = os.open(directory, os.O_RDONLY)
    try:
        for name, content in files:
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
    except FileExistsError as error:
        raise InvoiceError(f"{error.filename}: two customers have this file name on this file system") from None
    finally:
        os.close(parent)


class _Index:
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

    def add(self, bill: dict[str, Any], name: str, content: bytes, number: str) -> str:
        """Take note of a document, and return its SHA-256. Raises InvoiceError for a second bill of a holder or a second currency."""
        customer, document = bill["customer_id"], bill.get("document", BILL)
        sha256 = hashlib.sha256(content).hexdigest()
        line = csv_line(
            (
                guarded(customer),
                guarded(name),
                plain(bill["amount_before_tax"]),
                plain(bill["amount_due"]),
                bill["currency"],
                str(len(content)),
                sha256,
                number,
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
        return sha256

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
