"""Billing: the lines of a month become one bill a holder of a number.

Belongs here: who gets a bill, and what it adds up. Does not belong here: lines, and where they are rounded (`lines`).
"""

from functools import reduce
from operator import add

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from telecom_assets.billing.lines import totals_by_rate
from telecom_assets.billing.recipients import holders_of_month
from telecom_assets.billing.tables import ADJUSTMENT, BILL, DRAFT, HOLDER, MANUAL, SERVICES, USAGE, facturation_complete
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.model.numbers import PERCENT, bill_amount, zero_if_null

_TOTALS = (*(f"{service}_total" for service in SERVICES), "adjustments_total", "other_total")
_COUNTS = tuple(f"{service}_count" for service in SERVICES)
_OF_LINES = (*_TOTALS, "discount", "tax", "exact_amount")


def bill(lines: DataFrame, customers: DataFrame, period: str, terms: BillingTerms) -> DataFrame:
    """facturation_complete of one month.

    lines: rows of bill_lines of the month. customers: rows of customers, with their dates. One row for every holder of a number who is
    active postpaid on the last day of the month or has a line of the bill, with region and plan of that day, else those of his last
    version, else those of his lines.
    """
    contract = facturation_complete(terms.scale)
    amount = bill_amount(terms.scale)
    active = F.col("in_force") & (F.col("subscription_type") == "postpaid") & (F.col("status") == "active")
    known = holders_of_month(customers, period).select(*HOLDER, "region", "rate_plan_id", active.alias("active"))
    figures = (
        known.join(_figures(lines.where(F.col("document") == BILL), terms.scale), on=list(HOLDER), how="full_outer")
        .where(F.col("active") | F.col("has_lines"))
        .withColumn("region", F.coalesce("region", "usage_region"))
        .withColumn("rate_plan_id", F.coalesce("rate_plan_id", "usage_plan"))
    )
    for name in _OF_LINES:
        figures = figures.withColumn(name, zero_if_null(F.col(name)))
    for name in _COUNTS:
        figures = figures.withColumn(name, F.coalesce(name, F.lit(0)))
    return (
        figures.withColumn("amount_before_tax", reduce(add, map(F.col, _TOTALS)).cast(amount))
        .withColumn("after_discount", (F.col("amount_before_tax") - F.col("discount")).cast(amount))
        .withColumn("amount_due", (F.col("after_discount") + F.col("tax")).cast(amount))
        .withColumn("rounding_difference", F.col("amount_before_tax") - F.col("exact_amount"))
        .withColumn("discount_pct", F.lit(terms.discount_pct).cast(PERCENT))
        .withColumn("tax_pct", F.lit(terms.tax_pct).cast(PERCENT))
        .withColumn("currency", F.lit(terms.currency))
        .withColumn("status", F.lit(DRAFT))
        .withColumn("billing_period", F.lit(period))
        .select(*(F.col(column.name).cast(column.type) for column in contract.columns))
    )


def _figures(lines: DataFrame, scale: int) -> DataFrame:
    """The sums of a bill's lines by holder, with its discount and tax, and the region and plan of its lines."""
    corrects = F.col("kind").isin(ADJUSTMENT, MANUAL)
    columns = {
        **{f"{service}_total": F.when(_is_usage_of(service), F.col("amount")) for service in SERVICES},
        **{f"{service}_count": F.when(_is_usage_of(service), F.col("events")) for service in SERVICES},
        "adjustments_total": F.when(corrects, F.col("amount")),
        "other_total": F.when(~corrects & ~_has_a_column(), F.col("amount")),
    }
    sums, greatest = (*columns, "exact_amount"), ("usage_region", "usage_plan")
    of_line = lines.withColumns({**columns, "usage_region": F.col("region"), "usage_plan": F.col("rate_plan_id")})
    rates = totals_by_rate(of_line, scale, sums=sums, greatest=greatest)
    return rates.groupBy(*HOLDER).agg(
        *(F.sum(name).alias(name) for name in (*sums, "discount", "tax")),
        *(F.max(name).alias(name) for name in greatest),
        F.lit(True).alias("has_lines"),
    )


def _is_usage_of(service: str) -> Column:
    return (F.col("kind") == USAGE) & (F.col("service") == service)


def _has_a_column() -> Column:
    return (F.col("kind") == USAGE) & F.col("service").isin(*SERVICES)
