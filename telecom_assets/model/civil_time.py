"""Civil time of Morocco: text to instant, instant to local day, hour and billing period.

Belongs here: every conversion between text, instants (UTC) and local civil time. Morocco is UTC+1, UTC+0 in Ramadan;
the engines' tz database knows the days.
"""

import datetime as dt

from pyspark.sql import Column
from pyspark.sql import functions as F

LOCAL_ZONE = "Africa/Casablanca"
_HOUR_MICROS = 3_600_000_000
_DAY_MICROS = 24 * _HOUR_MICROS
#: From here on the zone is never behind UTC, and never more than an hour ahead of it.
_NEAR_UTC_SINCE = dt.datetime(1914, 1, 1, tzinfo=dt.UTC)

#: The form of nearly every CDR: the extended format of ISO 8601 with seconds, neither fraction nor offset.
_USUAL = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\z"


def _format(hyphen: str, colon: str, in_offset: str) -> str:
    """A format of ISO 8601: date, `T`, time with or without seconds, fraction and offset. 24:00 is nothing but itself."""
    day = rf"[0-9]{{4}}{hyphen}[0-9]{{2}}{hyphen}[0-9]{{2}}[Tt]"
    of_day = rf"(?:[01][0-9]|2[0-3]){colon}[0-5][0-9](?:{colon}[0-5][0-9](?:[.,][0-9]+)?)?"
    end_of_day = rf"24{colon}00(?:{colon}00(?:[.,]0+)?)?"
    offset = rf"[Zz]|[+-](?:(?:0[0-9]|1[0-7])(?:{in_offset}[0-5][0-9])?|18(?:{in_offset}00)?)"
    return rf"{day}(?:{of_day}|{end_of_day})(?:{offset})?"


#: The extended format, in whose offset the colon may be left out, and the basic one, which has none anywhere.
_ISO = rf"\A(?:{_format('-', ':', ':?')}|{_format('', '', '')})\z"
_TO_SECONDS = r"\A([0-9]{4})-?([0-9]{2})-?([0-9]{2}).([0-9]{2}):?([0-9]{2}):?([0-9]{2})?.*\z"
_SECONDS_LENGTH = len("2025-05-01 12:00:00")
_HAS_OFFSET = r"(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)\z"
_FRACTION = r"[.,]([0-9]+)"
_OFFSET = r"[Tt].*([+-])([0-9]{2}):?([0-9]{2})?\z"
_END_OF_DAY = r"[Tt]24"


def parse_timestamp(text: Column) -> Column:
    """The instant of an ISO 8601 text, NULL when it is not a full date and time or not in the calendar.

    The extended format (2026-10-31T10:15:00.5+01:00, in which the offset's colon may be left out) or the basic one
    (20261031T101500,5+0100), not half of each. `T` and `Z` may be small; the seconds with their fraction, the fraction and
    the offset may be left out. 24:00:00 is the first moment of the day after. A leap second (:60) is not accepted.

    Without an offset the text is local: a time that a clock change skipped moves on by the gap, a time that came twice
    is the first. A fraction is cut to microseconds. Year 0000 is not accepted.
    """
    usual = F.to_utc_timestamp(text.try_cast("timestamp"), LOCAL_ZONE)
    instant = F.when(text.rlike(_USUAL), usual).when(text.rlike(_ISO), _any_format(text))
    return F.when(~text.startswith("0000"), instant)


def _any_format(text: Column) -> Column:
    """The instant of a text that matches _ISO."""
    # Only the extended format with seconds, which nearly all of these texts have, has a colon at that place; in the others,
    # seconds that are left out become zeros.
    extended = F.concat(F.substring(text, 1, 10), F.lit(" "), F.substring(text, 12, 8))
    other = F.rpad(F.regexp_replace(text, _TO_SECONDS, "$1-$2-$3 $4:$5:$6"), _SECONDS_LENGTH, "0")
    seconds = F.when(F.substring(text, 17, 1) == ":", extended).otherwise(other)
    fraction = F.rpad(F.regexp_extract(text, _FRACTION, 1), 6, "0")
    civil = F.unix_micros(
        F.concat(F.replace(seconds, F.lit(" 24"), F.lit(" 00")), F.lit("."), fraction).try_cast("timestamp")
    )
    moved = civil + F.when(text.rlike(_END_OF_DAY), F.lit(_DAY_MICROS)).otherwise(F.lit(0))
    local = F.to_utc_timestamp(F.timestamp_micros(moved), LOCAL_ZONE)
    return F.when(text.rlike(_HAS_OFFSET), F.timestamp_micros(moved - _offset_micros(text))).otherwise(local)


def representable(instant: Column) -> Column:
    """The instant when every tool can hold it (1900 to 2199), else NULL: file statistics and Python cannot hold all."""
    return F.when(
        (instant >= F.lit("1900-01-01").cast("timestamp")) & (instant < F.lit("2200-01-01").cast("timestamp")), instant
    )


def local_day(instant: Column) -> Column:
    """Local calendar day of an instant.

    The zone is UTC or UTC+1 since 1913 (tz database), so the UTC day is the local one except in the last hour of the day: only
    for that hour the tz database is used, which takes ten times as long.
    """
    micros = F.unix_micros(instant)
    since_midnight = F.pmod(micros, F.lit(_DAY_MICROS))
    utc_day = F.date_from_unix_date(F.call_function("div", micros - since_midnight, F.lit(_DAY_MICROS)).cast("int"))
    same_day = (since_midnight < F.lit(_DAY_MICROS - _HOUR_MICROS)) & (instant >= F.lit(_NEAR_UTC_SINCE))
    return F.when(same_day, utc_day).otherwise(F.to_date(F.from_utc_timestamp(instant, LOCAL_ZONE)))


def local_hour(instant: Column) -> Column:
    """Local hour of an instant, 0 to 23."""
    return F.hour(F.from_utc_timestamp(instant, LOCAL_ZONE)).cast("int")


def utc_hour(instant: Column) -> Column:
    """Start of the instant's UTC hour, in microseconds since 1970: cheap to group by.

    The whole UTC hour lies in one local hour, since the zone is whole hours from UTC (after 1913).
    """
    micros = F.unix_micros(instant)
    return micros - F.pmod(micros, F.lit(_HOUR_MICROS))


def billing_period(day: Column) -> Column:
    """Billing period (yyyy-MM) of a local day."""
    return F.date_format(day, "yyyy-MM")


def _offset_micros(text: Column) -> Column:
    sign = F.when(F.regexp_extract(text, _OFFSET, 1) == "-", -1).otherwise(1)
    hours, minutes = (
        F.coalesce(F.regexp_extract(text, _OFFSET, group).try_cast("bigint"), F.lit(0)) for group in (2, 3)
    )
    return sign * (hours * 3_600_000_000 + minutes * 60_000_000)
