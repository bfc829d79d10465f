"""The dashboard's figures of a month, from the tables as they are pinned.

Belongs here: which table feeds which figure, in which order. Does not belong here: how the page looks (`documents`) and
how the figures are counted and checked (`month_books`, `funnel_counts`).
"""

from dataclasses import replace

import pyarrow as pa

from resources.warehouse import PinnedTable
from telecom_assets.home.settings import Settings
from telecom_assets.periods.journal import read_periods
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.reports.dashboard_panels import DashboardData, balance
from telecom_assets.reports.funnel_counts import malformed_while_open, month_funnel
from telecom_assets.reports.month_books import look_at_books, made_from, remedy
from telecom_assets.reports.month_reports import currency_of


def month_page_data(
    settings: Settings,
    bills: PinnedTable,
    daily_revenue: PinnedTable,
    plan_by_region: PinnedTable,
    top10_consumers: PinnedTable,
) -> DashboardData:
    """The data of a month's page: its figures, their sources, and the identities that do not hold on the tables as they are now.

    bills: facturation_complete. All are pinned to the month.
    """
    assert bills.partitions is not None
    period, warehouse = bills.partitions.first, bills.warehouse
    charges = charges_of_month(warehouse, period)
    seen = look_at_books(bills, charges, settings.dedupe_days)
    data = DashboardData(
        period=period,
        currency=currency_of(bills, settings.currency),
        funnel=month_funnel(warehouse, period, bills),
        daily_revenue=[(row["billing_date"], row["revenue"]) for row in _sorted(daily_revenue).to_pylist()],
        plan_by_region=[
            (row["region"], row["rate_plan_id"], row["revenue_incl_tax"]) for row in _sorted(plan_by_region).to_pylist()
        ],
        top10=[
            (row["customer_id"], row["total_mb"], row["amount_due"]) for row in _by_volume(top10_consumers).to_pylist()
        ],
        made_from=made_from(bills, [charges.rated, charges.imputed, daily_revenue, plan_by_region, top10_consumers]),
        malformed=malformed_while_open(warehouse, period, settings.max_age_days),
        looked_at=seen.identities,
        differences=seen.differences,
        state="closed" if period in read_periods(warehouse).closed else "draft",
    )
    return replace(data, remedy=remedy(warehouse, period, data.funnel, balance(data).problems))


def _sorted(table: PinnedTable) -> pa.Table:
    """Rows sorted by all columns, so that the page's bytes do not depend on how the engine wrote its files."""
    return table.arrow().sort_by([(column, "ascending") for column in table.contract.column_names])


def _by_volume(top: PinnedTable) -> pa.Table:
    """The ten in their order: most megabytes first, ties by customer."""
    return top.arrow().sort_by([("total_mb", "descending"), ("customer_id", "ascending")])
