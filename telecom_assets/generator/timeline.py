"""When people call: the minutes of a month with their weights, and local civil time.

Belongs here: the weekly, daily and hourly shape of traffic, Africa/Casablanca civil time. Does not belong here: what
a record holds. Instants are seconds since the epoch, UTC, in int64 arrays.
"""

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

ZONE = ZoneInfo("Africa/Casablanca")
DAY_SEC = 86_400
SLOT_SEC = 60

Int64Array = npt.NDArray[np.int64]

# Relative traffic of each hour, at its middle: quiet before dawn, busy around noon, busiest in the evening.
_WEEKDAY_HOURS = (16, 9, 5, 4, 4, 7, 16, 34, 55, 66, 72, 76, 80, 72, 66, 68, 73, 82, 92, 98, 100, 92, 66, 36)
_WEEKEND_HOURS = (26, 17, 10, 6, 5, 6, 10, 18, 32, 48, 60, 68, 72, 70, 66, 66, 70, 78, 88, 96, 100, 97, 80, 52)
# Relative traffic of each day of the week, Monday first.
_WEEKDAYS = (1.00, 1.01, 1.02, 1.03, 1.05, 0.88, 0.78)
_FIRST_WEEKEND_DAY = 5
# No two Tuesdays are alike: the spread of a day around its share.
_DAY_SPREAD = 0.06


class CivilTime:
    """Local civil time of Africa/Casablanca for the local days [first, end); Morocco leaves UTC+1 in Ramadan."""

    def __init__(self, first: dt.date, end: dt.date) -> None:
        days = [first + dt.timedelta(days=n) for n in range((end - first).days + 1)]
        bounds = [(instant, _offset(instant)) for instant in map(local_midnight, days)]
        changes = [
            (_change_between(low, high), after)
            for (low, before), (high, after) in itertools.pairwise(bounds)
            if after != before
        ]
        starts, offsets = zip(bounds[0], *changes, strict=True)
        self._starts = np.array(starts, dtype=np.int64)
        self._offsets = np.array(offsets, dtype=np.int64)

    def offset_sec(self, instants: Int64Array) -> Int64Array:
        """Seconds that local time is ahead of UTC."""
        return self._offsets[np.searchsorted(self._starts, instants, side="right") - 1]


def local_midnight(day: dt.date) -> int:
    """The instant at which a local day begins."""
    return int(dt.datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp())


def traffic_slots(
    first: dt.date, end: dt.date, civil: CivilTime, rng: np.random.Generator
) -> tuple[Int64Array, npt.NDArray[np.float64]]:
    """The minutes of the local days [first, end): when each begins, and its share of the traffic (they sum to 1)."""
    starts = np.arange(local_midnight(first), local_midnight(end), SLOT_SEC, dtype=np.int64)
    local = starts + civil.offset_sec(starts)
    day_of_month = local // DAY_SEC - (first - dt.date(1970, 1, 1)).days
    weekday = (first.weekday() + day_of_month) % 7
    spread = rng.normal(1.0, _DAY_SPREAD, size=(end - first).days).clip(0.5, 1.5)
    minute = (local % DAY_SEC) / 60
    middles = np.arange(24) * 60 + 30
    weights = np.where(
        weekday < _FIRST_WEEKEND_DAY,
        np.interp(minute, middles, _WEEKDAY_HOURS, period=24 * 60),
        np.interp(minute, middles, _WEEKEND_HOURS, period=24 * 60),
    )
    weights = weights * np.array(_WEEKDAYS)[weekday] * spread[day_of_month]
    return starts, weights / weights.sum()


def _offset(instant: int) -> int:
    civil = dt.datetime.fromtimestamp(instant, ZONE).replace(tzinfo=dt.UTC)
    return int(civil.timestamp()) - instant


def _change_between(low: int, high: int) -> int:
    """The first instant in (low, high] with the offset of `high`; clocks change once a day at most."""
    after = _offset(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(middle) == after else (middle, high)
    return high
