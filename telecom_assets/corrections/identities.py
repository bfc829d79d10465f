"""From closed months to what corrects them: the identity that adjustments keep."""

from functools import reduce
from operator import or_

from pyspark.sql import functions as F

from telecom_assets.books.verdict import Verdict
from telecom_assets.corrections.closed_month import ClosedMonth
from telecom_assets.corrections.inputs import Affected
from telecom_assets.corrections.looking_back import Journals, corrected_periods, why_due
from telecom_assets.corrections.rules import charges
from telecom_assets.corrections.tables import ADJUSTMENTS
from telecom_assets.model.text import visible
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes

IDENTITY = "right = settled + adjustments, per holder, for each closed month that is corrected"
_HOLDER = ("customer_id", "holder_no")
_SUMS = ("events", "amount")
_ZEROS = {"events": "bigint", "amount": "decimal(28,6)"}


def right_is_settled_and_adjusted(
    journals: Journals, period: str, months_back: int, record_types: RecordTypes = RECORD_TYPES
) -> Verdict:
    """For those who were rated again: Σ right = Σ settled + Σ adjustments, by amounts and events, those that await acceptance too.

    By sums of each holder, whatever rows the differences were found by. A frozen period is as it was: what has come since is a
    matter of the next one.
    """
    if journals.periods.is_frozen(period):
        return Verdict(IDENTITY, [])
    if reason := why_due(journals.warehouse, period, months_back):
        return Verdict(IDENTITY, [f"the adjustments of {period} are out of date ({reason}); `telecom run` makes them"])
    looked_at = journals.looked_at(period)
    findings = []
    for original in corrected_periods(journals.periods, period, months_back):
        affected = Affected.read(looked_at[original]["scope"])
        if not affected.is_empty:
            findings += _of_month(journals.month(original, period), affected, record_types)
    return Verdict(IDENTITY, findings)


def _of_month(month: ClosedMonth, affected: Affected, record_types: RecordTypes) -> list[str]:
    """The holders for whom a closed month does not add up."""
    made = month.warehouse.pin_period(ADJUSTMENTS.name, month.period).df
    made = made.where(F.col("original_period") == month.original_period)
    parts = {
        "right": charges(month.right(affected, record_types)),
        "settled": month.settled(affected).charges,
        "adjusted": made,
    }
    sums = None
    for name, rows in parts.items():
        # Rows that cost nothing may be of nobody.
        by_holder = (
            rows.where(F.col("holder_no").isNotNull())
            .groupBy(*_HOLDER)
            .agg(*(F.sum(column).cast(_ZEROS[column]).alias(f"{name}_{column}") for column in _SUMS))
        )
        sums = by_holder if sums is None else sums.join(by_holder, on=list(_HOLDER), how="full_outer")
    assert sums is not None
    columns = [f"{name}_{column}" for name in parts for column in _SUMS]
    sums = sums.select(*_HOLDER, *(F.coalesce(name, F.lit(0)).alias(name) for name in columns))
    wrong = reduce(
        or_,
        (F.col(f"right_{name}") != F.col(f"settled_{name}") + F.col(f"adjusted_{name}") for name in _SUMS),
    )
    found = sums.where(wrong).orderBy(*_HOLDER).limit(1000).collect()
    return [
        f"{month.original_period}, customer {visible(row['customer_id'])}, holder {row['holder_no']}: "
        + ", ".join(f"{row[f'{name}_events']} events of {row[f'{name}_amount']:f} {name}" for name in parts)
        for row in found
    ]
