"""The state of each month's bills, as an asset that no run makes: a decision of a person does, or a billing run that ends."""

import dagster as dg

from telecom_assets.billing.tables import FACTURATION_COMPLETE
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
