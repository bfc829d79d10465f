"""The bills of a month as documents."""

from functools import partial

import dagster as dg

from resources.atomic_files import Superseded
from resources.io_manager import totals_metadata
from resources.warehouse import PinnedTable, partitions_changed, stream_batches
from telecom_assets.billing.gate import assert_billed
from telecom_assets.billing.recipients import holders_of_month
from telecom_assets.billing.tables import FACTURATION_COMPLETE, HOLDER
from telecom_assets.home.output_files import invoice_directory
from telecom_assets.home.settings import Settings
from telecom_assets.invoices.files import InvoiceTotals, write_invoices
from telecom_assets.invoices.issuer import read_issuer
from telecom_assets.lineage.declaring import BILLING_TEAM, Materialized, asset, versions_read
from telecom_assets.lineage.partitions import BY_TIME, MONTHLY
from telecom_assets.periods.journal import read_periods
from telecom_assets.rating.charges import Charges
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS
from telecom_assets.record_types.in_force import RecordTypes

GROUP = "billing"


@asset(
    partitions_def=MONTHLY,
    ins={
        RATED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
        PERIOD_CHARGES.name: dg.AssetIn(),
        FACTURATION_COMPLETE.name: dg.AssetIn(),
        "customers": dg.AssetIn(),
    },
    group_name=GROUP,
    owners=[BILLING_TEAM],
    kinds={"xml"},
)
def invoices(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    record_types: dg.ResourceParam[RecordTypes],
    rated_cdrs: PinnedTable,
    period_charges: PinnedTable,
    facturation_complete: PinnedTable,
    customers: PinnedTable,
) -> Materialized:
    """The month's invoices, one XML document per bill, with an index. All of them are there, or the last good set is.

    A run that comes late with older bills fails and changes nothing.
    """
    period, bills = context.partition_key, facturation_complete
    read_periods(bills.warehouse).assert_open(period, "invoices")
    assert_billed(Charges(rated_cdrs, period_charges), bills, settings.dedupe_days, "invoices")
    directory = invoice_directory(settings, period)
    names = holders_of_month(customers.all(), period).select(*HOLDER, "customer_name")
    named = bills.df.join(names, on=list(HOLDER), how="left").orderBy(*HOLDER)
    summary = write_invoices(
        stream_batches(named),
        period,
        directory,
        bills.version,
        read_issuer(settings.issuer),
        expected=InvoiceTotals(sum(bills.rows_by_partition().values()), bills.totals()),
        other_usage=any(not each.on_bill for each in record_types),
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
