"""From cleaned_cdrs to rated_cdrs and suspended_cdrs, day by day, and to what only the month can price: period_charges."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg

from resources.warehouse import Partitions, PinnedTable, Warehouse
from telecom_assets.books.verdict import Verdict, require
from telecom_assets.home.settings import Settings
from telecom_assets.intake.identities import landed_rows_are_consumed
from telecom_assets.lineage.declaring import (
    ENGINE_KIND,
    RATING_TEAM,
    SPARK_POOL,
    asset,
    multi_asset,
    table_metadata,
    table_out,
    versions_asserted,
    versions_read,
)
from telecom_assets.lineage.partitions import BY_TIME, DAILY, MONTHLY, ONE_RUN
from telecom_assets.mediation.identities import no_day_is_stale, raw_equals_outcomes, records_are_unique
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.open_days import open_parts
from telecom_assets.rating.identities import (
    cleaned_equals_ratings,
    missing_volumes_follow,
    reference_is_as_rated,
)
from telecom_assets.rating.month_rules import impute
from telecom_assets.rating.rules import ReferenceData, price_list, rate
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.identities import references_are_valid

GROUP = "rating"


def _mediation_holds(
    cleaned: PinnedTable, mediated: PinnedTable, rejected: PinnedTable, dedupe_days: int
) -> list[Verdict]:
    """What must hold of some days before their events are priced: they are mediated as they have landed."""
    return [
        landed_rows_are_consumed(cleaned.warehouse),
        no_day_is_stale(mediated),
        raw_equals_outcomes(mediated, cleaned, rejected),
        records_are_unique(cleaned, dedupe_days),
    ]


#: Rate a day whose cleaned events are newer than its rating, whatever its month, and ask once. As a rule it is rated in the run
#: that mediates it, and nothing is left to ask for: a rating that has succeeded since, or is going on, counts as handled. Left
#: are days that were mediated alone, and days whose rating failed behind their mediation.
#: Not `eager()`: that looks at the latest day only, and a corrected day of an older month would refresh nothing. Not
#: `any_deps_updated()`: that passes over a mediation whose run was to rate the day as well, even when its rating failed. Not gated
#: on checks of other runs either: a check of a range run carries no partition; rating asserts its inputs itself.
RATE_AFTER_MEDIATION = (
    dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())
    .allow(dg.AssetSelection.assets(CLEANED_CDRS.name))
    .since_last_handled()
    & ~dg.AutomationCondition.in_progress()
)


@multi_asset(
    name="rating",
    ins={
        CLEANED_CDRS.name: dg.AssetIn(),
        "customers": dg.AssetIn(),
        "rate_plans": dg.AssetIn(),
        "product_catalog": dg.AssetIn(),
    },
    outs={
        RATED_CDRS.name: table_out(
            RATED_CDRS,
            GROUP,
            RATING_TEAM,
            "Usage with its price. A day is rated in the run that mediates it; where that did not come to it, or failed, by "
            "itself (`rating_automation`).",
            RATE_AFTER_MEDIATION,
        ),
        SUSPENDED_CDRS.name: table_out(
            SUSPENDED_CDRS, GROUP, RATING_TEAM, "Usage that is not charged, and why.", RATE_AFTER_MEDIATION
        ),
    },
    partitions_def=DAILY,
    backfill_policy=ONE_RUN,
    pool=SPARK_POOL,
)
def rating(
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    record_types: dg.ResourceParam[RecordTypes],
    cleaned_cdrs: PinnedTable,
    customers: PinnedTable,
    rate_plans: PinnedTable,
    product_catalog: PinnedTable,
) -> Iterator[dg.Output[Any]]:
    """Every cleaned event of the days becomes one rated event or one suspended event with its reason. No month is asked.

    Days of approved and closed months are left out: what comes late for them is a difference on a later bill.
    """
    assert cleaned_cdrs.partitions is not None
    parts = open_parts(warehouse, cleaned_cdrs.partitions)
    if not parts:
        for contract in (RATED_CDRS, SUSPENDED_CDRS):
            yield dg.Output(
                None, contract.name, metadata={"left_out": f"{cleaned_cdrs.partitions}: approved or closed"}
            )
        return
    # Frozen days between open ones are rated too, and are not written.
    days = Partitions(parts[0].first, parts[-1].last)
    cleaned_cdrs = replace(cleaned_cdrs, partitions=days)
    mediated, rejected = warehouse.pin(MEDIATED_DAYS.name, days), warehouse.pin(REJECTED_CDRS.name, days)
    references = (customers, rate_plans, product_catalog)
    require(
        *_mediation_holds(cleaned_cdrs, mediated, rejected, settings.dedupe_days),
        references_are_valid(*references, record_types),
        before=f"rating of {days}",
    )
    read = versions_read(cleaned_cdrs, rejected, *references)
    if not any(cleaned_cdrs.rows_by_partition().values()):
        # As a rule a day on which refused messages were received: the engine need not work out that there is nothing to price.
        for contract in (RATED_CDRS, SUSPENDED_CDRS):
            yield dg.Output(contract.arrow_schema().empty_table(), contract.name, metadata=read)
        return
    reference = ReferenceData(
        customers.all(), rate_plans.all(), product_catalog.all(), {table.name: table.version for table in references}
    )
    ratings = rate(cleaned_cdrs.df, reference, missing_volume=settings.missing_volume_policy, record_types=record_types)
    yield dg.Output(ratings.rated, RATED_CDRS.name, metadata=read)
    yield dg.Output(ratings.suspended, SUSPENDED_CDRS.name, metadata=read)


@asset(
    partitions_def=MONTHLY,
    ins={
        CLEANED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
        SUSPENDED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME),
        "rate_plans": dg.AssetIn(),
        "product_catalog": dg.AssetIn(),
    },
    group_name=GROUP,
    owners=[RATING_TEAM],
    kinds={"delta", ENGINE_KIND},
    metadata=table_metadata(PERIOD_CHARGES),
    pool=SPARK_POOL,
)
def period_charges(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    record_types: dg.ResourceParam[RecordTypes],
    cleaned_cdrs: PinnedTable,
    suspended_cdrs: PinnedTable,
    rate_plans: PinnedTable,
    product_catalog: PinnedTable,
) -> dg.Output[Any]:
    """The charges that only the month decides: a data session of unknown volume counts as the smallest known one of its holder.

    One row per deferred event, at the price that is in force on its day. Empty under the other policies.
    """
    days = cleaned_cdrs.partitions
    assert days is not None
    read_periods(warehouse).assert_open(context.partition_key, "period charges")
    mediated, rejected, rated = (
        warehouse.pin(contract.name, days) for contract in (MEDIATED_DAYS, REJECTED_CDRS, RATED_CDRS)
    )
    require(
        *_mediation_holds(cleaned_cdrs, mediated, rejected, settings.dedupe_days),
        cleaned_equals_ratings(cleaned_cdrs, rated, suspended_cdrs),
        missing_volumes_follow(settings.missing_volume_policy, rated, suspended_cdrs),
        reference_is_as_rated([rate_plans, product_catalog], rated, suspended_cdrs),
        before=f"period charges of {context.partition_key}",
    )
    prices = price_list(rate_plans.all(), product_catalog.all(), record_types)
    return dg.Output(
        impute(rated.df, suspended_cdrs.df, prices, record_types),
        metadata={
            **versions_asserted(mediated, rejected),
            **versions_read(cleaned_cdrs, suspended_cdrs, rated, rate_plans, product_catalog),
        },
    )
