"""Copies of a record that say other things: which there are, and which of them a person has chosen to be kept.

Belongs here: the copies of conflicting records, what may be chosen, the choices as mediation reads them. Does not belong here: the
commit of a choice (`telecom_assets.intake.decisions`), what is a copy and which is kept (`copies`).
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.expected_errors import ExpectedError
from resources.warehouse import Partitions, PinnedTable, Warehouse
from telecom_assets.intake.decisions import choose_copy
from telecom_assets.intake.journal import Decision, copies_chosen
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.copies import DUPLICATE_REASONS
from telecom_assets.mediation.tables import CLEANED_CDRS, MESSAGE_KEY, REJECTED_CDRS
from telecom_assets.model.text import legible

#: Where a message lies in its topic, as people write it. (An offset has at most 18 digits here, a partition 9.)
PLACE = re.compile(r"(?P<topic>.+)/(?P<part>[0-9]{1,9})/(?P<position>[0-9]{1,18})")
_CONFLICT = DUPLICATE_REASONS[1]
_Key = tuple[Any, ...]


class ConflictError(ExpectedError):
    """A copy cannot be chosen. Nothing was changed. The message says why, and what to do."""


@dataclass(frozen=True)
class Copy:
    """A valid message of a record that has copies with other values. outcome: kept, duplicate or duplicate_conflict.

    place: TOPIC/PARTITION/OFFSET. chosen: the last decision that chose it.
    """

    record_id: str
    day: dt.date
    place: str
    outcome: str
    received_at: dt.datetime
    text: str
    chosen: Decision | None
    key: _Key


def chosen_copies(raw: PinnedTable) -> DataFrame | None:
    """The copies that people have chosen up to the version of raw_cdrs, as `find_copies` reads them; None without any."""
    numbers = _numbers(copies_chosen(raw.warehouse, raw.version))
    if not numbers:
        return None
    parts, positions, sources = zip(*numbers, strict=True)
    columns = {
        "source_part": pa.array(parts, pa.int32()),
        "source_position": pa.array(positions, pa.int64()),
        "source_id": pa.array(sources, pa.string()),
        "choice": pa.array(numbers.values(), pa.int64()),
    }
    return raw.warehouse.engine.spark_session.createDataFrame(pa.table(columns))


def conflicts(
    warehouse: Warehouse, dedupe_days: int, month: str | None = None, record_id: str | None = None
) -> list[Copy]:
    """The copies of records that came with other values under one id, by record and in the order of receipt.

    month: of the home day of a copy that is in conflict; None: any. dedupe_days: how far from it its copies lie.
    """
    rejected = warehouse.pin(REJECTED_CDRS.name) if month is None else warehouse.pin_period(REJECTED_CDRS.name, month)
    if not any(rejected.rows_by_partition().values()):
        return []
    named = rejected.df.where(F.col("reason") == _CONFLICT)
    if record_id is not None:
        named = named.where(F.col("record_id") == F.lit(record_id))
    first, last = named.agg(F.min("event_date"), F.max("event_date")).collect()[0]
    if first is None:
        return []
    return _copies(warehouse, named.select("record_id").distinct(), Partitions(first, last).widened(dedupe_days))


def choose(
    warehouse: Warehouse, record_id: str, place: str, *, dedupe_days: int, by: str, why: str
) -> tuple[Copy, list[dt.date]]:
    """Choose a copy of a record, by its place; returns it, and the days that are mediated again for it.

    Raises ConflictError for a place where no valid copy of the record lies, and for a record without copies that say other things.
    """
    found = conflicts(warehouse, dedupe_days, record_id=record_id)
    if not found:
        raise ConflictError(
            f"record {record_id!r} has no copies with other values; nothing was changed; `telecom conflicts list` shows those that have"
        )
    here = [each for each in found if each.place == place]
    if len(here) != 1:
        places = ", ".join(each.place for each in found)
        raise ConflictError(f"--copy {place}: expected one of {places}; nothing was changed")
    [copy] = here
    days = sorted({each.day for each in found if abs((each.day - copy.day).days) <= dedupe_days})
    part, position, source_id = copy.key
    choose_copy(warehouse, (source_id, part, position), record_id, days, by=by, why=why)
    return copy, days


def _copies(warehouse: Warehouse, ids: DataFrame, days: Partitions) -> list[Copy]:
    """The valid messages of some days with one of some record ids."""
    raw, cleaned, rejected = (warehouse.pin(each.name, days) for each in (RAW_CDRS, CLEANED_CDRS, REJECTED_CDRS))
    outcomes: dict[_Key, str] = {}
    for row in cleaned.df.join(ids, on="record_id", how="left_semi").select(*MESSAGE_KEY).collect():
        outcomes[tuple(row)] = "kept"
    refused = rejected.df.where(F.col("reason").isin(*DUPLICATE_REASONS)).join(ids, on="record_id", how="left_semi")
    for part, position, source_id, reason in refused.select(*MESSAGE_KEY, "reason").collect():
        outcomes[part, position, source_id] = reason
    messages = raw.df.join(ids, on="record_id", how="left_semi").select(
        *MESSAGE_KEY, "kafka_topic", "record_id", "event_date", "received_at", "value"
    )
    landed: Sequence[Mapping[str, Any]] = messages.toArrow().to_pylist()
    decisions = {_key(each): each for each in copies_chosen(warehouse, raw.version)}
    found = [
        Copy(
            row["record_id"],
            row["event_date"],
            f"{row['kafka_topic']}/{row['source_part']}/{row['source_position']}",
            outcomes[key],
            row["received_at"],
            legible(bytes(row["value"]).decode()),
            decisions.get(key),
            key,
        )
        for row in landed
        for key in [tuple(row[name] for name in MESSAGE_KEY)]
        if key in outcomes
    ]
    return sorted(found, key=lambda each: (each.record_id, each.received_at, each.key))


def _numbers(decisions: Sequence[Decision]) -> dict[_Key, int]:
    """The chosen copies, each with the number of the last choice that names it."""
    return {_key(each): number for number, each in enumerate(decisions, start=1)}


def _key(decision: Decision) -> _Key:
    return decision.source_part, decision.from_position, decision.source_id
