"""Rows of a former raw_cdrs that its ledger does not explain: messages with several rows, positions behind the ledger's ends.

Belongs here: queries over a table of any size, by the engine. Does not belong here: what is done about such rows.

A position that landed twice (by two homes; by a server that finished the write of a dead client) has several rows. Rows with
equal bytes are one message. Rows with different bytes are two messages, one of which came from a topic that had been made
again. The tables do not say from which topic each came, so both stay.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from resources.warehouse import Warehouse
from telecom_assets.intake.admission import at_home_in
from telecom_assets.model.civil_time import local_day
from telecom_assets.upgrade.shapes import SOURCE, Shape

#: The most conflicting positions that a message names.
SHOWN = 20

_PLACE = ("source_part", "source_position")
#: The number of positions whose bytes are compared in one query.
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Conflict:
    """A position whose rows have different bytes."""

    part: int
    position: int
    rows: int


@dataclass(frozen=True)
class Doubled:
    """What was found about positions with several rows in raw_cdrs."""

    #: The number of surplus rows: of rows with equal position and bytes, all but one.
    rows: int = 0
    #: Days with such rows, as sets: the rows of one message may lie on several days.
    groups: Sequence[frozenset[dt.date]] = field(default=())
    #: Days with a row of the same record as a message whose rows lie on several days.
    copies: frozenset[dt.date] = frozenset()
    #: The number of positions with several messages, and the first of these positions.
    conflicts: int = 0
    first_conflicts: Sequence[Conflict] = field(default=())

    @property
    def days(self) -> set[dt.date]:
        """Days whose outcome may change when the surplus rows go."""
        return {day for group in self.groups for day in group} | self.copies


@dataclass(frozen=True)
class Range:
    """Positions of one partition that are in the table, the end excluded, and the number of messages."""

    part: int
    start: int
    end: int
    records: int


def rows_of(warehouse: Warehouse, shape: Shape, source_id: str | None) -> DataFrame:
    """The rows of a table in its new shape, whatever its shape is."""
    rows = warehouse.pin(shape.name, version=shape.version, was=shape.was).all()
    columns = []
    for column in shape.contract.columns:
        if column.name in shape.added:
            columns.append(F.lit(source_id if column.name == SOURCE else None).cast(column.type).alias(column.name))
        else:
            columns.append(F.col(shape.former(column.name)).alias(column.name))
    return rows.select(columns)


def find_doubled(rows: DataFrame) -> Doubled:
    """Rows of equal positions; rows: raw_cdrs in its new shape.

    Positions are counted in groups of 64 first. Only in groups with more rows than positions are the bytes compared, by blocks.
    """
    words = (
        rows.groupBy("source_part", F.expr("source_position div 64").alias("word"))
        .agg(
            F.count("*").alias("rows"),
            F.expr("bit_or(shiftleft(1L, cast(source_position % 64 as int)))").alias("bits"),
        )
        .where(F.col("rows") > F.bit_count("bits"))
    )
    blocks = words.select("source_part", F.expr(f"word div {_BLOCK // 64}").alias("block")).distinct().collect()
    count, several, days = 0, list[Conflict](), list[frozenset[dt.date]]()
    copies: set[dt.date] = set()
    conflicts = 0
    for block in sorted(blocks):
        start = block["block"] * _BLOCK
        position = F.col("source_position")
        inside = (F.col("source_part") == block["source_part"]) & (position >= start) & (position < start + _BLOCK)
        messages = (
            rows.where(inside)
            .groupBy(*_PLACE, "value")
            .agg(F.count("*").alias("rows"), F.sort_array(F.collect_set("event_date")).alias("days"))
        )
        twice = messages.where("rows > 1")
        found = twice.groupBy("days").agg(F.sum(F.col("rows") - 1).alias("rows")).collect()
        count += sum(row["rows"] for row in found)
        days += [frozenset(row["days"]) for row in found]
        if any(len(row["days"]) > 1 for row in found):
            copies |= _days_of_copies(rows, twice)
        others = (
            messages.groupBy(*_PLACE)
            .agg(F.sum("rows").alias("rows"), F.count("*").alias("messages"))
            .where("messages > 1")
        )
        if here := others.count():
            conflicts += here
            first = others.orderBy(*_PLACE).limit(SHOWN - len(several)).collect() if len(several) < SHOWN else []
            several += [Conflict(row["source_part"], row["source_position"], row["rows"]) for row in first]
    return Doubled(count, _joined(days), frozenset(copies), conflicts, several)


def without_doubled(rows: DataFrame, days: Collection[dt.date]) -> DataFrame:
    """The rows of some days; of rows with equal position and bytes only the one received first. rows: as for `find_doubled`."""
    same = Window.partitionBy(*_PLACE, "value").orderBy("received_at", "event_date")
    here = rows.where(F.col("event_date").isin(sorted(days)))
    return here.withColumn("place", F.row_number().over(same)).where("place = 1").drop("place")


def behind(rows: DataFrame, ends: Mapping[int, int]) -> list[Range]:
    """Positions of the table behind the ends of its ledger: a run died between its rows and the ledger's."""
    marks = rows.groupBy("source_part").agg(
        F.min("source_position").alias("lowest"), F.max("source_position").alias("highest")
    )
    gaps = []
    for row in sorted(marks.collect(), key=lambda row: row["source_part"]):
        start = ends.get(row["source_part"], row["lowest"])
        if row["highest"] >= start:
            gaps.append((row["source_part"], start, row["highest"] + 1))
    counts = count_positions(rows, gaps)
    return [Range(*gap, count) for gap, count in zip(gaps, counts, strict=True)]


def count_positions(rows: DataFrame, ranges: Sequence[tuple[int, int, int]]) -> list[int]:
    """Distinct positions of raw_cdrs in some ranges (partition, from, to)."""
    counts = []
    for part, start, end in ranges:
        inside = (F.col("source_part") == part) & (F.col("source_position") >= start) & (F.col("source_position") < end)
        counts.append(rows.where(inside).select("source_position").distinct().count())
    return counts


def elsewhere(rows: DataFrame, month: str, calendar_start: dt.date) -> tuple[int, set[dt.date]]:
    """Rows of a month that do not lie on their own days, and the days that they would leave or reach."""
    own = local_day(F.col("event_ts"))
    moves = rows.where(at_home_in([month], calendar_start) & (own != F.col("event_date")))
    found = moves.groupBy("event_date", own.alias("own")).agg(F.count("*").alias("rows")).collect()
    return sum(row["rows"] for row in found), {day for row in found for day in (row["event_date"], row["own"])}


def _joined(groups: Sequence[frozenset[dt.date]]) -> list[frozenset[dt.date]]:
    """Merge the sets of days that have a day in common."""
    joined: list[frozenset[dt.date]] = []
    for group in groups:
        touching = [other for other in joined if other & group]
        joined = [other for other in joined if not other & group] + [group.union(*touching)]
    return sorted(joined, key=min)


def _days_of_copies(rows: DataFrame, twice: DataFrame) -> frozenset[dt.date]:
    """Days with a row of the same record as a message whose rows lie on several days.

    Mediation compared them with the day of a row that goes, and may decide otherwise by the day of the row that stays.
    """
    across = twice.where(F.size("days") > 1).select(*_PLACE)
    ids = rows.join(across, on=list(_PLACE), how="left_semi").select("record_id").distinct()
    found = rows.join(ids, on="record_id", how="left_semi").select("event_date").distinct().collect()
    return frozenset(row["event_date"] for row in found)
