"""From corrections to their lines and documents: the identities that they keep.

Belongs here: what is asked once a period was closed. While none is, nothing is read.
"""

from decimal import Decimal
from functools import lru_cache, reduce
from operator import or_
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import PinnedTable
from telecom_assets.billing.adjustment_lines import document_totals, documents_of
from telecom_assets.billing.corrections import history_of
from telecom_assets.billing.identities import holder_in_words
from telecom_assets.billing.lines import DOCUMENT
from telecom_assets.billing.tables import ADJUSTMENT, BILL, HOLDER, MANUAL, OF_DOCUMENT, USAGE
from telecom_assets.books.verdict import Verdict
from telecom_assets.corrections.tables import UNSETTLED, WRITTEN_OFF
from telecom_assets.model.numbers import RATED_SUM

#: What each identity says. Its check says the same.
CORRECTIONS_EQUAL_LINES = (
    "adjustments and manual lines = lines of these kinds + adjustments written off, per holder and original period"
)
DOCUMENTS_EQUAL_LINES = "lines = documents of corrections: before tax, exact, discount, tax and due"
NOTHING_BELOW_ZERO = "what remains of each closed month is not below zero, by holder and tax rate"
_SHOWN = 1000


@lru_cache(maxsize=64)
def corrections_equal_lines(rows: PinnedTable, manual: PinnedTable, lines: PinnedTable) -> Verdict:
    """Σ rows of adjustments and of manual_lines = Σ exact amounts of the lines of these kinds + Σ adjustments written off.

    By holder, original period and kind. Adjustments that await acceptance, or are refused, are in neither side. rows, manual, lines:
    pinned to one month.
    """
    if history_of(lines) is None:
        return Verdict(CORRECTIONS_EQUAL_LINES, [])
    by = (*HOLDER, "original_period", "kind")
    exact = F.col("amount").cast(RATED_SUM).alias("exact_amount")
    asked_for = ~F.col("disposition").isin(WRITTEN_OFF, *UNSETTLED)
    adjusted = rows.df.where(asked_for).withColumn("kind", F.lit(ADJUSTMENT)).select(*by, exact)
    added = manual.df.withColumn("kind", F.lit(MANUAL)).select(*by, exact)
    rows_of = adjusted.unionByName(added).groupBy(*by).agg(F.sum("exact_amount").alias("rows_amount"))
    lined = lines.df.where(F.col("kind") != USAGE).groupBy(*by).agg(F.sum("exact_amount").alias("lined_amount"))
    wrong = _differing(rows_of, lined, by, [("rows_amount", "lined_amount")])
    findings = [
        f"{holder_in_words(row)}, {row['kind']} of {row['original_period']}: {row['rows_amount']:f} to be billed, "
        f"{row['lined_amount']:f} on lines"
        for row in wrong
    ]
    return Verdict(CORRECTIONS_EQUAL_LINES, findings, differs=wrong)


@lru_cache(maxsize=64)
def documents_equal_lines(lines: PinnedTable, documents: PinnedTable) -> Verdict:
    """A document of corrections is what its lines add up to, and every document that has a line of some amount is there."""
    history = history_of(lines)
    if history is None:
        return Verdict(DOCUMENTS_EQUAL_LINES, [])
    scale = documents.contract.column("amount_due").arrow_type.scale
    apart = lines.df.where(F.col("document") != BILL)
    rates = document_totals(apart, history, scale, sums=["exact_amount"])
    totals = rates.groupBy(*DOCUMENT).agg(*(F.sum(of).alias(f"lines_{name}") for name, of in OF_DOCUMENT.items()))
    of_lines = totals.join(documents_of(apart), on=list(DOCUMENT), how="left_semi")
    exact = F.col("amount_before_tax") - F.col("rounding_difference")
    stored = documents.df.withColumn("exact_amount", exact).select(*DOCUMENT, *OF_DOCUMENT)
    wrong = _differing(stored, of_lines, DOCUMENT, [(name, f"lines_{name}") for name in OF_DOCUMENT])
    findings = [
        f"{holder_in_words(row)}, document {row['document']}: "
        + ", ".join(
            f"{name} {row[name]:f}, {row[f'lines_{name}']:f} of its lines"
            for name in OF_DOCUMENT
            if row[name] != row[f"lines_{name}"]
        )
        for row in wrong
    ]
    return Verdict(DOCUMENTS_EQUAL_LINES, findings, differs=wrong)


@lru_cache(maxsize=64)
def nothing_below_zero(lines: PinnedTable) -> Verdict:
    """By holder, closed month and tax rate the usage, adjustment and manual lines of that month come to 0 or more (the cap).

    lines: bill_lines pinned to the month whose lines are the newest that count.
    """
    history = history_of(lines)
    if history is None:
        return Verdict(NOTHING_BELOW_ZERO, [])
    both = history.unionByName(lines.df)
    period = F.when(F.col("kind") == USAGE, F.col("billing_period")).otherwise(F.col("original_period"))
    by = (*HOLDER, "month", "tax_category", "tax_pct")
    remains = both.withColumn("month", period).groupBy(*by).agg(F.sum("amount").alias("remains"))
    below = remains.where(F.col("remains") < 0).orderBy(*by).limit(_SHOWN)
    wrong: list[dict[str, Any]] = [row.asDict() for row in below.collect()]
    findings = [
        f"{holder_in_words(row)}: {row['remains']:f} remain of {row['month']} at {row['tax_category']} {row['tax_pct']:f} %"
        for row in wrong
    ]
    return Verdict(NOTHING_BELOW_ZERO, findings, differs=wrong)


def _differing(
    left: DataFrame, right: DataFrame, by: tuple[str, ...], pairs: list[tuple[str, str]]
) -> list[dict[str, Any]]:
    """The rows of two sides in which one of some pairs of amounts differs; what one side lacks is 0 there."""
    names = [name for pair in pairs for name in pair]
    both = left.join(right, on=list(by), how="full_outer").select(
        *by, *(F.coalesce(name, F.lit(Decimal(0))).alias(name) for name in names)
    )
    differ = reduce(or_, (F.col(one) != F.col(other) for one, other in pairs))
    return [row.asDict() for row in both.where(differ).orderBy(*by).limit(_SHOWN).collect()]
