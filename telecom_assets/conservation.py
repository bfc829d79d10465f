"""Conservation: the identities between stages, computed from the tables.

Belongs here: each identity once, as a function from pinned tables to a verdict. Asset checks show the verdicts; stages
that write money ask for them again on the versions they pinned, because a check gates only its own run. A version does
not change, so what a process has added up of one it does not add up again.
"""

import datetime as dt
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from resources.delta import PinnedTable, Warehouse
from telecom_assets.landing.journal import read_state
from telecom_assets.mediation_state import days_of_displaced_copies, overtaken_days
from telecom_assets.months import only_month
from telecom_assets.reference_files import customer_findings, product_catalog_findings, rate_plan_findings
from telecom_assets.schemas.usage import LANDING_RANGES, MEDIATED_DAYS, RAW_CDRS
from telecom_assets.transforms.mediation import SMALL_PART, hashed, repeated_hashes, with_ids_of
from telecom_assets.transforms.rating import MissingVolumePolicy, volume_floors
from telecom_assets.visible import visible

_SHOWN = 5
LANDED_IDENTITY = "offsets landed = offsets consumed"
#: Times that the ledger is compared with raw_cdrs while other homes land.
_LOOKS = 20
#: A part of a source: its identity and number.
_Part = tuple[str, int]
_reading_ledger = threading.Lock()


class ConservationError(Exception):
    """An identity between two stages does not hold; nothing was written."""


