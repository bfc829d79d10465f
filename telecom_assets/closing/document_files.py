"""The files of issued documents are those whose digests `documents` has.

Belongs here: the comparison, one document at a time. Does not belong here: which periods a check is about (`checks`).
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from resources.atomic_files import read_directory
from resources.warehouse import PinnedTable, Warehouse
from telecom_assets.books.verdict import Verdict
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.home.output_files import invoice_directory
from telecom_assets.home.settings import Settings
from telecom_assets.invoices.names import format_of
from telecom_assets.invoices.stored_set import count_files, file_problems


def files_have_their_digests(warehouse: Warehouse, settings: Settings, months: Sequence[str]) -> Verdict:
    """Each file of the documents of closed months (XML, UBL, PDF) is there and is the one that was issued; there is none besides."""
    differs = []
    for month in months:
        issued = warehouse.pin_period(DOCUMENTS.name, month)
        if not sum(issued.rows_by_partition().values()):
            continue
        directory = invoice_directory(settings, month)
        try:
            problems = read_directory(directory, partial(_problems, issued))
        except FileNotFoundError:
            problems = [f"no documents at {directory}; restore them from a backup"]
        differs += [{"billing_period": month, "problem": problem} for problem in problems]
    return Verdict(
        "the files of issued documents have their digests",
        [f"{row['billing_period']}: {row['problem']}" for row in differs],
        {"periods": ", ".join(months) or "none"},
        differs,
        otherwise="files of issued documents are not as they were issued",
    )


def digests_of(row: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file of a row of `documents`, by its name."""
    return {row["file"]: row["sha256"], **json.loads(row["further_files"] or "{}")}


def _problems(issued: PinnedTable, shown: Path) -> list[str]:
    problems, files = [], Counter[str]()
    for batch in issued.batches():
        for row in batch.select(["customer_id", "file", "sha256", "further_files"]).to_pylist():
            for name, sha256 in digests_of(row).items():
                files[format_of(name) or ""] += 1
                problems += file_problems(shown, name, sha256, row["customer_id"])
    return problems + [
        f"{count - files[form]} more documents as {form.upper()} than were issued"
        for form, count in sorted(count_files(shown).items())
        if count > files[form]
    ]
