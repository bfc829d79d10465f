"""The landing operation: read the next ranges of positions, admit, and commit rows and position together.

Belongs here: the order of the steps that makes landing exactly-once. Does not belong here: reading the log of raw_cdrs
(`journal`), choosing the next ranges (`plan`).

The rows of a chunk are written to files that no version of raw_cdrs names. One commit then adds the files and sets the new
positions, on the version from which the positions were read. When another commit came first (a landing, a decision, a
compaction), it is refused, and the newest version is read again. So a process that is slow, was stopped, or runs on another
machine can never add rows a second time, whatever files it has written.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from resources.kafka import TopicState
from resources.kafka_source import KafkaRangeError, OffsetRange, range_error
from resources.warehouse import Commit, Refused, Staged, Warehouse, new_folder, staged_arrow, staged_rows, went_back
from telecom_assets.intake.admission import admit
from telecom_assets.intake.displaced import displaced_by
from telecom_assets.intake.journal import (
    DISPLACED,
    FOLLOWERS,
    LANDED,
    RAW,
    LandingState,
    assert_new_source,
    key,
    read_state,
    settle,
)
from telecom_assets.intake.plan import LandingError, check_topic, lag, landing_chunks
from telecom_assets.intake.source import Source
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes


@dataclass(frozen=True)
class LandingSettings:
    """The settings and record types of a landing, and the id of the run that lands."""

    run_id: str
    max_age_days: int
    dedupe_days: int
    calendar_start: dt.date
    chunk_rows: int
    record_types: RecordTypes = RECORD_TYPES


@dataclass
class Landed:
    """The result of a landing run: records, rows per day that got rows, and displaced days."""

    records: int = 0
    days: dict[dt.date, int] = field(default_factory=dict)
    displaced: set[dt.date] = field(default_factory=set)
    ranges: list[OffsetRange] = field(default_factory=list)
    raw_version: int = 0
    #: Offsets per partition that were on the topic and not in the table when the run began.
    lag: dict[int, int] = field(default_factory=dict)

    @property
    def stale_days(self) -> set[dt.date]:
        """Days that are to be mediated for it."""
        return set(self.days) | self.displaced

    def add(self, rows: Mapping[dt.date, int], displaced: Sequence[dt.date]) -> None:
        for day, count in rows.items():
            self.days[day] = self.days.get(day, 0) + count
        self.displaced |= set(displaced)


def land(
    warehouse: Warehouse, source: Source, settings: LandingSettings, report: Callable[[str], None] = lambda _: None
) -> Landed:
    """Land everything that is on the topic now. Raises LandingError when records would be lost or doubled."""
    landed = Landed()
    source.topic_id()  # first, so that the warehouse is not touched when the broker is down
    warehouse.make_tables([RAW, *FOLLOWERS])
    _settle(warehouse, landed, report)
    while True:
        here, state = position(warehouse, source)
        landed.lag = landed.lag or lag(state, here.ends_on(state))
        if here.source_id is None:
            # The first commit sets every partition to its earliest offset, even if this run fails later: messages that retention
            # deletes from now on are noticed as a loss, also in a partition that is empty now; earlier ones are not asked for.
            _watch(warehouse, source.topic, state, here, settings)
            continue
        done = _land_chunks(warehouse, source, state, here, settings, landed, report)
        _settle(warehouse, None, report)
        if done:
            landed.raw_version = warehouse.version(RAW)
            landed.displaced -= set(landed.days)
            return landed
        report("another process has written raw_cdrs; what is left on the topic is looked at anew")


def position(warehouse: Warehouse, source: Source) -> tuple[LandingState, TopicState]:
    """The state of landing, and the topic's state after it. Raises LandingError when the topic does not continue the landing.

    Another home may land meanwhile. The topic is asked last, so that its ends are not behind landed positions; a difference
    is an error only when nobody has landed since the state was read.
    """
    while True:
        here = read_state(warehouse)
        state = source.topic_state()
        try:
            check_topic(source.topic, state, here.source_id, here.ends_on(state))
        except LandingError:
            if read_state(warehouse).raw_version == here.raw_version:
                raise
        else:
            return here, state


def _settle(warehouse: Warehouse, landed: Landed | None, report: Callable[[str], None]) -> None:
    """Write the ledger's missing rows. landed: also count commits of a run that died, and report them."""
    for entry in settle(warehouse):
        if landed is not None and entry.landed is not None:
            landed.add(entry.rows, entry.displaced)
            if count := sum(entry.rows.values()):
                report(f"recorded {count:,} records of a run that died after it had written them")


