"""Where files for people lie: one path rule for invoices, reports and dashboards. What they are, as one text."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from telecom_assets.schemas.billing import REPORTS
from telecom_assets.settings import Settings


def invoice_directory(settings: Settings, period: str) -> Path:
    return settings.output_path / "invoices" / period


def report_file(settings: Settings, period: str, name: str) -> Path:
    return settings.output_path / "reports" / period / f"{name}.csv"


def bills_file(settings: Settings, period: str) -> Path:
    """Beside the reports, for whoever opens those."""
    return report_file(settings, period, "bills")


def dashboard_file(settings: Settings, period: str) -> Path:
    return settings.output_path / "dashboard" / f"{period}.html"


def documents_digest(settings: Settings, period: str) -> str:
    """Digest of all files of a month that should be or are there; one that is missing or cannot be read counts as that."""
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
