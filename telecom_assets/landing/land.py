"""The landing operation: read the next offset ranges, admit, append, write the ledger.

Belongs here: the order of the steps that makes landing exactly-once. A crash at any point leaves either nothing or whole
chunks; what the ledger does not know yet is found in the table by the next run.
"""

import datetime as dt
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import Column
from pyspark.sql import functions as F

from resources.delta import Commit, Warehouse
from resources.kafka import KafkaConnection, TopicState
from resources.kafka_source import FORMAT, OffsetRange, range_error, read_range, register
from telecom_assets.landing.plan import LandingError, check_topic, lag, landing_chunks, next_offsets
from telecom_assets.mediation_ledger import mark_to_be_mediated
from telecom_assets.schemas.usage import LANDING_RANGES, RAW_CDRS
from telecom_assets.transforms.admission import admit

RAW, LEDGER = RAW_CDRS.name, LANDING_RANGES.name


@dataclass
class Landed:
    """What a landing run did: records, rows per touched day, and other days whose outcome may have changed."""

    records: int = 0
    days: dict[dt.date, int] = field(default_factory=dict)
    displaced: set[dt.date] = field(default_factory=set)
    ranges: list[OffsetRange] = field(default_factory=list)
    raw_version: int = 0
    #: Offsets per partition that were on the topic and not in the table when the run began.
    lag: dict[int, int] = field(default_factory=dict)

    @property
    def days_to_mediate(self) -> set[dt.date]:
        return set(self.days) | self.displaced

    def add(self, days: Mapping[dt.date, int]) -> None:
        for day, rows in days.items():
            self.days[day] = self.days.get(day, 0) + rows


@dataclass(frozen=True)
class Position:
    """Where landing stands: the topic's identity and the next offset per partition, from the tables alone."""

    topic_id: str | None
    ends: dict[int, int]
    #: Rows per day that the table holds and the ledger does not know: a run died between the two.
    unrecorded: dict[dt.date, int]
    #: Ledger rows that record them.
    missing_ranges: list[OffsetRange]
    #: When the first of them was received.
    unrecorded_since: dt.datetime | None = None

    def ends_on(self, state: TopicState) -> dict[int, int]:
        """Next offset per partition; a partition that was added to a known topic begins at 0, whatever is left of it."""
        added = {} if self.topic_id is None else dict.fromkeys(state.partitions, 0)
        return {**added, **self.ends}


def position(warehouse: Warehouse) -> Position:
    """Read the position. Costs a scan of the offsets only when the table has rows that are newer than its ledger."""
    ledger = warehouse.pin(LEDGER).arrow().to_pylist()
    raw = warehouse.pin(RAW)
    recorded = max((row["raw_version"] for row in ledger), default=0)
    known = next_offsets(ledger, {})
    topic_id = ledger[-1]["source_id"] if ledger else None
    if raw.version <= recorded or not warehouse.rows_changed(RAW, recorded, raw.version):
        return Position(topic_id, known, {}, [])
    offsets = F.min("source_position").alias("lowest"), F.max("source_position").alias("highest")
    found = {row["source_part"]: row for row in raw.all().groupBy("source_part").agg(*offsets).collect()}
    ends = next_offsets(ledger, {number: row["highest"] for number, row in found.items()})
    missing = [
        OffsetRange(number, known.get(number, row["lowest"]), ends[number])
        for number, row in found.items()
        if ends[number] > known.get(number, row["lowest"])
    ]
    if not missing:
        return Position(topic_id, ends, {}, [])
    fresh = raw.all().where(_inside(missing)).groupBy("event_date")
    days = fresh.agg(F.count("*").alias("rows"), F.min("received_at").alias("since")).toArrow().to_pylist()
    unrecorded = {row["event_date"]: row["rows"] for row in days}
    return Position(topic_id, ends, unrecorded, missing, min(row["since"] for row in days))


