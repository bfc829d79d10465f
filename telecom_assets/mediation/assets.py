"""From raw_cdrs to cleaned_cdrs and rejected_cdrs."""

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_
from typing import Any

import dagster as dg
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.engine_resource import EngineResource
from resources.warehouse import Partitions, PinnedTable, Warehouse
from telecom_assets.books.verdict import Verdict, require
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.declaring import MEDIATION_TEAM, SPARK_POOL, multi_asset, table_out, versions_read
from telecom_assets.lineage.partitions import DAILY, ONE_RUN
from telecom_assets.mediation.choosing import chosen_copies
from telecom_assets.mediation.copies import SMALL_PART, days_with_copies
from telecom_assets.mediation.rules import mediate
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS
from telecom_assets.model.months import contiguous, days_between
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.reach import assert_reach
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.judging import product_catalog_findings

GROUP = "mediation"


@multi_asset(
    name="mediation",
    ins={"raw_cdrs": dg.AssetIn(), "product_catalog": dg.AssetIn()},
    outs={
        CLEANED_CDRS.name: table_out(
            CLEANED_CDRS,
            GROUP,
            MEDIATION_TEAM,
            "Usage that can be rated. A day is mediated by itself when something landed for it (`cdr_topic_sensor`).",
        ),
        REJECTED_CDRS.name: table_out(REJECTED_CDRS, GROUP, MEDIATION_TEAM, "What was refused, and why."),
        MEDIATED_DAYS.name: table_out(MEDIATED_DAYS, GROUP, MEDIATION_TEAM, "The ledger of mediation."),
    },
    partitions_def=DAILY,
    backfill_policy=ONE_RUN,
    pool=SPARK_POOL,
)
def mediation(
    settings: dg.ResourceParam[Settings],
    engine: EngineResource,
    warehouse: dg.ResourceParam[Warehouse],
    record_types: dg.ResourceParam[RecordTypes],
    raw_cdrs: PinnedTable,
    product_catalog: PinnedTable,
) -> Iterator[dg.Output[Any]]:
    """Every landed message of the days becomes one cleaned event or one rejection with its reason."""
    assert_reach(read_periods(warehouse), settings.dedupe_days)
    # The catalogue's own check comes after it is stored; with a bad catalogue, records would be rejected for its faults.
    findings = product_catalog_findings(product_catalog.arrow(), record_types)
    catalogue = Verdict("the catalogue is valid", findings, otherwise="the catalogue is not valid")
    require(catalogue, before=f"mediation of {raw_cdrs.partitions}")
    dedupe_days = settings.dedupe_days
    outcomes = mediate(
        raw_cdrs.df,
        _neighbourhood(raw_cdrs, dedupe_days),
        product_catalog.all(),
        dedupe_days=dedupe_days,
        chosen=chosen_copies(raw_cdrs),
        keep=engine.keep,
        record_types=record_types,
    )
    read = versions_read(raw_cdrs, product_catalog)
    yield dg.Output(outcomes.cleaned, CLEANED_CDRS.name, metadata=read)
    # When the generator goes on, Dagster has stored the table. The version that this run wrote is pinned: another may have come since.
    written = warehouse.written
    cleaned = warehouse.pin(CLEANED_CDRS.name, raw_cdrs.partitions, written[CLEANED_CDRS.name])
    # With the cleaned rows at hand only the other rows are judged again. Where a join shuffles rows, judging all of them is faster.
    rejected = outcomes.rejected if engine.shuffles else outcomes.rejected_beside(cleaned.df)
    yield dg.Output(rejected, REJECTED_CDRS.name, metadata={**read, **versions_read(cleaned)})
    named = {
        "cleaned_version": cleaned.version,
        "rejected_version": written[REJECTED_CDRS.name],
        "product_catalog_version": product_catalog.version,
        "dedupe_days": dedupe_days,
    }
    yield dg.Output(_ledger(raw_cdrs, named), MEDIATED_DAYS.name, metadata=read)


def _neighbourhood(raw: PinnedTable, dedupe_days: int) -> DataFrame:
    """Raw rows that may hold a copy of a row of the run's days.

    When the run's days are few beside the days around them, only the ids of the neighbours are read first; then the rows of
    those days that have a record id of the run's days.
    """
    days = raw.partitions
    assert days is not None
    around = days.widened(dedupe_days)
    if raw.share_of(around) >= SMALL_PART:
        return raw.between(around)
    needed: set[dt.date] = set()
    for first, last, between in days_with_copies(raw.df, raw.between(around)).collect():
        needed |= set(days_between(first, last)) if between else {first, last}
    if not needed:
        return raw.df
    ranges = (Partitions(*ends).holds(F.col("event_date")) for ends in contiguous(needed))
    return raw.all().where(reduce(or_, ranges))


def _ledger(raw: PinnedTable, named: Mapping[str, int]) -> pa.Table:
    """Rows of mediated_days for the run: number and positions of the raw rows of each day, days without records included.

    named: the values that are the same for all days: written versions, version of the catalogue, dedupe days.
    """
    assert raw.partitions is not None
    found = raw.df.groupBy("event_date").agg(
        F.count("*").alias("rows"), F.sum(F.col("source_position").cast("decimal(20,0)")).alias("positions")
    )
    totals = {row["event_date"]: row for row in found.collect()}
    rows = []
    for day in days_between(raw.partitions.first, raw.partitions.last):
        row = totals.get(day)
        rows.append(
            {
                "raw_rows": row["rows"] if row else 0,
                "raw_positions": row["positions"] if row else 0,
                "raw_version": raw.version,
                **named,
                "event_date": day,
            }
        )
    return pa.Table.from_pylist(rows, schema=MEDIATED_DAYS.arrow_schema())
