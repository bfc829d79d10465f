"""Stretches of local days, with or without a bound at either end: arithmetic only, nothing heavy to import.

Belongs here: sets of days as stretches. Does not belong here: rows that are in force on them (`telecom_assets.reference.as_of`).
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from telecom_assets.model.months import month_days


@dataclass(frozen=True)
class Stretch:
    """The days from `first`, up to and without `end`. None: without that bound."""

    first: dt.date | None = None
    end: dt.date | None = None

    def __contains__(self, day: dt.date) -> bool:
        return (self.first is None or self.first <= day) and (self.end is None or day < self.end)

    @property
    def is_empty(self) -> bool:
        """Whether it has no day: it ends where it begins, or before."""
        return self.first is not None and self.end is not None and self.end <= self.first

    def meets(self, other: "Stretch") -> bool:
        """Whether both have a day in common."""
        return not (self.is_empty or other.is_empty or self.common(other).is_empty)

    def common(self, other: "Stretch") -> "Stretch":
        """The days of both."""
        firsts = [each.first for each in (self, other) if each.first is not None]
        ends = [each.end for each in (self, other) if each.end is not None]
        return Stretch(max(firsts, default=None), min(ends, default=None))

    def as_json(self) -> dict[str, str | None]:
        """Both bounds as texts; None for one that it does not have."""
        bounds = {"first": self.first, "end": self.end}
        return {name: None if day is None else day.isoformat() for name, day in bounds.items()}

    def __str__(self) -> str:
        """The days as people read them: on every day, from 2026-10-01, until 2026-10-31, 2026-10-01 to 2026-10-31."""
        last = None if self.end is None else self.end - dt.timedelta(days=1)
        if self.first is None:
            return "every day" if last is None else f"until {last}"
        if last is None:
            return f"from {self.first} on"
        return f"{self.first}" if last == self.first else f"{self.first} to {last}"


#: All days.
EVERY_DAY = Stretch()


def stretch_of_key(key: str) -> Stretch:
    """The days of a partition key: of a day (yyyy-MM-dd) or of a billing period (yyyy-MM)."""
    if len(key) > len("yyyy-MM"):
        day = dt.date.fromisoformat(key)
        return Stretch(day, day + dt.timedelta(days=1))
    days = month_days(key)
    return Stretch(days[0], days[-1] + dt.timedelta(days=1))


def union(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same days as the fewest stretches, in order."""
    merged: list[Stretch] = []
    ordered = sorted((each for each in stretches if not each.is_empty), key=_begins)
    for each in ordered:
        before = merged[-1] if merged else None
        if before is None or (before.end is not None and each.first is not None and before.end < each.first):
            merged.append(each)
        elif before.end is not None and (each.end is None or before.end < each.end):
            merged[-1] = Stretch(before.first, each.end)
    return merged


def without(whole: Iterable[Stretch], taken: Iterable[Stretch]) -> list[Stretch]:
    """The days of `whole` that are not in `taken`, as the fewest stretches, in order."""
    left = union(whole)
    for gone in union(taken):
        left = [part for each in left for part in _cut(each, gone)]
    return left


def span(stretches: Sequence[Stretch]) -> Stretch:
    """The days from the first to the last of some stretches (at least one), what lies between them included."""
    ordered = union(stretches)
    return Stretch(ordered[0].first, ordered[-1].end)


def _cut(each: Stretch, gone: Stretch) -> list[Stretch]:
    if not each.meets(gone):
        return [each]
    before = [Stretch(each.first, gone.first)] if gone.first is not None else []
    after = [Stretch(gone.end, each.end)] if gone.end is not None else []
    return [part for part in (*before, *after) if not part.is_empty]


def _begins(each: Stretch) -> tuple[bool, dt.date]:
    return each.first is not None, each.first or dt.date.min
