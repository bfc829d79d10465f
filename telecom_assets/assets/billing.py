"""From rated_cdrs to the bills of a month, in the warehouse, in PostgreSQL and as documents."""

from functools import partial
from typing import Any

import dagster as dg

from resources.changes import partitions_changed
from resources.delta import PinnedTable, stream_batches
from resources.io_manager import totals_metadata
from resources.postgres import publish_period
from telecom_assets.assets.common import (
    BILLING_TEAM,
    ENGINE_KIND,
    SPARK_POOL,
    asset,
    table_metadata,
    versions_asserted,
    versions_read,
)
from telecom_assets.billing_gate import GATE, BillingInputs, assert_billed
from telecom_assets.connections import Connections
from telecom_assets.documents.atomic import Superseded
from telecom_assets.documents.invoices import InvoiceTotals, write_invoices
from telecom_assets.documents.report_files import write_csv_rows
from telecom_assets.outputs import bills_file, invoice_directory
from telecom_assets.partitions import BY_TIME, MONTHLY
from telecom_assets.restored import assert_not_restored
from telecom_assets.schemas.billing import FACTURATION_COMPLETE
from telecom_assets.schemas.usage import RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.transforms.billing import BillingTerms, bill

GROUP = "billing"


@asset(
    partitions_def=MONTHLY,
    ins={
        RATED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
        SUSPENDED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
        "customers": dg.AssetIn(),
    },
    # What the gate looks at; the funnel of the dashboard, later in the same run, counts it.
    deps=[dg.AssetDep(table.name, partition_mapping=BY_TIME) for table in GATE],
    group_name=GROUP,
    owners=[BILLING_TEAM],
    kinds={"delta", ENGINE_KIND},
    metadata=table_metadata(FACTURATION_COMPLETE),
    pool=SPARK_POOL,
)
def facturation_complete(
    context: dg.AssetExecutionContext,
    connections: dg.ResourceParam[Connections],
    rated_cdrs: PinnedTable,
    suspended_cdrs: PinnedTable,
    customers: PinnedTable,
) -> dg.Output[Any]:
    """The bill of every customer for the month: usage before tax, discount, tax, amount due. One row per customer and month.

    Refuses to bill when a day of the month was not mediated or not rated as it stands now, when an imputed volume is out
    of date, or when the month was rated against more than one version of customers or tariffs.
    """
    period, settings = context.partition_key, connections.settings
    assert_not_restored(connections)  # before the version grows: what it was would not be noticed any more
    inputs = BillingInputs.pin(connections.warehouse, period, rated_cdrs, suspended_cdrs)
    versions = inputs.assert_complete(settings.missing_volume_policy, settings.dedupe_days)
    customers = connections.warehouse.pin("customers", version=versions.get("customers", customers.version))
    terms = BillingTerms(settings.discount_pct, settings.tax_pct, settings.currency)
    return dg.Output(
        bill(rated_cdrs.df, customers.all(), period, terms),
        metadata={
            **versions_asserted(inputs.raw, inputs.mediated, inputs.cleaned, inputs.rejected),
            **versions_read(rated_cdrs, suspended_cdrs, customers),
        },
    )


@asset(
    partitions_def=MONTHLY,
    ins={RATED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME), FACTURATION_COMPLETE.name: dg.AssetIn()},
    group_name=GROUP,
    owners=[BILLING_TEAM],
    kinds={"postgres"},
    metadata={"dagster/table_name": FACTURATION_COMPLETE.name},
)
def published_bills(
    context: dg.AssetExecutionContext,
    connections: dg.ResourceParam[Connections],
    rated_cdrs: PinnedTable,
    facturation_complete: PinnedTable,
) -> dg.MaterializeResult:
    """The month's bills in PostgreSQL, table facturation_complete, for everybody who reads bills. One row per bill.

    One transaction replaces the month; a publisher that comes late with older bills changes nothing.
    """
    period, bills = context.partition_key, facturation_complete
    assert_billed(rated_cdrs, bills, connections.settings.dedupe_days, "publishing")
    result = publish_period(
        connections.postgres(),
        FACTURATION_COMPLETE,
        period,
        bills.batches(),
        delta_table_id=bills.table_id,
        delta_version=bills.version,
        expected_rows=sum(bills.rows_by_partition().values()),
        expected_sums=connections.warehouse.totals(bills),
    )
    if not result.published:
        assert_not_restored(connections)
        context.log.warning(
            f"{period}: newer bills (version {result.delta_version}) are published already; nothing done"
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": result.rows,
            "outcome": result.outcome,
            **totals_metadata(result.sums),
            **versions_read(bills),
        }
    )


