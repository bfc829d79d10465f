"""The two pages of a month: its dashboard, and beside it the twelve months that end with it. Each links to the other.

Belongs here: writing both, whenever the month is billed or closed. Does not belong here: what they say (`month_page`, `trend_page`).
"""

from dataclasses import dataclass
from pathlib import Path

from resources.warehouse import PinnedTable
from telecom_assets.home.output_files import dashboard_file, trend_file
from telecom_assets.home.settings import Settings
from telecom_assets.reports.dashboard import render_dashboard, write_dashboard
from telecom_assets.reports.dashboard_panels import balance
from telecom_assets.reports.month_page import month_page_data
from telecom_assets.reports.trend_page import counts_by_day, render_trend, twelve_months


@dataclass(frozen=True)
class Pages:
    """What was written: both files, the size of the dashboard in bytes, and whether it says that the books balance."""

    dashboard: Path
    twelve_months: Path
    size: int
    books_balance: bool


def write_pages(
    settings: Settings,
    bills: PinnedTable,
    daily_revenue: PinnedTable,
    plan_by_region: PinnedTable,
    top10_consumers: PinnedTable,
) -> Pages:
    """Write the pages of a month from its tables. bills: facturation_complete. All are pinned to the month."""
    data = month_page_data(settings, bills, daily_revenue, plan_by_region, top10_consumers)
    month, year = dashboard_file(settings, data.period), trend_file(settings, data.period)
    days = counts_by_day(bills.warehouse, twelve_months(data.period))
    trend = render_trend(days, data.period, data.currency, settings.unusual_day_score, dashboard=month.name)
    page = render_dashboard(data, twelve_months=year.name)
    write_dashboard(trend, year)
    write_dashboard(page, month)
    return Pages(month, year, len(page.encode()), not balance(data).problems)
