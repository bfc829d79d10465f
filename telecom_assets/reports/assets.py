"""Assets that people read: the reports of a month as tables and CSV files, its bills as a CSV file, its dashboard page."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import dagster as dg
import pyarrow as pa

from resources.postgres import PostgresConnection, published_digest
from resources.warehouse import PinnedTable, Warehouse
from telecom_assets.billing.gate import assert_billed
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE
from telecom_assets.books.verdict import asked
from telecom_assets.home.deployment import OnDemand
from telecom_assets.home.output_files import bills_file, report_file
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.declaring import (
    BILLING_TEAM,
    SPARK_POOL,
    Materialized,
    asset,
    multi_asset,
    table_metadata,
    table_out,
    versions_read,
)
from telecom_assets.lineage.partitions import BY_TIME, MONTHLY
from telecom_assets.lineage.period_events import state_event
from telecom_assets.periods.journal import change_state, changed_now, read_periods
from telecom_assets.periods.states import DRAFTED
from telecom_assets.rating.charges import Charges
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reports.bills_file import write_bills
from telecom_assets.reports.csv_files import with_currency, write_report_csv
from telecom_assets.reports.documents import documents_digest
from telecom_assets.reports.month_reports import currency_of, month_report
from telecom_assets.reports.tables import BILLED_MONTHS, DAILY_REVENUE, PLAN_BY_REGION, REPORTS, TOP10_CONSUMERS

GROUP = "reports"
#: The order of the rows of a CSV file, where it is not the report's key.
_FILE_ORDER = {TOP10_CONSUMERS.name: ("-total_mb", "customer_id")}


@asset(
    partitions_def=MONTHLY,
    ins={
        RATED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
        PERIOD_CHARGES.name: dg.AssetIn(),
        FACTURATION_COMPLETE.name: dg.AssetIn(),
    },
    group_name="billing",
    owners=[BILLING_TEAM],
    kinds={"csv"},
)
def bills_csv(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    rated_cdrs: PinnedTable,
    period_charges: PinnedTable,
    facturation_complete: PinnedTable,
) -> Materialized:
    """The month's bills as one CSV file beside the reports, for spreadsheets. One row per bill, with every step of its money."""
    period, bills = context.partition_key, facturation_complete
    read_periods(bills.warehouse).assert_open(period, "bills.csv")
    assert_billed(Charges(rated_cdrs, period_charges), bills, settings.dedupe_days, "bills.csv")
    path = bills_file(settings, period)
    rows = write_bills(bills, path, bom=settings.csv_bom)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows, "file": dg.MetadataValue.path(str(path)), **versions_read(bills)}
    )


@multi_asset(
    name="reports",
    ins={
        RATED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
        PERIOD_CHARGES.name: dg.AssetIn(),
        BILL_LINES.name: dg.AssetIn(),
        FACTURATION_COMPLETE.name: dg.AssetIn(),
        # Their totals are compared with the reports.
        CORRECTION_DOCUMENTS.name: dg.AssetIn(),
    },
    outs={
        contract.name: table_out(contract, GROUP, BILLING_TEAM, "Also a CSV file for BI tools.") for contract in REPORTS
    },
    partitions_def=MONTHLY,
    pool=SPARK_POOL,
)
def reports(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    record_types: dg.ResourceParam[RecordTypes],
    rated_cdrs: PinnedTable,
    period_charges: PinnedTable,
    bill_lines: PinnedTable,
    facturation_complete: PinnedTable,
    correction_documents: PinnedTable,
) -> Iterator[dg.Output[Any]]:
    """The month in six tables, each with a CSV file for BI tools."""
    period = context.partition_key
    read_periods(warehouse).assert_open(period, "reports")
    charges = Charges(rated_cdrs, period_charges)
    assert_billed(charges, facturation_complete, settings.dedupe_days, "reports")
    currency = currency_of(facturation_complete, settings.currency)
    # Six small results, none of which keeps all cores busy while it is made.
    made = asked(
        partial(month_report, contract.name, charges, bill_lines, facturation_complete, record_types)
        for contract in REPORTS
    )
    for contract, rows in zip(REPORTS, made, strict=True):
        path = report_file(settings, period, contract.name)
        read = {
            **versions_read(rated_cdrs, period_charges, bill_lines, facturation_complete, correction_documents),
            "file": dg.MetadataValue.path(str(path)),
        }
        yield dg.Output(rows, contract.name, metadata=read)
        # When the generator goes on, Dagster has stored the table: the file is made from the stored rows.
        stored = warehouse.pin(contract.name, facturation_complete.partitions).arrow()
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
    settings: dg.ResourceParam[Settings],
    daily_revenue: PinnedTable,
    plan_by_region: PinnedTable,
    top10_consumers: PinnedTable,
    facturation_complete: PinnedTable,
) -> Materialized:
    """The month on one page that needs no network: revenue by day, by plan and region, the top ten, and the funnel.

    It says which bills it was made from, and whether the books balanced when it was made. Beside it
    a page of the twelve months that end with this one: their funnels, rates by reason, and the days that are out of line.
    """
    # Imported here: the chart library takes half a second, which not every load of the code should wait for.
    from telecom_assets.reports.pages import write_pages  # noqa: PLC0415

    read_periods(facturation_complete.warehouse).assert_open(context.partition_key, "the dashboard")
    written = write_pages(settings, facturation_complete, daily_revenue, plan_by_region, top10_consumers)
    return dg.MaterializeResult(
        metadata={
            "file": dg.MetadataValue.path(str(written.dashboard)),
            "twelve_months": dg.MetadataValue.path(str(written.twelve_months)),
            "bytes": written.size,
            "books_balance": written.books_balance,
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
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    postgres: dg.ResourceParam[OnDemand[PostgresConnection]],
    facturation_complete: PinnedTable,
) -> Iterator[dg.Output[pa.Table]]:
    """The ledger of billing: what was published and which documents there were once a month was billed. One row per month.

    `telecom run` sees by it that somebody changed them since, and makes them again. From then on the month has a draft, which a
    person can approve.
    """
    period = context.partition_key
    row = {
        "published": published_digest(postgres.connect(), FACTURATION_COMPLETE, period),
        "documents": documents_digest(settings, period),
        "billing_period": period,
    }
    stored = (warehouse.pin(contract.name) for contract in REPORTS)
    yield dg.Output(
        pa.Table.from_pylist([row], schema=BILLED_MONTHS.arrow_schema()),
        metadata=versions_read(facturation_complete, *stored),
    )
    # When the generator goes on, Dagster has stored the row: a month without one is no draft.
    drafted = changed_now(period, DRAFTED)
    after = change_state(warehouse, lambda periods: drafted if periods.why_drafted_again(period) else None)
    if after.last(period) == drafted:
        context.log_event(state_event(drafted))
