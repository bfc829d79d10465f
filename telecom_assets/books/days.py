"""Identities of days: what came in on each equals the sum of what became of it.

Belongs here: adding up a table by day, and the verdict of days. Does not belong here: which tables are compared
(`identities.py` of each room).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from resources.warehouse import PinnedTable, as_first_seen, is_by_day
from telecom_assets.books.totals import records_and_positions, totals_of
from telecom_assets.books.verdict import Verdict


def rows_and_positions() -> list[Column]:
    """Aggregates of the rows of a day: their number (`rows`) and the sum of their positions (`positions`)."""
    return [F.count("*").alias("rows"), F.sum(F.col("source_position").cast("decimal(20,0)")).alias("positions")]


def rows_by_day(pinned: PinnedTable) -> dict[dt.date, tuple[int, int]]:
    """Rows of each day, and the sum of their positions: of a table of days by its control totals.

    A table of months does not tell them by day, and is added up: files do not change, so a process does it once.
    """
    if is_by_day(pinned.contract):
        return records_and_positions(totals_of(pinned))
    return _rows_by_day(as_first_seen(pinned))


@lru_cache(maxsize=256)
def _rows_by_day(pinned: PinnedTable) -> dict[dt.date, tuple[int, int]]:
    by_day = pinned.df.groupBy("event_date").agg(*rows_and_positions())
    return {row["event_date"]: (row["rows"], int(row["positions"])) for row in by_day.collect()}


def days_add_up(
    identity: str,
    whole_name: str,
    whole: Mapping[dt.date, tuple[int, int]],
    parts: Mapping[str, Mapping[dt.date, tuple[int, int]]],
) -> Verdict:
    """On each day the whole equals its parts: by number of rows, and by sum of positions, which other records would change."""
    days = set(whole).union(*parts.values())
    findings, differs = [], []
    for day in sorted(days):
        rows, positions = whole.get(day, (0, 0))
        found = {name: part.get(day, (0, 0)) for name, part in parts.items()}
        missing = rows - sum(count for count, _ in found.values())
        if missing:
            shown = " + ".join(f"{count} {name}" for name, (count, _) in found.items())
            findings.append(f"{day}: {rows} {whole_name}, {shown}")
        elif positions != sum(total for _, total in found.values()):
            findings.append(f"{day}: the counts agree, but the records are not the same")
        else:
            continue
        counts = {whole_name: rows, **{name: count for name, (count, _) in found.items()}}
        differs.append(
            {"day": day, **counts, "missing": missing, "reason": "counts differ" if missing else "other records"}
        )
    figures = {whole_name: sum(rows for rows, _ in whole.values())}
    figures |= {name: sum(rows for rows, _ in part.values()) for name, part in parts.items()}
    return verdict_of_days(identity, findings, differs, figures)


def verdict_of_days(
    identity: str,
    findings: Sequence[str],
    differs: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Any] | None = None,
    otherwise: str | None = None,
) -> Verdict:
    """A verdict of days: each row of what differs names one."""
    return Verdict(identity, findings, figures or {}, differs, frozenset(row["day"] for row in differs), otherwise)
