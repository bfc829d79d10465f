"""From raw_cdrs to rated events: mediation, rating, and what a month needs of both."""

import datetime as dt
import threading
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from resources.delta import PinnedTable
from telecom_assets.conservation.verdict import SHOWN, Verdict
from telecom_assets.mediation_state import days_of_displaced_copies, stale_since_mediation
from telecom_assets.months import only_month
from telecom_assets.reference_files import customer_findings, product_catalog_findings, rate_plan_findings
from telecom_assets.schemas.usage import MEDIATED_DAYS
from telecom_assets.transforms.mediation import SMALL_PART, hashed, repeated_hashes, with_ids_of
from telecom_assets.transforms.rating import MissingVolumePolicy, volume_floors
from telecom_assets.visible import visible

_reading_ledger = threading.Lock()


def raw_equals_outcomes(mediated: PinnedTable, cleaned: PinnedTable, rejected: PinnedTable) -> Verdict:
    """raw = cleaned + rejected, per day, by count and by sum of offsets; raw as mediation read it."""
    # What the engine adds up comes first: beside it, other checks read files.
    outcomes = {"cleaned": _per_day(cleaned), "rejected": _per_day(rejected)}
    raw = {row["event_date"]: (row["raw_rows"], int(row["raw_positions"])) for row in _mediated_rows(mediated)}
    return _days_add_up("raw = cleaned + rejected", "raw", raw, outcomes)


def no_day_is_stale(mediated: PinnedTable) -> Verdict:
    """No mediated day of the run is stale."""
    stale = sorted(stale_since_mediation(mediated).items())
    findings = [f"{day}: {reason}; mediate the day again" for day, reason in stale]
    differs = [{"day": day, "reason": reason} for day, reason in stale]
    return _of_days("no mediated day is stale", findings, differs, otherwise="some mediated days are stale")


def cleaned_equals_ratings(cleaned: PinnedTable, rated: PinnedTable, suspended: PinnedTable) -> Verdict:
    """cleaned = rated + suspended, per day, by count and by sum of offsets."""
    parts = {"rated": _per_day(rated), "suspended": _per_day(suspended)}
    return _days_add_up("cleaned = rated + suspended", "cleaned", _per_day(cleaned), parts)


def records_are_unique(cleaned: PinnedTable, dedupe_days: int) -> Verdict:
    """No record_id of the run's days is cleaned twice within `dedupe_days`, the days around them included.

    Days that keep a copy of a record that has come to another day since are left aside: their rows are about to be
    replaced, and nothing is billed before.
    """
    around = cleaned.partitions.widened(dedupe_days) if cleaned.partitions is not None else None
    mediated = cleaned.warehouse.pin(MEDIATED_DAYS.name, around)
    return _unique(cleaned, dedupe_days, frozenset(days_of_displaced_copies(mediated)))


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
    # Those whose hash comes once need no second look, and mostly all do.
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
    seen = {row["event_date"]: row["raw_rows"] for row in _mediated_rows(mediated)}
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
    return _of_days(
        f"every day of {period} is mediated",
        findings,
        [*differs, *stale.differs],
        {"days": len(days)},
        f"not every day of {period} is mediated as it stands now",
    )


def missing_volumes_follow(
    policy: MissingVolumePolicy, cleaned: PinnedTable, rated: PinnedTable, suspended: PinnedTable
) -> Verdict:
    """Every imputed volume is what the policy says now that the month's events are known.

    None is waiting (suspended as missing_volume) unless the policy says so.
    """
    imputed = rated.df.where("imputed").select("customer_id", "event_date", "billable_units")
    if policy == "customer_min":
        assert cleaned.partitions is not None
        period = only_month(cleaned.partitions.first, cleaned.partitions.last)
        floors = volume_floors(cleaned.df, one_period=period).select("customer_id", "floor_mb")
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
    return _of_days(
        f"imputed volumes follow the policy {policy}",
        findings,
        differs,
        otherwise=f"imputed volumes do not follow the policy {policy}",
    )


