"""The review of a month's bills: what keeps them from being approved or closed, and what a person should have seen.

Belongs here: the blocking findings, and the whole review. Does not belong here: advice (`advice`), the second rating (`rerating`),
approving, which asks `blocking`.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from resources.expected_errors import ExpectedError
from resources.warehouse import Partitions, Warehouse, WarehouseError
from telecom_assets.billing.correction_identities import nothing_below_zero
from telecom_assets.billing.corrections import closed_lines
from telecom_assets.billing.gate import BillingInputs, month_is_over
from telecom_assets.billing.identities import bills_equal_lines, lines_equal_charges, rated_equals_billed
from telecom_assets.billing.left_aside import NO_HOLDERS
from telecom_assets.billing.period_identities import bills_add_up, documents_add_up
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE, MANUAL_LINES
from telecom_assets.billing.terms import BillingTerms, terms_of
from telecom_assets.books.verdict import Verdict, asked
from telecom_assets.closing import advice
from telecom_assets.closing.findings import Finding, Reviewed, some
from telecom_assets.closing.rerating.comparison import Inputs, compared, is_installed
from telecom_assets.corrections.tables import ADJUSTMENTS
from telecom_assets.home.settings import Settings
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.model.calendar import local_today
from telecom_assets.model.months import month_days
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import PeriodError
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.identities import deferred_equals_imputed
from telecom_assets.rating.tables import SUSPENDED_CDRS
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.tables import BILLING_TERMS, CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS

#: How many customers are rated again, besides those of the largest bills.
SAMPLE = 200
_ROWS = 50
_Question = Callable[[], list[Finding]]


@dataclass(frozen=True)
class Review:
    """What a review found. rerated: how many customers were rated again; None: none, and `not_rerated` says why."""

    month: str
    state: str | None
    findings: Sequence[Finding]
    customers_read_at: dt.datetime | None
    rerated: int | None
    not_rerated: str | None = None

    @property
    def blocking(self) -> list[Finding]:
        return [each for each in self.findings if each.blocking]

    def as_json(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "month": self.month,
            "state": self.state,
            "blocked": bool(self.blocking),
            "findings": [each.as_json() for each in self.findings],
            "customers_read_at": self.customers_read_at.isoformat() if self.customers_read_at else None,
            "rerated_customers": self.rerated,
            "not_rerated": self.not_rerated,
        }


def review(
    settings: Settings,
    warehouse: Warehouse,
    record_types: RecordTypes,
    month: str,
    *,
    customers_read_at: dt.datetime | None,
    sample: int = SAMPLE,
) -> Review:
    """All findings of a month (yyyy-MM) that has bills; nothing is written. Raises PeriodError for one without bills.

    customers_read_at: when customers were last read; None: never, or nobody knows. sample: how many customers are rated again.
    """
    about = _about(settings, warehouse, record_types, month)
    stops, rerated, why_not = _blocking(about, sample)
    questions: list[_Question] = [partial(_list, each, about) for each in advice.QUESTIONS]
    advised = [each for found in asked(questions) for each in found]
    advised += advice.customers_read(about, customers_read_at)
    return Review(month, about.periods.state(month), [*stops, *advised], customers_read_at, rerated, why_not)


def blocking(
    settings: Settings, warehouse: Warehouse, record_types: RecordTypes, month: str, *, sample: int = SAMPLE
) -> list[Finding]:
    """The findings that keep a month's bills from being approved; none where nothing does. See `review`.

    A close asks for the digest instead: its rows are those of which nothing blocked when they were approved.
    """
    return _blocking(_about(settings, warehouse, record_types, month), sample)[0]


def _about(settings: Settings, warehouse: Warehouse, record_types: RecordTypes, month: str) -> Reviewed:
    about = Reviewed(month, settings, warehouse, record_types, read_periods(warehouse))
    if not about.of_month(FACTURATION_COMPLETE.name).rows_by_partition():
        raise PeriodError(f"reviewing {month}: it has no bills; `telecom run --month {month}` makes them")
    return about


def _list(question: Callable[[Reviewed], Iterator[Finding]], about: Reviewed) -> list[Finding]:
    return list(question(about))


# ------------------------------------------------------------------------------------------------------------ blocking


def _blocking(about: Reviewed, sample: int) -> tuple[list[Finding], int | None, str | None]:
    """Blocking findings, how many customers were rated again, and why none were."""
    found = [*_draft(about), *_identities(about), *_below_zero(about)]
    if not is_installed():
        return found, None, "DuckDB is not installed; `pip install 'telecom_assets[review]'`"
    try:
        result = compared(_rated_from(about), sample)
    except WarehouseError as error:
        return found, None, f"{error}"
    if result.findings:
        text = f"rated again, {len(result.findings):,} figures are others: {some(result.findings)}"
        found.append(Finding("rerating", text, blocking=True, rows=result.differs[:_ROWS]))
    return found, result.customers, None


def _draft(about: Reviewed) -> Iterator[Finding]:
    """A draft that was made before the last close, or that nobody made."""
    if not about.periods.is_frozen(about.month) and (reason := about.periods.why_drafted_again(about.month)):
        yield Finding("draft", f"{reason}; `telecom run --month {about.month}` makes the bills again", blocking=True)


def _identities(about: Reviewed) -> Iterator[Finding]:
    """Identities between the topic and the bills that do not hold.

    What lands after an approval is late, and blocks nothing: of a frozen month only what is frozen with it is compared.
    """
    questions = _of_frozen(about) if about.periods.is_frozen(about.month) else _of_open(about)
    for verdict in asked(questions):
        if not verdict.passed:
            yield Finding("identity", verdict.summary, blocking=True, rows=verdict.differs[:_ROWS])


def _of_frozen(about: Reviewed) -> list[Callable[[], Verdict]]:
    charges, bills = charges_of_month(about.warehouse, about.month), about.of_month(FACTURATION_COMPLETE.name)
    lines, suspended = about.of_month(BILL_LINES.name), about.of_month(SUSPENDED_CDRS.name)
    return [
        lambda: deferred_equals_imputed(suspended, charges.imputed),
        lambda: lines_equal_charges(charges, lines),
        lambda: rated_equals_billed(charges, bills, lines, NO_HOLDERS),
        lambda: bills_equal_lines(lines, bills, NO_HOLDERS),
    ]


def _of_open(about: Reviewed) -> list[Callable[[], Verdict]]:
    charges, bills = charges_of_month(about.warehouse, about.month), about.of_month(FACTURATION_COMPLETE.name)
    lines, customers = about.of_month(BILL_LINES.name), about.warehouse.pin(CUSTOMERS.name)
    inputs, settings = BillingInputs.behind(bills, charges), about.settings
    policy, dedupe_days = settings.missing_volume_policy, settings.dedupe_days
    return [
        lambda: month_is_over(about.month, local_today()),
        *inputs.complete(customers, policy, dedupe_days, about.record_types, lines),
        lambda: rated_equals_billed(charges, bills, lines, NO_HOLDERS),
        lambda: bills_equal_lines(lines, bills, NO_HOLDERS),
        lambda: bills_add_up(charges, lines, bills, NO_HOLDERS),
        lambda: documents_add_up(lines, about.of_month(CORRECTION_DOCUMENTS.name)),
    ]


def _below_zero(about: Reviewed) -> Iterator[Finding]:
    """Holders of whose lines of a period, at one tax rate, more was taken back than charged, with what this month adds."""
    verdict = nothing_below_zero(about.of_month(BILL_LINES.name))
    if not verdict.passed:
        taken_back = f"more is taken back than was charged, before tax: {some(verdict.findings)}"
        text = f"{taken_back}; take a manual credit back with `telecom charge`"
        yield Finding("below_zero", text, blocking=True, rows=verdict.differs[:_ROWS])


# ---------------------------------------------------------------------------------------------------------- rated again


def _rated_from(about: Reviewed) -> Inputs:
    """What the month was rated from: as it is now, or as it was when the bills were approved. Raises WarehouseError, ExpectedError."""
    warehouse, days = about.warehouse, month_days(about.month)
    change = about.periods.last(about.month) if about.periods.is_frozen(about.month) else None
    kept = ClosedWith.read(change.closed_with) if change is not None and change.closed_with else None
    if change is not None and (kept is None or CLEANED_CDRS.name not in kept.versions):
        raise WarehouseError(
            f"it is not known from which rows {about.month} was rated, which was closed {change.way or ''}".rstrip()
        )
    at = kept.versions if kept is not None else {}
    customers, plans, catalogue = (
        warehouse.pin(each.name, version=at.get(each.name)) for each in (CUSTOMERS, RATE_PLANS, PRODUCT_CATALOG)
    )
    return Inputs(
        about.month,
        warehouse.pin(CLEANED_CDRS.name, Partitions(days[0], days[-1]), at.get(CLEANED_CDRS.name)),
        customers,
        plans,
        catalogue,
        about.of_month(ADJUSTMENTS.name),
        about.of_month(MANUAL_LINES.name),
        closed_lines(warehouse, about.month),
        about.of_month(BILL_LINES.name),
        about.of_month(FACTURATION_COMPLETE.name),
        about.of_month(CORRECTION_DOCUMENTS.name),
        _terms(about, kept),
        kept.missing_volume_policy if kept is not None else about.settings.missing_volume_policy,
        about.record_types,
    )


def _terms(about: Reviewed, kept: ClosedWith | None) -> BillingTerms:
    if kept is None:
        return terms_of(about.warehouse.pin(BILLING_TERMS.name).arrow(), about.month, about.settings.currency)
    return BillingTerms(
        kept.discount_pct, kept.tax_pct, kept.currency, kept.tax_category, kept.exemption_reason, kept.payment_days
    )


class ReviewBlocks(ExpectedError):
    """Findings of a review keep bills from being approved or closed. The message names the first of them."""


def assert_nothing_blocks(found: Sequence[Finding], doing: str) -> None:
    """Raise ReviewBlocks where there are blocking findings. doing: what was to be done, such as "approving 2026-10"."""
    stops = [each.text for each in found if each.blocking]
    if stops:
        raise ReviewBlocks(
            f"{doing} is refused: {'. Also: '.join(stops[:3])}; `telecom bill review` lists all that blocks"
        )
