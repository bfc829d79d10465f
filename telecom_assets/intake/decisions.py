"""Decisions that a person makes: a month opened by name, another source accepted, positions given up, a restored warehouse
adopted, one of several copies chosen.

Belongs here: making each decision a commit of raw_cdrs. A decision is a commit even when no rows move, so a landing that has
read the state before it is refused and begins anew. So the order of two commands never decides the home day of a record.
"""

import datetime as dt
from collections.abc import Collection, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from resources.warehouse import Partitions, PinnedTable, Refused, Staged, Warehouse, new_folder, paths_of
from telecom_assets.intake.admission import at_home_in
from telecom_assets.intake.displaced import displaced_by
from telecom_assets.intake.journal import (
    DECIDED,
    DISPLACED,
    LANDED,
    LEDGER,
    RAW,
    Decision,
    LandingState,
    assert_new_source,
    key,
    read_state,
    settle,
)
from telecom_assets.intake.landing import landed_info
from telecom_assets.intake.plan import LandingError
from telecom_assets.intake.source import Source
from telecom_assets.model.civil_time import local_day


def open_month(warehouse: Warehouse, month: str, *, calendar_start: dt.date, dedupe_days: int, why: str = "") -> int:
    """Open a month, yyyy-MM: the home day of its CDRs is their event day from now on, however old they are.

    Rows that landed before move from the day of their receipt to their event day in the same commit, and both days become
    stale. Returns the number of rows that moved. Opening a month twice changes nothing.
    """
    while True:
        here = read_state(warehouse)
        if month in here.opened_months:
            settle(warehouse)
            return 0
        raw = warehouse.pin(RAW, version=here.raw_version)
        files, paths, displaced = Staged(new_folder()), set[str](), set[dt.date]()
        own = local_day(F.col("event_ts"))
        moves = at_home_in([month], calendar_start) & (own != F.col("event_date"))
        giving = _rows_by_day(raw, moves)
        if giving:
            files = warehouse.stage(RAW, _moved(raw, sorted(giving), moves, own))
            paths = paths_of(raw, set(giving))
            _assert_whole(raw, set(giving), files)
            moved = raw.all().where(moves).withColumn("event_date", own)
            stay = raw.all().where(~F.coalesce(moves, F.lit(False)))
            displaced = {*displaced_by(moved, stay, dedupe_days), *giving, *_days_of(files)}
        decision = Decision("month_opened", dt.datetime.now(dt.UTC), month=month, why=why or None)
        if _decided(warehouse, here, decision, files, remove=paths, displaced=displaced):
            return sum(giving.values())


def accept_source(warehouse: Warehouse, source: Source, *, by: str, why: str) -> Decision:
    """Make the topic as it is now the current source, in place of the topic that the warehouse was filled from.

    The old source is closed at the position up to which it was landed. Records of the new source that are copies of landed ones
    are still found, by record id. Raises LandingError when the topic is the current source, or a closed one.
    """
    while True:
        here, state = read_state(warehouse), source.topic_state()
        if here.source_id is None:
            raise LandingError(f"nothing was landed yet: topic {source.topic!r} needs no acceptance, run `telecom run`")
        if here.source_id == state.topic_id:
            raise LandingError(
                f"topic {source.topic!r} (id {state.topic_id}) is the source that is landed already; nothing to accept"
            )
        if any(decision.source_id == state.topic_id for decision in here.decisions) or state.topic_id in _former(
            warehouse
        ):
            raise LandingError(
                f"topic {source.topic!r} (id {state.topic_id}) is a source that this warehouse has closed; a closed source is not "
                "opened again: what it holds behind its end would be taken for new"
            )
        assert_new_source(warehouse, state.topic_id, state.partitions, here.raw_version)
        ends = ", ".join(f"partition {part} up to offset {end}" for part, end in sorted(here.ends.items()))
        decision = Decision(
            "source_accepted",
            dt.datetime.now(dt.UTC),
            source_id=state.topic_id,
            detail=f"closes {here.topic} ({here.source_id}): {ends}",
            decided_by=by,
            why=why,
        )
        ranges = [(number, marks.earliest, marks.earliest, 0) for number, marks in state.partitions.items()]
        positions = {key(state.topic_id, number): marks.earliest for number, marks in state.partitions.items()}
        landed = landed_info(state.topic_id, source.topic, ranges, "")
        if _decided(warehouse, here, decision, Staged(new_folder()), positions=positions, landed=landed):
            return decision