def _watch(warehouse: Warehouse, topic: str, state: TopicState, here: LandingState, settings: LandingSettings) -> None:
    """Set the position of every partition to its earliest offset: the first commit of a source."""
    assert_new_source(warehouse, state.topic_id, state.partitions, here.raw_version)
    ranges = {OffsetRange(number, marks.earliest, marks.earliest): 0 for number, marks in state.partitions.items()}
    try:
        _commit(warehouse, topic, state.topic_id, here.raw_version, Staged(new_folder()), ranges, [], settings)
    except Refused:
        return
    _settle(warehouse, None, lambda _: None)


def _land_chunks(
    warehouse: Warehouse,
    source: Source,
    state: TopicState,
    here: LandingState,
    settings: LandingSettings,
    landed: Landed,
    report: Callable[[str], None],
) -> bool:
    """Land the backlog chunk by chunk. False when another landing or a decision was committed meanwhile: plan anew."""
    ends = here.ends_on(state)
    chunks = landing_chunks(state, ends, settings.chunk_rows)
    total = landed.records + sum(lag(state, ends).values())
    on = here.raw_version
    for number, ranges in enumerate(chunks, start=1):
        try:
            files = _staged(warehouse, source, state, ranges, here.opened_months, settings)
        except KafkaRangeError:
            _same_topic(source, state)  # a topic that was made again explains the error better than the range does
            raise
        try:
            records = _verify(warehouse, source, ranges, files)
            displaced = _displaced_days(warehouse, files, on, settings.dedupe_days)
            _same_topic(source, state)
        except BaseException:
            warehouse.drop(RAW, files.folder)
            raise
        commit = _commit_behind(warehouse, source.topic, here, ends, on, files, records, displaced, settings)
        if commit is None:
            warehouse.drop(RAW, files.folder)
            return False
        on = commit.version
        ends = {**ends, **{offsets.partition: offsets.end for offsets in ranges}}
        landed.add(commit.rows, displaced)
        landed.records += files.rows
        landed.ranges += ranges
        _settle(warehouse, None, report)
        report(f"landed chunk {number} of {len(chunks)}: {landed.records:,} of {total:,} offsets")
    return True


def _staged(
    warehouse: Warehouse,
    source: Source,
    state: TopicState,
    ranges: Sequence[OffsetRange],
    opened_months: Sequence[str],
    settings: LandingSettings,
) -> Staged:
    """Have the engine write the rows of some ranges as files."""
    engine = warehouse.engine
    rows = admit(
        source.messages(engine.spark_session, state, ranges, by_value=engine.name == "spark"),
        max_age_days=settings.max_age_days,
        accept_months=opened_months,
        calendar_start=settings.calendar_start,
        now=dt.datetime.now(dt.UTC),
        record_types=settings.record_types,
    )
    try:
        return warehouse.stage(RAW, rows)
    except PySparkException as error:
        if said := range_error(error):
            raise said from error
        raise


def _commit_behind(
    warehouse: Warehouse,
    topic: str,
    here: LandingState,
    ends: Mapping[int, int],
    on: int,
    files: Staged,
    records: Mapping[OffsetRange, int],
    displaced: Sequence[dt.date],
    settings: LandingSettings,
) -> Commit | None:
    """Commit, after compactions if some came first. None when another landing has moved a position, or a decision was made."""
    assert here.source_id is not None
    while True:
        try:
            return _commit(warehouse, topic, here.source_id, on, files, records, displaced, settings)
        except Refused:
            newest = read_state(warehouse)
        same_source = newest.source_id == here.source_id
        if not same_source or len(newest.decisions) != len(here.decisions) or not _known(newest.ends, ends):
            return None
        on = newest.raw_version


