"""Billing: the charges of a month become one bill a customer.

Belongs here: what a bill adds up and where it rounds. Rounding follows EN 16931: each line is rounded once, totals are
sums of rounded lines, and the difference to the exact sum is kept on the bill.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import add

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from telecom_assets.billing.recipients import customers_of_month
from telecom_assets.billing.tables import FACTURATION_COMPLETE, PERCENT, SERVICES
from telecom_assets.model.numbers import BILL_SCALE, RATED_SUM, percent_of, round_half_up, zero_if_null

#: Name of the sum over all events, beside the sums of the services that have columns on the bill.
_ALL = "all"
_SUMS = (*SERVICES, _ALL)


@dataclass(frozen=True)
class BillingTerms:
    """The terms of a bill: discount and tax in percent, the currency."""

    discount_pct: Decimal
    tax_pct: Decimal
    currency: str


def bill(charges: DataFrame, customers: DataFrame, period: str, terms: BillingTerms) -> DataFrame:
    """facturation_complete of one month.

    charges: those of the month, with the columns of rated_cdrs. customers: rows of customers, with their dates. One row for every
    customer that is active postpaid on the last day of the month or has rated usage, with region and plan of that day, else those
    of his last version, else those of the usage. The events of all record types without columns on the bill are one line in
    amount_before_tax, rounded once.
    """
    usage = _usage(charges)
    active = F.col("in_force") & (F.col("subscription_type") == "postpaid") & (F.col("status") == "active")
    known = customers_of_month(customers, period).select(
        "customer_id", "region", "rate_plan_id", active.alias("active")
    )
    billed = known.join(usage, on="customer_id", how="full_outer").where(F.col("active") | F.col("used"))
    lines = billed.select(
        "customer_id",
        F.coalesce("region", "usage_region").alias("region"),
        F.coalesce("rate_plan_id", "usage_plan").alias("rate_plan_id"),
        *(zero_if_null(F.col(f"{service}_exact")).cast(RATED_SUM).alias(f"{service}_exact") for service in _SUMS),
        *(F.coalesce(f"{service}_count", F.lit(0)).cast("bigint").alias(f"{service}_count") for service in SERVICES),
    )
    for service in SERVICES:
        lines = lines.withColumn(f"{service}_total", round_half_up(F.col(f"{service}_exact"), BILL_SCALE))
    return (
        lines.withColumn("others_exact", (F.col(f"{_ALL}_exact") - _sum_of("exact")).cast(RATED_SUM))
        .withColumn("others_total", round_half_up(F.col("others_exact"), BILL_SCALE))
        .withColumn("amount_before_tax", (_sum_of("total") + F.col("others_total")).cast("decimal(18,2)"))
        .withColumn("discount_pct", F.lit(terms.discount_pct).cast(PERCENT))
        .withColumn("discount", percent_of(F.col("amount_before_tax"), F.col("discount_pct")))
        .withColumn("after_discount", (F.col("amount_before_tax") - F.col("discount")).cast("decimal(18,2)"))
        .withColumn("tax_pct", F.lit(terms.tax_pct).cast(PERCENT))
        .withColumn("tax", percent_of(F.col("after_discount"), F.col("tax_pct")))
        .withColumn("amount_due", (F.col("after_discount") + F.col("tax")).cast("decimal(18,2)"))
        .withColumn(
            "rounding_difference",
            (F.col("amount_before_tax") - F.col(f"{_ALL}_exact")).cast("decimal(18,6)"),
        )
        .withColumn("currency", F.lit(terms.currency))
        .withColumn("billing_period", F.lit(period))
        .select(FACTURATION_COMPLETE.column_names)
    )


def _usage(charges: DataFrame) -> DataFrame:
    """Exact sum and count of each service, and exact sum of all, by customer, with the region and plan of the usage.

    Region and plan are keys of the grouping, although a customer has one of each. As a maximum of texts they could not be
    aggregated by hash, and Apache Spark would sort all events.
    """
    sums = [f"{service}_exact" for service in _SUMS]
    counts = [f"{service}_count" for service in SERVICES]
    by_home = charges.groupBy("customer_id", "region", "rate_plan_id").agg(
        *(_exact_sum(service).alias(name) for service, name in zip(_SUMS, sums, strict=True)),
        *(_count(service).alias(name) for service, name in zip(SERVICES, counts, strict=True)),
    )
    return by_home.groupBy("customer_id").agg(
        *(F.sum(name).alias(name) for name in (*sums, *counts)),
        F.max("region").alias("usage_region"),
        F.max("rate_plan_id").alias("usage_plan"),
        F.lit(True).alias("used"),
    )


def _exact_sum(service: str) -> Column:
    amount = F.col("amount")
    return F.sum(amount if service == _ALL else F.when(F.col("record_type") == service, amount))


def _count(service: str) -> Column:
    return F.count(F.when(F.col("record_type") == service, F.lit(1)))


def _sum_of(kind: str) -> Column:
    return reduce(add, (F.col(f"{service}_{kind}") for service in SERVICES))
