"""Which days are to be mediated, or mediated again, from the tables alone.

Belongs here: when the outcome of a day is not what its raw rows say now. Does not belong here: who asks for the mediation
(the sensor, `telecom run`) and who waits for it (rating, the gate before a bill).

A day's line in `mediated_days` names the versions that its mediation read and wrote. The day is overtaken when
`displaced_days` asks for a later version of raw_cdrs, or when its cleaned or rejected rows were written after those
versions: by a mediation of another home that was slower, or from older rows.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from resources.warehouse import PinnedTable, Warehouse
from telecom_assets.intake.journal import displaced_days
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS


def days_to_mediate(landed: Mapping[dt.date, int], mediated: Mapping[dt.date, int]) -> set[dt.date]:
    """Days whose landed rows are not the rows that were mediated: new days, and days with late records."""
    return {day for day, rows in landed.items() if mediated.get(day) != rows}


def overtaken_days(mediated: PinnedTable) -> dict[dt.date, str]:
    """Mediated days of the run whose outcome was overtaken, with the reason in words."""
    rows = mediated.arrow().to_pylist()
    found = {**_displaced(mediated.warehouse, rows), **_rewritten(mediated.warehouse, rows)}
    return {day: reason for day, (reason, _) in found.items()}


def days_of_displaced_copies(mediated: PinnedTable) -> set[dt.date]:
    """Mediated days of the run that keep a copy which is none any more, until they are mediated again."""
    return set(_displaced(mediated.warehouse, mediated.arrow().to_pylist()))


def stale_days(warehouse: Warehouse) -> dict[dt.date, int]:
    """Days that are to be mediated as the warehouse is, each with the newest version that was seen to ask for it.

    The version tells one reason from the next; it is 0 for a day that was never mediated.
    """
    rows = warehouse.pin(MEDIATED_DAYS.name).arrow().to_pylist()
    known = {row["event_date"]: row["raw_version"] for row in rows}
    landed = warehouse.pin(RAW_CDRS.name).rows_by_partition()
    counted = {row["event_date"]: row["raw_rows"] for row in rows}
    stale = {day: known.get(day, 0) for day in days_to_mediate(landed, counted)}
    for overtaken in (_displaced(warehouse, rows), _rewritten(warehouse, rows)):
        for day, (_, version) in overtaken.items():
            stale[day] = max(version, stale.get(day, 0))
    return stale


_Row = Mapping[str, Any]
#: Of a day that was overtaken: the reason, and the version that overtook it.
_Overtaken = dict[dt.date, tuple[str, int]]


def _displaced(warehouse: Warehouse, rows: Sequence[_Row]) -> _Overtaken:
    """Of some rows of mediated_days those for which a later version of raw_cdrs asks."""
    if not rows:
        return {}
    asked, reason = displaced_days(warehouse), "a copy has landed that came before one that the day keeps"
    found = ((row["event_date"], asked.get(row["event_date"], 0), row["raw_version"]) for row in rows)
    return {day: (reason, version) for day, version, read in found if version > read}


def _rewritten(warehouse: Warehouse, rows: Sequence[_Row]) -> _Overtaken:
    """Of some rows of mediated_days those whose cleaned or rejected rows were written since."""
    found: _Overtaken = {}
    for name in (CLEANED_CDRS.name, REJECTED_CDRS.name) if rows else ():
        column = f"{name.removesuffix('_cdrs')}_version"
        written = warehouse.log(name).last_changed(min(int(row[column] or 0) for row in rows))
        for row in rows:
            if (version := written.get(row["event_date"], 0)) > (row[column] or 0):
                reason = f"{name} was written after the mediation that mediated_days tells of"
                found[row["event_date"]] = (reason, version)
    return found
