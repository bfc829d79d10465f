"""Admission: turn any message into typed text fields and a home day, so that nothing on the topic can stop a query.

Belongs here: every expression that meets bytes of unknown quality. The rules that follow see only NULL or text that is
known to be UTF-8, and numbers and instants that are known to fit. Does not belong here: whether a CDR is acceptable
(`transforms.mediation`).

The two engines disagree on many odd inputs (invalid UTF-8 in a cast, `1e400`, long numbers, text after the closing
brace, lone surrogates), so such input is decided by regular expressions that both evaluate alike before a JSON or
number parser sees it. Three facts shape them: Rust's engine has no look-around and no possessive loops; Java's recurses
once per iteration of a group, so that a loop over groups needs a bounded text; a loop over one character class is safe
at any size.
"""

import datetime as dt
from collections.abc import Collection, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from telecom_assets.months import contiguous, month_days
from telecom_assets.schemas.usage import CDR_FIELDS, RAW_CDRS
from telecom_assets.transforms.civil_time import local_day, parse_timestamp, representable

MALFORMED_UTF8 = "malformed_utf8"
MALFORMED_JSON = "malformed_json"

_WS = r"[ \t\r\n]*"
_STRING = r'"[^"\\\x00-\x1f]*"'
#: Numbers whose text both engines give back as it was: up to 15 digits, no exponent, no tiny fraction, no minus zero,
#: no zeros at the end.
_DIGITS = r"[0-9]{0,8}[1-9]"
_PLAIN_NUMBER = rf"-?(?:[1-9][0-9]{{0,5}}\.(?:0|{_DIGITS})|0\.[1-9](?:{_DIGITS})?|0\.0[1-9](?:{_DIGITS})?|[1-9][0-9]{{0,14}})|0(?:\.0)?"
_PLAIN_MEMBER = rf"{_WS}{_STRING}{_WS}:{_WS}(?:{_STRING}|{_PLAIN_NUMBER}|true|false|null){_WS}"
#: One flat object without escapes and with plain numbers: what a well-behaved producer sends.
_PLAIN_OBJECT = rf"\A{_WS}\{{(?:{_PLAIN_MEMBER},)*{_PLAIN_MEMBER}\}}{_WS}\z"
#: At most 204 members, so that Java's recursion stays far from the end of a 1 MB stack; a real CDR has 300 characters.
_PLAIN_MAX_LENGTH = 1024

_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_SURROGATE_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = r'\\["\\/bfnrt]|\\u[0-9a-cA-CefEF][0-9a-fA-F]{3}|\\u[dD][0-7][0-9a-fA-F]{2}'
#: Stands for a token while the grammar is tried; a control character cannot stand in a flat object itself.
_MARK = "\x01"
_BACKSLASH, _QUOTE = "\x02", "\x03"
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"

#: The contract fields as columns of raw_cdrs.
FIELD_COLUMNS = {"record_ID": "record_id", "timestamp": "timestamp_text"}


def admit(
    messages: DataFrame,
    *,
    max_age_days: int,
    accept_months: Collection[str],
    calendar_start: dt.date,
    now: dt.datetime,
) -> DataFrame:
    """One row of raw_cdrs per message.

    `messages` has kafka_topic, source_id, source_part, source_position, received_at (timestamp or NULL) and value (binary).
    `received_at` is kept between `calendar_start` and `now`, so that a broker with a wrong clock cannot put a record
    outside the calendar; NULL becomes `now`, the landing time.
    """
    # Noon, so that the local day is the calendar's first whatever the zone.
    earliest = F.lit(f"{calendar_start}T12:00:00Z").cast("timestamp")
    latest = F.lit(now.isoformat()).cast("timestamp")
    text = F.expr("try_validate_utf8(value)")
    parsed = (
        messages.withColumn("received_at", F.least(F.greatest(F.coalesce("received_at", latest), earliest), latest))
        .withColumn("text", text)
        .withColumn("flat", _flat_object(F.col("text")))
        .withColumn("fields", _parse(F.col("flat")))
    )
    typed = parsed.select(
        "source_id",
        "source_part",
        "source_position",
        "received_at",
        "kafka_topic",
        "value",
        _admission_error().alias("admission_error"),
        *(_text_field(name).alias(FIELD_COLUMNS.get(name, name)) for name in CDR_FIELDS),
    )
    return (
        typed.withColumn("event_ts", representable(parse_timestamp(F.col("timestamp_text"))))
        .withColumn("event_date", _home_day(max_age_days, accept_months, calendar_start))
        .select(RAW_CDRS.column_names)
    )


