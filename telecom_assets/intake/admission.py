"""Admission: turn any message into typed text fields and a home day, so that nothing on the topic can stop a query.

Belongs here: every expression that meets bytes of unknown quality. The rules that follow see only NULL or text that is
known to be UTF-8, and numbers and instants that are known to fit. Does not belong here: whether a CDR is acceptable
(`telecom_assets.mediation.rules`).

The two engines disagree on many odd inputs (invalid UTF-8 in a cast, `1e400`, long numbers, text after the closing
brace, lone surrogates), so such input is decided by regular expressions that both evaluate alike before a JSON or
number parser sees it (`telecom_assets.intake.json_text`).
"""

import datetime as dt
from collections.abc import Collection

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from telecom_assets.intake.json_text import flat_object
from telecom_assets.intake.tables import raw_cdrs
from telecom_assets.model.civil_time import local_day, parse_timestamp, representable
from telecom_assets.model.months import contiguous, month_days
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes

MALFORMED_UTF8 = "malformed_utf8"
MALFORMED_JSON = "malformed_json"

#: The contract fields as columns of raw_cdrs.
FIELD_COLUMNS = {"record_ID": "record_id", "timestamp": "timestamp_text"}


def admit(
    messages: DataFrame,
    *,
    max_age_days: int,
    accept_months: Collection[str],
    calendar_start: dt.date,
    now: dt.datetime,
    record_types: RecordTypes = RECORD_TYPES,
) -> DataFrame:
    """One row of raw_cdrs per message.

    An array or an object in a field that a record can do without is no value. In any other the field has then a text that
    is none of its values, so that the record is refused for it.

    `messages` has kafka_topic, source_id, source_part, source_position, received_at (timestamp or NULL) and value (binary).
    `received_at` is kept between `calendar_start` and `now`, so that a broker with a wrong clock cannot put a record
    outside the calendar; NULL becomes `now`, the landing time.
    """
    # Noon in UTC: its local day is the calendar's first day in every time zone.
    earliest = F.lit(f"{calendar_start}T12:00:00Z").cast("timestamp")
    latest = F.lit(now.isoformat()).cast("timestamp")
    text = F.expr("try_validate_utf8(value)")
    parsed = (
        messages.withColumn("received_at", F.least(F.greatest(F.coalesce("received_at", latest), earliest), latest))
        .withColumn("text", text)
        .withColumn("flat", flat_object(F.col("text"), none_when_nested=record_types.forgiven_fields))
        .withColumn("fields", _parse(F.col("flat"), record_types))
    )
    typed = parsed.select(
        "source_id",
        "source_part",
        "source_position",
        "received_at",
        "kafka_topic",
        "value",
        _admission_error().alias("admission_error"),
        *(_text_field(name).alias(FIELD_COLUMNS.get(name, name)) for name in record_types.fields),
    )
    return (
        typed.withColumn("event_ts", representable(parse_timestamp(F.col("timestamp_text"))))
        .withColumn("event_date", _home_day(max_age_days, accept_months, calendar_start))
        .select(raw_cdrs(record_types).column_names)
    )


def _home_day(max_age_days: int, accept_months: Collection[str], calendar_start: dt.date) -> Column:
    """The home day of a record: its event day when that is acceptable, else the day it was received (both local).

    A day before the calendar, or later than the day after receipt, is never acceptable, not in an opened month either: there
    are no daily partitions for it.
    """
    event_day = local_day(F.col("event_ts"))
    received_day = local_day(F.col("received_at"))
    recent = (event_day >= F.date_sub(received_day, max_age_days)) & _in_calendar(calendar_start)
    return F.when(recent | at_home_in(accept_months, calendar_start), event_day).otherwise(received_day)


def at_home_in(months: Collection[str], calendar_start: dt.date) -> Column:
    """Whether the event day of a record lies in one of these (opened) months, so that it is the record's home day."""
    event_day = local_day(F.col("event_ts"))
    opened = F.lit(False)
    for first, last in contiguous([day for month in months for day in month_days(month)]):
        opened |= (event_day >= F.lit(first)) & (event_day <= F.lit(last))
    return opened & _in_calendar(calendar_start)


def _in_calendar(calendar_start: dt.date) -> Column:
    event_day = local_day(F.col("event_ts"))
    received_day = local_day(F.col("received_at"))
    return (event_day >= F.lit(calendar_start)) & (event_day <= F.date_add(received_day, 1))


def _admission_error() -> Column:
    return F.when(F.col("text").isNull() & F.col("value").isNotNull(), MALFORMED_UTF8).when(
        F.col("flat").isNull(), MALFORMED_JSON
    )


def _text_field(name: str) -> Column:
    """A field as text; missing, null and empty are all NULL."""
    return F.nullif(F.col("fields").getField(name), F.lit(""))


def _parse(flat: Column, record_types: RecordTypes) -> Column:
    schema = ", ".join(f"`{name}` string" for name in record_types.fields)
    return F.from_json(flat, schema, {"allowSingleQuotes": "false", "allowNonNumericNumbers": "false"})
