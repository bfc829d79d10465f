"""From charges to bills: the identities that billing keeps."""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache, reduce
from operator import add, or_
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import PinnedTable
from telecom_assets.billing.adjustment_lines import document_totals
from telecom_assets.billing.corrections import history_of
from telecom_assets.billing.left_aside import Holders, without_them
from telecom_assets.billing.lines import holder_of_usage
from telecom_assets.billing.tables import BILL, HOLDER, OF_DOCUMENT, SERVICES, USAGE
from telecom_assets.books.verdict import Verdict
from telecom_assets.corrections.rules import is_not_corrected
from telecom_assets.model.numbers import zero_if_null
from telecom_assets.model.text import visible
from telecom_assets.rating.charges import Charges

#: What each identity says. Its check says the same.
RATED_EQUALS_BILLED = "rated + period charges = bills before tax − rounding, per holder"
LINES_EQUAL_CHARGES = "rated + period charges = usage lines, by service, plan and region"
BILLS_EQUAL_LINES = "lines = bills, per holder: before tax, exact, discount, tax and due"


@lru_cache(maxsize=64)
def rated_equals_billed(charges: Charges, bills: PinnedTable, lines: PinnedTable | None, aside: Holders) -> Verdict:
    """Σ rated + Σ period charges = Σ (bills before tax − rounding), per holder, and the counts agree.

    Amounts are compared over all events, counts over the events of services that have columns of their own on the bill. lines:
    bill_lines of the month; what its bills hold besides usage, where months were closed before it, is taken off. aside: see
    `left_aside`.
    """
    usage = charges.df.groupBy(*holder_of_usage()).agg(
        F.sum("amount").alias("rated_amount"),
        F.count_if(F.col("record_type").isin(*SERVICES)).alias("rated_count"),
    )
    besides = None if lines is None or history_of(lines) is None else _besides_usage(lines)
    # One bill for each holder. Two bills of one holder would each be joined with the usage, and each would agree.
    charged = bills.df.groupBy(*HOLDER).agg(
        F.sum(F.col("amount_before_tax") - F.col("rounding_difference")).alias("billed_amount"),
        F.sum(reduce(add, (F.col(f"{service}_count") for service in SERVICES))).alias("billed_count"),
        F.count("*").alias("bills"),
    )
    if besides is not None:
        usage_alone = F.col("billed_amount") - zero_if_null(F.col("besides_amount"))
        charged = charged.join(besides, on=list(HOLDER), how="left").withColumn("billed_amount", usage_alone)
    both = usage.join(charged, on=list(HOLDER), how="full_outer").select(
        *HOLDER,
        *(F.coalesce(name, F.lit(Decimal(0))).alias(name) for name in ("rated_amount", "billed_amount")),
        *(F.coalesce(name, F.lit(0)).alias(name) for name in ("rated_count", "billed_count", "bills")),
    )
    if aside:
        both = both.where(~is_not_corrected(aside))
    differ = (
        (F.col("rated_amount") != F.col("billed_amount"))
        | (F.col("rated_count") != F.col("billed_count"))
        | (F.col("bills") > 1)
    )
    totals = both.agg(
        F.sum("rated_amount").alias("rated"), F.sum("billed_amount").alias("billed"), F.count_if(differ).alias("wrong")
    ).collect()[0]
    wrong = both.where(differ).orderBy(*HOLDER).limit(1000).collect() if totals["wrong"] else []
    findings = [
        f"{holder_in_words(row.asDict())}: {row['rated_count']} events of {row['rated_amount']:f} rated, "
        f"{row['billed_count']} of {row['billed_amount']:f} billed"
        + (f" on {row['bills']} bills" if row["bills"] > 1 else "")
        for row in wrong
    ]
    differs = [{**row.asDict(), "difference": row["rated_amount"] - row["billed_amount"]} for row in wrong]
    return Verdict(
        without_them(RATED_EQUALS_BILLED, aside),
        findings,
        {"rated": totals["rated"], "billed": totals["billed"]},
        differs,
    )


