"""From the charges of a month to its bills, in the warehouse and in PostgreSQL."""

from typing import Any

import dagster as dg

from resources.io_manager import totals_metadata
from resources.postgres import PostgresConnection, PublishResult, publish_period
from resources.warehouse import PinnedTable, Warehouse
from telecom_assets.billing.corrections import Corrections, closed_lines, history_of, make_tables
from telecom_assets.billing.currency import assert_currency
from telecom_assets.billing.gate import GATE, BillingInputs, assert_billed
from telecom_assets.billing.lines import usage_lines
from telecom_assets.billing.restored import assert_not_restored
from telecom_assets.billing.rules import bill
from telecom_assets.billing.rules import correction_documents as documents_of_corrections
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE, MANUAL_LINES
from telecom_assets.billing.terms import terms_of
from telecom_assets.corrections.tables import ADJUSTMENTS
from telecom_assets.home.deployment import OnDemand
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.declaring import (
    BILLING_TEAM,
    ENGINE_KIND,
    SPARK_POOL,
    Materialized,
    asset,
    table_metadata,
    versions_asserted,
    versions_read,
)
from telecom_assets.lineage.partitions import BY_TIME, MONTHLY
from telecom_assets.periods.journal import read_periods
from telecom_assets.rating.charges import Charges
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.tables import BILLING_TERMS

GROUP = "billing"

#: The inputs of lines and of bills: the usage of a month, and what it is billed by.
_OF_MONTH = {
    RATED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
    PERIOD_CHARGES.name: dg.AssetIn(),
    SUSPENDED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
    BILLING_TERMS.name: dg.AssetIn(),
    "customers": dg.AssetIn(),
}


@asset(
    partitions_def=MONTHLY,
    ins=_OF_MONTH,
    # Tables that the gate reads; and what a month corrects of closed ones, which is read only where there is any.
    deps=[*(dg.AssetDep(table.name, partition_mapping=BY_TIME) for table in GATE), ADJUSTMENTS.name, MANUAL_LINES.name],
    group_name=GROUP,
    owners=[BILLING_TEAM],
    kinds={"delta", ENGINE_KIND},
    metadata=table_metadata(BILL_LINES),
    pool=SPARK_POOL,
)
def bill_lines(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    postgres: dg.ResourceParam[OnDemand[PostgresConnection]],
    record_types: dg.ResourceParam[RecordTypes],
    rated_cdrs: PinnedTable,
    period_charges: PinnedTable,
    suspended_cdrs: PinnedTable,
    billing_terms: PinnedTable,
    customers: PinnedTable,
) -> dg.Output[Any]:
    """The lines of the month's bills: what a service costs a holder of a number in one plan and region. One row per line.

    The month after every closed one has the corrections of closed months too, and what people have credited and charged.

    Refuses to bill when a day of the month was not mediated or not rated as it stands now, when an imputed volume is out
    of date, when a day was rated with other customers or prices than those in force on it, or when no terms are in force on the
    month's last day.
    """
    period = context.partition_key
    read_periods(warehouse).assert_open(period, "billing")
    assert_not_restored(warehouse, postgres)  # before a commit raises the version, which would hide it
    assert_currency(warehouse, settings.currency)
    charges = Charges(rated_cdrs, period_charges)
    inputs = BillingInputs.pin(warehouse, period, charges, suspended_cdrs)
    inputs.assert_complete(customers, settings.missing_volume_policy, settings.dedupe_days, record_types)
    terms = terms_of(billing_terms.arrow(), period, settings.currency)
    make_tables(warehouse)
    corrections = Corrections.pin(warehouse, period)
    usage = usage_lines(charges.df, period, terms)
    return dg.Output(
        corrections.lines(usage, customers.all(), terms, settings.adjustments),
        metadata={
            **versions_asserted(inputs.raw, inputs.mediated, inputs.cleaned, inputs.rejected, customers),
            **versions_read(rated_cdrs, period_charges, suspended_cdrs, billing_terms, *corrections.read),
        },
    )


