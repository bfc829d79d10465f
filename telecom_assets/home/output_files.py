"""Where files for people lie: one path rule for invoices, reports and dashboards."""

from pathlib import Path

from telecom_assets.home.settings import Settings


def invoice_directory(settings: Settings, period: str) -> Path:
    return settings.output_path / "invoices" / period


def report_file(settings: Settings, period: str, name: str) -> Path:
    return settings.output_path / "reports" / period / f"{name}.csv"


def bills_file(settings: Settings, period: str) -> Path:
    """The file of the month's bills, beside its reports."""
    return report_file(settings, period, "bills")


def dashboard_file(settings: Settings, period: str) -> Path:
    return settings.output_path / "dashboard" / f"{period}.html"


def trend_file(settings: Settings, period: str) -> Path:
    """The page of the twelve months that end with a period."""
    return settings.output_path / "dashboard" / f"{period}-twelve-months.html"


def accounting_file(settings: Settings, month: str, name: str) -> Path:
    """A journal for accounting, of a period or of a month of issue."""
    return settings.output_path / "accounting" / month / f"{name}.csv"