def land(
    warehouse: Warehouse,
    kafka: KafkaConnection,
    *,
    run_id: str,
    max_age_days: int,
    dedupe_days: int,
    accept_months: Sequence[str],
    calendar_start: dt.date,
    chunk_rows: int,
    report: Callable[[str], None],
) -> Landed:
    """Land everything that is on the topic now. Raises LandingError when records would be lost or doubled."""
    state = kafka.topic_state()
    here = position(warehouse)
    ends = here.ends_on(state)
    check_topic(kafka.topic, state, here.topic_id, ends)
    landed = Landed(raw_version=warehouse.version(RAW), lag=lag(state, ends))

    def settle(ranges: Sequence[OffsetRange], commit: Commit, since: dt.datetime | None) -> None:
        """What follows an append; the ledger comes last, so that a crash before it repeats all of this."""
        records = _verify(warehouse, kafka, state, ranges, commit)
        # Days that get rows of their own are marked as well: until they are mediated, their cleaned rows do not count.
        displaced = _displaced_days(warehouse, ranges, commit.version, since, dedupe_days)
        mark_to_be_mediated(warehouse, displaced, commit.version, dedupe_days)
        _record(warehouse, kafka.topic, state.topic_id, records, commit.version, run_id)
        landed.displaced |= displaced
        landed.add(commit.rows)

    if here.missing_ranges:
        # The newest version may be a compaction's, so its files do not tell how far back the rows go.
        settle(here.missing_ranges, Commit(landed.raw_version, here.unrecorded), here.unrecorded_since)
        report(f"recorded {sum(here.unrecorded.values()):,} records of a run that died after it had written them")
    if here.topic_id is None:
        # Every partition is watched from its earliest offset on, whatever becomes of this run: what retention takes from
        # a partition that is empty now is noticed, and what it took before the first landing is not asked for later.
        empty = {
            OffsetRange(number, marks.earliest, marks.earliest): 0
            for number, marks in state.partitions.items()
            if number not in ends
        }
        _record(warehouse, kafka.topic, state.topic_id, empty, landed.raw_version, run_id)
    chunks = landing_chunks(state, ends, chunk_rows)
    total = sum(landed.lag.values())
    for number, ranges in enumerate(chunks, start=1):
        commit = _land_chunk(
            warehouse,
            kafka,
            state,
            ranges,
            max_age_days=max_age_days,
            accept_months=accept_months,
            calendar_start=calendar_start,
        )
        # Without a row there may be no commit either: the version is an older one's, or none's.
        since = warehouse.went_back(RAW_CDRS, commit.version, "received_at") if commit.rows else None
        settle(ranges, commit, since)
        landed.records += sum(commit.rows.values())
        landed.ranges += ranges
        landed.raw_version = commit.version
        report(f"landed chunk {number} of {len(chunks)}: {landed.records:,} of {total:,} offsets")
    landed.displaced -= set(landed.days)
    return landed


def _land_chunk(
    warehouse: Warehouse,
    kafka: KafkaConnection,
    state: TopicState,
    ranges: Sequence[OffsetRange],
    *,
    max_age_days: int,
    accept_months: Sequence[str],
    calendar_start: dt.date,
) -> Commit:
    spark = warehouse.engine.spark_session
    register(spark, by_value=warehouse.engine.name == "spark")
    messages = (
        spark.read.format(FORMAT)
        .option("topic", kafka.topic)
        .option("ranges", json.dumps([(item.partition, item.start, item.end) for item in ranges]))
        .option("config", json.dumps(kafka.plain_config()))
        .option("timeout", str(kafka.timeout_seconds))
        .option("broker_time", str(state.log_append_time).lower())
        .load()
        .select(
            "kafka_topic",
            F.lit(state.topic_id).alias("source_id"),
            F.col("kafka_partition").alias("source_part"),
            F.col("kafka_offset").alias("source_position"),
            F.timestamp_millis("broker_ms").alias("received_at"),
            "value",
        )
    )
    rows = admit(
        messages,
        max_age_days=max_age_days,
        accept_months=accept_months,
        calendar_start=calendar_start,
        now=dt.datetime.now(dt.UTC),
    )
    try:
        return warehouse.append(RAW, rows)
    except PySparkException as error:
        if said := range_error(error):
            raise said from error
        raise


