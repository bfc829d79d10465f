"""Days and billing periods (yyyy-MM): arithmetic only, nothing heavy to import."""

import calendar
import datetime as dt
from collections.abc import Iterable

from resources.expected_errors import ExpectedError, UsageError


class MonthError(UsageError, ValueError):
    """Not a month that can be billed."""


class NothingBilled(ExpectedError):
    """A month that has no bills: there are no books to check."""


def previous_month(day: dt.date) -> str:
    """The month before a day's."""
    return f"{day.replace(day=1) - dt.timedelta(days=1):%Y-%m}"


def month_days(month: str) -> list[dt.date]:
    """The days of a month."""
    year, number = int(month[:4]), int(month[5:7])
    return [dt.date(year, number, day) for day in range(1, calendar.monthrange(year, number)[1] + 1)]


def days_between(first: dt.date, last: dt.date) -> list[dt.date]:
    """The days from first to last, both included."""
    return [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]


def months_between(first: str, last: str) -> list[str]:
    """The months from first to last, both included."""
    months = [first]
    while months[-1] < last:
        months.append(f"{month_days(months[-1])[-1] + dt.timedelta(days=1):%Y-%m}")
    return months


def only_month(first: dt.date, last: dt.date) -> str | None:
    """The month of a range of days, if all lie in one."""
    return f"{first:%Y-%m}" if (first.year, first.month) == (last.year, last.month) else None


def shown_days(first: dt.date, last: dt.date) -> str:
    """A range of days as people read it: 2026-10-05, 2026-10-01…31, 2026-10-24…2026-11-02."""
    if first == last:
        return f"{first}"
    return f"{first}…{last:%d}" if only_month(first, last) else f"{first}…{last}"


def shown_range(first: str, last: str) -> str:
    """A range of partition keys as people read it: of days, or of billing periods."""
    if len(first) > len("yyyy-MM"):
        return shown_days(dt.date.fromisoformat(first), dt.date.fromisoformat(last))
    return first if first == last else f"{first}…{last}"


def contiguous(days: Iterable[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """Days as the fewest ranges (first, last) without gaps, in order."""
    ranges: list[tuple[dt.date, dt.date]] = []
    for day in sorted(set(days)):
        if ranges and day - ranges[-1][1] == dt.timedelta(days=1):
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges
