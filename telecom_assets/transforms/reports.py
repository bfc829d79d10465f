"""Reports of a month: revenue by day, region and plan, top consumers, traffic by hour.

Belongs here: the six aggregates. `daily_revenue` and `mix_by_region` add up rated amounts, before discount and tax;
`revenue_by_plan` and `plan_by_region` add up what customers owe, tax included.
"""

from collections.abc import Callable
from decimal import Decimal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from telecom_assets.schemas import billing as tables
from telecom_assets.transforms.civil_time import local_hour, utc_hour
from telecom_assets.transforms.numbers import round_half_up

#: A report of a month from rated_cdrs and facturation_complete of that month.
Report = Callable[[DataFrame, DataFrame], DataFrame]

TOP = 10
#: Exactly 1 / 1024: nothing divides a figure.
_GB_PER_MB = Decimal("0.0009765625")


def daily_revenue(rated: DataFrame, bills: DataFrame) -> DataFrame:  # noqa: ARG001
    return (
        rated.groupBy(F.col("event_date").alias("billing_date"), "billing_period")
        .agg(F.sum("amount").cast("decimal(18,6)").alias("revenue"))
        .select(tables.DAILY_REVENUE.column_names)
    )


def mix_by_region(rated: DataFrame, bills: DataFrame) -> DataFrame:  # noqa: ARG001
    return (
        rated.groupBy("region", "record_type", "billing_period")
        .agg(F.sum("amount").cast("decimal(18,6)").alias("revenue"))
        .select(tables.MIX_BY_REGION.column_names)
    )


def revenue_by_plan(rated: DataFrame, bills: DataFrame) -> DataFrame:  # noqa: ARG001
    return (
        bills.groupBy("rate_plan_id", "billing_period")
        .agg(F.sum("amount_due").cast("decimal(18,2)").alias("revenue_incl_tax"))
        .select(tables.REVENUE_BY_PLAN.column_names)
    )


def plan_by_region(rated: DataFrame, bills: DataFrame) -> DataFrame:  # noqa: ARG001
    return (
        bills.groupBy("region", "rate_plan_id", "billing_period")
        .agg(F.sum("amount_due").cast("decimal(18,2)").alias("revenue_incl_tax"))
        .select(tables.PLAN_BY_REGION.column_names)
    )


def top10_consumers(rated: DataFrame, bills: DataFrame) -> DataFrame:
    """Customers without data usage are none of the ten."""
    volumes = (
        rated.where(F.col("record_type") == "data")
        .groupBy("customer_id", "billing_period")
        .agg(F.sum("billable_units").cast("decimal(18,6)").alias("total_mb"))
        .orderBy(F.col("total_mb").desc(), F.col("customer_id").asc())
        .limit(TOP)
    )
    due = bills.select("customer_id", "amount_due")
    return volumes.join(due, on="customer_id", how="inner").select(tables.TOP10_CONSUMERS.column_names)


def traffic_hourly(rated: DataFrame, bills: DataFrame) -> DataFrame:  # noqa: ARG001
    # The tz database is asked for hours, not for events. An hour that came twice is one row in the end.
    per_utc_hour = (
        rated.where(F.col("record_type") == "data")
        .groupBy(
            F.col("event_date").alias("billing_date"), utc_hour(F.col("event_ts")).alias("began"), "billing_period"
        )
        .agg(F.sum("billable_units").cast("decimal(18,6)").alias("mb"))
    )
    hour = local_hour(F.timestamp_micros("began"))
    per_hour = per_utc_hour.groupBy("billing_date", hour.alias("hour"), "billing_period").agg(
        F.sum("mb").cast("decimal(18,6)").alias("total_mb")
    )
    gigabytes = round_half_up(F.col("total_mb") * F.lit(_GB_PER_MB).cast("decimal(10,10)"), 6)
    return per_hour.withColumn("total_gb", gigabytes).select(tables.TRAFFIC_HOURLY.column_names)


#: Every report by the name of its table.
REPORTS: dict[str, Report] = {
    report.__name__: report
    for report in (daily_revenue, mix_by_region, revenue_by_plan, plan_by_region, top10_consumers, traffic_hourly)
}
