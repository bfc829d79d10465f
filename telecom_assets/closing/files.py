"""The files of a month that say whether it is closed: bills.csv and its pages.

Belongs here: making them once more when a month is closed. Does not belong here: the documents (`issuing`), the files of the reports,
which say nothing of it and stay as they are.
"""

from resources.warehouse import Warehouse
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.home.output_files import bills_file
from telecom_assets.home.settings import Settings
from telecom_assets.reports.bills_file import write_bills
from telecom_assets.reports.tables import DAILY_REVENUE, PLAN_BY_REGION, TOP10_CONSUMERS


def write_files(warehouse: Warehouse, settings: Settings, month: str) -> None:
    """Write bills.csv, the dashboard and the page of twelve months of a month whose bills say that they are closed."""
    # Imported here: the chart library takes half a second, which not every load of the code should wait for.
    from telecom_assets.reports.pages import write_pages  # noqa: PLC0415

    bills = warehouse.pin_period(FACTURATION_COMPLETE.name, month)
    write_bills(bills, bills_file(settings, month), bom=settings.csv_bom)
    reports = (warehouse.pin_period(each.name, month) for each in (DAILY_REVENUE, PLAN_BY_REGION, TOP10_CONSUMERS))
    write_pages(settings, bills, *reports)
