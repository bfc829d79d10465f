"""Refused messages for people to correct, and their corrections, which come back through the topic.

Belongs here: what is told of a refused message, what a correction must be, the append-only journal that names for each correction the
refused original. Does not belong here: files (`telecom_assets.cli`), sending (`resources.kafka_producer`).

A correction is noted before it is sent, with a digest of its bytes. So a message on the topic that is one can be told, and a process
that dies between the two has lost nothing: the same file is sent again. A correction that comes twice is a duplicate of itself.
"""

import base64
import datetime as dt
import getpass
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.expected_errors import ExpectedError, UsageError
from resources.warehouse import Decided, PinnedTable, Warehouse, append_decided
from telecom_assets.intake.admission import admit
from telecom_assets.intake.journal import read_state
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.rules import judge, rejection_reasons
from telecom_assets.mediation.tables import MESSAGE_KEY, REJECTED_CDRS, RESUBMISSIONS
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.tables import PRODUCT_CATALOG

#: What a line of a file names its message by, in the order of MESSAGE_KEY.
_NAMES = ("partition", "offset", "source_id")
_TYPES: Mapping[str, type] = {"partition": int, "offset": int, "source_id": str, "text": str}
#: So many messages are asked for in one query.
_ASKED = 5_000

_Key = tuple[Any, ...]


class RejectsError(ExpectedError):
    """Refused messages cannot be exported or resubmitted as asked. Nothing was changed. The message says why."""


@dataclass(frozen=True)
class Correction:
    """A corrected message: of which refused one (its row of rejected_cdrs), its bytes, its record id, the line of its file."""

    original: Mapping[str, Any]
    value: bytes
    record_id: str
    line: int


@dataclass(frozen=True)
class Acceptance:
    """What landing accepts: as in `admit`."""

    max_age_days: int
    calendar_start: dt.date
    record_types: RecordTypes


def check_reason(reason: str | None, record_types: RecordTypes) -> str | None:
    """The reason, or UsageError for one that nothing is refused for."""
    known = rejection_reasons(record_types)
    if reason is not None and reason not in known:
        raise UsageError(f"reason {reason!r}: expected one of {', '.join(known)}")
    return reason


def digest(value: bytes) -> str:
    """The digest that tells a correction's message on the topic."""
    return hashlib.sha256(value).hexdigest()


def refused(warehouse: Warehouse, month: str | None, reason: str | None) -> list[dict[str, Any]]:
    """The refused messages of a month's home days (None: all), for JSON: `text` as it came, or `base64` of bytes that are no UTF-8."""
    rejected, raw = (
        warehouse.pin(each.name) if month is None else warehouse.pin_period(each.name, month)
        for each in (REJECTED_CDRS, RAW_CDRS)
    )
    if not any(rejected.rows_by_partition().values()):
        return []
    rows = rejected.df if reason is None else rejected.df.where(F.col("reason") == reason)
    sent = (
        warehouse.pin(RESUBMISSIONS.name).all().groupBy(*MESSAGE_KEY).agg(F.max("decided_at").alias("resubmitted_at"))
    )
    told = rows.select(*MESSAGE_KEY, "record_id", "reason", "detail", "event_date")
    messages = raw.df.select(*MESSAGE_KEY, "kafka_topic", "received_at", "value")
    joined = told.join(messages, on=list(MESSAGE_KEY), how="inner").join(sent, on=list(MESSAGE_KEY), how="left")
    return [_told(row) for row in joined.orderBy("received_at", *MESSAGE_KEY).toArrow().to_pylist()]


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    value = row["value"]
    try:
        text, encoded = None if value is None else value.decode("utf-8"), None
    except UnicodeDecodeError:
        text, encoded = None, base64.b64encode(value).decode("ascii")
    return {
        "record_id": row["record_id"],
        "reason": row["reason"],
        "detail": row["detail"],
        "topic": row["kafka_topic"],
        "partition": row["source_part"],
        "offset": row["source_position"],
        "source_id": row["source_id"],
        "received_at": row["received_at"].isoformat(),
        "event_date": row["event_date"].isoformat(),
        "resubmitted_at": row["resubmitted_at"].isoformat() if row["resubmitted_at"] else None,
        "text": text,
        "base64": encoded,
    }


def corrections(warehouse: Warehouse, lines: Sequence[bytes], accepts: Acceptance) -> list[Correction]:
    """The corrections among the lines of an exported file: those whose text is another one now.

    Raises RejectsError for the first line that names no refused message, has another record id than it, or would be refused again;
    and where no text was changed.
    """
    read = {number: _read(line, number) for number, line in enumerate(lines, start=1) if line.strip()}
    originals = _originals(warehouse, {_key(told) for told in read.values()})
    found: dict[_Key, Correction] = {}
    for number, told in read.items():
        key = _key(told)
        if key not in originals:
            place = f"partition {told['partition']}, offset {told['offset']} of source {told['source_id']!r}"
            raise RejectsError(f"line {number}: {place} is no refused message; nothing was sent")
        original, value = originals[key], told["text"].encode()
        if value == original["value"]:
            continue
        if key in found:
            raise RejectsError(
                f"line {number}: the message of line {found[key].line} is corrected twice; nothing was sent"
            )
        found[key] = Correction(original, value, "", number)
    if not found:
        raise RejectsError("no text of the file was changed: expected corrected messages in `text`; nothing was sent")
    return _accepted(warehouse, list(found.values()), accepts)


