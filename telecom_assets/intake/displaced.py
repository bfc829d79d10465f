"""Stale days: days that keep a copy of a record, when an earlier copy has landed on another day."""

import datetime as dt

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def displaced_by(fresh: DataFrame, older: DataFrame, dedupe_days: int) -> list[dt.date]:
    """The days that hold a copy which was received later than a copy among the fresh rows of another day.

    fresh: rows of raw_cdrs that are added to their days now. older: rows that may hold later copies. Copies are looked for
    within `dedupe_days`, as in mediation.
    """
    columns = ("record_id", "event_date", "received_at")
    new = fresh.select("record_id", *(F.col(name).alias(f"new_{name}") for name in columns[1:]))
    distance = F.abs(F.datediff("event_date", "new_event_date"))
    found = (
        older.select(*columns)
        .join(new, on="record_id", how="inner")
        .where((F.col("received_at") >= F.col("new_received_at")) & (distance > 0) & (distance <= dedupe_days))
    )
    return sorted(row["event_date"] for row in found.select("event_date").distinct().collect())
