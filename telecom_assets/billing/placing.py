"""On which document the adjustment lines of a period stand: on its bill, or on a document of their original period.

Belongs here: who stays on the bill. Does not belong here: what the lines come to (`adjustment_lines`), the documents' numbers
(`telecom_assets.closing`).

The lines of an original period stay together. A bill that they would bring below zero, as a whole or at one rate, is left by them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from telecom_assets.billing.adjustment_lines import CORRECTED, corrections_by_rate
from telecom_assets.billing.lines import numbered, totals_by_rate
from telecom_assets.billing.tables import BILL, HOLDER, bill_lines
from telecom_assets.model.columns import VALID_FROM, VALID_TO
from telecom_assets.model.months import month_days

#: TELECOM_ADJUSTMENTS: corrections stand on the bill of the period, or on a document for each original period.
Placing = Literal["on_invoice", "separate"]

_NOTHING = Decimal(0)


@dataclass(frozen=True)
class Part:
    """What the own lines of a bill (original_period None), or the corrections of a period, come to at one tax rate.

    `base`: amounts less discounts. `due`: the base with its tax.
    """

    original_period: str | None
    rate: tuple[str, Decimal]
    base: Decimal
    due: Decimal


def leaving(parts: Iterable[Part]) -> set[str]:
    """The original periods that leave a holder's bill, so that neither its amount due nor the base of a rate is below 0.

    While the amount due is below 0, those leave whose own amount due is; then, while the base of a rate is below 0, those whose base
    of that rate is. Own lines stay: what they alone bring below 0 remains so.
    """
    remaining, left = list(parts), set[str]()
    while gone := _to_leave(remaining):
        left |= gone
        remaining = [part for part in remaining if part.original_period not in gone]
    return left


def _to_leave(parts: Iterable[Part]) -> set[str]:
    """The original periods that leave at once, of those whose parts are on the bill; none where nothing has to."""
    listed = list(parts)
    due, base = defaultdict[str | None, Decimal](Decimal), defaultdict[tuple[str | None, object], Decimal](Decimal)
    of_rate = defaultdict[object, Decimal](Decimal)
    for part in listed:
        due[part.original_period] += part.due
        base[part.original_period, part.rate] += part.base
        of_rate[part.rate] += part.base
    if sum(due.values(), _NOTHING) < 0 and (gone := {period for period, each in due.items() if period and each < 0}):
        return gone
    return {period for (period, rate), each in base.items() if period and each < 0 and of_rate[rate] < 0}


def subscribers_of_month(customers: DataFrame, period: str) -> DataFrame:
    """HOLDER of everybody with an open subscription on some day of a month (yyyy-MM): active and postpaid.

    customers: rows of CUSTOMERS, with their dates.
    """
    days = month_days(period)
    first, last = (F.lit(day) for day in (days[0], days[-1]))
    begun = F.col(VALID_FROM).isNull() | (F.col(VALID_FROM) <= last)
    goes_on = F.col(VALID_TO).isNull() | (F.col(VALID_TO) > first)
    is_open = (F.col("subscription_type") == "postpaid") & (F.col("status") == "active")
    return customers.where(begun & goes_on & is_open).select(*HOLDER).distinct()


def placed(
    own: DataFrame, corrects: DataFrame, history: DataFrame, customers: DataFrame, period: str, scale: int, how: Placing
) -> DataFrame:
    """All lines of a period with their documents and numbers, rows of bill_lines.

    own: its usage lines, and manual lines with their documents. corrects: its adjustment lines. history: bill_lines of the closed
    periods before. customers: rows of CUSTOMERS: who has neither own lines on the bill nor an open subscription in the period
    gets his corrections on documents of their own.
    """
    contract = bill_lines(scale)
    if how == "separate":
        # Not the column itself: on one core, Sail (0.7.2) plans no order of lines by two columns that are one and the same.
        apart = corrects.withColumn("document", F.coalesce("original_period", F.lit(BILL)))
        return numbered(own.unionByName(apart), contract)
    on_bill = own.where(F.col("document") == BILL)
    with_bill = subscribers_of_month(customers, period).unionByName(on_bill.select(*HOLDER)).distinct()
    has_bill = with_bill.withColumn("has_bill", F.lit(True))
    leaves = _leaving(on_bill, corrects.join(with_bill, on=list(HOLDER), how="left_semi"), history, scale)
    stands = (
        corrects.join(has_bill, on=list(HOLDER), how="left")
        .join(leaves, on=list(CORRECTED), how="left")
        .withColumn("stays", F.col("has_bill").isNotNull() & F.col("leaves").isNull())
        .withColumn("document", F.when(F.col("stays"), F.lit(BILL)).otherwise(F.col("original_period")))
        .select(*contract.column_names)
    )
    return numbered(own.unionByName(stands), contract)


def _leaving(on_bill: DataFrame, corrects: DataFrame, history: DataFrame, scale: int) -> DataFrame:
    """CORRECTED of what leaves the bills, with a column `leaves`. Only bills that would be below zero are decided one by one."""
    part = ("original_period", "tax_category", "tax_pct", "base", "due")
    base = (F.col("amount") - F.col("discount")).alias("base")
    no_period = F.lit(None).cast("string").alias("original_period")
    corrected = corrects.select(*HOLDER).distinct()
    changes = corrections_by_rate(corrects, history, scale).select(*HOLDER, *part[:3], base, "due")
    own = totals_by_rate(on_bill.join(corrected, on=list(HOLDER), how="left_semi"), scale)
    parts = changes.unionByName(own.select(*HOLDER, no_period, "tax_category", "tax_pct", base, "due"))
    rates = parts.groupBy(*HOLDER, "tax_category", "tax_pct").agg(
        F.sum("base").alias("rate_base"), F.sum("due").alias("rate_due")
    )
    below = (
        rates.groupBy(*HOLDER)
        .agg(F.min("rate_base").alias("lowest"), F.sum("rate_due").alias("all_due"))
        .where((F.col("lowest") < 0) | (F.col("all_due") < 0))
        .select(*HOLDER)
    )
    found = parts.join(below, on=list(HOLDER), how="left_semi").toArrow().to_pylist()
    gone = _left_by_holder(found)
    return corrects.sparkSession.createDataFrame(gone) if gone.num_rows else _nobody(corrects)


def _left_by_holder(parts: Iterable[Mapping[str, Any]]) -> pa.Table:
    of_holder = defaultdict[tuple[str, int], list[Part]](list)
    for row in parts:
        rate = (row["tax_category"], row["tax_pct"])
        of_holder[row["customer_id"], row["holder_no"]].append(
            Part(row["original_period"], rate, row["base"], row["due"])
        )
    rows = [
        {"customer_id": customer, "holder_no": holder, "original_period": period, "leaves": True}
        for (customer, holder), own in sorted(of_holder.items())
        for period in sorted(leaving(own))
    ]
    return pa.Table.from_pylist(rows, schema=_LEAVES)


_LEAVES = pa.schema(
    [("customer_id", pa.string()), ("holder_no", pa.int32()), ("original_period", pa.string()), ("leaves", pa.bool_())]
)


def _nobody(corrects: DataFrame) -> DataFrame:
    return corrects.where(F.lit(False)).select(*CORRECTED, F.lit(True).alias("leaves"))
