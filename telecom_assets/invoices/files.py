"""The invoices of a billing period as a set: their documents, an index and a manifest, whole or not at all.

Belongs here: writing a set, and its totals. Does not belong here: what one document holds (`document`, `ubl`, `pdf`), how a set
takes the place of another (`atomic_files`), reading one (`stored_set`).

The set: `<customer_id>.xml` (see `invoice_file_name`), and as UBL and PDF beside it where it is issued in these forms; `index.csv`
(one line a document, ordered by customer_id and holder), `manifest.json` (period, version of the bills, totals, hash of the index).
Memory does not grow with the number of customers: bills stream through, the index is sorted in a temporary database on disk.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from resources.atomic_files import replaced_directory
from telecom_assets.billing.tables import BILL, FACTURATION_COMPLETE
from telecom_assets.home.setting_values import InvoiceFormat
from telecom_assets.invoices.behind import BehindWriter
from telecom_assets.invoices.document import NAMESPACE, InvoiceError, InvoiceWriter, Issued
from telecom_assets.invoices.index import INDEX_FILE, Index, Written
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.invoices.names import invoice_file_name
from telecom_assets.invoices.pdf import Content
from telecom_assets.invoices.pdf_folder import Asked, Drawn, PdfFolder, folder_of
from telecom_assets.invoices.ubl import ubl_document
from telecom_assets.model.text import plain
from telecom_assets.periods.closed_with import ClosedWith

MANIFEST_FILE = "manifest.json"

#: What a document is made from.
_OF_DOCUMENT = (*FACTURATION_COMPLETE.column_names, "customer_name")
#: Few: a bill has its usage by day with it.
_ROWS_AT_A_TIME = 250


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
    """How many documents a set has and what they add up to, by the bill's columns: as read from them, or as the bills say."""

    invoices: int
    sums: Mapping[str, Decimal]

    def __str__(self) -> str:
        return ", ".join([f"{self.invoices} invoices", *(f"{name} {plain(of)}" for name, of in self.sums.items())])


@dataclass(frozen=True)
class Issuing:
    """What makes bills documents that are issued.

    issue: gets each bill, with all its columns, and says what it is issued with. note: hears of each: the bill, what it was issued
    with, its files by format. closed_with: the terms of the period. formats: xml, and ubl and pdf where documents are written in these
    too; for a PDF the bill has a column `days` (`by_day`). progress: hears how many documents are written.
    """

    issue: Callable[[dict[str, Any]], Issued]
    note: Callable[[dict[str, Any], Issued, Mapping[InvoiceFormat, Written]], None]
    closed_with: ClosedWith
    formats: Collection[InvoiceFormat]
    progress: Callable[[int], None] = lambda _: None


def write_invoices(
    bills: Iterable[pa.RecordBatch],
    period: str,
    directory: Path,
    version: int | str,
    issuer: Issuer | None = None,
    *,
    expected: InvoiceTotals | None = None,
    other_usage: bool = False,
    issuing: Issuing | None = None,
    before_swap: Callable[[], None] = lambda: None,
    at_phase: Callable[[str], None] = lambda _: None,
) -> InvoiceSummary:
    """Write the invoices of `period` and let `directory` show them, in place of the set it showed before.

    `bills` are rows of FACTURATION_COMPLETE, one a holder, in any order, with an optional column `customer_name`. A column `document`
    tells the documents of a holder apart (`telecom_assets.billing.tables.BILL`). `issuing`: how they are issued; None: they are drafts,
    XML alone. `version` is the version of the bills they were read from. The same bills give the same
    bytes. No bills give an empty set. `expected` is what the bills add up to, known from elsewhere: a stream that ends
    early looks like a whole one. `other_usage`: whether usage may be charged that a bill has no columns for.
    `before_swap` is asked last and may raise, see `atomic.replaced_directory`.

    Raises InvoiceError (two bills for a holder, another period, sums that do not hold or are not the expected ones,
    mixed currencies, an invalid document), `atomic.PublishError` (another thing is in the place), `atomic.Superseded`
    (a set of a newer version was put there meanwhile). Whatever is raised, the old set stays. PDFs that are made are kept beside the
    set, and the next try takes them, until somebody removes them (`pdf_folder.remove_made_pdfs`). `at_phase` hears the names in
    `atomic.PHASES`.
    """
    issuer = issuer or Issuer()
    writer = InvoiceWriter(period, issuer, other_usage=other_usage)
    pdfs = PdfFolder(folder_of(directory), period, issuer)
    with (
        replaced_directory(directory, version, at_phase, before_swap=before_swap) as stage,
        closing(Index()) as index,
    ):
        with BehindWriter(stage) as files:
            made = _made(_rows(bills), writer, issuer, issuing, files)
            if issuing is not None and "pdf" in issuing.formats:
                made = _with_pdfs(made, pdfs, stage)
            with closing(made):
                for bill, issued, written in made:
                    index.add(bill, issued.number if issued else "", written)
                    if issuing is not None and issued is not None:
                        issuing.note(bill, issued, written)
                        issuing.progress(index.count)
        total = InvoiceTotals(index.count, index.sums)
        if expected is not None and total != expected:
            raise InvoiceError(f"{period}: the bills say {expected}; written were {total}; run again")
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


