"""From cleaned events to charges: the identities that rating keeps."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import add

from pyspark.sql import functions as F

from resources.warehouse import PinnedTable, as_first_seen
from telecom_assets.books.days import days_add_up, rows_and_positions, rows_by_day, verdict_of_days
from telecom_assets.books.totals import Total, records_and_positions, totals_of
from telecom_assets.books.verdict import Verdict
from telecom_assets.model.numbers import zero_if_null
from telecom_assets.periods.open_days import frozen_days
from telecom_assets.rating.month_rules import of_holder, smallest_volumes
from telecom_assets.rating.rules import DEFERRED, MissingVolumePolicy
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.changes import days_that_differ

#: What each identity says. Its check says the same.
CLEANED_EQUALS_RATINGS = "cleaned = rated + suspended"
DEFERRED_EQUALS_IMPUTED = "deferred = imputed"
#: For each policy: the dispositions that an event without a volume must not have, in words and as stored.
_AGAINST_THE_POLICY: dict[MissingVolumePolicy, tuple[str, list[str]]] = {
    "customer_min": ("suspended", ["suspended"]),
    "zero": ("deferred or suspended", [DEFERRED, "suspended"]),
    "suspend": ("deferred", [DEFERRED]),
}


def cleaned_equals_ratings(cleaned: PinnedTable, rated: PinnedTable, suspended: PinnedTable) -> Verdict:
    """cleaned = rated + suspended, the deferred among them, per day, by count and by sum of positions.

    On days of approved and closed periods cleaned rows change when something comes late, and ratings do not: there it is
    cleaned = rated + suspended + late − gone (`late_less_gone`).
    """
    parts: dict[str, Mapping[dt.date, tuple[int, int]]] = {
        "rated": rows_by_day(rated),
        "suspended": _suspended_rows(suspended),
    }
    if late := late_less_gone(cleaned, rated, suspended):
        parts["late"] = late
    return days_add_up(CLEANED_EQUALS_RATINGS, "cleaned", rows_by_day(cleaned), parts)


def late_less_gone(
    cleaned: PinnedTable, rated: PinnedTable, suspended: PinnedTable
) -> Mapping[dt.date, tuple[int, int]]:
    """Of days of approved and closed periods: the records that were cleaned since, less those that are cleaned no more.

    Rows, and the sum of their positions, of the days that have other records than ratings: by record id, as sets. A record of which
    another copy is kept now is neither: it brings no row, and the step from the position of the one copy to that of the other.
    """
    whole, frozen = rows_by_day(cleaned), frozen_days(cleaned.warehouse)
    rated_rows, suspended_rows = rows_by_day(rated), _suspended_rows(suspended)
    nothing = (0, 0)
    differing = frozenset(
        day
        for day in frozen & {*whole, *rated_rows, *suspended_rows}
        if whole.get(day, nothing) != tuple(map(add, rated_rows.get(day, nothing), suspended_rows.get(day, nothing)))
    )
    return _late_less_gone(*map(as_first_seen, (cleaned, rated, suspended)), differing) if differing else {}


@lru_cache(maxsize=64)
def _late_less_gone(
    cleaned: PinnedTable, rated: PinnedTable, suspended: PinnedTable, days: frozenset[dt.date]
) -> Mapping[dt.date, tuple[int, int]]:
    columns = ["event_date", "record_id", "source_position"]
    there, first, second = (
        table.df.where(F.col("event_date").isin(sorted(days))).select(columns) for table in (cleaned, rated, suspended)
    )
    outcomes, on = first.unionByName(second), ["event_date", "record_id"]
    found: dict[dt.date, tuple[int, int]] = {}
    for sign, rows in (
        (1, there.join(outcomes, on=on, how="left_anti")),
        (-1, outcomes.join(there, on=on, how="left_anti")),
    ):
        for row in rows.groupBy("event_date").agg(*rows_and_positions()).collect():
            count, positions = found.get(row["event_date"], (0, 0))
            found[row["event_date"]] = (count + sign * row["rows"], positions + sign * int(row["positions"]))
    step = F.col("source_position") - F.col("was")
    changed = there.join(outcomes.withColumnRenamed("source_position", "was"), on=on).where(step != 0)
    for row in changed.groupBy("event_date").agg(F.sum(step).alias("steps")).collect():
        count, positions = found.get(row["event_date"], (0, 0))
        found[row["event_date"]] = (count, positions + int(row["steps"]))
    return found


def deferred_equals_imputed(suspended: PinnedTable, imputed: PinnedTable) -> Verdict:
    """deferred = imputed, per day, by count and by sum of positions.

    imputed: period_charges of the months of the days. A deferred event whose amount is out of range has its row there too.
    """
    parts = {"imputed": rows_by_day(imputed)}
    return days_add_up(DEFERRED_EQUALS_IMPUTED, "deferred", _suspended_rows(suspended, DEFERRED), parts)


def missing_volumes_follow(policy: MissingVolumePolicy, rated: PinnedTable, suspended: PinnedTable) -> Verdict:
    """Events without a volume were treated by the current policy; they may have been rated under another one.

    customer_min: they are deferred; zero: rated with no units; suspend: suspended.
    """
    are, dispositions = _AGAINST_THE_POLICY[policy]
    imputed = _missing_volumes(totals_of(rated), ["rated"])
    if imputed and policy == "zero":
        imputed = _imputed_units(as_first_seen(rated))
    missing = _missing_volumes(totals_of(suspended), dispositions)
    wrong_days = [
        (day, rows, what)
        for wrong, what in (
            (imputed, "events have an imputed volume"),
            (missing, f"events without a volume are {are}"),
        )
        for day, rows in sorted(wrong.items())
        if rows
    ]
    findings = [
        f"{day}: {rows} {what}, and the policy is {policy}; rate the day again" for day, rows, what in wrong_days
    ]
    differs = [{"day": day, "events": rows, "reason": what} for day, rows, what in wrong_days]
    return verdict_of_days(
        f"missing volumes follow the policy {policy}",
        findings,
        differs,
        otherwise=f"missing volumes do not follow the policy {policy}",
    )


@lru_cache(maxsize=64)
def imputed_are_the_smallest(
    rated: PinnedTable, suspended: PinnedTable, imputed: PinnedTable, record_types: RecordTypes = RECORD_TYPES
) -> Verdict:
    """Every imputed volume is the smallest known one of its holder in the month, by the events that are there now.

    rated, suspended, imputed: rated_cdrs, suspended_cdrs and period_charges of the same month. Where nothing is imputed the month is
    not read.
    """
    wrong_days: list[tuple[dt.date, int]] = []
    if sum(imputed.rows_by_partition().values()):
        smallest = smallest_volumes(rated.df, suspended.df, record_types)
        joined = imputed.df.join(smallest, on=of_holder(), how="left")
        wrong = joined.where(F.col("billable_units") != zero_if_null(F.col("smallest")))
        wrong_days = sorted(map(tuple, wrong.groupBy("event_date").count().collect()))
    what = "imputed volumes are out of date"
    return verdict_of_days(
        "imputed volumes are the smallest known ones",
        [f"{day}: {rows} {what}; make period_charges of the month again" for day, rows in wrong_days],
        [{"day": day, "events": rows, "reason": what} for day, rows in wrong_days],
        otherwise="imputed volumes are not the smallest known ones",
    )


def reference_is_as_rated(references: Sequence[PinnedTable], *rated: PinnedTable) -> Verdict:
    """The reference rows that are in force on each day are those that it was rated with.

    references: the reference tables at the versions that are asked about. rated: rated_cdrs, suspended_cdrs, and period_charges,
    which has to be as its days are. A day may have been rated against another version of a table, as long as that has the same rows
    for the day.
    """
    used = _reference_versions(rated, [f"{table.name}_version" for table in references])
    findings, differs = [], []
    for number, table in enumerate(references):
        days_of: dict[int, set[dt.date]] = {}
        for day, versions in used:
            days_of.setdefault(versions[number], set()).add(day)
        for version, days in sorted(days_of.items(), key=lambda item: min(item[1])):
            if others := _not_in_force(table, version, days):
                findings.append(f"{min(others)} to {max(others)} rated against {table.name} {version}")
                differs.append(
                    {"first day": min(others), "last day": max(others), "table": table.name, "version": version}
                )
    return Verdict(
        "every day is rated with the reference rows that are in force on it",
        [*findings, "rate these days again"] if findings else [],
        differs=differs,
        otherwise="some days are not rated with the reference rows that are in force on them",
    )


def _not_in_force(table: PinnedTable, version: int, days: Collection[dt.date]) -> list[dt.date]:
    """The days on which another version of a table has other rows in force."""
    if version == table.version:
        return []
    differing = days_that_differ(replace(table, version=version), table)
    return [day for day in days if any(day in each for each in differing)]


def _missing_volumes(totals: Iterable[Total], outcomes: Collection[str]) -> dict[dt.date, int]:
    """Events of each day that had no volume, of some outcomes."""
    found: dict[dt.date, int] = {}
    for each in totals:
        if each.reason == "missing_volume" and each.outcome in outcomes:
            found[each.value] = found.get(each.value, 0) + each.records
    return found


@lru_cache(maxsize=64)
def _imputed_units(rated: PinnedTable) -> dict[dt.date, int]:
    """Events of each day with an imputed volume that is not zero."""
    found = rated.df.where(F.col("imputed") & (F.col("billable_units") != 0)).groupBy("event_date").count()
    return {row["event_date"]: row["count"] for row in found.collect()}


def _suspended_rows(suspended: PinnedTable, disposition: str | None = None) -> dict[dt.date, tuple[int, int]]:
    """Rows of each day of suspended_cdrs, and the sum of their positions: all of them, or those of one disposition."""
    totals = totals_of(suspended)
    return records_and_positions(each for each in totals if disposition in (None, each.outcome))


def _reference_versions(tables: Sequence[PinnedTable], columns: Sequence[str]) -> set[tuple[dt.date, tuple[int, ...]]]:
    """Days, with the versions that they were rated against: by file statistics where each file has a single version."""
    found: set[tuple[dt.date, tuple[int, ...]]] = set()
    for table in tables:
        if table.contract.partition_by == "event_date" and (known := table.constants(columns)) is not None:
            found.update(known)
        else:
            rows = table.df.select("event_date", *columns).distinct().collect()
            found.update((row["event_date"], tuple(row[name] for name in columns)) for row in rows)
    return found