@asset(
    partitions_def=MONTHLY,
    ins={
        RATED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
        FACTURATION_COMPLETE.name: dg.AssetIn(),
        "customers": dg.AssetIn(),
    },
    group_name=GROUP,
    owners=[BILLING_TEAM],
    kinds={"xml"},
)
def invoices(
    context: dg.AssetExecutionContext,
    connections: dg.ResourceParam[Connections],
    rated_cdrs: PinnedTable,
    facturation_complete: PinnedTable,
    customers: PinnedTable,
) -> dg.MaterializeResult:
    """The month's invoices, one XML document per customer, with an index. All of them are there, or the last good set is.

    A run that comes late with older bills fails and changes nothing.
    """
    period, bills = context.partition_key, facturation_complete
    assert_billed(rated_cdrs, bills, connections.settings.dedupe_days, "invoices")
    directory = invoice_directory(connections.settings, period)
    names = customers.all().select("customer_id", "customer_name")
    named = bills.df.join(names, on="customer_id", how="left").orderBy("customer_id")
    sums = connections.warehouse.totals(bills)
    summary = write_invoices(
        stream_batches(named),
        period,
        directory,
        bills.version,
        expected=InvoiceTotals(sum(bills.rows_by_partition().values()), sums["amount_due"], sums["amount_before_tax"]),
        before_swap=partial(_assert_newest, bills, period),
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": summary.count,
            **totals_metadata({"amount_due": summary.amount_due}),
            "directory": dg.MetadataValue.path(str(directory)),
            **versions_read(bills, customers),
        }
    )


@asset(
    partitions_def=MONTHLY,
    ins={RATED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME), FACTURATION_COMPLETE.name: dg.AssetIn()},
    group_name=GROUP,
    owners=[BILLING_TEAM],
    kinds={"csv"},
)
def bills_csv(
    context: dg.AssetExecutionContext,
    connections: dg.ResourceParam[Connections],
    rated_cdrs: PinnedTable,
    facturation_complete: PinnedTable,
) -> dg.MaterializeResult:
    """The month's bills as one CSV file beside the reports, for spreadsheets. One row per customer, with every step of its money."""
    period, settings, bills = context.partition_key, connections.settings, facturation_complete
    assert_billed(rated_cdrs, bills, settings.dedupe_days, "bills.csv")
    path = bills_file(settings, period)
    schema, ordered = FACTURATION_COMPLETE.arrow_schema(), bills.df.orderBy("customer_id")
    rows = write_csv_rows(schema, stream_batches(ordered), path, bom=settings.csv_bom)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows, "file": dg.MetadataValue.path(str(path)), **versions_read(bills)}
    )


def _assert_newest(bills: PinnedTable, period: str) -> None:
    """Raise Superseded when the bills of the period may have been made again since these were pinned."""
    warehouse = bills.warehouse
    changed = partitions_changed(warehouse, bills.name, bills.table_id, bills.version)
    if changed is not None and period not in changed:
        return
    what = "the bills were made again" if changed else f"table {bills.name} was made again or altered"
    raise Superseded(
        f"invoices of {period}: {what} (version {warehouse.version(bills.name)}) while these were written from version "
        f"{bills.version}; nothing was changed; make the invoices again"
    )