def note(warehouse: Warehouse, sent: Sequence[Correction], *, by: str | None = None, why: str | None = None) -> None:
    """Note corrections, each with its refused original, before they are sent. Those that are noted already stay as they are."""
    warehouse.make_tables([RESUBMISSIONS.name])

    def not_noted(pinned: PinnedTable) -> Decided[None]:
        known = pinned.arrow().to_pylist()
        noted = {(*(row[name] for name in MESSAGE_KEY), row["correction_digest"]) for row in known}
        number = max((row["resubmission_no"] for row in known), default=0) + 1
        rows = [
            {
                "resubmission_no": number,
                **{name: each.original[name] for name in (*MESSAGE_KEY, "reason")},
                "record_id": each.record_id,
                "correction_digest": digest(each.value),
                "decided_at": dt.datetime.now(dt.UTC),
                "decided_by": by,
                "system_user": getpass.getuser(),
                "why": why,
            }
            for each in sent
            if (*(each.original[name] for name in MESSAGE_KEY), digest(each.value)) not in noted
        ]
        return Decided(None, rows or None)

    append_decided(warehouse, RESUBMISSIONS.name, not_noted)


def _read(line: bytes, number: int) -> dict[str, Any]:
    """The object of a line. Raises RejectsError."""
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise RejectsError(
            f"line {number}: expected one JSON object, as `telecom rejects export` writes it; nothing was sent"
        )
    for name, kind in _TYPES.items():
        if not isinstance(told.get(name), kind) or isinstance(told[name], bool):
            expected = "a whole number" if kind is int else "a text"
            raise RejectsError(f"line {number}: {name} is {told.get(name)!r}; expected {expected}; nothing was sent")
    return told


def _key(told: Mapping[str, Any]) -> _Key:
    return tuple(told[name] for name in _NAMES)


def _originals(warehouse: Warehouse, keys: Collection[_Key]) -> dict[_Key, dict[str, Any]]:
    """The refused messages of some keys, with their bytes."""
    rejected, raw = warehouse.pin(REJECTED_CDRS.name), warehouse.pin(RAW_CDRS.name)
    found: dict[_Key, dict[str, Any]] = {}
    ordered = sorted(keys)
    for first in range(0, len(ordered), _ASKED):
        positions = sorted({key[1] for key in ordered[first : first + _ASKED]})
        named = F.col("source_position").isin(positions)
        rows = rejected.df.where(named).select(*MESSAGE_KEY, "record_id", "reason")
        messages = raw.df.where(named).select(*MESSAGE_KEY, "value")
        for row in rows.join(messages, on=list(MESSAGE_KEY), how="inner").toArrow().to_pylist():
            found[tuple(row[name] for name in MESSAGE_KEY)] = row
    return {key: row for key, row in found.items() if key in keys}


def _accepted(warehouse: Warehouse, sent: Sequence[Correction], accepts: Acceptance) -> list[Correction]:
    """The corrections with their record ids. Raises RejectsError for the first that would be refused, or is another record."""
    opened = read_state(warehouse).opened_months
    raw = admit(
        _as_messages(warehouse, sent),
        max_age_days=accepts.max_age_days,
        accept_months=opened,
        calendar_start=accepts.calendar_start,
        now=dt.datetime.now(dt.UTC),
        record_types=accepts.record_types,
    )
    catalogue = warehouse.pin(PRODUCT_CATALOG.name).all()
    judged = judge(raw, catalogue, accepts.record_types).select("source_position", "record_id", "reason").toArrow()
    outcomes = {row["source_position"]: row for row in judged.to_pylist()}
    made = []
    for each in sent:
        outcome, was = outcomes[each.line], each.original["record_id"]
        if outcome["reason"] is not None:
            raise RejectsError(
                f"line {each.line}: it would be refused again, for {outcome['reason']}; nothing was sent"
            )
        if was is not None and outcome["record_id"] != was:
            raise RejectsError(
                f"line {each.line}: record_ID is {outcome['record_id']!r}, and {was!r} was refused; expected the same; nothing was sent"
            )
        made.append(Correction(each.original, each.value, outcome["record_id"], each.line))
    return made


def _as_messages(warehouse: Warehouse, sent: Sequence[Correction]) -> DataFrame:
    """The corrections as messages of a topic; their position is their line."""
    count = len(sent)
    columns = {
        "kafka_topic": pa.array([""] * count, pa.string()),
        "source_id": pa.array([""] * count, pa.string()),
        "source_part": pa.array([0] * count, pa.int32()),
        "source_position": pa.array([each.line for each in sent], pa.int64()),
        "received_at": pa.array([None] * count, pa.timestamp("us", tz="UTC")),
        "value": pa.array([each.value for each in sent], pa.binary()),
    }
    return warehouse.engine.spark_session.createDataFrame(pa.table(columns))
