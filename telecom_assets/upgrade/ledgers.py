"""The rows of landing_ranges and mediated_days in their new shape. Pure: rows in, rows out.

Belongs here: what each says where the former one said it otherwise, or twice. Does not belong here: reading, writing.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_Row = Mapping[str, Any]
#: What raw_rows of a day was when its mediation had been overtaken by an earlier copy.
TO_BE_MEDIATED = -1


@dataclass(frozen=True)
class LedgerRow:
    """A row of landing_ranges; `known` says whether its `records` hold, or are to be counted."""

    row: _Row
    known: bool


def ranges_once(rows: Sequence[_Row]) -> list[LedgerRow]:
    """The ledger without what it says twice: two homes may both have landed, and written down, the same positions.

    Of a range what an earlier one has already is cut off; what is left of it is to be counted.
    """
    made: list[LedgerRow] = []
    covered: dict[Any, list[tuple[int, int]]] = {}
    for row in sorted(rows, key=lambda row: (row["raw_version"], row["landed_at"], row["from_position"])):
        part = (row["source_id"], row["source_part"])
        start, end = row["from_position"], row["to_position"]
        known = covered.setdefault(part, [])
        if start == end:
            # It says that the partition is watched from there on: once is enough.
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
    """What of a range is not covered."""
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

    A marked day has lost how many rows were mediated: as many as came out of it. That it is to be mediated again stands in
    `displaced_days` (`marked_days`). A day that was marked before its first mediation has no row until then.
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
