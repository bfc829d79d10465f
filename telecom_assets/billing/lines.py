"""The lines of a bill: what is added up, where it is rounded, and what of the amount due falls to each line.

Belongs here: usage lines, the totals of lines by tax rate, the share of a line in its rate's amount due. Does not belong here: who
gets a bill (`rules`). Rounding follows EN 16931: a line is rounded once, a discount once for its group of lines, a tax once for
its rate; nothing that is rounded is rounded again.
"""

from collections.abc import Sequence
from decimal import Decimal

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from resources.contract import TableContract
from telecom_assets.billing.tables import BILL, HOLDER, MANUAL, SERVICES, USAGE, bill_lines
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.model.numbers import PERCENT, RATED_SUM, bill_amount, percent_of, round_half_up

#: The columns that name a document of a holder, and a tax rate on it.
DOCUMENT = (*HOLDER, "document")
RATE = (*DOCUMENT, "tax_category", "tax_pct")
#: Lines of a document that are equal in these share a discount.
GROUP = ("tax_category", "tax_pct", "discount_pct")


def holder_of_usage() -> tuple[Column, Column]:
    """HOLDER of a charge. A day that was rated before anybody asked for holders names none: every number had one then."""
    return F.col("customer_id"), F.coalesce("holder_no", F.lit(1)).alias("holder_no")


def usage_lines(charges: DataFrame, period: str, terms: BillingTerms) -> DataFrame:
    """The usage lines of a month, rows of bill_lines.

    charges: those of the month, with the columns of rated_cdrs. A line is one service in one plan and region, since the month has one
    tax category and rate; its number follows the order of voice, sms, data, then other services by name, then plan and region.
    """
    grouped = charges.groupBy(*holder_of_usage(), "record_type", "rate_plan_id", "region").agg(
        F.count("*").alias("events"),
        F.sum("billable_units").cast("decimal(28,6)").alias("units"),
        F.sum("amount").cast(RATED_SUM).alias("exact_amount"),
    )
    lines = grouped.withColumns(
        {
            "document": F.lit(BILL),
            "kind": F.lit(USAGE),
            "line_kind": F.lit(None).cast("string"),
            "service": F.col("record_type"),
            "tax_category": F.lit(terms.tax_category),
            "tax_pct": F.lit(terms.tax_pct).cast(PERCENT),
            "discount_pct": F.lit(terms.discount_pct).cast(PERCENT),
            "original_period": F.lit(None).cast("string"),
            "amount": round_half_up(F.col("exact_amount"), terms.scale),
            "billing_period": F.lit(period),
        }
    )
    return numbered(lines, bill_lines(terms.scale))


def numbered(lines: DataFrame, contract: TableContract) -> DataFrame:
    """The lines with the columns of bill_lines, each with its number in its document.

    Usage comes first, then what a person has added, then corrections by their original period; in each by service, plan, region
    and rate.
    """
    of_kind = F.when(F.col("kind") == USAGE, 0).when(F.col("kind") == MANUAL, 1).otherwise(2)
    within = Window.partitionBy(*DOCUMENT).orderBy(
        of_kind,
        "original_period",
        _place(F.col("service")),
        "service",
        "rate_plan_id",
        "region",
        *GROUP,
        "exact_amount",
    )
    return lines.withColumn("line_no", F.row_number().over(within)).select(
        *(F.col(column.name).cast(column.type) for column in contract.columns)
    )


def totals_by_rate(
    lines: DataFrame, scale: int, *, sums: Sequence[str] = (), greatest: Sequence[str] = ()
) -> DataFrame:
    """What a document comes to at each tax rate: RATE, amount, discount, tax and due, amounts of the currency's scale.

    Lines of equal tax category, tax and discount share one discount: their sum × discount_pct / 100, rounded. The tax of a rate is
    (Σ amounts − Σ discounts) × tax_pct / 100, rounded. sums, greatest: further columns of the lines that are added up, or of which
    the greatest is kept, on the same way.
    """
    amount = bill_amount(scale)
    along = [*(F.sum(name).alias(name) for name in sums), *(F.max(name).alias(name) for name in greatest)]
    groups = (
        lines.groupBy(*RATE, "discount_pct")
        .agg(F.sum("amount").cast(amount).alias("amount"), *along)
        .withColumn("discount", percent_of(F.col("amount"), F.col("discount_pct"), scale))
    )
    rates = groups.groupBy(*RATE).agg(
        *(F.sum(name).cast(amount).alias(name) for name in ("amount", "discount")), *along
    )
    after_discount = (F.col("amount") - F.col("discount")).cast(amount)
    return rates.withColumn("tax", percent_of(after_discount, F.col("tax_pct"), scale)).withColumn(
        "due", (after_discount + F.col("tax")).cast(amount)
    )


def with_shares(lines: DataFrame, due: DataFrame, scale: int) -> DataFrame:
    """The lines, each with its `share` in what is due of its document at its tax rate, so that the shares add up to that exactly.

    due: RATE and `due` of every document of the lines (`totals_by_rate`). A share is amount × (1 − discount/100) × (1 + tax/100),
    rounded. What then remains of the rate's due, of either sign, goes one smallest unit of the currency at a time to the lines by
    largest absolute amount (ties by line_no), and round again while any is left.
    """
    amount = bill_amount(scale)
    of_rate = Window.partitionBy(*RATE)
    ranked = of_rate.orderBy(F.abs("amount").desc(), "line_no")
    shared = (
        lines.join(due.select(*RATE, "due"), on=list(RATE), how="inner")
        .withColumn("share", _before_remainder(scale))
        .withColumn("remains", (F.col("due") - F.sum("share").over(of_rate)).cast(amount))
        .withColumn("units_left", (F.abs("remains") * F.lit(10**scale)).cast("bigint"))
        .withColumn("of", F.count("*").over(of_rate))
        .withColumn("place", F.row_number().over(ranked))
    )
    whole = F.expr("units_left div of")
    units = whole + F.when(F.col("place") <= F.col("units_left") - whole * F.col("of"), 1).otherwise(0)
    smallest = F.lit(Decimal(1).scaleb(-scale)).cast(f"decimal({scale + 1},{scale})")
    given = F.signum("remains").cast("int") * units
    return shared.withColumn("share", (F.col("share") + given * smallest).cast(amount)).select(*lines.columns, "share")


def _before_remainder(scale: int) -> Column:
    """amount × (1 − discount/100) × (1 + tax/100), rounded. In hundredths of percent, so that no digit is lost: nothing divides."""
    hundred = F.lit(Decimal(100)).cast("decimal(3,0)")
    factor = ((hundred - F.col("discount_pct")) * (hundred + F.col("tax_pct"))).cast("decimal(13,8)")
    exact = F.col("amount") * factor * F.lit(Decimal("0.0001")).cast("decimal(4,4)")
    return round_half_up(exact, scale)


def _place(service: Column) -> Column:
    """The place of a service among the lines: that of its column on the bill; services without one come after."""
    chain = F.when(service == SERVICES[0], 0)
    for place, name in enumerate(SERVICES[1:], 1):
        chain = chain.when(service == name, place)
    return chain.otherwise(len(SERVICES))