@lru_cache(maxsize=64)
def lines_equal_charges(charges: Charges, lines: PinnedTable) -> Verdict:
    """Σ rated + Σ period charges = Σ exact amounts of usage lines, and the events agree, by service, plan and region.

    Holders are compared when they have bills (`rated_equals_billed`): this one is asked before there are any.
    """
    by = ("service", "rate_plan_id", "region")
    charged = charges.df.groupBy(F.col("record_type").alias("service"), *by[1:]).agg(
        F.sum("amount").alias("rated_amount"), F.count("*").alias("rated_count")
    )
    lined = (
        lines.df.where(F.col("kind") == USAGE)
        .groupBy(*by)
        .agg(F.sum("exact_amount").alias("lined_amount"), F.sum("events").alias("lined_count"))
    )
    both = charged.join(lined, on=list(by), how="full_outer").select(
        *by,
        *(F.coalesce(name, F.lit(Decimal(0))).alias(name) for name in ("rated_amount", "lined_amount")),
        *(F.coalesce(name, F.lit(0)).alias(name) for name in ("rated_count", "lined_count")),
    )
    rows = [row.asDict() for row in both.collect()]
    wrong = [
        row
        for row in sorted(rows, key=lambda row: [str(row[name]) for name in by])
        if row["rated_amount"] != row["lined_amount"] or row["rated_count"] != row["lined_count"]
    ]
    findings = [
        f"{'/'.join(visible(row[name]) for name in by)}: {row['rated_count']} events of {row['rated_amount']:f} rated, "
        f"{row['lined_count']} of {row['lined_amount']:f} on lines"
        for row in wrong
    ]
    sums = {name: sum((row[f"{name}_amount"] for row in rows), Decimal(0)) for name in ("rated", "lined")}
    return Verdict(LINES_EQUAL_CHARGES, findings, sums, wrong)


@lru_cache(maxsize=64)
def bills_equal_lines(lines: PinnedTable, bills: PinnedTable, aside: Holders) -> Verdict:
    """A bill is what its lines add up to: amount before tax, exact, discount, tax and due. A holder without lines owes nothing.

    lines, bills: bill_lines and facturation_complete, pinned to one month. aside: see `left_aside`.
    """
    scale = bills.contract.column("amount_due").arrow_type.scale
    own = lines.df.where(F.col("document") == BILL)
    rates = document_totals(own, history_of(lines), scale, sums=["exact_amount"])
    of_lines = rates.groupBy(*HOLDER).agg(*(F.sum(of).alias(f"lines_{name}") for name, of in OF_DOCUMENT.items()))
    exact = F.col("amount_before_tax") - F.col("rounding_difference")
    of_bills = bills.df.withColumn("exact_amount", exact).select(*HOLDER, *OF_DOCUMENT)
    both = of_lines.join(of_bills, on=list(HOLDER), how="full_outer").select(
        *HOLDER,
        *(
            F.coalesce(name, F.lit(Decimal(0))).alias(name)
            for column in OF_DOCUMENT
            for name in (column, f"lines_{column}")
        ),
    )
    if aside:
        both = both.where(~is_not_corrected(aside))
    differ = reduce(or_, (F.col(name) != F.col(f"lines_{name}") for name in OF_DOCUMENT))
    wrong = [row.asDict() for row in both.where(differ).orderBy(*HOLDER).limit(1000).collect()]
    findings = [
        f"{holder_in_words(row)}: "
        + ", ".join(
            f"{name} {row[name]:f} on the bill, {row[f'lines_{name}']:f} of its lines"
            for name in OF_DOCUMENT
            if row[name] != row[f"lines_{name}"]
        )
        for row in wrong
    ]
    if wrong and not any(lines.rows_by_partition().values()):
        findings = ["the month has bills and no lines: a former version billed it; `telecom run` bills it again"]
    return Verdict(without_them(BILLS_EQUAL_LINES, aside), findings, differs=wrong)


def _besides_usage(lines: PinnedTable) -> DataFrame:
    """HOLDER, and the exact amount of the lines on his bill that are not usage."""
    return (
        lines.df.where((F.col("document") == BILL) & (F.col("kind") != USAGE))
        .groupBy(*HOLDER)
        .agg(F.sum("exact_amount").alias("besides_amount"))
    )


def holder_in_words(row: Mapping[str, Any]) -> str:
    """A holder of a number in words; the first one is named by the number alone."""
    return f"customer {visible(row['customer_id'])}" + (f", holder {row['holder_no']}" if row["holder_no"] != 1 else "")
