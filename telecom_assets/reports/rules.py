"""Reports of a month: revenue by day, region and plan, top consumers, traffic by hour.

Belongs here: the six aggregates. `daily_revenue` and `mix_by_region` add up the charges, before discount and tax;
`revenue_by_plan` and `plan_by_region` add up the shares of bill lines in what customers owe, tax included.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from resources.contract import TableContract
from telecom_assets.billing.adjustment_lines import document_totals
from telecom_assets.billing.lines import DOCUMENT, with_shares
from telecom_assets.billing.tables import BILL, HOLDER
from telecom_assets.model.civil_time import local_hour, utc_hour
from telecom_assets.model.numbers import RATED_SUM, VOLUME_SUM
from telecom_assets.record_types.data import MEGABYTE
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes


@dataclass(frozen=True)
class BilledMonth:
    """What the reports of a month are made from: its charges (columns of rated_cdrs), its rows of bill_lines and of
    facturation_complete, the decimals of their currency, the record types in force, and bill_lines of the closed months before
    (None: there is none)."""

    charges: DataFrame
    lines: DataFrame
    bills: DataFrame
    scale: int = 2
    types: RecordTypes = RECORD_TYPES
    history: DataFrame | None = None


#: The rows of a report, without the month.
Rule = Callable[[BilledMonth], DataFrame]

TOP = 10
#: Exactly 1 / 1024, as a factor: a division of decimals would round.
_GB_PER_MB = Decimal("0.0009765625")


def daily_revenue(month: BilledMonth) -> DataFrame:
    return month.charges.groupBy(F.col("event_date").alias("billing_date")).agg(_revenue())


def mix_by_region(month: BilledMonth) -> DataFrame:
    return month.charges.groupBy("region", "record_type").agg(_revenue())


def revenue_by_plan(month: BilledMonth) -> DataFrame:
    return _billed(month, "rate_plan_id")


def plan_by_region(month: BilledMonth) -> DataFrame:
    return _billed(month, "region", "rate_plan_id")


def top10_consumers(month: BilledMonth) -> DataFrame:
    """The ten customers with most data; customers without data usage are left out."""
    volumes = (
        _in_megabytes(month)
        .groupBy("customer_id")
        .agg(F.sum("billable_units").cast(VOLUME_SUM).alias("total_mb"))
        .orderBy(F.col("total_mb").desc(), F.col("customer_id").asc())
        .limit(TOP)
    )
    # A number that two have had in the month is one consumer.
    due = month.bills.groupBy("customer_id").agg(F.sum("amount_due").alias("amount_due"))
    return volumes.join(due, on="customer_id", how="inner")


def traffic_hourly(month: BilledMonth) -> DataFrame:
    # Local hours are computed for each UTC hour, not for each event. A local hour that a clock change repeats becomes one row.
    per_utc_hour = (
        _in_megabytes(month)
        .groupBy(F.col("event_date").alias("billing_date"), utc_hour(F.col("event_ts")).alias("began"))
        .agg(F.sum("billable_units").cast(VOLUME_SUM).alias("mb"))
    )
    hour = local_hour(F.timestamp_micros("began"))
    per_hour = per_utc_hour.groupBy("billing_date", hour.alias("hour")).agg(
        F.sum("mb").cast(VOLUME_SUM).alias("total_mb")
    )
    # Exact: 24 digits and 10 are 34, of 38 that a product may have.
    gigabytes = F.round(F.col("total_mb") * F.lit(_GB_PER_MB).cast("decimal(10,10)"), 6).cast(VOLUME_SUM)
    return per_hour.withColumn("total_gb", gigabytes)


_RULES: tuple[Rule, ...] = (
    daily_revenue,
    mix_by_region,
    revenue_by_plan,
    plan_by_region,
    top10_consumers,
    traffic_hourly,
)
_BY_NAME: dict[str, Rule] = {rule.__name__: rule for rule in _RULES}


def report(contract: TableContract, month: BilledMonth, period: str) -> DataFrame:
    """Rows of a report table.

    The period is added at the end and not grouped by: a text on each event takes nearly as long as the whole rest.
    """
    rows = _BY_NAME[contract.name](month).withColumn("billing_period", F.lit(period))
    return rows.select(*(F.col(column.name).cast(column.type) for column in contract.columns))


def _billed(month: BilledMonth, *by: str) -> DataFrame:
    """What is due in all documents, by plan or region of the lines. A bill without lines counts with nothing at its own home.

    The shares of a bill whose lines all lie at its own home, as nearly all do, add up there to its amount due: they are not worked
    out one by one.
    """
    nothing = F.lit(Decimal(0)).cast(f"decimal(18,{month.scale})")
    apart = _not_at_home(month)
    lines = month.lines.join(apart, on=list(DOCUMENT), how="left_semi")
    due = document_totals(lines, month.history, month.scale)
    shares = with_shares(lines, due, month.scale).select(*by, "share")
    is_apart = apart.where(F.col("document") == BILL).select(*HOLDER, F.lit(1).alias("apart"))
    whole = month.bills.join(is_apart, on=list(HOLDER), how="left").select(
        *by, F.when(F.col("apart").isNull(), F.col("amount_due")).otherwise(nothing).alias("share")
    )
    return shares.unionByName(whole).groupBy(*by).agg(F.sum("share").alias("revenue_incl_tax"))


def _not_at_home(month: BilledMonth) -> DataFrame:
    """The documents (DOCUMENT) that are not a bill whose lines all have the bill's own region and plan."""
    homes = month.bills.select(*HOLDER, F.col("region").alias("home_region"), F.col("rate_plan_id").alias("home_plan"))
    at_home = (
        (F.col("document") == BILL)
        & F.col("region").eqNullSafe(F.col("home_region"))
        & F.col("rate_plan_id").eqNullSafe(F.col("home_plan"))
    )
    return month.lines.join(homes, on=list(HOLDER), how="left").where(~at_home).select(*DOCUMENT).distinct()


def _in_megabytes(month: BilledMonth) -> DataFrame:
    """Events that are charged by the megabyte."""
    return month.charges.where(F.col("record_type").isin(*month.types.counted_in(MEGABYTE)))


def _revenue() -> Column:
    return F.sum("amount").cast(RATED_SUM).alias("revenue")