@asset(
    partitions_def=MONTHLY,
    ins={**_OF_MONTH, BILL_LINES.name: dg.AssetIn()},
    # Tables that the gate reads; the dashboard of the same run counts them for its funnel.
    deps=[dg.AssetDep(table.name, partition_mapping=BY_TIME) for table in GATE],
    group_name=GROUP,
    owners=[BILLING_TEAM],
    kinds={"delta", ENGINE_KIND},
    metadata=table_metadata(FACTURATION_COMPLETE),
    pool=SPARK_POOL,
)
def facturation_complete(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    postgres: dg.ResourceParam[OnDemand[PostgresConnection]],
    record_types: dg.ResourceParam[RecordTypes],
    rated_cdrs: PinnedTable,
    period_charges: PinnedTable,
    suspended_cdrs: PinnedTable,
    bill_lines: PinnedTable,
    billing_terms: PinnedTable,
    customers: PinnedTable,
) -> dg.Output[Any]:
    """The bill of every holder of a number for the month: usage before tax, discount, tax, amount due. One row per holder and month.

    Made from the lines of the bills. Refuses to bill what `bill_lines` refuses, and when the lines are not those of the month's charges
    as they stand now.
    """
    period = context.partition_key
    assert_not_restored(warehouse, postgres)
    assert_currency(warehouse, settings.currency)
    inputs = BillingInputs.pin(warehouse, period, Charges(rated_cdrs, period_charges), suspended_cdrs)
    policy, dedupe_days = settings.missing_volume_policy, settings.dedupe_days
    inputs.assert_complete(customers, policy, dedupe_days, record_types, bill_lines)
    terms = terms_of(billing_terms.arrow(), period, settings.currency)
    return dg.Output(
        bill(bill_lines.df, customers.all(), period, terms, history_of(bill_lines)),
        metadata={
            **versions_asserted(inputs.raw, inputs.mediated, inputs.cleaned, inputs.rejected),
            **versions_read(rated_cdrs, period_charges, suspended_cdrs, bill_lines, billing_terms, customers),
        },
    )


manual_lines = dg.AssetSpec(
    MANUAL_LINES.name,
    partitions_def=MONTHLY,
    description=f"What people have credited and charged. {MANUAL_LINES.grain} Written by `telecom credit` and `telecom charge`.",
    group_name=GROUP,
    owners=[BILLING_TEAM],
    kinds={"delta"},
    metadata=table_metadata(MANUAL_LINES),
)


@asset(
    partitions_def=MONTHLY,
    ins={BILL_LINES.name: dg.AssetIn()},
    group_name=GROUP,
    owners=[BILLING_TEAM],
    kinds={"delta", ENGINE_KIND},
    metadata=table_metadata(CORRECTION_DOCUMENTS),
    pool=SPARK_POOL,
)
def correction_documents(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], bill_lines: PinnedTable
) -> dg.Output[Any]:
    """The month's credit notes and supplementary invoices: what its lines come to that stand on no bill. One row per document.

    Without a closed month there is none.
    """
    contract, history = bill_lines.warehouse.contracts[CORRECTION_DOCUMENTS.name], history_of(bill_lines)
    rows: Any = contract.arrow_schema().empty_table()
    if history is not None:
        scale = contract.column("amount_due").arrow_type.scale
        rows = documents_of_corrections(bill_lines.df, history, context.partition_key, settings.currency, scale)
    return dg.Output(rows, metadata=versions_read(bill_lines))


@asset(
    partitions_def=MONTHLY,
    ins={
        RATED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
        PERIOD_CHARGES.name: dg.AssetIn(),
        FACTURATION_COMPLETE.name: dg.AssetIn(),
        CORRECTION_DOCUMENTS.name: dg.AssetIn(),
    },
    group_name=GROUP,
    owners=[BILLING_TEAM],
    kinds={"postgres"},
    metadata={"dagster/table_name": FACTURATION_COMPLETE.name},
)
def published_bills(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    postgres: dg.ResourceParam[OnDemand[PostgresConnection]],
    rated_cdrs: PinnedTable,
    period_charges: PinnedTable,
    facturation_complete: PinnedTable,
    correction_documents: PinnedTable,
) -> Materialized:
    """The month's bills in PostgreSQL, table facturation_complete, for everybody who reads bills. One row per bill.

    One transaction replaces the month; a publisher that comes late with older bills changes nothing. Once a month is closed, the
    documents of corrections follow into their own table, correction_documents.
    """
    period, bills = context.partition_key, facturation_complete
    read_periods(warehouse).assert_open(period, "publishing")
    assert_billed(Charges(rated_cdrs, period_charges), bills, settings.dedupe_days, "publishing")
    result = _publish(postgres.connect(), bills, period)
    if closed_lines(warehouse, period) is not None:
        _publish(postgres.connect(), correction_documents, period)
    if not result.published:
        assert_not_restored(warehouse, postgres)
        context.log.warning(
            f"{period}: newer bills (version {result.delta_version}) are published already; nothing done"
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": result.rows,
            "outcome": result.outcome,
            **totals_metadata(result.sums),
            **versions_read(bills, correction_documents),
        }
    )


def _publish(connection: PostgresConnection, rows: PinnedTable, period: str) -> PublishResult:
    """Publish the rows of a table that is pinned to a month."""
    return publish_period(
        connection,
        rows.contract,
        period,
        rows.batches(),
        delta_table_id=rows.table_id,
        delta_version=rows.version,
        expected_rows=sum(rows.rows_by_partition().values()),
        expected_sums=rows.totals(),
    )
