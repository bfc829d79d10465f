"""The days of some days that are not of a frozen period.

Belongs here: leaving out what nothing may write. Does not belong here: the refusal of a write that means them all the same (`guard`).
"""

import datetime as dt

from resources.warehouse import Partitions, Warehouse
from telecom_assets.model.months import contiguous, days_between, month_days
from telecom_assets.periods.journal import read_periods


def frozen_days(warehouse: Warehouse) -> frozenset[dt.date]:
    """The days of all frozen periods."""
    return frozenset(day for month in read_periods(warehouse).frozen for day in month_days(month))


def open_parts(warehouse: Warehouse, days: Partitions) -> list[Partitions]:
    """Some days without those of frozen periods, as the fewest ranges; none where all are frozen."""
    frozen = frozen_days(warehouse)
    if not frozen:
        return [days]
    left = (day for day in days_between(days.first, days.last) if day not in frozen)
    return [Partitions(first, last) for first, last in contiguous(left)]
