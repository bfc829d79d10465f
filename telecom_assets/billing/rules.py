"""Billing: the lines of a month become one bill a holder of a number, and his documents of corrections.

Belongs here: who gets a bill, and what it and the other documents add up. Does not belong here: lines, and where they are rounded
(`lines`, `adjustment_lines`), on which document a line stands (`placing`).
"""

from functools import reduce
from operator import add

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from telecom_assets.billing.adjustment_lines import document_totals, documents_of
from telecom_assets.billing.lines import DOCUMENT
from telecom_assets.billing.recipients import holders_of_month
from telecom_assets.billing.tables import (
    ADJUSTMENT,
    BILL,
    CREDIT_NOTE,
    DRAFT,
    HOLDER,
    MANUAL,
    SERVICES,
    SUPPLEMENTARY,
    USAGE,
)
from telecom_assets.billing.tables import correction_documents as documents_contract
from telecom_assets.billing.tables import facturation_complete as bills_contract
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.model.numbers import PERCENT, bill_amount, zero_if_null

_TOTALS = (*(f"{service}_total" for service in SERVICES), "adjustments_total", "other_total")
_COUNTS = tuple(f"{service}_count" for service in SERVICES)
_OF_LINES = (*_TOTALS, "discount", "tax", "exact_amount")


def bill(
    lines: DataFrame, customers: DataFrame, period: str, terms: BillingTerms, history: DataFrame | None = None
) -> DataFrame:
    """facturation_complete of one month.

    lines: rows of bill_lines of the month. customers: rows of customers, with their dates. history: bill_lines of the closed periods
    before; None where there is none. One row for every holder of a number who is active postpaid on the last day of the month or
    has a line of the bill, with region and plan of that day, else those of his last version, else those of his lines.
    """
    active = F.col("in_force") & (F.col("subscription_type") == "postpaid") & (F.col("status") == "active")
    known = holders_of_month(customers, period).select(*HOLDER, "region", "rate_plan_id", active.alias("active"))
    of_bill = _figures(lines.where(F.col("document") == BILL), terms.scale, history)
    figures = (
        known.join(of_bill.drop("document"), on=list(HOLDER), how="full_outer")
        .where(F.col("active") | F.col("has_lines"))
        .withColumns(
            {
                "region": F.coalesce("region", "usage_region"),
                "rate_plan_id": F.coalesce("rate_plan_id", "usage_plan"),
                "discount_pct": F.lit(terms.discount_pct).cast(PERCENT),
                "tax_pct": F.lit(terms.tax_pct).cast(PERCENT),
            }
        )
    )
    rows = _added_up(figures, period, terms.currency, terms.scale)
    return rows.select(*(F.col(column.name).cast(column.type) for column in bills_contract(terms.scale).columns))


def correction_documents(lines: DataFrame, history: DataFrame, period: str, currency: str, scale: int) -> DataFrame:
    """correction_documents of one month: what its lines come to that stand on no bill. One row per document.

    lines: rows of bill_lines of the month. history: bill_lines of the closed periods before. A document whose lines are all 0 is none.
    Discount and tax in percent are those of its lines, which are of one period.
    """
    apart = lines.where(F.col("document") != BILL)
    of_lines = apart.groupBy(*DOCUMENT).agg(
        *(F.max(name).alias(name) for name in ("original_period", "discount_pct", "tax_pct"))
    )
    figures = (
        _figures(apart, scale, history)
        .join(documents_of(apart), on=list(DOCUMENT), how="left_semi")
        .join(of_lines, on=list(DOCUMENT), how="inner")
        .withColumnsRenamed({"usage_region": "region", "usage_plan": "rate_plan_id"})
    )
    kind = F.when(F.col("amount_due") < 0, CREDIT_NOTE).otherwise(SUPPLEMENTARY)
    rows = _added_up(figures, period, currency, scale).withColumn("kind", kind)
    return rows.select(*(F.col(column.name).cast(column.type) for column in documents_contract(scale).columns))


def _added_up(figures: DataFrame, period: str, currency: str, scale: int) -> DataFrame:
    """The columns that a bill and a document of corrections have in common, from the `_figures` of their lines."""
    amount = bill_amount(scale)
    of_lines = {name: zero_if_null(F.col(name)) for name in _OF_LINES}
    counts = {name: F.coalesce(name, F.lit(0)) for name in _COUNTS}
    return (
        figures.withColumns({**of_lines, **counts})
        .withColumn("amount_before_tax", reduce(add, map(F.col, _TOTALS)).cast(amount))
        .withColumn("after_discount", (F.col("amount_before_tax") - F.col("discount")).cast(amount))
        .withColumn("amount_due", (F.col("after_discount") + F.col("tax")).cast(amount))
        .withColumns(
            {
                "rounding_difference": F.col("amount_before_tax") - F.col("exact_amount"),
                "currency": F.lit(currency),
                "status": F.lit(DRAFT),
                "billing_period": F.lit(period),
            }
        )
    )


def _figures(lines: DataFrame, scale: int, history: DataFrame | None) -> DataFrame:
    """The sums of each document's lines, with its discount and tax, and the region and plan of its lines. One row per document."""
    corrects = F.col("kind").isin(ADJUSTMENT, MANUAL)
    columns = {
        **{f"{service}_total": F.when(_is_usage_of(service), F.col("amount")) for service in SERVICES},
        **{f"{service}_count": F.when(_is_usage_of(service), F.col("events")) for service in SERVICES},
        "adjustments_total": F.when(corrects, F.col("amount")),
        "other_total": F.when(~corrects & ~_has_a_column(), F.col("amount")),
    }
    sums, greatest = (*columns, "exact_amount"), ("usage_region", "usage_plan")
    of_line = lines.withColumns({**columns, "usage_region": F.col("region"), "usage_plan": F.col("rate_plan_id")})
    rates = document_totals(of_line, history, scale, sums=sums, greatest=greatest)
    return rates.groupBy(*DOCUMENT).agg(
        *(F.sum(name).alias(name) for name in (*sums, "discount", "tax")),
        *(F.max(name).alias(name) for name in greatest),
        F.lit(True).alias("has_lines"),
    )


def _is_usage_of(service: str) -> Column:
    return (F.col("kind") == USAGE) & (F.col("service") == service)


def _has_a_column() -> Column:
    return (F.col("kind") == USAGE) & F.col("service").isin(*SERVICES)
