"""One digest of all files for people that a month has."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress

from telecom_assets.home.output_files import bills_file, dashboard_file, invoice_directory, report_file
from telecom_assets.home.settings import Settings
from telecom_assets.reports.tables import REPORTS


def documents_digest(settings: Settings, period: str) -> str:
    """Digest of all files that a month has or should have. A file that is missing or cannot be read changes the digest too."""
    digest = hashlib.sha256()
    for folder, name in _documents(settings, period):
        try:
            # Without an object of Path for each: there may be a million of them, and each costs more than its digest.
            with open(f"{folder}/{name}", "rb", buffering=0) as file:  # noqa: PTH123
                content = hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            content = type(error).__name__
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def _documents(settings: Settings, period: str) -> Iterator[tuple[str, str]]:
    """Folder and name of each file, in one order. A folder of invoices that is missing or cannot be read counts as empty."""
    invoices = invoice_directory(settings, period)
    with suppress(OSError):
        yield from ((str(invoices), name) for name in sorted(os.listdir(invoices)))  # noqa: PTH208
    reports = (report_file(settings, period, contract.name) for contract in REPORTS)
    for path in (bills_file(settings, period), *reports, dashboard_file(settings, period)):
        yield str(path.parent), path.name
