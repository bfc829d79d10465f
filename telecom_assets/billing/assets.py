"""From rated_cdrs to the bills of a month, in the warehouse and in PostgreSQL."""

from typing import Any

import dagster as dg

from resources.delta import PinnedTable
from resources.io_manager import totals_metadata
from resources.postgres import publish_period
from telecom_assets.billing.gate import BillingInputs, assert_billed
from telecom_assets.billing.restored import assert_not_restored
from telecom_assets.billing.rules import BillingTerms, bill
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.home.connections import Connections
from telecom_assets.lineage.declaring import BILLING_TEAM, ENGINE_KIND, SPARK_POOL, asset, table_metadata, versions_read
from telecom_assets.lineage.partitions import BY_TIME, MONTHLY
from telecom_assets.rating.tables import RATED_CDRS, SUSPENDED_CDRS

GROUP = "billing"


@asset(
    partitions_def=MONTHLY,
    ins={
        RATED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
        SUSPENDED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
        "customers": dg.AssetIn(),
    },
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
    versions = inputs.assert_complete(settings.missing_volume_policy, settings.dedupe_days, connections.record_types)
    customers = connections.warehouse.pin("customers", version=versions.get("customers", customers.version))
    terms = BillingTerms(settings.discount_pct, settings.tax_pct, settings.currency)
    return dg.Output(
        bill(rated_cdrs.df, customers.all(), period, terms),
        metadata=versions_read(rated_cdrs, suspended_cdrs, customers),
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