def _home_day(max_age_days: int, accept_months: Collection[str], calendar_start: dt.date) -> Column:
    """The day a record is at home on: its event day when acceptable, else the day it was received (both local).

    No day is acceptable before the calendar or after the day that follows receipt, in an opened month either: the daily
    partitions end there.
    """
    event_day = local_day(F.col("event_ts"))
    received_day = local_day(F.col("received_at"))
    acceptable = event_day >= F.date_sub(received_day, max_age_days)
    for first, last in contiguous([day for month in accept_months for day in month_days(month)]):
        acceptable |= (event_day >= F.lit(first)) & (event_day <= F.lit(last))
    acceptable &= (event_day >= F.lit(calendar_start)) & (event_day <= F.date_add(received_day, 1))
    return F.when(acceptable, event_day).otherwise(received_day)


def _admission_error() -> Column:
    return F.when(F.col("text").isNull() & F.col("value").isNotNull(), MALFORMED_UTF8).when(
        F.col("flat").isNull(), MALFORMED_JSON
    )


def _text_field(name: str) -> Column:
    """A field as text; missing, null and empty are all NULL."""
    return F.nullif(F.col("fields").getField(name), F.lit(""))


def _parse(flat: Column) -> Column:
    schema = ", ".join(f"`{name}` string" for name in CDR_FIELDS)
    return F.from_json(flat, schema, {"allowSingleQuotes": "false", "allowNonNumericNumbers": "false"})


def _flat_object(text: Column) -> Column:
    """The text as a flat JSON object that both engines parse alike, or NULL when it is not one."""
    plain = (F.length(text) <= _PLAIN_MAX_LENGTH) & text.rlike(_PLAIN_OBJECT)
    return F.when(plain, text).when(_is_flat_object(text), _quote_numbers(text))


def _is_flat_object(text: Column) -> Column:
    """RFC 8259 grammar of one object without nesting, in passes that each replace one kind of token.

    Escapes become a plain character, strings become `""`, members become a mark, members after the first disappear.
    What is left of a flat object is then `{mark}`, or `{}` before the last pass.
    """
    no_escapes = _replace(_replace(text, _SURROGATE_PAIR, "_"), _ESCAPE, "_")
    no_strings = _replace(no_escapes, _STRING, '""')
    members = _replace(no_strings, rf'""{_WS}:{_WS}(?:""|{_NUMBER}|true|false|null){_WS}', _MARK)
    single = _replace(members, rf",{_WS}{_MARK}", "")
    return ~text.rlike(_CONTROL) & (
        members.rlike(rf"\A{_WS}\{{{_WS}\}}{_WS}\z") | single.rlike(rf"\A{_WS}\{{{_WS}{_MARK}\}}{_WS}\z")
    )


def _quote_numbers(text: Column) -> Column:
    """Numbers as strings, so that their digits survive the parser, and names that no parser takes cut. A flat object.

    Escaped backslashes and quotes are put aside first (they pair from the left), so that a string is all between two
    quotes. Then strings and numbers are matched together, from left to right, so a number inside a string is never
    touched. Both get a pair of marks; a string's marks are removed, a number's become quotes. A name of more than a
    thousand characters is none of the contract's; Spark's parser stops at 50,000.
    """
    aside = F.replace(F.replace(text, F.lit(r"\\"), F.lit(_BACKSLASH)), F.lit(r"\""), F.lit(_QUOTE))
    tokens = rf'"[^"]{{1000}}[^"]*"{_WS}(:)|("[^"]*")|({_NUMBER})'
    marked = F.regexp_replace(aside, F.lit(tokens), F.lit(f"$1$2{_MARK}$3{_MARK}"))
    named = F.replace(marked, F.lit(f":{_MARK}{_MARK}"), F.lit('"":'))
    without = F.replace(named, F.lit(f'"{_MARK}{_MARK}'), F.lit('"'))
    quoted = F.replace(without, F.lit(_MARK), F.lit('"'))
    return F.replace(F.replace(quoted, F.lit(_QUOTE), F.lit(r"\"")), F.lit(_BACKSLASH), F.lit(r"\\"))


def _replace(text: Column, pattern: str, replacement: str) -> Column:
    return F.regexp_replace(text, F.lit(pattern), F.lit(replacement))


def contract_fields(record_type: str) -> Sequence[str]:
    """Columns of raw_cdrs that belong to a record of this type, besides its identity."""
    common = ("record_type", "timestamp_text", "cell_id", "technology")
    own = {
        "voice": ("caller_id", "callee_id", "duration_sec"),
        "sms": ("sender_id", "receiver_id"),
        "data": ("user_id", "data_volume_mb", "session_duration_sec", "product_code"),
    }
    return (*common, *own[record_type])
