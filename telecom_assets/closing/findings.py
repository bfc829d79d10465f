"""What a review of a month's bills finds, and what it reads.

Belongs here: the shape of a finding, and the tables of the month that findings are made from. Does not belong here: which findings
there are (`review`, `advice`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from resources.warehouse import Partitions, PinnedTable, Warehouse
from telecom_assets.home.settings import Settings
from telecom_assets.model.months import month_days
from telecom_assets.periods.states import Periods
from telecom_assets.record_types.in_force import RecordTypes


@dataclass(frozen=True)
class Finding:
    """Something that a review has found: a sentence, and the first rows behind it.

    blocking: the bills cannot be approved or closed while it is so. Otherwise a person decides.
    """

    name: str
    text: str
    blocking: bool = False
    rows: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """For JSON: amounts and days are texts."""
        rows = [{name: _plain(value) for name, value in row.items()} for row in self.rows]
        return {"finding": self.name, "blocking": self.blocking, "text": self.text, "rows": rows}


@dataclass(frozen=True)
class Reviewed:
    """A month under review, and what there is of it."""

    month: str
    settings: Settings
    warehouse: Warehouse
    record_types: RecordTypes
    periods: Periods

    @property
    def days(self) -> list[dt.date]:
        """The days of the month."""
        return month_days(self.month)

    def of_month(self, table: str) -> PinnedTable:
        """A table, pinned to the month."""
        return self.warehouse.pin_period(table, self.month)

    def months_before(self, count: int) -> Partitions:
        """So many months before this one, as billing periods."""
        first, day = self.month, self.days[0]
        for _ in range(count):
            day = (day - dt.timedelta(days=1)).replace(day=1)
            first = f"{day:%Y-%m}"
        last = f"{self.days[0] - dt.timedelta(days=1):%Y-%m}"
        return Partitions(first, last)


def holder(row: Mapping[str, Any]) -> str:
    """A holder of a number in words; the first one is named by the number alone."""
    return f"{row['customer_id']}" + (f", holder {row['holder_no']}" if row["holder_no"] != 1 else "")


def some(names: Sequence[str], most: int = 3) -> str:
    """The first of some names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, int | str) else f"{value}"
