"""Write-off: what of the corrections of a closed period is too little to be asked for.

Belongs here: the disposition billed or written_off of rows of adjustments. Does not belong here: which differences there are
(`telecom_assets.corrections`).

A written-off row is on no bill, and is settled. When its holder's period differs again, all that was written off of it is taken back
and judged once more together with what is new: many small amounts are asked for in the end.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import reduce
from operator import or_

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from telecom_assets.billing.adjustment_lines import CORRECTED, adjustment_lines, corrections_by_rate
from telecom_assets.billing.lines import GROUP
from telecom_assets.corrections.tables import ADJUSTMENTS, BILLED, CHARGED, TAKEN_BACK, WRITTEN_OFF

#: What a charge of a record is told from another one by.
_CHARGE = (*CORRECTED, "record_id", "service", "product_code", "rate_plan_id", "region", *GROUP)
_SUMS = ("events", "units", "amount")


def disposed(
    rows: DataFrame,
    written_off: DataFrame,
    history: DataFrame,
    period: str,
    threshold: Decimal,
    scale: int,
    keep: Callable[[DataFrame], DataFrame] = lambda rows: rows,
) -> DataFrame:
    """The rows of adjustments of a period, those written off whose holder would owe too little for their original period.

    rows: with the dispositions that they have otherwise; those that are billed are judged. written_off: the rows with this
    disposition of all closed periods. history: bill_lines of the closed periods. Too little is an amount due above 0 and below
    the threshold, of the lines that a holder's rows of one original period would make. keep: has the engine compute rows once for all
    that reads them here; without it an engine plans the query for minutes.
    """
    billed = rows.where(F.col("disposition") == BILLED)
    concerned = billed.select(*CORRECTED).distinct()
    before = keep(_net(written_off.join(concerned, on=list(CORRECTED), how="left_semi")))
    judged = keep(_net(before.unionByName(billed)).withColumn("disposition", F.lit(BILLED)))
    lines = keep(adjustment_lines(judged, history, period, scale))
    due = corrections_by_rate(lines, history, scale).groupBy(*CORRECTED).agg(F.sum("due").alias("due"))
    little = keep(due.where((F.col("due") > 0) & (F.col("due") < F.lit(threshold))).select(*CORRECTED))
    on = list(CORRECTED)
    names = ADJUSTMENTS.column_names
    asked_for = judged.join(little, on=on, how="left_anti").select(*names)
    taken_back = _opposite(before.join(little, on=on, how="left_anti"))
    # Taken back and written off again: what is new remains.
    off = billed.join(little, on=on, how="left_semi").withColumn("disposition", F.lit(WRITTEN_OFF)).select(*names)
    made = [asked_for, taken_back.select(*names), off]
    others = rows.where(F.col("disposition") != BILLED).select(*names)
    return reduce(DataFrame.unionByName, made, others).select(
        *(F.lit(period).alias(name) if name == "billing_period" else F.col(name) for name in names)
    )


def _net(rows: DataFrame) -> DataFrame:
    """One row per charge: the sum of its rows, with all else as in the newest of them. Without those that come to nothing."""
    charge = Window.partitionBy(*_CHARGE)
    newest = charge.orderBy(F.col("billing_period").desc())
    types = {column.name: column.type for column in ADJUSTMENTS.columns}
    placed = rows.withColumn("_place", F.row_number().over(newest)).withColumns(
        {f"_{name}": F.sum(name).over(charge).cast(types[name]) for name in _SUMS}
    )
    counts = reduce(or_, (F.col(f"_{name}") != 0 for name in _SUMS))
    return placed.where((F.col("_place") == 1) & counts).select(
        *(F.col(f"_{name}").alias(name) if name in _SUMS else F.col(name) for name in ADJUSTMENTS.column_names)
    )


def _opposite(rows: DataFrame) -> DataFrame:
    """Rows that take others back."""
    types = {column.name: column.type for column in ADJUSTMENTS.columns}
    side = F.when(F.col("side") == CHARGED, TAKEN_BACK).otherwise(CHARGED)
    return rows.withColumns({"side": side, **{name: (-F.col(name)).cast(types[name]) for name in _SUMS}})
