"""From the topic to raw_cdrs."""

from collections.abc import Mapping

import dagster as dg

from resources.kafka import KafkaConnection
from resources.process_locks import STEP_PATIENCE_SECONDS, once, turn
from resources.warehouse import Partitions, Warehouse
from telecom_assets.books.totals import note_totals
from telecom_assets.home.deployment import OnDemand
from telecom_assets.home.settings import Settings
from telecom_assets.intake.landing import LandingSettings, land
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.lineage.declaring import (
    ENGINE_KIND,
    LANDING_POOL,
    MEDIATION_TEAM,
    Materialized,
    asset,
    table_metadata,
)
from telecom_assets.lineage.partitions import DAILY
from telecom_assets.record_types.in_force import RecordTypes

GROUP = "landing"

cdr_topic = dg.AssetSpec(
    "cdr_topic",
    description="The Kafka topic on which call detail records arrive, one JSON object a message.",
    group_name=GROUP,
    owners=[MEDIATION_TEAM],
    kinds={"kafka", "json"},
)

raw_cdrs = dg.AssetSpec(
    "raw_cdrs",
    deps=["landing"],
    partitions_def=DAILY,
    description=f"Everything that ever came, kept as it came. {RAW_CDRS.grain} Filled by `landing`; no backfill writes it.",
    group_name=GROUP,
    owners=[MEDIATION_TEAM],
    kinds={"delta"},
    metadata=table_metadata(RAW_CDRS),
)


def lag_observation(lag: Mapping[int, int]) -> dg.AssetObservation:
    """The lag of the topic for the UI: offsets that are not landed, in all and per partition."""
    by_partition = {str(partition): count for partition, count in lag.items()}
    return dg.AssetObservation(
        cdr_topic.key, metadata={"lag": sum(lag.values()), "lag_by_partition": dg.MetadataValue.json(by_partition)}
    )


@asset(deps=[cdr_topic], group_name=GROUP, owners=[MEDIATION_TEAM], kinds={"kafka", ENGINE_KIND}, pool=LANDING_POOL)
def landing(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    kafka: dg.ResourceParam[OnDemand[KafkaConnection]],
    record_types: dg.ResourceParam[RecordTypes],
) -> Materialized:
    """Takes every message that is on the topic into raw_cdrs, exactly once. One run lands all offset ranges that are new.

    `cdr_topic_sensor` asks for it when messages wait. Reports a materialisation of raw_cdrs for every day it touched.
    """
    # The pool lets one run in, but a run that was cancelled by force has lost its place and may still be working. Two landings
    # would do no harm, since conditional commits refuse one of them; the lock spares that one its work.
    waits = once(lambda other: context.log.info(f"waiting for {other}, which lands"))
    with turn(settings.dagster_home, "landing", waits, STEP_PATIENCE_SECONDS):
        landed = land(
            warehouse,
            kafka.connect(),
            LandingSettings(
                run_id=context.run.run_id,
                max_age_days=settings.max_age_days,
                dedupe_days=settings.dedupe_days,
                calendar_start=settings.partitions_start,
                chunk_rows=settings.landing_chunk_rows,
                record_types=record_types,
            ),
            context.log.info,
        )
        if landed.days:
            touched = Partitions(min(landed.days), max(landed.days))
            note_totals(warehouse.pin(RAW_CDRS.name, touched, landed.raw_version), record_types)
    context.log_event(lag_observation(landed.lag))
    held_rows = warehouse.pin(RAW_CDRS.name, version=landed.raw_version).rows_by_partition()
    for day, rows in sorted(landed.days.items()):
        context.log_event(
            dg.AssetMaterialization(
                asset_key=raw_cdrs.key,
                partition=day.isoformat(),
                metadata={
                    "dagster/row_count": held_rows.get(day, 0),
                    "rows_added": rows,
                    "table_version": landed.raw_version,
                },
            )
        )
    return dg.MaterializeResult(
        metadata={
            "records": landed.records,
            "days": dg.MetadataValue.json([day.isoformat() for day in sorted(landed.stale_days)]),
            "offset_ranges": dg.MetadataValue.json([[item.partition, item.start, item.end] for item in landed.ranges]),
            "table_version": landed.raw_version,
        }
    )