def skip_positions(warehouse: Warehouse, source: Source, *, partition: int, to: int, by: str, why: str) -> Decision:
    """Give up the offsets of a partition that retention deleted before they were landed; at most as many records are lost.

    to: the offset at which landing goes on. Raises LandingError for offsets that the topic still has, or that are no gap.
    """
    while True:
        here, state = read_state(warehouse), source.topic_state()
        if here.source_id != state.topic_id:
            raise LandingError(
                f"topic {source.topic!r} (id {state.topic_id}) is not the source that is landed ({here.source_id}); "
                "`telecom sources accept` comes first"
            )
        end = here.ends_on(state).get(partition)
        marks = state.partitions.get(partition)
        if end is None or marks is None:
            known = ", ".join(map(str, sorted(state.partitions)))
            raise LandingError(f"topic {source.topic!r} has no partition {partition}; expected one of {known}")
        if end >= marks.earliest:
            raise LandingError(
                f"topic {source.topic!r} partition {partition}: nothing is missing; it is landed up to offset {end}, and the "
                f"topic begins at {marks.earliest}"
            )
        if not end < to <= marks.earliest:
            raise LandingError(
                f"topic {source.topic!r} partition {partition}: --to {to} would give up offsets that are not lost; offsets "
                f"{end} to {marks.earliest - 1} are, so expected a number from {end + 1} to {marks.earliest}"
            )
        decision = Decision(
            "positions_skipped",
            dt.datetime.now(dt.UTC),
            source_id=state.topic_id,
            source_part=partition,
            from_position=end,
            to_position=to,
            detail=f"at most {to - end} records lost",
            decided_by=by,
            why=why,
        )
        landed = landed_info(state.topic_id, source.topic, [(partition, end, to, 0)], "")
        if _decided(
            warehouse,
            here,
            decision,
            Staged(new_folder()),
            positions={key(state.topic_id, partition): to},
            landed=landed,
        ):
            return decision


def note_adoption(warehouse: Warehouse, detail: str, *, by: str, why: str) -> Decision:
    """Record that a restored warehouse is the truth from now on. detail: what is set back to it, in words."""
    while True:
        here = read_state(warehouse)
        decision = Decision("warehouse_adopted", dt.datetime.now(dt.UTC), detail=detail, decided_by=by, why=why)
        if _decided(warehouse, here, decision, Staged(new_folder())):
            return decision


def choose_copy(
    warehouse: Warehouse, key: tuple[str, int, int], record_id: str, days: Collection[dt.date], *, by: str, why: str
) -> Decision:
    """Choose one of the copies of a record: it is kept instead of the earliest one. The days that hold copies become stale.

    key: source, part and position of the copy.
    """
    source_id, part, at = key
    while True:
        here = read_state(warehouse)
        decision = Decision(
            "copy_chosen",
            dt.datetime.now(dt.UTC),
            source_id=source_id,
            source_part=part,
            from_position=at,
            detail=record_id,
            decided_by=by,
            why=why,
        )
        if _decided(warehouse, here, decision, Staged(new_folder()), displaced=days):
            return decision


def _decided(
    warehouse: Warehouse,
    here: LandingState,
    decision: Decision,
    files: Staged,
    *,
    remove: Collection[str] = (),
    positions: Mapping[str, int] | None = None,
    landed: Mapping[str, object] | None = None,
    displaced: Collection[dt.date] = (),
) -> bool:
    """Commit a decision on the version that was read for it. False when another commit came first: read and decide anew."""
    info: dict[str, object] = {
        DECIDED: decision.said(),
        DISPLACED: [day.isoformat() for day in sorted(displaced)],
    }
    if landed is not None:
        info[LANDED] = landed
    try:
        warehouse.commit(RAW, files, here.raw_version, remove=remove, positions=positions, info=info)
    except Refused:
        warehouse.drop(RAW, files.folder)
        return False
    settle(warehouse)
    return True


def _moved(raw: PinnedTable, days: list[dt.date], moves: Column, own: Column) -> DataFrame:
    """All rows of some days, with the rows that move on their event day (`own`)."""
    rows = raw.between(Partitions(days[0], days[-1])).where(F.col("event_date").isin(days))
    return rows.withColumn("event_date", F.when(moves, own).otherwise(F.col("event_date")))


def _rows_by_day(raw: PinnedTable, moves: Column) -> dict[dt.date, int]:
    """The number of rows that move, by the day on which they lie now. Runs no query on an empty table."""
    if not raw.rows_by_partition():
        return {}
    found = raw.all().where(moves).groupBy("event_date").agg(F.count("*").alias("rows")).collect()
    return {row["event_date"]: row["rows"] for row in found}


def _days_of(files: Staged) -> set[dt.date]:
    """The days of staged files of raw_cdrs."""
    return {dt.date.fromisoformat(str(file.partition["event_date"])) for file in files.files}


def _assert_whole(raw: PinnedTable, days: set[dt.date], files: Staged) -> None:
    counts = raw.rows_by_partition()
    expected = sum(counts.get(day, 0) for day in days)
    if files.rows != expected:
        raise LandingError(
            f"table {RAW}: {expected} rows of the days that give rows away, {files.rows} were written; nothing was changed, "
            "run it again"
        )


def _former(warehouse: Warehouse) -> set[str]:
    """The identities of the sources in the ledger."""
    return set(warehouse.pin(LEDGER).arrow()["source_id"].to_pylist())
