"""From cleaned events to charges: the identities that rating keeps."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

from pyspark.sql import Column
from pyspark.sql import functions as F

from resources.delta import PinnedTable
from telecom_assets.books.days import days_add_up, rows_by_day, verdict_of_days
from telecom_assets.books.verdict import Verdict
from telecom_assets.model.months import only_month
from telecom_assets.rating.rules import MissingVolumePolicy, volume_floors
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes


def cleaned_equals_ratings(cleaned: PinnedTable, rated: PinnedTable, suspended: PinnedTable) -> Verdict:
    """cleaned = rated + suspended, per day, by count and by sum of offsets."""
    parts = {"rated": rows_by_day(rated), "suspended": rows_by_day(suspended)}
    return days_add_up("cleaned = rated + suspended", "cleaned", rows_by_day(cleaned), parts)


def missing_volumes_follow(
    policy: MissingVolumePolicy,
    cleaned: PinnedTable,
    rated: PinnedTable,
    suspended: PinnedTable,
    record_types: RecordTypes = RECORD_TYPES,
) -> Verdict:
    """Every imputed volume is what the policy says now that the month's events are known.

    None is waiting (suspended as missing_volume) unless the policy says so.
    """
    imputed = rated.df.where("imputed").select("customer_id", "event_date", "billable_units")
    if policy == "customer_min":
        assert cleaned.partitions is not None
        period = only_month(cleaned.partitions.first, cleaned.partitions.last)
        floors = volume_floors(cleaned.df, one_period=period, record_types=record_types).select(
            "customer_id", "floor_mb"
        )
        expected: Column = F.coalesce("floor_mb", F.lit(Decimal(0)))
        joined = imputed.join(floors, on="customer_id", how="left")
    else:
        expected, joined = F.lit(Decimal(0)), imputed
    wrong = joined.where(F.lit(policy == "suspend") | (F.col("billable_units") != expected))
    found = wrong.groupBy("event_date").agg(F.count("*").alias("rows")).collect()
    told = [(day, rows, "imputed volumes are out of date") for day, rows in sorted(map(tuple, found))]
    if policy != "suspend":
        waiting = suspended.df.where(F.col("reason") == "missing_volume").groupBy("event_date").count().collect()
        what = f"volumes are missing, and the policy is {policy}"
        told += [(day, rows, what) for day, rows in sorted(map(tuple, waiting))]
    findings = [f"{day}: {rows} {what}; rate the day again" for day, rows, what in told]
    differs = [{"day": day, "events": rows, "reason": what} for day, rows, what in told]
    return verdict_of_days(
        f"imputed volumes follow the policy {policy}",
        findings,
        differs,
        otherwise=f"imputed volumes do not follow the policy {policy}",
    )


def one_tariff(rated: PinnedTable, suspended: PinnedTable) -> Verdict:
    """A month is rated against one version of each reference table; its figures are those (none for an empty month)."""
    names = ("customers", "rate_plans", "product_catalog")
    days: dict[tuple[int, ...], list[dt.date]] = {}
    for table in (rated, suspended):
        for day, versions in _tariffs(table, [f"{name}_version" for name in names]):
            days.setdefault(versions, []).append(day)
    findings = []
    if len(days) > 1:
        findings = [
            f"{min(used)} to {max(used)} rated against "
            + ", ".join(f"{name} {version}" for name, version in zip(names, versions, strict=True))
            for versions, used in sorted(days.items(), key=lambda item: min(item[1]))
        ] + ["rate the month again"]
    differs = [
        {"first day": min(used), "last day": max(used), **dict(zip(names, versions, strict=True))}
        for versions, used in sorted(days.items(), key=lambda item: min(item[1]))
        if len(days) > 1
    ]
    single = dict(zip(names, next(iter(days)), strict=True)) if len(days) == 1 else {}
    return Verdict(
        "the month is rated against one version of each reference table",
        findings,
        single,
        differs,
        otherwise="the month is rated against several versions of a reference table",
    )


def _tariffs(table: PinnedTable, columns: Sequence[str]) -> list[tuple[dt.date, tuple[int, ...]]]:
    """Days, with the versions that they were rated against: from file statistics where each file has one of each."""
    if (known := table.constants(columns)) is not None:
        return known
    rows = table.df.select("event_date", *columns).distinct().collect()
    return [(row["event_date"], tuple(row[name] for name in columns)) for row in rows]
