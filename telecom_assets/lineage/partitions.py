"""Partitions: days of events and months of billing, the mapping between them, the backfill policy.

Days and months are local (Africa/Casablanca). DAILY reaches tomorrow, because a phone's clock may be a little ahead;
MONTHLY reaches this month, which can be rated before it ends.
"""

import datetime as dt
import warnings

import dagster as dg

from telecom_assets.model.civil_time import LOCAL_ZONE


def days_from(start: dt.date) -> dg.DailyPartitionsDefinition:
    """The days of events from `start` on."""
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), timezone=LOCAL_ZONE, end_offset=2)


def months_from(start: dt.date) -> dg.MonthlyPartitionsDefinition:
    """The billing periods from the month of `start` on."""
    return dg.MonthlyPartitionsDefinition(start_date=f"{start:%Y-%m}", timezone=LOCAL_ZONE, end_offset=1, fmt="%Y-%m")


#: Assets are declared with these. The first day comes from the settings: `build_defs` calls `partitioned_from`.
DAILY, MONTHLY = days_from(dt.date(2020, 1, 1)), months_from(dt.date(2020, 1, 1))

# Beta in Dagster, tested with the pinned version: mappings to days that do not exist yet, backfill policies, partitioned checks.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

#: A month depends on all its days, a day on its month. Days and months that do not exist yet are left out.
BY_TIME = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)

#: A range of partitions is one run.
ONE_RUN = dg.BackfillPolicy.single_run()


def partitioned_from(spec: dg.AssetSpec, start: dt.date) -> dg.AssetSpec:
    """The asset with its days, or its months, from `start` (TELECOM_PARTITIONS_START) on."""
    if spec.partitions_def is None:
        return spec
    begun = days_from(start) if spec.partitions_def == DAILY else months_from(start)
    return spec.replace_attributes(partitions_def=begun)
