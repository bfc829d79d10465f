"""Reports of a month, as tables and CSV files, and the dashboard page made from them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa

from resources.delta import PinnedTable
from resources.postgres import published_digest
from telecom_assets.assets.common import (
    BILLING_TEAM,
    SPARK_POOL,
    asset,
    multi_asset,
    table_metadata,
    table_out,
    versions_read,
)
from telecom_assets.billing_gate import assert_billed
from telecom_assets.connections import Connections
from telecom_assets.documents.report_files import with_currency, write_report_csv
from telecom_assets.month_reports import currency_of, month_report
from telecom_assets.outputs import dashboard_file, documents_digest, report_file
from telecom_assets.partitions import BY_TIME, MONTHLY
from telecom_assets.schemas.billing import (
    BILLED_MONTHS,
    DAILY_REVENUE,
    FACTURATION_COMPLETE,
    PLAN_BY_REGION,
    REPORTS,
    TOP10_CONSUMERS,
)
from telecom_assets.schemas.usage import RATED_CDRS

GROUP = "reports"
#: How the rows of a file are ordered, where not by the report's key.
_FILE_ORDER = {TOP10_CONSUMERS.name: ("-total_mb", "customer_id")}


@multi_asset(
    name="reports",
    ins={RATED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME), FACTURATION_COMPLETE.name: dg.AssetIn()},
    outs={
        contract.name: table_out(contract, GROUP, BILLING_TEAM, "Also a CSV file for BI tools.") for contract in REPORTS
    },
    partitions_def=MONTHLY,
    pool=SPARK_POOL,
)
def reports(
    context: dg.AssetExecutionContext,
    connections: dg.ResourceParam[Connections],
    rated_cdrs: PinnedTable,
    facturation_complete: PinnedTable,
) -> Iterator[dg.Output[Any]]:
    """The month in six tables, each with a CSV file for BI tools."""
    period = context.partition_key
    settings = connections.settings
    assert_billed(rated_cdrs, facturation_complete, settings.dedupe_days, "reports")
    currency = currency_of(facturation_complete, settings.currency)
    for contract in REPORTS:
        rows = month_report(contract.name, rated_cdrs, facturation_complete)
        path = report_file(settings, period, contract.name)
        read = {**versions_read(rated_cdrs, facturation_complete), "file": dg.MetadataValue.path(str(path))}
        yield dg.Output(rows, contract.name, metadata=read)
        # Dagster has stored the table when the generator goes on: the file is made from what was stored.
        stored = connections.warehouse.pin(contract.name, facturation_complete.partitions).arrow()
        order = _FILE_ORDER.get(contract.name, contract.key[1:])
        write_report_csv(with_currency(stored, currency), path, order, bom=settings.csv_bom)


@asset(
    partitions_def=MONTHLY,
    ins={
        DAILY_REVENUE.name: dg.AssetIn(),
        PLAN_BY_REGION.name: dg.AssetIn(),
        TOP10_CONSUMERS.name: dg.AssetIn(),
        FACTURATION_COMPLETE.name: dg.AssetIn(),
    },
    group_name=GROUP,
    owners=[BILLING_TEAM],
    kinds={"html"},
)
def dashboard(
    context: dg.AssetExecutionContext,
    connections: dg.ResourceParam[Connections],
    daily_revenue: PinnedTable,
    plan_by_region: PinnedTable,
    top10_consumers: PinnedTable,
    facturation_complete: PinnedTable,
) -> dg.MaterializeResult:
    """The month on one page that needs no network: revenue by day, by plan and region, the top ten, and the funnel.

    It says which bills it was made from, and whether the books balanced when it was made.
    """
    # The charts' library takes half a second: not at every load of the code.
    from telecom_assets.documents.dashboard import render_dashboard, write_dashboard  # noqa: PLC0415
    from telecom_assets.documents.dashboard_panels import balance  # noqa: PLC0415
    from telecom_assets.month_page import month_page_data  # noqa: PLC0415

    settings = connections.settings
    data = month_page_data(settings, facturation_complete, daily_revenue, plan_by_region, top10_consumers)
    page = render_dashboard(data)
    path = dashboard_file(settings, context.partition_key)
    write_dashboard(page, path)
    return dg.MaterializeResult(
        metadata={
            "file": dg.MetadataValue.path(str(path)),
            "bytes": len(page.encode()),
            "books_balance": not balance(data).problems,
            **versions_read(daily_revenue, plan_by_region, top10_consumers, facturation_complete),
        }
    )


@asset(
    partitions_def=MONTHLY,
    ins={FACTURATION_COMPLETE.name: dg.AssetIn()},
    deps=["published_bills", "invoices", "bills_csv", "dashboard", *(contract.name for contract in REPORTS)],
    group_name=GROUP,
    owners=[BILLING_TEAM],
    kinds={"delta"},
    metadata=table_metadata(BILLED_MONTHS),
    pool=SPARK_POOL,
)
def billed_months(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections], facturation_complete: PinnedTable
) -> dg.Output[pa.Table]:
    """The ledger of billing: what was published and which documents there were once a month was billed. One row per month.

    `telecom run` sees by it that somebody changed them since, and makes them again.
    """
    period, settings, warehouse = context.partition_key, connections.settings, connections.warehouse
    row = {
        "published": published_digest(connections.postgres(), FACTURATION_COMPLETE, period),
        "documents": documents_digest(settings, period),
        "billing_period": period,
    }
    stored = (warehouse.pin(contract.name) for contract in REPORTS)
    return dg.Output(
        pa.Table.from_pylist([row], schema=BILLED_MONTHS.arrow_schema()),
        metadata=versions_read(facturation_complete, *stored),
    )
