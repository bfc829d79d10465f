"""The records of a subscriber at a time: what he used then, whether it became an event or was rejected.

Belongs here: which span of time a text means, and which records began in it. Does not belong here: what became of them (`records`).
"""

import datetime as dt
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from resources.expected_errors import ExpectedError
from resources.warehouse import Partitions, Warehouse, read_rows
from resources.warehouse.conditions import Condition, at_least, below, digits_end_with, equal
from telecom_assets.explain.reading import ExplainError, days_of
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

    def holds(self, instant: str) -> tuple[Condition, Condition]:
        """The conditions that an instant, a column, lies in the span."""
        return at_least(instant, self.first), below(instant, self.last)


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
    within = span.holds("event_ts")
    his = read_rows(cleaned, ["record_id"], *within, equal("subscriber_id", number))
    found = {row["record_id"] for row in his}
    fields = sorted({each.subscriber for each in record_types})
    alike = digits_end_with(fields, number[-_NATIONAL_DIGITS:])
    for row in read_rows(raw, ["record_id", *fields], *within, alike):
        if any(row[name] is not None and normalised(row[name]) == number for name in fields):
            found.add(row["record_id"])
    found.discard(None)
    if not found:
        raise ExplainError(
            f"subscriber {number}: no record that began at {at}; expected a time at which one did: "
            f"--at {span.days.first} looks at the whole day"
        )
    # Copies can lie so many days away; only the days that hold one are read whole.
    around = span.days.widened(dedupe_days)
    return explain_records(warehouse, sorted(found), days_of(warehouse, found, around) or [around.first, around.last])
