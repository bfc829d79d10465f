"""The state of each month's bills, and the documents of closed months: assets that no run of a month makes, but a person's decision."""

import dagster as dg

from telecom_assets.billing.tables import CORRECTION_DOCUMENTS, FACTURATION_COMPLETE
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.lineage.declaring import BILLING_TEAM, table_metadata
from telecom_assets.lineage.partitions import MONTHLY
from telecom_assets.periods.tables import BILLING_PERIODS

billing_periods = dg.AssetSpec(
    BILLING_PERIODS.name,
    deps=[FACTURATION_COMPLETE.name],
    partitions_def=MONTHLY,
    description="The state of each month's bills: drafted, approved, withdrawn, closing, closed. "
    f"{BILLING_PERIODS.grain} Changed by `telecom bill`, and by the jobs of the same names.",
    group_name="billing",
    owners=[BILLING_TEAM],
    kinds={"delta"},
    metadata=table_metadata(BILLING_PERIODS),
)

documents = dg.AssetSpec(
    DOCUMENTS.name,
    deps=[FACTURATION_COMPLETE.name, CORRECTION_DOCUMENTS.name],
    partitions_def=MONTHLY,
    description="The documents of closed months, with their numbers: invoices, credit notes, supplementary invoices. "
    f"{DOCUMENTS.grain} Made by `telecom bill close`, and by the job of the same name.",
    group_name="billing",
    owners=[BILLING_TEAM],
    kinds={"delta"},
    metadata=table_metadata(DOCUMENTS),
)
