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

#: A full ISO 8601 date and time: seconds given, `T` between, fraction and offset optional.
_ISO = (
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:Z|[+-](?:(?:0[0-9]|1[0-7])(?::?[0-5][0-9])?|18(?::?00)?))?\z"
)
_HAS_OFFSET = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)\z"
_SECONDS_LENGTH = len("2025-05-01T12:00:00")
_FRACTION = r"\.([0-9]+)"
_OFFSET = r"T.*([+-])([0-9]{2}):?([0-9]{2})?\z"


def parse_timestamp(text: Column) -> Column:
    """The instant of an ISO 8601 text, NULL when it is not a full date and time or not in the calendar.

    Without an offset the text is local: a time that a clock change skipped moves on by the gap, a time that came twice
    is the first. A fraction is cut to microseconds. Year 0000 is not accepted.
    """
    iso = text.rlike(_ISO) & ~text.startswith("0000")
    fraction = F.rpad(F.regexp_extract(text, _FRACTION, 1), 6, "0")
    civil = F.concat(F.substring(text, 1, 19), F.lit("."), fraction).try_cast("timestamp")
    local = F.to_utc_timestamp(civil, LOCAL_ZONE)
    instant = F.when(
        text.rlike(_HAS_OFFSET), F.timestamp_micros(F.unix_micros(civil) - _offset_micros(text))
    ).otherwise(local)
    # What nearly every CDR has: neither fraction nor offset to look for.
    seconds = F.when(iso, F.to_utc_timestamp(text.try_cast("timestamp"), LOCAL_ZONE))
    return F.when(F.length(text) == _SECONDS_LENGTH, seconds).when(iso, instant)


def representable(instant: Column) -> Column:
    """The instant when every tool can hold it (1900 to 2199), else NULL: file statistics and Python cannot hold all."""
    return F.when(
        (instant >= F.lit("1900-01-01").cast("timestamp")) & (instant < F.lit("2200-01-01").cast("timestamp")), instant
    )


def local_day(instant: Column) -> Column:
    """Local calendar day of an instant.

    The zone is UTC or UTC+1 since 1913 (tz database), so the UTC day is the local one but for the day's last hour: only
    there the tz database is asked, which takes ten times as long.
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
    """When the instant's hour of UTC began, in microseconds since 1970: cheap to group by.

    All of it lies in one local hour, since the zone is whole hours from UTC (after 1913).
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