@lru_cache(maxsize=8)
def references_are_valid(customers: PinnedTable, rate_plans: PinnedTable, product_catalog: PinnedTable) -> Verdict:
    """Customers, tariffs and catalogue keep the rules that make a price right.

    Their own checks come after they were stored: a version that those refused is the newest all the same.
    """
    people, plans, products = (table.arrow() for table in (customers, rate_plans, product_catalog))
    findings = [
        *product_catalog_findings(products),
        *rate_plan_findings(plans, products),
        *customer_findings(people, plans),
    ]
    return Verdict(
        "customers, tariffs and catalogue are valid",
        findings,
        otherwise="customers, tariffs or catalogue are not valid",
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


# -- inside ------------------------------------------------------------------------------------------------------------


def _days_of_repeated(rows: DataFrame, repeated: DataFrame) -> list[tuple[str, list[dt.date]]]:
    """Each record id that comes more than once, with its days. repeated: the hashes that do."""
    days = (
        rows.join(repeated, on="id_hash", how="left_semi")
        .groupBy("record_id")
        .agg(F.sort_array(F.collect_list("event_date")).alias("days"))
        .where(F.size("days") > 1)
    )
    return [(row["record_id"], row["days"]) for row in days.limit(1000).collect()]


def _tariffs(table: PinnedTable, columns: Sequence[str]) -> list[tuple[dt.date, tuple[int, ...]]]:
    """Days, with the versions that they were rated against: from file statistics where each file has one of each."""
    if (known := table.constants(columns)) is not None:
        return known
    rows = table.df.select("event_date", *columns).distinct().collect()
    return [(row["event_date"], tuple(row[name] for name in columns)) for row in rows]


def _mediated_rows(mediated: PinnedTable) -> list[dict[str, Any]]:
    """The ledger of mediation: a row a day, each in a file of its own. Who asks while it is read waits for that."""
    with _reading_ledger:
        return _read_ledger(mediated)


@lru_cache(maxsize=8)
def _read_ledger(mediated: PinnedTable) -> list[dict[str, Any]]:
    return mediated.arrow().to_pylist()


@lru_cache(maxsize=256)
def _per_day(pinned: PinnedTable) -> dict[dt.date, tuple[int, int]]:
    rows = pinned.df.groupBy("event_date").agg(
        F.count("*").alias("rows"), F.sum(F.col("source_position").cast("decimal(20,0)")).alias("offsets")
    )
    return {row["event_date"]: (row["rows"], int(row["offsets"])) for row in rows.collect()}


def _days_add_up(
    identity: str,
    whole_name: str,
    whole: Mapping[dt.date, tuple[int, int]],
    parts: Mapping[str, Mapping[dt.date, tuple[int, int]]],
) -> Verdict:
    days = set(whole).union(*parts.values())
    findings, differs = [], []
    for day in sorted(days):
        rows, offsets = whole.get(day, (0, 0))
        found = {name: part.get(day, (0, 0)) for name, part in parts.items()}
        missing = rows - sum(count for count, _ in found.values())
        if missing:
            shown = " + ".join(f"{count} {name}" for name, (count, _) in found.items())
            findings.append(f"{day}: {rows} {whole_name}, {shown}")
        elif offsets != sum(total for _, total in found.values()):
            findings.append(f"{day}: the counts agree, but the records are not the same")
        else:
            continue
        counts = {whole_name: rows, **{name: count for name, (count, _) in found.items()}}
        differs.append(
            {"day": day, **counts, "missing": missing, "reason": "counts differ" if missing else "other records"}
        )
    figures = {whole_name: sum(rows for rows, _ in whole.values())}
    figures |= {name: sum(rows for rows, _ in part.values()) for name, part in parts.items()}
    return _of_days(identity, findings, differs, figures)


def _of_days(
    identity: str,
    findings: Sequence[str],
    differs: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Any] | None = None,
    otherwise: str | None = None,
) -> Verdict:
    """A verdict of days: each row of what differs names one."""
    return Verdict(identity, findings, figures or {}, differs, frozenset(row["day"] for row in differs), otherwise)
