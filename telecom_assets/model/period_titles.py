"""The billing period as documents show it: a calendar month, its first and its last day."""

import calendar
import datetime as dt
import re

_PERIOD = re.compile(r"\A([0-9]{4})-(0[1-9]|1[0-2])\Z")


def period_bounds(period: str) -> tuple[dt.date, dt.date]:
    """First and last day of the billing period `yyyy-MM`. Raises ValueError on anything else."""
    match = _PERIOD.match(period)
    if match is None or match[1] == "0000":
        raise ValueError(f"billing period {period!r}: expected yyyy-MM, e.g. 2025-05")
    year, month = int(match[1]), int(match[2])
    return dt.date(year, month, 1), dt.date(year, month, calendar.monthrange(year, month)[1])


def period_title(period: str) -> str:
    """The period for people: `May 2025`. English whatever the machine's locale."""
    first, _ = period_bounds(period)
    return f"{_MONTHS[first.month - 1]} {first.year}"


def period_dates(period: str) -> str:
    """The days of the period for people: `1–31 May 2025`."""
    _, last = period_bounds(period)
    return f"1–{last.day} {period_title(period)}"


def day_title(day: dt.date) -> str:
    """The day for people: `Thu 1`. English whatever the machine's locale."""
    return f"{_DAYS[day.weekday()]} {day.day}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
