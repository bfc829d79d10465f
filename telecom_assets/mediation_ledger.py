"""Marks in the ledger of mediation: days that are to be mediated again, though no row of theirs is new.

Belongs here: how landing marks a day, and why a mark outlives a mediation that did not see its cause. Landing and mediation
run side by side, and both write mediated_days: whoever comes last must not take away what the other said.
"""

import datetime as dt

import pyarrow as pa

from resources.delta import Partitions, PinnedTable, Warehouse
from telecom_assets.months import contiguous
from telecom_assets.schemas.usage import MEDIATED_DAYS, RAW_CDRS, TO_BE_MEDIATED


def mark_to_be_mediated(warehouse: Warehouse, days: set[dt.date], raw_version: int, dedupe_days: int) -> None:
    """Mark days because of what a version of raw_cdrs holds: rating and billing wait for their mediation.

    Days that nobody mediated are marked too: their first mediation may be under way.
    """
    for first, last in contiguous(days):
        partitions = Partitions(first, last)
        known = {row["event_date"]: row for row in warehouse.pin(MEDIATED_DAYS.name, partitions).arrow().to_pylist()}
        never = {"raw_positions": 0, "product_catalog_version": 0, "dedupe_days": dedupe_days}
        marked = [
            {**known.get(day, never), "event_date": day, "raw_rows": TO_BE_MEDIATED, "raw_version": raw_version}
            for day in sorted(days)
            if day in partitions
        ]
        rows = pa.Table.from_pylist(marked, schema=MEDIATED_DAYS.arrow_schema())
        warehouse.overwrite_arrow(MEDIATED_DAYS.name, rows, partitions)


def keep_marks(warehouse: Warehouse, raw: PinnedTable, since: int, dedupe_days: int) -> None:
    """Mark again the days of a mediation whose own rows took the place of a mark that it does not answer.

    raw: raw_cdrs as the mediation read it, with its days. since: version of mediated_days when it began. A mark answers for
    a later version of raw_cdrs, and is made after that: where there is none, there is no such mark yet.
    """
    if warehouse.version(RAW_CDRS.name) == raw.version:
        return
    marks: dict[dt.date, int] = {}
    for version in range(since, warehouse.version(MEDIATED_DAYS.name) + 1):
        for row in warehouse.pin(MEDIATED_DAYS.name, raw.partitions, version=version).arrow().to_pylist():
            if row["raw_rows"] == TO_BE_MEDIATED and row["raw_version"] > raw.version:
                marks[row["event_date"]] = max(row["raw_version"], marks.get(row["event_date"], 0))
    if marks:
        mark_to_be_mediated(warehouse, set(marks), max(marks.values()), dedupe_days)