def _known(found: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    """Whether the table's positions are the expected ones (`ends`); a part that the table lacks is at 0."""
    return all(found.get(part, 0) == end for part, end in ends.items()) and set(found) <= set(ends)


def _commit(
    warehouse: Warehouse,
    topic: str,
    source_id: str,
    on: int,
    files: Staged,
    records: Mapping[OffsetRange, int],
    displaced: Sequence[dt.date],
    settings: LandingSettings,
) -> Commit:
    """Commit rows, positions and the entry for the ledger together, on version `on`."""
    info = {
        LANDED: landed_info(
            source_id,
            topic,
            [(offsets.partition, offsets.start, offsets.end, count) for offsets, count in records.items()],
            settings.run_id,
        ),
        DISPLACED: [day.isoformat() for day in displaced],
    }
    positions = {key(source_id, offsets.partition): offsets.end for offsets in records}
    return warehouse.commit(RAW, files, on, positions=positions, info=info)


def landed_info(
    source_id: str, topic: str, ranges: Sequence[tuple[int, int, int, int]], run_id: str
) -> dict[str, object]:
    """The log entry of a landing. ranges: (part, from, to, records)."""
    now = dt.datetime.now(dt.UTC).isoformat()
    return {
        "source_id": source_id,
        "topic": topic,
        "ranges": list(map(list, ranges)),
        "run_id": run_id,
        "landed_at": now,
    }


def _same_topic(source: Source, state: TopicState) -> None:
    """Raise LandingError when the topic was made again since `state`: messages read meanwhile may be of the new one."""
    if (now := source.topic_id()) != state.topic_id:
        raise LandingError(
            f"topic {source.topic!r} was deleted and made again while it was read (id {now}, it was {state.topic_id}); "
            "nothing of it was landed. The next landing says what can be done"
        )


def _verify(
    warehouse: Warehouse, source: Source, ranges: Sequence[OffsetRange], files: Staged
) -> dict[OffsetRange, int]:
    """The number of records per range. Raises LandingError unless the staged rows are the messages of the ranges.

    A range with fewer rows than offsets is read again without the engine: every offset for which the topic has a message must
    be among the rows. A row whose message has left the topic since (retention, compaction of the topic) is right.
    """
    rows = staged_arrow(warehouse, RAW, files, ["source_part", "source_position"])
    records = {}
    for offsets in ranges:
        found, read = _positions(rows, offsets)
        if len(found) < len(read):
            [twice] = pc.mode(read).to_pylist()
            raise LandingError(
                f"topic {source.topic!r} partition {offsets.partition} offset {twice['mode']}: the engine gave "
                f"{twice['count']} rows for one message; nothing was landed, run it again"
            )
        if len(found) < offsets.width and (missing := sorted(source.positions(offsets) - set(found.to_pylist()))):
            raise LandingError(
                f"topic {source.topic!r} partition {offsets.partition} offsets {offsets.start} to {offsets.end - 1}: "
                f"{len(missing)} messages of the topic, the first at offset {missing[0]}, are not among the {len(found)} "
                "rows that were read; nothing was landed, run it again"
            )
        records[offsets] = len(found)
    if (strangers := rows.num_rows - sum(records.values())) != 0:
        raise LandingError(
            f"topic {source.topic!r}: the engine gave {strangers} rows of offsets that it was not asked for; nothing was "
            "landed, run it again"
        )
    return records


def _positions(rows: pa.Table, offsets: OffsetRange) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The offsets of the rows within a range: the distinct ones, and all of them."""
    place = pc.field("source_position")
    inside = (pc.field("source_part") == offsets.partition) & (place >= offsets.start) & (place < offsets.end)
    found = rows.filter(inside)["source_position"]
    return found.unique(), found


def _displaced_days(warehouse: Warehouse, files: Staged, on: int, dedupe_days: int) -> list[dt.date]:
    """The days that hold a copy which was received later than a copy that lands now on another day.

    Almost always none: rows that land are older than landed rows only where partitions were read unevenly. File statistics tell
    whether rows must be compared at all, and from which time on.
    """
    raw = warehouse.pin(RAW, version=on)
    since = went_back(raw, files, "received_at")
    if since is None:
        return []
    older = raw.all().where(F.col("received_at") >= F.lit(since))
    return displaced_by(staged_rows(warehouse, RAW, files), older, dedupe_days)
