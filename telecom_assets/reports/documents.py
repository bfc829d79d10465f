"""One digest of all files for people that a month has."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from telecom_assets.home.output_files import bills_file, dashboard_file, invoice_directory, report_file
from telecom_assets.home.settings import Settings
from telecom_assets.reports.tables import REPORTS


def documents_digest(settings: Settings, period: str) -> str:
    """Digest of all files that a month has or should have. A file that is missing or cannot be read changes the digest too."""
    digest = hashlib.sha256()
    for path in _documents(settings, period):
        try:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            content = type(error).__name__
        digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()


def _documents(settings: Settings, period: str) -> Iterator[Path]:
    yield from sorted(invoice_directory(settings, period).glob("*"))
    yield bills_file(settings, period)
    yield from (report_file(settings, period, contract.name) for contract in REPORTS)
    yield dashboard_file(settings, period)
