"""What a person should have seen before bills go out: advice of a review, which stops nothing.

Belongs here: the questions, each a function of the month's tables. Does not belong here: what blocks (`review`).
"""

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal

from pyspark.sql import functions as F

from resources.warehouse import Partitions
from telecom_assets.billing.tables import ADJUSTMENT, BILL_LINES, FACTURATION_COMPLETE, HOLDER
from telecom_assets.closing.findings import Finding, Reviewed, holder, some
from telecom_assets.corrections.suspense import suspense
from telecom_assets.intake.admission import MALFORMED_JSON, MALFORMED_UTF8
from telecom_assets.mediation.tables import CLEANED_CDRS, REJECTED_CDRS
from telecom_assets.model.calendar import ZONE
from telecom_assets.model.months import contiguous, month_days, shown_days
from telecom_assets.reference.judging import unreachable_prices
from telecom_assets.reference.tables import PRODUCT_CATALOG, RATE_PLANS

#: So many rows of a finding are kept.
_ROWS = 50
#: With how many months a month is compared.
_BEFORE = 3


def unrated_usage(about: Reviewed) -> Iterator[Finding]:
    """Usage that is not rated: by month (this one and older ones that are open) and reason, with its value where it has a price.

    What a person has written off stands apart.
    """
    for each in suspense(about.warehouse, Partitions(dt.date.min, about.days[-1]), record_types=about.record_types):
        if each.billing_period != about.month and about.periods.is_frozen(each.billing_period):
            continue
        value = (
            f", {each.priced_events:,} of them worth {each.amount:f} at their prices"
            if each.priced_events
            else ", without a known price"
        )
        name, said = ("written_off_usage", "written off") if each.written_off else ("unrated_usage", "not rated")
        text = f"{each.billing_period}: {each.events:,} events are {said}: {each.reason}{value}"
        yield Finding(name, text, rows=[vars(each)])


def zero_bills(about: Reviewed) -> Iterator[Finding]:
    """Bills of nothing."""
    bills = about.of_month(FACTURATION_COMPLETE.name).df
    zero = bills.where(F.col("amount_due") == 0)
    count = zero.count()
    if count:
        rows = [row.asDict() for row in zero.select(*HOLDER, "rate_plan_id").orderBy(*HOLDER).limit(_ROWS).collect()]
        yield Finding("zero_bills", f"{count:,} bills are 0: {some([holder(row) for row in rows])}", rows=rows)


def unusual_bills(about: Reviewed) -> Iterator[Finding]:
    """Bills that differ from the mean of the holder's last three months by more than the factor."""
    factor = F.lit(about.settings.review_factor).cast("decimal(7,4)")
    table = about.of_month(FACTURATION_COMPLETE.name)
    months = F.col("months").cast("decimal(2,0)")
    before = (
        table.between(about.months_before(_BEFORE))
        .groupBy(*HOLDER)
        .agg(F.sum("amount_due").alias("due_before"), F.count("*").alias("months"))
    )
    both = table.df.select(*HOLDER, "amount_due").join(before, on=list(HOLDER), how="inner")
    due, total = (F.col("amount_due") * months).cast("decimal(24,4)"), F.col("due_before").cast("decimal(24,4)")
    unusual = both.where((due > total * factor) | (due * factor < total))
    count = unusual.count()
    if count:
        shown = unusual.orderBy(F.abs(due - total).desc(), *HOLDER).limit(_ROWS).collect()
        rows = [row.asDict() for row in shown]
        text = some(
            [f"{holder(row)} ({row['amount_due']:f}, before {row['due_before']:f} in {row['months']})" for row in rows]
        )
        yield Finding(
            "unusual_bills",
            f"{count:,} bills differ from the mean of the last three by more than a factor of {about.settings.review_factor:f}: {text}",
            rows=rows,
        )


def days_without_usage(about: Reviewed) -> Iterator[Finding]:
    """Days of the month without a valid record."""
    used = {day for day, rows in about.of_month(CLEANED_CDRS.name).rows_by_partition().items() if rows}
    empty = [day for day in about.days if day not in used]
    if empty:
        days = ", ".join(shown_days(first, last) for first, last in contiguous(empty))
        yield Finding(
            "days_without_usage", f"{len(empty)} days have no usage: {days}", rows=[{"day": day} for day in empty]
        )


