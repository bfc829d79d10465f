"""A set of invoices that was written before: what its documents add up to, and what is wrong with its files.

Belongs here: reading a set, whichever version of the project wrote it. Does not belong here: writing one (`files`).
"""

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from resources.atomic_files import read_directory
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.home.setting_values import InvoiceFormat
from telecom_assets.invoices.document import read_amounts, safe_parser
from telecom_assets.invoices.files import MANIFEST_FILE, InvoiceTotals
from telecom_assets.invoices.index import INDEX_FILE, OF_FILE
from telecom_assets.invoices.names import format_of
from telecom_assets.model.csv_text import unguarded
from telecom_assets.model.text import plain


def read_invoice_totals(directory: Path) -> InvoiceTotals:
    """Parse every invoice of the set and add up what the documents themselves say; index and manifest are not used.

    Raises InvoiceError for a file that is not an invoice, FileNotFoundError when there is no set.
    """

    def read(shown: Path) -> InvoiceTotals:
        count, sums = 0, dict.fromkeys(FACTURATION_COMPLETE.money, Decimal(0))
        parser = safe_parser()
        for path in _documents(shown):
            count += 1
            for name, amount in read_amounts(path, parser).items():
                sums[name] += amount
        return InvoiceTotals(count, sums)

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
    files: Counter[InvoiceFormat] = Counter()
    for line in _index_lines(index):
        count += 1
        due += Decimal(line["amount_due"])
        before_tax += Decimal(line["amount_before_tax"])
        for form, (file, sha256) in OF_FILE.items():
            if line.get(file):  # sets of former versions have no columns of further files
                files[form] += 1
                problems += file_problems(shown, unguarded(line[file]), line[sha256], unguarded(line["customer_id"]))
    found = count_files(shown)
    if found["xml"] > count:
        problems.append(f"{found['xml']} documents, but {count} lines in {INDEX_FILE}")
    problems += [
        f"{found[form]} documents as {form.upper()}, but {files[form]} in {INDEX_FILE}"
        for form in ("ubl", "pdf")
        if found[form] > files[form]
    ]
    totals = {"count": str(count), "amount_due": plain(due), "amount_before_tax": plain(before_tax)}
    for name, added in totals.items():
        if Decimal(manifest[name]) != Decimal(added):
            problems.append(f"{name}: {INDEX_FILE} says {added}, {MANIFEST_FILE} says {manifest[name]}")
    return problems


def file_problems(shown: Path, name: str, sha256: str, customer_id: str) -> list[str]:
    """What is wrong with one file of a set that is shown: it is missing, or is not the one of that SHA-256."""
    path = shown / Path(name).name
    if not path.is_file():
        return [f"{name} is missing (customer {customer_id})"]
    return [] if _sha256(path) == sha256 else [f"{name} was changed after it was written"]


def count_files(shown: Path) -> Counter[InvoiceFormat]:
    """How many documents lie in a set that is shown, by their format."""
    with os.scandir(shown) as entries:
        return Counter(form for entry in entries if (form := format_of(entry.name)))


def _documents(shown: Path) -> Iterator[str]:
    """Paths of the documents of a set, in the order of the disk, without holding them all."""
    with os.scandir(shown) as entries:
        yield from (entry.path for entry in entries if format_of(entry.name) == "xml")


def _index_lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, strict=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
