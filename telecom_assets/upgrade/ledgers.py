"""The rows of landing_ranges and mediated_days in their new shape. Pure: rows in, rows out.

Belongs here: rows whose content changes, and rows that the former table had twice. Does not belong here: reading, writing.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_Row = Mapping[str, Any]
#: Value of raw_rows by which the former version marked a day to be mediated again: an earlier copy had landed on another day.
TO_BE_MEDIATED = -1


@dataclass(frozen=True)
class LedgerRow:
    """A row of landing_ranges; `known`: whether its `records` are right, or must be counted in raw_cdrs."""

    row: _Row
    known: bool


def ranges_once(rows: Sequence[_Row]) -> list[LedgerRow]:
    """The ledger with each position once: two homes may both have landed, and recorded, the same positions.

    Positions that an earlier range has are cut off from a later range; the records of the rest must be counted.
    """
    made: list[LedgerRow] = []
    covered: dict[Any, list[tuple[int, int]]] = {}
    for row in sorted(rows, key=lambda row: (row["raw_version"], row["landed_at"], row["from_position"])):
        part = (row["source_id"], row["source_part"])
        start, end = row["from_position"], row["to_position"]
        known = covered.setdefault(part, [])
        if start == end:
            # An empty range says from which position the partition is watched: one such row is enough.
            if not any(first <= start <= last for first, last in known):
                made.append(LedgerRow(row, known=True))
            known.append((start, end))
            continue
        for first, last in _left(start, end, known):
            whole = (first, last) == (start, end)
            made.append(LedgerRow(row if whole else {**row, "from_position": first, "to_position": last}, whole))
        known.append((start, end))
    return made


def _left(start: int, end: int, covered: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of a range that are not covered."""
    left = []
    for first, last in sorted(covered):
        if start < min(first, end):
            left.append((start, min(first, end)))
        start = max(start, last)
    return [*left, (start, end)] if start < end else left


@dataclass(frozen=True)
class Outcomes:
    """cleaned_cdrs or rejected_cdrs: the version of the upgrade, and rows by day."""

    version: int
    rows: Mapping[dt.date, int]


def mediated_once(rows: Sequence[_Row], cleaned: Outcomes, rejected: Outcomes) -> list[dict[str, Any]]:
    """mediated_days with the versions that its days have now.

    The mark took the place of the number of mediated rows, which is therefore taken from the outcomes. That the day must be
    mediated again is kept in `displaced_days` (`marked_days`). A day that was marked before its first mediation gets no row.
    """
    made = []
    for row in rows:
        day, count = row["event_date"], row["raw_rows"]
        if count == TO_BE_MEDIATED:
            count = cleaned.rows.get(day, 0) + rejected.rows.get(day, 0)
            if not count:
                continue
        made.append(
            {
                **row,
                "raw_rows": count,
                "cleaned_version": cleaned.version,
                "rejected_version": rejected.version,
            }
        )
    return made


def marked_days(rows: Sequence[_Row]) -> set[dt.date]:
    """Days that mediated_days says are to be mediated again."""
    return {row["event_date"] for row in rows if row["raw_rows"] == TO_BE_MEDIATED}