def shares_out_of_line(about: Reviewed) -> Iterator[Finding]:
    """More rejected or malformed records than the three months before let expect."""
    before = about.months_before(_BEFORE)
    now, then = (
        Partitions(about.days[0], about.days[-1]),
        Partitions(month_days(before.first)[0], month_days(before.last)[-1]),
    )
    rejected = about.warehouse.pin(REJECTED_CDRS.name, Partitions(then.first, now.last)).df
    malformed = F.col("reason").isin(MALFORMED_UTF8, MALFORMED_JSON)
    counts = rejected.groupBy(
        (F.col("event_date") >= F.lit(now.first)).alias("is_now"), malformed.alias("is_malformed")
    )
    rows = counts.agg(F.count("*").alias("records")).collect()
    received = {True: _records(about, now), False: _records(about, then)}
    for name, is_meant in (("rejected", False), ("malformed", True)):
        count = {
            side: sum(row["records"] for row in rows if row["is_now"] == side and row["is_malformed"] >= is_meant)
            for side in (True, False)
        }
        share, expected = (_share(count[side], received[side]) for side in (True, False))
        if received[False] and share > expected * about.settings.review_factor:
            yield Finding(
                f"{name}_share",
                f"{count[True]:,} of {received[True]:,} records are {name} ({share:.2%}), in {before.first} to {before.last} "
                f"{expected:.2%}",
            )
    count_now = sum(row["records"] for row in rows if row["is_now"] and row["is_malformed"])
    if _share(count_now, received[True]) > about.settings.malformed_share:
        yield Finding(
            "malformed_share",
            f"{count_now:,} of {received[True]:,} records are malformed, more than TELECOM_MALFORMED_SHARE",
        )


def _records(about: Reviewed, days: Partitions) -> int:
    """Valid and rejected records of some days."""
    return sum(
        sum(about.warehouse.pin(each.name, days).rows_by_partition().values()) for each in (CLEANED_CDRS, REJECTED_CDRS)
    )


def _share(part: int, whole: int) -> Decimal:
    return Decimal(part) / Decimal(whole) if whole else Decimal(0)


def unreachable(about: Reviewed) -> Iterator[Finding]:
    """Prices that no usage can reach."""
    plans, catalogue = (about.warehouse.pin(each.name).arrow() for each in (RATE_PLANS, PRODUCT_CATALOG))
    found = unreachable_prices(plans, catalogue, about.record_types)
    if found:
        yield Finding("unreachable_prices", some(found), rows=[{"price": each} for each in found])


def old_back_charges(about: Reviewed) -> Iterator[Finding]:
    """Charges for months that lie further back than customers are used to."""
    oldest = about.months_before(about.settings.back_charge_months).first
    late = (F.col("kind") == ADJUSTMENT) & (F.col("amount") > 0) & (F.col("original_period") < oldest)
    charged = (
        about.of_month(BILL_LINES.name)
        .df.where(late)
        .groupBy("original_period")
        .agg(F.sum("amount").alias("amount"), F.count_distinct(*HOLDER).alias("holders"))
        .orderBy("original_period")
    )
    rows = [row.asDict() for row in charged.collect()]
    if rows:
        text = ", ".join(f"{row['amount']:f} of {row['original_period']} on {row['holders']:,} bills" for row in rows)
        months = about.settings.back_charge_months
        yield Finding("old_back_charges", f"charges older than {months} months, before tax: {text}", rows=rows)


def customers_read(about: Reviewed, read_at: dt.datetime | None) -> Iterator[Finding]:
    """Customers that were not read since the month ended: what changed in its last days may not be known."""
    if read_at is None or read_at.astimezone(ZONE).date() <= about.days[-1]:
        when = "never" if read_at is None else f"last at {read_at.astimezone(ZONE):%Y-%m-%d %H:%M}"
        yield Finding(
            "customers_read", f"customers were read {when}, not since the month ended: `telecom customers read`"
        )


#: The questions that the tables alone answer.
QUESTIONS: tuple[Callable[[Reviewed], Iterator[Finding]], ...] = (
    unrated_usage,
    zero_bills,
    unusual_bills,
    days_without_usage,
    shares_out_of_line,
    unreachable,
    old_back_charges,
)
