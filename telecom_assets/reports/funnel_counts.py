"""The funnel from the control totals of the tables: what became of every record, and of the money.

Belongs here: adding them up. The figures' shape and their identities are in `telecom_assets.reports.funnel`.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from resources.warehouse import Partitions, PinnedTable, Warehouse, sum_exactly
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE, ON_BILL, USAGE
from telecom_assets.books.totals import amounts_of, by_outcome, totals_of
from telecom_assets.intake.admission import MALFORMED_JSON, MALFORMED_UTF8
from telecom_assets.intake.journal import read_state
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.rules import REJECTION_REASONS
from telecom_assets.mediation.tables import CLEANED_CDRS, REJECTED_CDRS
from telecom_assets.model.months import month_days
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.identities import late_less_gone
from telecom_assets.rating.rules import DEFERRED, SUSPENSION_REASONS
from telecom_assets.rating.tables import SUSPENDED_CDRS
from telecom_assets.reports.funnel import OUT_OF_RANGE, Funnel, Malformed


def month_funnel(warehouse: Warehouse, period: str, bills: PinnedTable | None = None) -> Funnel:
    """The funnel of the records at home in a month. bills: facturation_complete pinned to the month; default: the newest."""
    charges = charges_of_month(warehouse, period)
    raw, cleaned, rejected, suspended, lines = (
        warehouse.pin_period(contract.name, period)
        for contract in (RAW_CDRS, CLEANED_CDRS, REJECTED_CDRS, SUSPENDED_CDRS, BILL_LINES)
    )
    documents = warehouse.pin_period(CORRECTION_DOCUMENTS.name, period)
    bills = bills or warehouse.pin_period(FACTURATION_COMPLETE.name, period)
    rated_records, rated_amount = _sum(charges.rated)
    outcomes, imputed = (by_outcome(totals_of(table)) for table in (suspended, charges.imputed))
    billed = amounts_of(bills)
    imputed_records, imputed_amount = _sum(charges.imputed)
    on_bills = (
        amount
        for (name, placed), (_, amount) in by_outcome(totals_of(lines)).items()
        if name == "exact_amount" and placed.endswith(ON_BILL) and placed != f"{USAGE}{ON_BILL}"
    )

    funnel = Funnel(
        received=sum(raw.rows_by_partition().values()),
        cleaned=sum(cleaned.rows_by_partition().values()),
        rejected=_ordered(
            {reason: count for (_, reason), (count, _) in by_outcome(totals_of(rejected)).items()}, REJECTION_REASONS
        ),
        rated=rated_records,
        rated_amount=rated_amount,
        suspended=_with_disposition(outcomes, "suspended"),
        excluded=_with_disposition(outcomes, "excluded"),
        deferred=sum(_with_disposition(outcomes, DEFERRED).values()),
        imputed=imputed_records,
        imputed_amount=imputed_amount,
        imputed_out_of_range=imputed.get(("imputed", OUT_OF_RANGE), (0, Decimal(0)))[0],
        billed_customers=sum(bills.rows_by_partition().values()),
        amount_before_tax=billed["amount_before_tax"],
        discount=billed["discount"],
        tax=billed["tax"],
        amount_due=billed["amount_due"],
        rounding_difference=billed["rounding_difference"],
        corrections_amount=sum_exactly(on_bills),
        documents_due=amounts_of(documents)["amount_due"],
    )
    # No run rates an approved or closed month: what is cleaned since is late.
    late = late_less_gone(cleaned, charges.rated, suspended)
    return replace(funnel, late=sum(count for count, _ in late.values()))


def _sum(pinned: PinnedTable) -> tuple[int, Decimal]:
    """The records of a table that have one outcome, and their money."""
    found = by_outcome(totals_of(pinned)).values()
    return sum(records for records, _ in found), sum_exactly(money for _, money in found)


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
    malformed = [each for each in totals_of(rejected) if each.reason in (MALFORMED_UTF8, MALFORMED_JSON)]
    on_its_days = sum(each.records for each in malformed if days[0] <= each.value <= days[-1])
    return Malformed(first, None if opened else last, sum(each.records for each in malformed), on_its_days)


def other_days(warehouse: Warehouse, period: str) -> Funnel:
    """The records at home on days of other months: those without a usable time lie on the day they were received."""
    raw, cleaned, rejected = (warehouse.pin(contract.name) for contract in (RAW_CDRS, CLEANED_CDRS, REJECTED_CDRS))
    reasons = by_outcome(each for each in totals_of(rejected) if f"{each.value:%Y-%m}" != period)
    zero = Decimal(0)

    def rows(counts: dict[dt.date, int]) -> int:
        return sum(count for day, count in counts.items() if f"{day:%Y-%m}" != period)

    return Funnel(
        received=rows(raw.rows_by_partition()),
        cleaned=rows(cleaned.rows_by_partition()),
        rejected=_ordered({reason: count for (_, reason), (count, _) in reasons.items()}, REJECTION_REASONS),
        rated=0,
        rated_amount=zero,
        billed_customers=0,
        amount_before_tax=zero,
        discount=zero,
        tax=zero,
        amount_due=zero,
        rounding_difference=zero,
    )


def _with_disposition(outcomes: Mapping[tuple[str, str], tuple[int, Decimal]], disposition: str) -> dict[str, int]:
    return _ordered(
        {reason: count for (found, reason), (count, _) in outcomes.items() if found == disposition}, SUSPENSION_REASONS
    )


def _ordered(counts: dict[str, int], order: tuple[str, ...]) -> dict[str, int]:
    """The counts in the order of the reasons; those of record types that are not this project's own come last."""
    others = sorted(counts.keys() - set(order))
    return {reason: counts[reason] for reason in (*order, *others) if reason in counts}
