"""From cleaned_cdrs to rated_cdrs and suspended_cdrs, with the month's volume floors between."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pyspark.sql import DataFrame

from resources.delta import PinnedTable
from telecom_assets.books.verdict import require
from telecom_assets.home.connections import Connections
from telecom_assets.intake.identities import landed_rows_are_consumed
from telecom_assets.lineage.declaring import (
    ENGINE_KIND,
    RATING_TEAM,
    SPARK_POOL,
    asset,
    multi_asset,
    table_metadata,
    table_out,
    versions_read,
)
from telecom_assets.lineage.partitions import BY_TIME, DAILY, MONTHLY, ONE_RUN
from telecom_assets.mediation.identities import nothing_is_overtaken, raw_equals_outcomes, records_are_unique
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS
from telecom_assets.model.months import only_month
from telecom_assets.rating.rules import Tariff, rate, volume_floors
from telecom_assets.rating.tables import DATA_VOLUME_FLOOR, RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.reference.identities import references_are_valid

GROUP = "rating"

#: Rate a day once its cleaned events are new, whatever its month. Not `eager()`: that looks at the latest day only, and
#: a corrected day of an older month would refresh nothing. Not gated on checks of other runs either: a check of a range
#: run carries no partition; rating asserts its inputs itself.
RATE_AFTER_MEDIATION = (
    dg.AutomationCondition.any_deps_updated().allow(dg.AssetSelection.assets(CLEANED_CDRS.name)).since_last_handled()
    & ~dg.AutomationCondition.in_progress()
)


@asset(
    partitions_def=MONTHLY,
    backfill_policy=ONE_RUN,
    ins={CLEANED_CDRS.name: dg.AssetIn(partition_mapping=BY_TIME)},
    group_name=GROUP,
    owners=[RATING_TEAM],
    kinds={"delta", ENGINE_KIND},
    metadata=table_metadata(DATA_VOLUME_FLOOR),
    pool=SPARK_POOL,
)
def data_volume_floor(connections: dg.ResourceParam[Connections], cleaned_cdrs: PinnedTable) -> dg.Output[Any]:
    """What a data session of unknown volume counts as. One row per customer and month: its smallest known volume."""
    days = cleaned_cdrs.partitions
    assert days is not None
    period, record_types = only_month(days.first, days.last), connections.record_types
    floors = volume_floors(cleaned_cdrs.df, one_period=period, record_types=record_types)
    return dg.Output(floors, metadata=versions_read(cleaned_cdrs))


@multi_asset(
    name="rating",
    ins={
        CLEANED_CDRS.name: dg.AssetIn(),
        DATA_VOLUME_FLOOR.name: dg.AssetIn(partition_mapping=BY_TIME),
        "customers": dg.AssetIn(),
        "rate_plans": dg.AssetIn(),
        "product_catalog": dg.AssetIn(),
    },
    outs={
        RATED_CDRS.name: table_out(
            RATED_CDRS,
            GROUP,
            RATING_TEAM,
            "Usage with its price. A day is rated by itself when it was mediated anew (`rating_automation`).",
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
    connections: dg.ResourceParam[Connections],
    cleaned_cdrs: PinnedTable,
    data_volume_floor: PinnedTable,
    customers: PinnedTable,
    rate_plans: PinnedTable,
    product_catalog: PinnedTable,
) -> Iterator[dg.Output[DataFrame]]:
    """Every cleaned event of the days becomes one rated event or one suspended event with its reason."""
    warehouse, days = connections.warehouse, cleaned_cdrs.partitions
    assert days is not None
    mediated, rejected = warehouse.pin(MEDIATED_DAYS.name, days), warehouse.pin(REJECTED_CDRS.name, days)
    references = (customers, rate_plans, product_catalog)
    require(
        landed_rows_are_consumed(warehouse),
        nothing_is_overtaken(mediated),
        raw_equals_outcomes(mediated, cleaned_cdrs, rejected),
        records_are_unique(cleaned_cdrs, connections.settings.dedupe_days),
        references_are_valid(*references, connections.record_types),
        before=f"rating of {days}",
    )
    tariff = Tariff(
        customers.all(), rate_plans.all(), product_catalog.all(), {table.name: table.version for table in references}
    )
    # Floors of one billing period can join the customers, which spares a join of all events. Apache Spark would reckon the
    # result too large to be broadcast, and send all events instead.
    one_period = None if connections.engine.shuffles else only_month(days.first, days.last)
    ratings = rate(
        cleaned_cdrs.df,
        data_volume_floor.df,
        tariff,
        missing_volume=connections.settings.missing_volume_policy,
        one_period=one_period,
        record_types=connections.record_types,
    )
    read = versions_read(cleaned_cdrs, rejected, data_volume_floor, *references)
    yield dg.Output(ratings.rated, RATED_CDRS.name, metadata=read)
    yield dg.Output(ratings.suspended, SUSPENDED_CDRS.name, metadata=read)
