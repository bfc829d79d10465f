"""The adjustment lines of a bill: what corrections of closed periods come to, and the discount and tax that go with them.

Belongs here: exact sums into lines, rounded so that all lines of a period together are rounded once; discount and tax of what
remains of a period, after its lines less before. Does not belong here: which differences there are
(`telecom_assets.corrections`), on which document a line stands (`placing`).

A correction is never rounded by itself. What remains of a period is rounded as its bill was, and a line is the step from what
remained before: so any series of corrections ends at the right bill, and never below zero.
"""

from collections.abc import Sequence
from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from telecom_assets.billing.lines import DOCUMENT, GROUP, RATE, numbered, totals_by_rate
from telecom_assets.billing.tables import ADJUSTMENT, BILL, HOLDER, MANUAL, USAGE, bill_lines
from telecom_assets.corrections.tables import BILLED
from telecom_assets.model.numbers import RATED_SUM, bill_amount, percent_of, round_half_up

#: What is corrected: a holder's original period; and one tax rate of it.
CORRECTED = (*HOLDER, "original_period")
CORRECTED_RATE = (*CORRECTED, "tax_category", "tax_pct")
#: What makes one line of the rows of an original period.
_KEY = ("service", "line_kind", "rate_plan_id", "region", *GROUP)
_MONEY = ("amount", "discount", "tax", "due")


def adjustment_lines(rows: DataFrame, history: DataFrame, period: str, scale: int) -> DataFrame:
    """The adjustment lines of a period, rows of bill_lines on the document `bill`, one for each original period and key.

    rows: of adjustments; those that are billed count. history: bill_lines of the closed periods. exact_amount is the sum of the
    rows; amount is the rounded sum of the key over the original period's own line and all adjustment lines, this one
    included, less what was billed of it before.
    """
    new = (
        rows.where(F.col("disposition") == BILLED)
        .withColumn("line_kind", F.lit(USAGE))
        .groupBy(*CORRECTED, *_KEY)
        .agg(
            F.sum("events").alias("events"),
            F.sum("units").cast("decimal(28,6)").alias("units"),
            F.sum("amount").cast(RATED_SUM).alias("exact_amount"),
        )
    )
    before = (
        of_corrected(history, new)
        .groupBy(*CORRECTED, *_KEY)
        .agg(F.sum("exact_amount").alias("exact_before"), F.sum("amount").alias("amount_before"))
    )
    exact = (_or_zero("exact_before", RATED_SUM) + F.col("exact_amount")).cast(RATED_SUM)
    lines = new.join(before, on=[*CORRECTED, *_KEY], how="left").withColumns(
        {
            "amount": round_half_up(exact, scale) - _or_zero("amount_before", bill_amount(scale)),
            "document": F.lit(BILL),
            "kind": F.lit(ADJUSTMENT),
            "billing_period": F.lit(period),
        }
    )
    return numbered(lines, bill_lines(scale))


def of_corrected(history: DataFrame, lines: DataFrame) -> DataFrame:
    """The lines of closed periods that say what remains of the original periods that some lines correct.

    These are the own lines of a period's bill, with the period as their original_period, and all adjustment lines of it.
    """
    period = F.when(F.col("kind") == ADJUSTMENT, F.col("original_period"))
    own = (F.col("document") == BILL) & F.col("kind").isin(USAGE, MANUAL)
    remains = (
        history.withColumn("original_period", F.coalesce(period, F.when(own, F.col("billing_period"))))
        .withColumn("line_kind", F.coalesce("line_kind", "kind"))
        .where(F.col("original_period").isNotNull())
    )
    return remains.join(lines.select(*CORRECTED).distinct(), on=list(CORRECTED), how="left_semi")


def corrections_by_rate(lines: DataFrame, history: DataFrame, scale: int) -> DataFrame:
    """What corrections change at each tax rate of an original period: CORRECTED_RATE, amount, discount, tax and due.

    lines: adjustment lines of one period. history: bill_lines of the closed periods before it. Discount and tax are those of
    what remains of the original period after the lines, less those of what remained before.
    """
    amount, nothing = bill_amount(scale), F.lit(Decimal(0)).cast(bill_amount(scale))
    remained = of_corrected(history, lines).select(
        *CORRECTED, *GROUP, F.col("amount").alias("before"), F.col("amount").alias("after")
    )
    corrects = lines.select(*CORRECTED, *GROUP, nothing.alias("before"), F.col("amount").alias("after"))
    groups = remained.unionByName(corrects).groupBy(*CORRECTED, *GROUP).agg(*_sums(amount, "before", "after"))
    groups = groups.withColumns(
        {f"discount_{when}": percent_of(F.col(when), F.col("discount_pct"), scale) for when in ("before", "after")}
    )
    names = ("before", "after", "discount_before", "discount_after")
    rates = groups.groupBy(*CORRECTED_RATE).agg(*_sums(amount, *names))
    base = {when: (F.col(when) - F.col(f"discount_{when}")).cast(amount) for when in ("before", "after")}
    rates = rates.withColumns({f"tax_{when}": percent_of(each, F.col("tax_pct"), scale) for when, each in base.items()})
    return (
        rates.withColumns(
            {
                "amount": (F.col("after") - F.col("before")).cast(amount),
                "discount": (F.col("discount_after") - F.col("discount_before")).cast(amount),
                "tax": (F.col("tax_after") - F.col("tax_before")).cast(amount),
            }
        )
        .withColumn("due", (F.col("amount") - F.col("discount") + F.col("tax")).cast(amount))
        .select(*CORRECTED_RATE, *_MONEY)
    )


def document_totals(
    lines: DataFrame,
    history: DataFrame | None,
    scale: int,
    *,
    sums: Sequence[str] = (),
    greatest: Sequence[str] = (),
) -> DataFrame:
    """What the documents of a period come to at each tax rate: as `totals_by_rate`, with adjustment lines too.

    Own lines share discounts and taxes; adjustment lines are in no group of theirs, and bring those of what remains. history:
    bill_lines of the closed periods before; None where there is none, and so no adjustment line.
    """
    if history is None:
        return totals_by_rate(lines, scale, sums=sums, greatest=greatest)
    corrects = lines.where(F.col("kind") == ADJUSTMENT)
    own = totals_by_rate(lines.where(F.col("kind") != ADJUSTMENT), scale)
    stand_on = corrects.select(*CORRECTED, "document").distinct()
    changes = corrections_by_rate(corrects, history, scale).join(stand_on, on=list(CORRECTED), how="inner")
    both = own.select(*RATE, *_MONEY).unionByName(changes.select(*RATE, *_MONEY))
    totals = both.groupBy(*RATE).agg(*_sums(bill_amount(scale), *_MONEY))
    if not sums and not greatest:
        return totals
    along = lines.groupBy(*RATE).agg(
        *(F.sum(name).alias(name) for name in sums), *(F.max(name).alias(name) for name in greatest)
    )
    return totals.join(along, on=list(RATE), how="left")


def documents_of(lines: DataFrame) -> DataFrame:
    """The documents (DOCUMENT) that have a line of some amount: one whose lines are all 0 is none."""
    return lines.where(F.col("amount") != 0).select(*DOCUMENT).distinct()


def _or_zero(name: str, kind: str) -> Column:
    return F.coalesce(F.col(name), F.lit(Decimal(0))).cast(kind)


def _sums(kind: str, *names: str) -> list[Column]:
    return [F.sum(name).cast(kind).alias(name) for name in names]
