"""Which days are stale: to be mediated, or mediated again. From the tables alone.

Belongs here: when the outcome of a day is not that of its raw rows any more, and why. Does not belong here: requesting the
mediation (the sensor, `telecom run`) and waiting for it (rating, the gate before a bill).

A day is stale for one of three reasons: rows of it have landed that were not mediated; a copy of one of its records has landed
on another day and is the earlier one, or a person has chosen a copy (`displaced_days` names a later version of raw_cdrs than its
mediation read); or its
cleaned or rejected rows were rewritten after its mediation, by a slower mediation of another home, or from older rows. The row of
the day in `mediated_days` names the versions that its mediation read and wrote.
"""

import datetime as dt
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from resources.warehouse import PinnedTable, Warehouse
from telecom_assets.intake.journal import displaced_days
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS

NEW_ROWS = "new rows have landed"
DISPLACED_COPY = "a copy has landed that came before one that the day keeps, or another copy was chosen"


@dataclass(frozen=True)
class Stale:
    """Why a day is stale, and the newest version that makes it stale: 0 for a day that was never mediated.

    The version distinguishes a reason from a later one of the same kind.
    """

    reason: str
    version: int


def days_with_new_rows(landed: Mapping[dt.date, int], mediated: Mapping[dt.date, int]) -> set[dt.date]:
    """Days whose landed rows are not the rows that were mediated: new days, and days with late records."""
    return {day for day, rows in landed.items() if mediated.get(day) != rows}


def stale_days(warehouse: Warehouse) -> dict[dt.date, Stale]:
    """The stale days of a warehouse."""
    rows = mediated_rows(warehouse.pin(MEDIATED_DAYS.name))
    known = {row["event_date"]: row["raw_version"] for row in rows}
    landed = warehouse.pin(RAW_CDRS.name).rows_by_partition()
    counted = {row["event_date"]: row["raw_rows"] for row in rows}
    stale = {day: Stale(NEW_ROWS, known.get(day, 0)) for day in days_with_new_rows(landed, counted)}
    for found in (_displaced(warehouse, rows), _rewritten(warehouse, rows)):
        for day, other in found.items():
            if day not in stale or other.version > stale[day].version:
                stale[day] = other
    return stale


def stale_since_mediation(mediated: PinnedTable) -> dict[dt.date, str]:
    """The mediated days of the run that are stale for another reason than new rows of their own, with the reason."""
    rows = mediated_rows(mediated)
    found = {**_displaced(mediated.warehouse, rows), **_rewritten(mediated.warehouse, rows)}
    return {day: stale.reason for day, stale in found.items()}


def days_of_displaced_copies(mediated: PinnedTable) -> set[dt.date]:
    """The mediated days of the run with a displaced copy, which have not been mediated again yet."""
    return set(_displaced(mediated.warehouse, mediated_rows(mediated)))


_Row = Mapping[str, Any]
_reading = threading.Lock()


def mediated_rows(mediated: PinnedTable) -> list[_Row]:
    """The rows of mediated_days: a row a day, each in a file of its own. Read once: a second caller waits for the first."""
    with _reading:
        return _read(mediated)


@lru_cache(maxsize=16)
def _read(mediated: PinnedTable) -> list[_Row]:
    rows: list[_Row] = mediated.arrow().to_pylist()
    return rows


def _displaced(warehouse: Warehouse, rows: Sequence[_Row]) -> dict[dt.date, Stale]:
    """The rows of mediated_days whose day was displaced by a later version of raw_cdrs."""
    if not rows:
        return {}
    asked = displaced_days(warehouse)
    found = ((row["event_date"], asked.get(row["event_date"], 0), row["raw_version"]) for row in rows)
    return {day: Stale(DISPLACED_COPY, version) for day, version, read in found if version > read}


def _rewritten(warehouse: Warehouse, rows: Sequence[_Row]) -> dict[dt.date, Stale]:
    """The rows of mediated_days whose cleaned or rejected rows were written again since."""
    found: dict[dt.date, Stale] = {}
    for name in (CLEANED_CDRS.name, REJECTED_CDRS.name) if rows else ():
        column = f"{name.removesuffix('_cdrs')}_version"
        written = warehouse.log(name).last_changed(min(int(row[column] or 0) for row in rows))
        for row in rows:
            if (version := written.get(row["event_date"], 0)) > (row[column] or 0):
                reason = f"{name} was written after the mediation that mediated_days tells of"
                found[row["event_date"]] = Stale(reason, version)
    return found
