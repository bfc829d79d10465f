"""A period that is closed without bills: it has no usage that was settled, so all of it comes late on a later bill.

Belongs here: what goes, and what stands in the way. Does not belong here: the steps of a close (`closing`).
"""

from collections.abc import Iterator
from pathlib import Path

from resources.contract import TableContract
from resources.warehouse import Warehouse, of_month
from telecom_assets.billing.tables import MANUAL_LINES
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.home.output_files import bills_file, dashboard_file, invoice_directory, report_file, trend_file
from telecom_assets.home.settings import Settings
from telecom_assets.invoices.files import write_invoices
from telecom_assets.periods.states import PeriodError
from telecom_assets.rating.tables import SUSPENSE_DECISIONS
from telecom_assets.reports.tables import REPORTS


def assert_may_be_empty(warehouse: Warehouse, month: str) -> None:
    """Raise PeriodError where a person has credited or charged something on the bills of a month, which would be lost."""
    if any(warehouse.pin_period(MANUAL_LINES.name, month).rows_by_partition().values()):
        raise PeriodError(
            f"closing {month} without bills: amounts were credited or charged by hand on its bills, and would be lost; nothing was "
            f"changed. Close it with its bills: `telecom run --month {month}`, then `telecom bill approve --month {month} --by NAME`"
        )


def remove_rows(warehouse: Warehouse, month: str) -> None:
    """Remove the ratings, charges, bills and reports of a month (yyyy-MM); landed and cleaned rows stay."""
    for contract in _of_period(warehouse):
        warehouse.overwrite_arrow(contract.name, contract.arrow_schema().empty_table(), of_month(contract, month))


def remove_files(settings: Settings, month: str) -> None:
    """Remove the files of a month's drafts: its set of invoices is empty then."""
    if (directory := invoice_directory(settings, month)).exists():
        write_invoices([], month, directory, "closed-empty")
    for path in _files(settings, month):
        path.unlink(missing_ok=True)


def _of_period(warehouse: Warehouse) -> Iterator[TableContract]:
    kept = (MANUAL_LINES.name, SUSPENSE_DECISIONS.name, DOCUMENTS.name)  # what people wrote; what there is not
    return (each for each in warehouse.contracts.values() if each.closes and each.name not in kept)


def _files(settings: Settings, month: str) -> Iterator[Path]:
    yield bills_file(settings, month)
    yield dashboard_file(settings, month)
    yield trend_file(settings, month)
    yield from (report_file(settings, month, contract.name) for contract in REPORTS)
