"""From raw_cdrs to events: the identities that mediation keeps."""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import PinnedTable, as_first_seen
from telecom_assets.books.days import days_add_up, rows_by_day, verdict_of_days
from telecom_assets.books.verdict import SHOWN, Verdict
from telecom_assets.mediation.copies import SMALL_PART, hashed, repeated_hashes, with_ids_of
from telecom_assets.mediation.stale_days import days_of_displaced_copies, mediated_rows, stale_since_mediation
from telecom_assets.mediation.tables import MEDIATED_DAYS
from telecom_assets.model.text import visible

#: What the identity says. Its check says the same.
RAW_EQUALS_OUTCOMES = "raw = cleaned + rejected"


def raw_equals_outcomes(mediated: PinnedTable, cleaned: PinnedTable, rejected: PinnedTable) -> Verdict:
    """raw = cleaned + rejected, per day, by count and by sum of positions; raw as mediation read it."""
    # The sums of the engine come first: while it computes, other checks read files.
    outcomes = {"cleaned": rows_by_day(cleaned), "rejected": rows_by_day(rejected)}
    raw = {row["event_date"]: (row["raw_rows"], int(row["raw_positions"])) for row in mediated_rows(mediated)}
    return days_add_up(RAW_EQUALS_OUTCOMES, "raw", raw, outcomes)


def no_day_is_stale(mediated: PinnedTable) -> Verdict:
    """No mediated day of the run is stale."""
    stale = sorted(stale_since_mediation(mediated).items())
    findings = [f"{day}: {reason}; mediate the day again" for day, reason in stale]
    differs = [{"day": day, "reason": reason} for day, reason in stale]
    return verdict_of_days("no mediated day is stale", findings, differs, otherwise="some mediated days are stale")


def records_are_unique(cleaned: PinnedTable, dedupe_days: int) -> Verdict:
    """No record_id of the run's days is cleaned twice within `dedupe_days`, the days around them included.

    Days with a displaced copy are left aside: they will be mediated again, and nothing is billed before.
    """
    around = cleaned.partitions.widened(dedupe_days) if cleaned.partitions is not None else None
    mediated = cleaned.warehouse.pin(MEDIATED_DAYS.name, around)
    return _unique(as_first_seen(cleaned, around), dedupe_days, frozenset(days_of_displaced_copies(mediated)))


@lru_cache(maxsize=32)
def _unique(cleaned: PinnedTable, dedupe_days: int, aside: frozenset[dt.date]) -> Verdict:
    rows = hashed(cleaned.all().select("record_id", "event_date"))
    if cleaned.partitions is not None:
        around = cleaned.partitions.widened(dedupe_days)
        rows = rows.where(around.holds(F.col("event_date")))
        if cleaned.share_of(around) < SMALL_PART:
            rows = with_ids_of(cleaned.df, rows)
    if aside:
        rows = rows.where(~F.col("event_date").isin(sorted(aside)))
    # Ids whose hash comes once are unique. Mostly all are, and there is nothing more to do.
    repeated = repeated_hashes(rows)
    found = [
        (record_id, days)
        for record_id, days in ([] if repeated.isEmpty() else _days_of_repeated(rows, repeated))
        if any((later - day).days <= dedupe_days for day, later in pairwise(days))
    ]
    differs = [{"record_id": record_id, "cleaned on": ", ".join(map(str, days))} for record_id, days in found]
    findings = [f"record {visible(row['record_id'])} is cleaned on {row['cleaned on']}" for row in differs]
    return Verdict(
        f"a record is cleaned once within {dedupe_days} days",
        findings,
        differs=differs,
        failed=frozenset(day for _, days in found for day in days),
        otherwise=f"records are cleaned more than once within {dedupe_days} days",
    )


def month_is_mediated(period: str, days: Sequence[dt.date], mediated: PinnedTable, raw: PinnedTable) -> Verdict:
    """Every day of the month was mediated, and nothing has landed since."""
    seen = {row["event_date"]: row["raw_rows"] for row in mediated_rows(mediated)}
    landed = raw.rows_by_partition()
    findings = []
    missing = [day for day in days if day not in seen]
    if missing:
        shown = ", ".join(str(day) for day in missing[:SHOWN]) + (" …" if len(missing) > SHOWN else "")
        findings.append(f"{len(missing)} days were never mediated ({shown}); run `telecom run --month {period}`")
    differs: list[Mapping[str, Any]] = [{"day": day, "reason": "was never mediated"} for day in missing]
    for day, rows in sorted(seen.items()):
        if landed.get(day, 0) != rows:
            reason = f"{landed.get(day, 0)} records landed, {rows} were mediated"
            findings.append(f"{day}: {reason}; mediate the day again")
            differs.append({"day": day, "reason": reason})
    stale = no_day_is_stale(mediated)
    findings += stale.findings
    return verdict_of_days(
        f"every day of {period} is mediated",
        findings,
        [*differs, *stale.differs],
        {"days": len(days)},
        f"not every day of {period} is mediated as it stands now",
    )


def _days_of_repeated(rows: DataFrame, repeated: DataFrame) -> list[tuple[str, list[dt.date]]]:
    """Each record id that comes more than once, with its days. repeated: the hashes that come more than once."""
    days = (
        rows.join(repeated, on="id_hash", how="left_semi")
        .groupBy("record_id")
        .agg(F.sort_array(F.collect_list("event_date")).alias("days"))
        .where(F.size("days") > 1)
    )
    return [(row["record_id"], row["days"]) for row in days.limit(1000).collect()]
