"""The funnel counted from the tables: what became of every record, and of the money.

Belongs here: counting. The figures' shape and their identities are in `telecom_assets.reports.funnel`.
"""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import Partitions, PinnedTable, Warehouse
from telecom_assets.billing.corrections import history_of
from telecom_assets.billing.tables import BILL, BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE, USAGE
from telecom_assets.intake.admission import MALFORMED_JSON, MALFORMED_UTF8
from telecom_assets.intake.journal import read_state
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.rules import REJECTION_REASONS
from telecom_assets.mediation.tables import CLEANED_CDRS, REJECTED_CDRS
from telecom_assets.model.months import month_days
from telecom_assets.periods.journal import read_periods
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.rules import DEFERRED, SUSPENSION_REASONS
from telecom_assets.rating.tables import SUSPENDED_CDRS
from telecom_assets.reports.funnel import Funnel, Malformed


def month_funnel(warehouse: Warehouse, period: str, bills: PinnedTable | None = None) -> Funnel:
    """The funnel of the records at home in a month. bills: facturation_complete pinned to the month; default: the newest."""
    charges = charges_of_month(warehouse, period)
    raw, cleaned, rejected, suspended = (
        warehouse.pin_period(contract.name, period)
        for contract in (RAW_CDRS, CLEANED_CDRS, REJECTED_CDRS, SUSPENDED_CDRS)
    )
    bills = bills or warehouse.pin_period(FACTURATION_COMPLETE.name, period)
    reasons = _count_by(suspended.df, "disposition", "reason")
    money = bills.totals()
    corrections_amount, documents_due = _corrected(warehouse, period)
    funnel = Funnel(
        received=sum(raw.rows_by_partition().values()),
        cleaned=sum(cleaned.rows_by_partition().values()),
        rejected=_ordered(
            {reason: count for (reason,), count in _count_by(rejected.df, "reason").items()}, REJECTION_REASONS
        ),
        rated=sum(charges.rated.rows_by_partition().values()),
        rated_amount=charges.rated.totals()["amount"],
        suspended=_with_disposition(reasons, "suspended"),
        excluded=_with_disposition(reasons, "excluded"),
        deferred=sum(_with_disposition(reasons, DEFERRED).values()),
        imputed=sum(charges.imputed.rows_by_partition().values()),
        imputed_amount=charges.imputed.totals()["amount"],
        imputed_out_of_range=charges.imputed.missing_values(["amount"])["amount"],
        billed_customers=sum(bills.rows_by_partition().values()),
        amount_before_tax=money["amount_before_tax"],
        discount=money["discount"],
        tax=money["tax"],
        amount_due=money["amount_due"],
        rounding_difference=money["rounding_difference"],
        corrections_amount=corrections_amount,
        documents_due=documents_due,
    )
    # No run rates an approved or closed month: what its cleaned rows have more, or fewer, came since.
    return replace(funnel, late=funnel.without_price) if read_periods(warehouse).is_frozen(period) else funnel


def _corrected(warehouse: Warehouse, period: str) -> tuple[Decimal, Decimal]:
    """What the month's bills hold besides usage, exact, and what is due of its other documents.

    Nothing is counted while no month was closed before it.
    """
    lines = warehouse.pin_period(BILL_LINES.name, period)
    if history_of(lines) is None:
        return Decimal(0), Decimal(0)
    on_bills = lines.df.where((F.col("document") == BILL) & (F.col("kind") != USAGE))
    exact = on_bills.agg(F.sum("exact_amount").alias("exact")).collect()[0]["exact"]
    documents = warehouse.pin_period(CORRECTION_DOCUMENTS.name, period)
    return exact or Decimal(0), documents.totals()["amount_due"]


def malformed_while_open(warehouse: Warehouse, period: str, max_age_days: int) -> Malformed:
    """Messages that are no CDR, received on days on which a record of the month can be received and be at home in it.

    Those are landing's rule (`telecom_assets.intake.admission`): from the day before the month, since a record may come a day
    early, to `max_age_days` after its last day, or without end for a month that was opened by name. A malformed message
    is at home on the day it was received, so that is the day it is counted by, once that day is mediated.
    """
    days = month_days(period)
    first, last = days[0] - dt.timedelta(days=1), days[-1] + dt.timedelta(days=max_age_days)
    opened = period in read_state(warehouse).opened_months
    rejected = warehouse.pin(REJECTED_CDRS.name, Partitions(first, dt.date.max if opened else last))
    malformed = rejected.df.where(F.col("reason").isin(MALFORMED_UTF8, MALFORMED_JSON))
    counts = _count_by(malformed, "event_date")
    on_its_days = sum(counts.get((day,), 0) for day in days)
    return Malformed(first, None if opened else last, sum(counts.values()), on_its_days)


def other_days(warehouse: Warehouse, period: str) -> Funnel:
    """The records at home on days of other months: those without a usable time lie on the day they were received."""
    raw, cleaned, rejected = (warehouse.pin(contract.name) for contract in (RAW_CDRS, CLEANED_CDRS, REJECTED_CDRS))
    outside = F.date_format("event_date", "yyyy-MM") != period
    reasons = _count_by(rejected.all().where(outside), "reason")
    zero = Decimal(0)

    def rows(counts: dict[dt.date, int]) -> int:
        return sum(count for day, count in counts.items() if f"{day:%Y-%m}" != period)

    return Funnel(
        received=rows(raw.rows_by_partition()),
        cleaned=rows(cleaned.rows_by_partition()),
        rejected=_ordered({reason: count for (reason,), count in reasons.items()}, REJECTION_REASONS),
        rated=0,
        rated_amount=zero,
        billed_customers=0,
        amount_before_tax=zero,
        discount=zero,
        tax=zero,
        amount_due=zero,
        rounding_difference=zero,
    )


def _count_by(rows: DataFrame, *columns: str) -> dict[tuple[Any, ...], int]:
    counted = rows.groupBy(*columns).agg(F.count("*").alias("rows")).collect()
    return {tuple(row[column] for column in columns): row["rows"] for row in counted}


def _with_disposition(counts: dict[tuple[str, ...], int], disposition: str) -> dict[str, int]:
    return _ordered(
        {reason: count for (found, reason), count in counts.items() if found == disposition}, SUSPENSION_REASONS
    )


def _ordered(counts: dict[str, int], order: tuple[str, ...]) -> dict[str, int]:
    """The counts in the order of the reasons; those of record types that are not this project's own come last."""
    others = sorted(counts.keys() - set(order))
    return {reason: counts[reason] for reason in (*order, *others) if reason in counts}