@dataclass(frozen=True)
class Verdict:
    """Whether an identity holds: what is wrong, one line each, and the figures that were compared."""

    identity: str
    findings: Sequence[str]
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return not self.findings

    @property
    def summary(self) -> str:
        if self.passed:
            return f"{self.identity}: holds"
        more = len(self.findings) - _SHOWN
        shown = "; ".join(self.findings[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        return f"{self.identity}: does not hold: {shown}"


def require(*verdicts: Verdict, before: str) -> None:
    """Raise ConservationError with every identity that does not hold."""
    failed = [verdict.summary for verdict in verdicts if not verdict.passed]
    if failed:
        raise ConservationError(f"{before} refused. " + ". ".join(failed))


# -- landing ---------------------------------------------------------------------------------------------------------


def landed_equals_consumed(warehouse: Warehouse) -> Verdict:
    """Positions landed = positions consumed: every range of the ledger is in raw_cdrs once and whole, nothing else is.

    Another home may land between the two: what does not hold is looked at again for as long as either changes.
    """
    for _ in range(_LOOKS):
        ledger, raw = warehouse.pin(LANDING_RANGES.name), warehouse.pin(RAW_CDRS.name)
        verdict = _landed_equals_consumed(ledger, raw)
        newest = (warehouse.version(LANDING_RANGES.name), warehouse.version(RAW_CDRS.name))
        if verdict.passed or newest == (ledger.version, raw.version):
            break
    return verdict


def _landed_equals_consumed(landing_ranges: PinnedTable, raw: PinnedTable) -> Verdict:
    ledger = landing_ranges.arrow().to_pylist()
    findings: list[str] = []
    consumed: dict[_Part, int] = {}
    ends: dict[_Part, int] = {}
    for row in sorted(ledger, key=lambda row: (*_part(row), row["from_position"], row["to_position"])):
        part = _part(row)
        if part in ends and row["from_position"] != ends[part]:
            findings.append(f"{_named(part)}: ranges do not meet at offset {row['from_position']} ({ends[part]})")
        ends[part] = row["to_position"]
        consumed[part] = consumed.get(part, 0) + row["records"]
    # Distinct positions as bits, 64 to a group: exact, and a table of any size is counted in a little memory.
    sets = (
        raw.all()
        .groupBy("source_id", "source_part", F.expr("source_position div 64").alias("word"))
        .agg(
            F.count("*").alias("rows"),
            F.expr("bit_or(shiftleft(1L, cast(source_position % 64 as int)))").alias("bits"),
            F.max("source_position").alias("last"),
        )
    )
    counted = sets.groupBy("source_id", "source_part").agg(
        F.sum("rows").alias("rows"), F.sum(F.bit_count("bits")).alias("positions"), F.max("last").alias("last")
    )
    landed = {_part(row): row for row in counted.collect()}
    for part in sorted(set(landed) | set(consumed)):
        row = landed.get(part)
        rows, positions, last = (row["rows"], row["positions"], row["last"]) if row else (0, 0, -1)
        expected = consumed.get(part, 0)
        if rows != positions:
            findings.append(f"{_named(part)}: {rows - positions} rows stand twice")
        if positions != expected:
            findings.append(f"{_named(part)}: {expected} messages consumed, {positions} landed")
        if last >= ends.get(part, 0):
            findings.append(f"{_named(part)}: offset {last} landed, the ledger ends at {ends.get(part, 0)}")
    figures = {
        "consumed": sum(consumed.values()),
        "landed": sum(row["rows"] for row in landed.values()),
        "raw_version": raw.version,
    }
    return Verdict(LANDED_IDENTITY, findings, figures)


def landed_rows_are_consumed(warehouse: Warehouse) -> Verdict:
    """The same identity by its totals, which takes no look at the rows: what each stage that writes money asks first.

    raw_cdrs has as many rows, by its files' statistics, as messages were consumed, by the ledger and by the commits that
    it does not know yet.
    """
    state = read_state(warehouse)
    ledger = warehouse.pin(LANDING_RANGES.name, version=state.ledger_version).arrow()
    consumed = (pc.sum(ledger["records"]).as_py() or 0) + sum(
        count for entry in state.unsettled for *_, count in entry.ranges
    )
    landed = sum(warehouse.pin(RAW_CDRS.name, version=state.raw_version).rows_by_partition().values())
    findings = [] if landed == consumed else [f"{consumed} messages consumed, {landed} rows in raw_cdrs"]
    return Verdict(LANDED_IDENTITY, findings, {"consumed": consumed, "landed": landed})


def _part(row: Any) -> _Part:
    return (row["source_id"], row["source_part"])


def _named(part: _Part) -> str:
    return f"source {part[0]} partition {part[1]}"


# -- mediation and rating --------------------------------------------------------------------------------------------


def raw_equals_outcomes(mediated: PinnedTable, cleaned: PinnedTable, rejected: PinnedTable) -> Verdict:
    """raw = cleaned + rejected, per day, by count and by sum of offsets; raw as mediation read it."""
    # What the engine adds up comes first: beside it, other checks read files.
    outcomes = {"cleaned": _per_day(cleaned), "rejected": _per_day(rejected)}
    raw = {row["event_date"]: (row["raw_rows"], int(row["raw_positions"])) for row in _mediated_rows(mediated)}
    return _days_add_up("raw = cleaned + rejected", "raw", raw, outcomes)


def nothing_is_overtaken(mediated: PinnedTable) -> Verdict:
    """No day of the run waits to be mediated again."""
    findings = [f"{day}: {reason}; mediate the day again" for day, reason in sorted(overtaken_days(mediated).items())]
    return Verdict("no day is to be mediated again", findings)


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
    found = [] if repeated.isEmpty() else _days_of_repeated(rows, repeated)
    findings = [
        f"record {visible(record_id)} is cleaned on {', '.join(map(str, days))}"
        for record_id, days in found
        if any((later - day).days <= dedupe_days for day, later in pairwise(days))
    ]
    return Verdict(f"a record is cleaned once within {dedupe_days} days", findings)


def month_is_mediated(period: str, days: Sequence[dt.date], mediated: PinnedTable, raw: PinnedTable) -> Verdict:
    """Every day of the month was mediated, and nothing has landed since."""
    seen = {row["event_date"]: row["raw_rows"] for row in _mediated_rows(mediated)}
    landed = raw.rows_by_partition()
    findings = []
    missing = [day for day in days if day not in seen]
    if missing:
        shown = ", ".join(str(day) for day in missing[:_SHOWN]) + (" …" if len(missing) > _SHOWN else "")
        findings.append(f"{len(missing)} days were never mediated ({shown}); run `telecom run --month {period}`")
    findings += [
        f"{day}: {landed.get(day, 0)} records landed, {rows} were mediated; mediate the day again"
        for day, rows in sorted(seen.items())
        if landed.get(day, 0) != rows
    ]
    findings += nothing_is_overtaken(mediated).findings
    return Verdict("every day of the month is mediated", findings, {"days": len(days)})


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
    days = {row["event_date"]: row["rows"] for row in found}
    findings = [
        f"{day}: {rows} imputed volumes are out of date; rate the day again" for day, rows in sorted(days.items())
    ]
    if policy != "suspend":
        waiting = suspended.df.where(F.col("reason") == "missing_volume").groupBy("event_date").count().collect()
        findings += [
            f"{day}: {rows} volumes are missing, and the policy is {policy}; rate the day again"
            for day, rows in sorted(map(tuple, waiting))
        ]
    return Verdict("imputed volumes follow the policy", findings)


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
    return Verdict("customers, tariffs and catalogue are valid", findings)


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
    single = dict(zip(names, next(iter(days)), strict=True)) if len(days) == 1 else {}
    return Verdict("the month is rated against one version of each reference table", findings, single)


# -- money -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def rated_equals_billed(rated: PinnedTable, bills: PinnedTable) -> Verdict:
    """Σ rated = Σ (bills before tax − rounding), per customer, and the counts agree."""
    usage = rated.df.groupBy("customer_id").agg(
        F.sum("amount").alias("rated_amount"), F.count("*").alias("rated_count")
    )
    # One bill for each customer: one that stands twice would meet the usage twice, and each time agree.
    charged = bills.df.groupBy("customer_id").agg(
        F.sum(F.col("amount_before_tax") - F.col("rounding_difference")).alias("billed_amount"),
        F.sum(F.col("voice_count") + F.col("sms_count") + F.col("data_count")).alias("billed_count"),
        F.count("*").alias("bills"),
    )
    both = usage.join(charged, on="customer_id", how="full_outer").select(
        "customer_id",
        *(F.coalesce(name, F.lit(Decimal(0))).alias(name) for name in ("rated_amount", "billed_amount")),
        *(F.coalesce(name, F.lit(0)).alias(name) for name in ("rated_count", "billed_count", "bills")),
    )
    differ = (
        (F.col("rated_amount") != F.col("billed_amount"))
        | (F.col("rated_count") != F.col("billed_count"))
        | (F.col("bills") > 1)
    )
    totals = both.agg(
        F.sum("rated_amount").alias("rated"), F.sum("billed_amount").alias("billed"), F.count_if(differ).alias("wrong")
    ).collect()[0]
    wrong = both.where(differ).orderBy("customer_id").limit(1000).collect() if totals["wrong"] else []
    findings = [
        f"customer {visible(row['customer_id'])}: {row['rated_count']} events of {row['rated_amount']:f} rated, "
        f"{row['billed_count']} of {row['billed_amount']:f} billed"
        + (f" on {row['bills']} bills" if row["bills"] > 1 else "")
        for row in wrong
    ]
    return Verdict(
        "rated = bills before tax − rounding, per customer",
        findings,
        {"rated": totals["rated"], "billed": totals["billed"]},
    )


def totals_agree(identity: str, left: Mapping[str, Any], right: Mapping[str, Any], names: tuple[str, str]) -> Verdict:
    """Two sets of totals by name are equal."""
    findings = [
        f"{key}: {names[0]} {left.get(key)}, {names[1]} {right.get(key)}"
        for key in sorted(set(left) | set(right))
        if left.get(key) != right.get(key)
    ]
    return Verdict(identity, findings, {f"{names[0]} {key}": value for key, value in left.items()})


def rows_agree(identity: str, left: pa.Table, right: pa.Table, names: tuple[str, str]) -> Verdict:
    """Two small tables hold the same rows, each as often."""
    columns = left.column_names
    surplus = Counter(_rows_of(left, columns))
    surplus.subtract(_rows_of(right, columns))
    findings = [
        f"only in {names[0] if times > 0 else names[1]}: {', '.join(map(visible, row))}"
        for row, times in surplus.items()
        if times
    ]
    return Verdict(identity, findings[:100])


# -- inside ----------------------------------------------------------------------------------------------------------


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


def _rows_of(table: pa.Table, columns: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)


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
    findings = []
    for day in sorted(days):
        rows, offsets = whole.get(day, (0, 0))
        found = {name: part.get(day, (0, 0)) for name, part in parts.items()}
        if rows != sum(count for count, _ in found.values()):
            shown = " + ".join(f"{count} {name}" for name, (count, _) in found.items())
            findings.append(f"{day}: {rows} {whole_name}, {shown}")
        elif offsets != sum(total for _, total in found.values()):
            findings.append(f"{day}: the counts agree, but the records are not the same")
    figures = {whole_name: sum(rows for rows, _ in whole.values())}
    figures |= {name: sum(rows for rows, _ in part.values()) for name, part in parts.items()}
    return Verdict(identity, findings, figures)
