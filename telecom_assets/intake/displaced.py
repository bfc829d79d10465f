"""Which days must be mediated again because a copy of one of their records has come that is earlier."""

import datetime as dt

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def displaced_by(fresh: DataFrame, older: DataFrame, dedupe_days: int) -> list[dt.date]:
    """Days that hold a copy which was received later than a fresh one that is at home on another day.

    fresh: rows of raw_cdrs that come to their days now. older: rows that may hold such a copy. Copies are looked for within
    `dedupe_days`, as mediation does.
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