class _Made(NamedTuple):
    """A document that is written: its bill, what it was issued with, its files by format."""

    bill: dict[str, Any]
    issued: Issued | None
    written: dict[InvoiceFormat, Written]


def _made(
    bills: Iterable[dict[str, Any]],
    writer: InvoiceWriter,
    issuer: Issuer,
    issuing: Issuing | None,
    files: BehindWriter,
) -> Generator[_Made, None, None]:
    """The documents one by one, as XML and UBL."""
    for bill in bills:
        issued = issuing.issue(bill) if issuing is not None else None
        contents: dict[tuple[InvoiceFormat, str], bytes] = {
            ("xml", _name(bill, "xml")): writer.document(_of_document(bill), issued)
        }
        if issuing is not None and issued is not None and "ubl" in issuing.formats:
            contents["ubl", _name(bill, "ubl")] = ubl_document(bill, issued, issuer, issuing.closed_with)
        written: dict[InvoiceFormat, Written] = {}
        for (form, name), content in contents.items():
            files.write(name, content)
            written[form] = Written(name, hashlib.sha256(content).hexdigest(), len(content))
        yield _Made(bill, issued, written)


def _with_pdfs(made: Iterable[_Made], pdfs: PdfFolder, stage: Path) -> Generator[_Made, None, None]:
    """The documents as PDF too."""
    for document, drawn in pdfs.drawn((each, _asked(each)) for each in made):
        name = _name(document.bill, "pdf")
        _link(drawn, f"{stage}/{name}")
        document.written["pdf"] = Written(name, drawn.sha256, drawn.size)
        yield document


def _asked(made: _Made) -> Asked:
    assert made.issued is not None
    content = Content(made.issued.lines, made.issued.rates, made.bill.get("days") or ())
    return Asked(_of_document(made.bill), content, made.issued)


def _link(drawn: Drawn, path: str) -> None:
    """Have a PDF in a set. Raises InvoiceError where its folder is gone: another process has closed the month meanwhile."""
    try:
        try:
            os.link(drawn.path, path)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without links, or another one than the folder's
            shutil.copyfile(drawn.path, path)
    except FileNotFoundError:
        raise InvoiceError(
            f"{path}: its PDF was removed by another process that writes these documents; nothing was changed, run again"
        ) from None


def _name(bill: Mapping[str, Any], form: InvoiceFormat) -> str:
    return invoice_file_name(bill["customer_id"], bill["holder_no"], bill.get("document", BILL), form)


def _of_document(bill: Mapping[str, Any]) -> dict[str, Any]:
    return {column: bill[column] for column in _OF_DOCUMENT if column in bill}


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """The bills one by one. Holds one batch at a time, and few of its rows."""
    for batch in batches:
        missing = [name for name in FACTURATION_COMPLETE.column_names if name not in batch.schema.names]
        if missing:
            raise InvoiceError(f"bills without {', '.join(missing)}: expected the columns of facturation_complete")
        for start in range(0, batch.num_rows, _ROWS_AT_A_TIME):
            yield from batch.slice(start, _ROWS_AT_A_TIME).to_pylist()
