"""Reports of a month: revenue by day, region and plan, top consumers, traffic by hour.

Belongs here: the six aggregates. `daily_revenue` and `mix_by_region` add up the charges, before discount and tax;
`revenue_by_plan` and `plan_by_region` add up what customers owe, tax included.
"""

from collections.abc import Callable
from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from resources.contract import TableContract
from telecom_assets.model.civil_time import local_hour, utc_hour
from telecom_assets.model.numbers import BILL_SUM, RATED_SUM, VOLUME_SUM
from telecom_assets.record_types.data import MEGABYTE
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes

#: The rows of a report from the charges (columns of rated_cdrs) and facturation_complete of its month, without the month,
#: and the record types in force.
Rule = Callable[[DataFrame, DataFrame, RecordTypes], DataFrame]

TOP = 10
#: Exactly 1 / 1024, as a factor: a division of decimals would round.
_GB_PER_MB = Decimal("0.0009765625")


def daily_revenue(charges: DataFrame, bills: DataFrame, types: RecordTypes) -> DataFrame:  # noqa: ARG001
    return charges.groupBy(F.col("event_date").alias("billing_date")).agg(_revenue())


def mix_by_region(charges: DataFrame, bills: DataFrame, types: RecordTypes) -> DataFrame:  # noqa: ARG001
    return charges.groupBy("region", "record_type").agg(_revenue())


def revenue_by_plan(charges: DataFrame, bills: DataFrame, types: RecordTypes) -> DataFrame:  # noqa: ARG001
    return bills.groupBy("rate_plan_id").agg(_revenue_incl_tax())


def plan_by_region(charges: DataFrame, bills: DataFrame, types: RecordTypes) -> DataFrame:  # noqa: ARG001
    return bills.groupBy("region", "rate_plan_id").agg(_revenue_incl_tax())


def top10_consumers(charges: DataFrame, bills: DataFrame, types: RecordTypes) -> DataFrame:
    """The ten customers with most data; customers without data usage are left out."""
    volumes = (
        _in_megabytes(charges, types)
        .groupBy("customer_id")
        .agg(F.sum("billable_units").cast(VOLUME_SUM).alias("total_mb"))
        .orderBy(F.col("total_mb").desc(), F.col("customer_id").asc())
        .limit(TOP)
    )
    due = bills.select("customer_id", "amount_due")
    return volumes.join(due, on="customer_id", how="inner")


def traffic_hourly(charges: DataFrame, bills: DataFrame, types: RecordTypes) -> DataFrame:  # noqa: ARG001
    # Local hours are computed for each UTC hour, not for each event. A local hour that a clock change repeats becomes one row.
    per_utc_hour = (
        _in_megabytes(charges, types)
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


def report(
    contract: TableContract, charges: DataFrame, bills: DataFrame, period: str, record_types: RecordTypes = RECORD_TYPES
) -> DataFrame:
    """Rows of a report table.

    charges: those of that billing period, with the columns of rated_cdrs. bills: its rows of facturation_complete.

    The period is added at the end and not grouped by: a text on each event takes nearly as long as the whole rest.
    """
    rows = _BY_NAME[contract.name](charges, bills, record_types)
    return rows.withColumn("billing_period", F.lit(period)).select(contract.column_names)


def _in_megabytes(rated: DataFrame, types: RecordTypes) -> DataFrame:
    """Events that are charged by the megabyte."""
    return rated.where(F.col("record_type").isin(*types.counted_in(MEGABYTE)))


def _revenue() -> Column:
    return F.sum("amount").cast(RATED_SUM).alias("revenue")


def _revenue_incl_tax() -> Column:
    return F.sum("amount_due").cast(BILL_SUM).alias("revenue_incl_tax")
