"""Which days and months there are: from the first that the settings name to today.

Belongs here: what the clock decides, in local time (Africa/Casablanca). Does not belong here: arithmetic of days and months
(`months`), Dagster's partitions (`telecom_assets.lineage.partitions`).
"""

import datetime as dt
import re
from zoneinfo import ZoneInfo

from telecom_assets.model.civil_time import LOCAL_ZONE
from telecom_assets.model.months import MonthError, months_between

ZONE = ZoneInfo(LOCAL_ZONE)


def check_month(month: str, start: dt.date, today: dt.date | None = None) -> str:
    """The given month, if it is among the partitions from `start` on. Raises MonthError with one line otherwise."""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month):
        raise MonthError(f"month {month!r}: expected yyyy-MM, e.g. 2026-10")
    first = f"{start:%Y-%m}"
    last = f"{today or local_today():%Y-%m}"
    if not first <= month <= last:
        raise MonthError(
            f"month {month}: expected a month from {first} (TELECOM_PARTITIONS_START) to {last} (this month)"
        )
    return month


def all_months(start: dt.date) -> list[str]:
    """The months that the partitions hold, when they begin at `start`."""
    return months_between(f"{start:%Y-%m}", f"{local_today():%Y-%m}")


def local_today() -> dt.date:
    return dt.datetime.now(ZONE).date()


def last_day() -> dt.date:
    """The last day that DAILY holds: tomorrow."""
    return local_today() + dt.timedelta(days=1)
