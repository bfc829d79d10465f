"""The records of a subscriber at a time: what he used then, whether it became an event or was rejected.

Belongs here: which span of time a text means, and which records began in it. Does not belong here: what became of them (`records`).
"""

import datetime as dt
import re
from dataclasses import dataclass
from functools import reduce
from operator import or_
from zoneinfo import ZoneInfo

from pyspark.sql import Column
from pyspark.sql import functions as F

from resources.expected_errors import ExpectedError
from resources.warehouse import Partitions, Warehouse
from telecom_assets.explain.reading import ExplainError
from telecom_assets.explain.records import Record, explain_records
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.model.civil_time import LOCAL_ZONE
from telecom_assets.model.party_numbers import normalised
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OFFSET = r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
_MINUTE = re.compile(_DAY.pattern + r"[T ][0-9]{2}:[0-9]{2}" + _OFFSET)
_SECOND = re.compile(_DAY.pattern + r"[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?" + _OFFSET)
#: Digits at the end of a number that people write in every form of it.
_NATIONAL_DIGITS = 9


class TimeError(ExpectedError, ValueError):
    """A text that is no time."""


@dataclass(frozen=True)
class Span:
    """Instants from `first` on, before `last`: the day, the minute or the second that a text names. `days`: local days around it."""

    first: dt.datetime
    last: dt.datetime

    @classmethod
    def read(cls, text: str) -> "Span":
        """Read a day, a minute or a second, ISO 8601; without an offset it is local. Raises TimeError."""
        zone = ZoneInfo(LOCAL_ZONE)
        written = text.strip()
        try:
            if not any(form.fullmatch(written) for form in (_DAY, _MINUTE, _SECOND)):
                raise ValueError(written)
            begins = dt.datetime.fromisoformat(written)
            local = begins.replace(tzinfo=zone) if begins.tzinfo is None else begins
            first = local.astimezone(dt.UTC).replace(microsecond=0)
            if _DAY.fullmatch(written):
                return cls(first, (begins + dt.timedelta(days=1)).replace(tzinfo=zone).astimezone(dt.UTC))
            length = dt.timedelta(minutes=1) if _MINUTE.fullmatch(written) else dt.timedelta(seconds=1)
            return cls(first, first + length)
        # Of the first and the last year, the hours that another zone has in a year before or after cannot be told.
        except (ValueError, OverflowError):
            raise TimeError(
                f"time {text!r}: expected a day, a minute or a second, e.g. 2026-10-31T10:15 (local, or with an offset)"
            ) from None

    @property
    def days(self) -> Partitions:
        """The local days that the span lies on."""
        zone = ZoneInfo(LOCAL_ZONE)
        last = self.last - dt.timedelta(microseconds=1)
        return Partitions(self.first.astimezone(zone).date(), last.astimezone(zone).date())

    def holds(self, instant: Column) -> Column:
        """The condition that an instant lies in the span."""
        return (instant >= F.lit(self.first)) & (instant < F.lit(self.last))


def explain_usage(
    warehouse: Warehouse,
    subscriber: str,
    at: str,
    *,
    record_types: RecordTypes = RECORD_TYPES,
    dedupe_days: int = 0,
) -> list[Record]:
    """What a subscriber's records that began at a time became, rejected ones too, by id. Records without an id are not found.

    subscriber: his number, however it is written. at: as `Span.read` takes it. Raises ExplainError where there is no record, TimeError
    for what is no time.
    """
    span, number = Span.read(at), normalised(subscriber)
    cleaned = warehouse.pin(CLEANED_CDRS.name, span.days)
    raw = warehouse.pin(RAW_CDRS.name, span.days)
    his = cleaned.df.where(span.holds(F.col("event_ts")) & (F.col("subscriber_id") == F.lit(number)))
    found = set(his.select("record_id").toArrow()["record_id"].to_pylist())
    fields = sorted({each.subscriber for each in record_types})
    alike = reduce(or_, (_ends_alike(F.col(name), number) for name in fields))
    named = raw.df.where(span.holds(F.col("event_ts")) & F.col("record_id").isNotNull() & alike)
    for row in named.select("record_id", *fields).distinct().toArrow().to_pylist():
        if any(row[name] is not None and normalised(row[name]) == number for name in fields):
            found.add(row["record_id"])
    if not found:
        raise ExplainError(
            f"subscriber {number}: no record that began at {at}; expected a time at which one did: "
            f"--at {span.days.first} looks at the whole day"
        )
    around = span.days.widened(dedupe_days)
    return explain_records(warehouse, sorted(found), [around.first, around.last])


def _ends_alike(text: Column, number: str) -> Column:
    """The condition that a text may be the number: its last digits are the same."""
    return F.regexp_replace(text, "[^0-9]", "").endswith(number[-_NATIONAL_DIGITS:])
