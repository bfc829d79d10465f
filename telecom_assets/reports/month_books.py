"""The texts beside the figures of a month's page and funnel: the sources of the figures, and what to run when books do not balance.

Belongs here: which tables are read, and the sentence for each cause. Does not belong here: counting the funnel
(`telecom_assets.reports.funnel_counts`), the identities between tables (`identities.py` of each room), showing either.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resources.warehouse import PinnedTable, Warehouse, committed_at, newest_change
from telecom_assets.billing.gate import BillingInputs, month_is_over
from telecom_assets.billing.identities import bills_equal_lines, rated_equals_billed
from telecom_assets.billing.left_aside import left_aside
from telecom_assets.billing.period_identities import bills_add_up, documents_add_up
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS
from telecom_assets.intake.identities import landed_rows_are_consumed
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.identities import month_is_mediated
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.mediation.tables import CLEANED_CDRS, REJECTED_CDRS
from telecom_assets.model.calendar import ZONE, local_today
from telecom_assets.model.months import month_days
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.open_days import frozen_days
from telecom_assets.rating.charges import Charges
from telecom_assets.rating.tables import RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.reports.funnel import Funnel, MadeFrom, Remedy

_SHOWN = 3


@dataclass(frozen=True)
class LookedAt:
    """The identities between a month's tables that were checked, and a sentence for each that does not hold."""

    identities: Sequence[str]
    differences: Sequence[str]


def look_at_books(bills: PinnedTable, charges: Charges, dedupe_days: int) -> LookedAt:
    """Check every identity from the topic to the bills of a month, on the tables as they are now.

    bills, charges: facturation_complete and the charges, pinned to the month.
    """
    inputs = BillingInputs.behind(bills, charges)
    lines = bills.warehouse.pin_period(BILL_LINES.name, inputs.period)
    aside = left_aside(bills.warehouse, inputs.period)
    # What lands after an approval is late, and is mediated in its time.
    is_frozen = read_periods(bills.warehouse).is_frozen(inputs.period)
    days = month_is_mediated(inputs.period, month_days(inputs.period), inputs.mediated, inputs.raw)
    verdicts = [
        *([] if is_frozen else [days]),
        *(question() for question in inputs.conserved(dedupe_days)),
        rated_equals_billed(charges, bills, lines, aside),
        bills_equal_lines(lines, bills, aside),
        bills_add_up(charges, lines, bills, aside),
        documents_add_up(lines, bills.warehouse.pin_period(CORRECTION_DOCUMENTS.name, inputs.period)),
    ]
    failed = [verdict.summary for verdict in verdicts if not verdict.passed]
    return LookedAt([verdict.identity for verdict in verdicts], failed)


def made_from(bills: PinnedTable, others: Sequence[PinnedTable]) -> MadeFrom | None:
    """The sources of a month's page; None when the month has no bills.

    Times are those of commits, so that a page made again from the same tables is the same page. bills: pinned to the
    month. others: the other tables that the page was made from.
    """
    if not bills.rows_by_partition():
        return None
    warehouse, version = bills.warehouse, newest_change(bills)
    made = committed_at(warehouse, bills.name, version)
    times = [made, *(committed_at(warehouse, table.name, table.version) for table in others)]
    newest = max((time for time in times if time is not None), default=None)
    return MadeFrom(version, _local(made), _local(newest))


def remedy(warehouse: Warehouse, period: str, books: Funnel, problems: Sequence[str]) -> Remedy | None:
    """The causes why the books of a month do not balance, as far as the tables show them, and the command that mends them.

    problems: the identities that do not hold; without any the result is None.
    """
    if not problems:
        return None
    periods = read_periods(warehouse)
    # No run makes a frozen month; a run of another one mediates what is stale of all months.
    month = _month_after(periods.frozen[-1]) if periods.is_frozen(period) else period
    command = f"telecom run --month {month}"
    landed = landed_rows_are_consumed(warehouse)
    if not landed.passed:
        # No command can land rows again that were lost: the topic counts as read.
        causes = [
            f"{landed.findings[0]}: rows of raw_cdrs were lost or doubled; "
            f"restore the tables from a copy, then run `{command}`"
        ]
        return Remedy(causes, None)
    rows = {
        contract.name: warehouse.pin_period(contract.name, period).rows_by_partition()
        for contract in (RAW_CDRS, CLEANED_CDRS, REJECTED_CDRS, RATED_CDRS, SUSPENDED_CDRS)
    }
    to_mediate = {day for day in stale_days(warehouse) if f"{day:%Y-%m}" == period}
    to_mediate |= _days_that_differ(rows[RAW_CDRS.name], rows[CLEANED_CDRS.name], rows[REJECTED_CDRS.name])
    to_rate = _days_that_differ(rows[CLEANED_CDRS.name], rows[RATED_CDRS.name], rows[SUSPENDED_CDRS.name])
    to_rate -= frozen_days(warehouse)
    causes = [
        *_days_told(to_mediate, "stale"),
        *_days_told(to_rate - to_mediate, "to be rated"),
    ]
    if (books.rated or books.deferred) and not books.billed_customers:
        open_still = month_is_over(period, local_today()).findings
        causes.append(f"the month is not billed: {open_still[0]}" if open_still else "the month is not billed yet")
    elif not causes and books.deferred != books.imputed:
        causes.append("the month has not priced the events that its days have deferred as they are now")
    elif not causes and books.charged_amount != books.billed_usage:
        causes.append("the bills are not those of the ratings that are there now")
    return Remedy(causes, command)


def without_records(warehouse: Warehouse, period: str, books: Funnel) -> str | None:
    """The sentence for a month that has neither records nor bills; None for any other."""
    if not books.is_empty:
        return None
    landed = {day: count for day, count in warehouse.pin(RAW_CDRS.name).rows_by_partition().items() if count}
    if not landed:
        return f"{period} has no records: nothing has landed yet; `telecom run --month {period}` lands what is on the topic"
    return (
        f"{period} has no records: the {sum(landed.values()):,} that have landed are at home on days from "
        f"{min(landed)} to {max(landed)}"
    )


def _days_that_differ(
    whole: Mapping[dt.date, int], part: Mapping[dt.date, int], other: Mapping[dt.date, int]
) -> set[dt.date]:
    """Days on which two parts do not add up to the whole."""
    days = {*whole, *part, *other}
    return {day for day in days if whole.get(day, 0) != part.get(day, 0) + other.get(day, 0)}


def _month_after(month: str) -> str:
    return f"{month_days(month)[-1] + dt.timedelta(days=1):%Y-%m}"


def _days_told(days: set[dt.date], what: str) -> list[str]:
    """One sentence about some days; none for none."""
    if not days:
        return []
    shown = ", ".join(map(str, sorted(days)[:_SHOWN])) + (", …" if len(days) > _SHOWN else "")
    return [f"{len(days)} {'day is' if len(days) == 1 else 'days are'} {what} ({shown})"]


def _local(instant: dt.datetime | None) -> dt.datetime | None:
    return None if instant is None else instant.astimezone(ZONE)