def _verify(
    warehouse: Warehouse, kafka: KafkaConnection, state: TopicState, ranges: Sequence[OffsetRange], commit: Commit
) -> dict[OffsetRange, int]:
    """Records per range as landed. Where offsets hold no message the topic is counted again, by a bare consumer.

    What retention has taken since it landed cannot be counted again: there the table is believed.
    """
    if sum(commit.rows.values()) == sum(offsets.width for offsets in ranges):
        return {offsets: offsets.width for offsets in ranges}
    left = [_left_of(offsets, state) for offsets in ranges]
    counted = _counts(warehouse, commit.version, [*ranges, *left])
    for offsets in left:
        batches = read_range(
            kafka.plain_config(), kafka.topic, offsets, timeout=kafka.timeout_seconds, broker_time=state.log_append_time
        )
        expected = sum(batch.num_rows for batch in batches)
        if counted[offsets] != expected:
            raise LandingError(
                f"topic {kafka.topic!r} partition {offsets.partition} offsets {offsets.start} to {offsets.end - 1}: "
                f"{counted[offsets]} rows landed, {expected} messages on the topic; "
                "run the landing asset checks before anything else"
            )
    return {offsets: counted[offsets] for offsets in ranges}


def _left_of(offsets: OffsetRange, state: TopicState) -> OffsetRange:
    """The part of a range that the topic still has."""
    earliest = state.partitions[offsets.partition].earliest
    return OffsetRange(offsets.partition, min(max(offsets.start, earliest), offsets.end), offsets.end)


def _counts(warehouse: Warehouse, version: int, ranges: Sequence[OffsetRange]) -> dict[OffsetRange, int]:
    """Distinct landed offsets per range."""
    raw = warehouse.pin(RAW, version=version).all()
    ranges = list(dict.fromkeys(ranges))
    counts = [
        F.count_distinct(F.when(_within(offsets), F.col("source_position"))).alias(f"r{index}")
        for index, offsets in enumerate(ranges)
    ]
    row = raw.select(counts).collect()[0]
    return {offsets: row[f"r{index}"] for index, offsets in enumerate(ranges)}


def _record(
    warehouse: Warehouse, topic: str, topic_id: str, records: Mapping[OffsetRange, int], raw_version: int, run_id: str
) -> None:
    if not records:
        return
    now = dt.datetime.now(dt.UTC)
    rows = [
        {
            "source_id": topic_id,
            "kafka_topic": topic,
            "source_part": offsets.partition,
            "from_position": offsets.start,
            "to_position": offsets.end,
            "records": count,
            "raw_version": raw_version,
            "run_id": run_id,
            "landed_at": now,
        }
        for offsets, count in records.items()
    ]
    warehouse.append_arrow(LEDGER, pa.Table.from_pylist(rows, schema=LANDING_RANGES.arrow_schema()))


def _displaced_days(
    warehouse: Warehouse, ranges: Sequence[OffsetRange], version: int, since: dt.datetime | None, dedupe_days: int
) -> set[dt.date]:
    """Days that hold a copy which was received later than one that has just landed for another day.

    Almost always none: the broker's times only go back where partitions were read unevenly. File statistics tell
    whether a look is needed at all, and how far back it must go (`since`).
    """
    if since is None:
        return set()
    rows = warehouse.pin(RAW, version=version).all().where(F.col("received_at") >= F.lit(since))
    columns = ("record_id", "event_date", "received_at")
    fresh = rows.where(_inside(ranges)).select("record_id", *(F.col(name).alias(f"new_{name}") for name in columns[1:]))
    older = rows.where(~_inside(ranges)).select(*columns)
    distance = F.abs(F.datediff("event_date", "new_event_date"))
    displaced = older.join(fresh, on="record_id", how="inner").where(
        (F.col("received_at") >= F.col("new_received_at")) & (distance > 0) & (distance <= dedupe_days)
    )
    return {row["event_date"] for row in displaced.select("event_date").distinct().collect()}


def _inside(ranges: Sequence[OffsetRange]) -> Column:
    return reduce(operator.or_, (_within(offsets) for offsets in ranges))


def _within(offsets: OffsetRange) -> Column:
    offset = F.col("source_position")
    return (F.col("source_part") == offsets.partition) & (offset >= offsets.start) & (offset < offsets.end)
