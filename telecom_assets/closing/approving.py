"""Approving the bills of a month, and taking the approval back.

Belongs here: what must hold before, and what is kept with the approval. An approval fixes the cut-off: the rows of the period are
frozen, and what lands later is late. Does not belong here: the states and the table (`telecom_assets.periods`), the close.

An approval has these phases. Killed in the first it has changed nothing, and is repeated; killed in the second it stands:

1. `checked`    nothing blocks, and the digest of the rows is known; nothing is written
2. `approved`   the state is `approved`; rows that changed meanwhile are still to be looked for, and the close would refuse them
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from resources.postgres import PostgresConnection
from resources.warehouse import Warehouse
from telecom_assets.billing.gate import BillingInputs, assert_billed, assert_corrected
from telecom_assets.billing.restored import assert_nothing_went_back
from telecom_assets.billing.tables import BILL_LINES, FACTURATION_COMPLETE
from telecom_assets.billing.terms import BillingTerms, terms_of
from telecom_assets.closing.order import assert_in_order
from telecom_assets.closing.review import assert_nothing_blocks, blocking
from telecom_assets.corrections.inputs import inputs_of
from telecom_assets.home.deployment import Deployment, OnDemand
from telecom_assets.home.settings import Settings
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.model.months import month_days
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.digest import digest_of, digested_tables
from telecom_assets.periods.journal import change_state, changed_now, read_periods
from telecom_assets.periods.reach import assert_reach
from telecom_assets.periods.states import APPROVED, DRAFTED, WITHDRAWN, Change, PeriodError, Periods
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.tables import SUSPENDED_CDRS
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.tables import BILLING_TERMS, CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS

#: The phases, in their order; `at_phase` hears of each when it has been reached.
PHASES = ("checked", "approved")
AtPhase = Callable[[str], None]

#: The tables whose versions an approval names, besides those that it freezes: what comes after these versions is late.
_CUT_OFF = (RAW_CDRS, CLEANED_CDRS, CUSTOMERS, RATE_PLANS, PRODUCT_CATALOG, BILLING_TERMS)


@dataclass(frozen=True)
class Books:
    """What approving and closing read and write: the project's resources."""

    settings: Settings
    warehouse: Warehouse
    postgres: OnDemand[PostgresConnection]
    record_types: RecordTypes

    @classmethod
    def of(cls, deployment: Deployment) -> "Books":
        return cls(deployment.settings, deployment.warehouse, OnDemand(deployment.postgres), deployment.record_types)


def approve(books: Books, month: str, *, by: str, why: str | None = None, at_phase: AtPhase = lambda _: None) -> Change:
    """Approve the bills of a month (yyyy-MM), which freezes its rows. Returns the change of state.

    Refused, with nothing changed, unless its draft is there and is later than the last close, every identity before a bill holds, and
    no earlier month has drafts that are not closed, and nothing of a review blocks: raises PeriodError, ConservationError,
    ReviewBlocks, WarehouseError.
    """
    warehouse = books.warehouse
    _assert_may_be_approved(warehouse, read_periods(warehouse), month)
    assert_nothing_went_back(warehouse, books.postgres)
    assert_reach(read_periods(warehouse), books.settings.dedupe_days, approving=month)
    versions, inputs = versions_now(warehouse), inputs_of(warehouse, month)
    terms = _assert_complete(books, month)
    assert_nothing_blocks(blocking(books.settings, warehouse, books.record_types, month), f"approving {month}")
    digest = digest_of(warehouse, month)
    kept = kept_terms(books.settings, terms, versions, inputs).as_json()
    approved = changed_now(month, APPROVED, by=by, why=why, digest=digest, closed_with=kept)
    at_phase("checked")

    def decide(periods: Periods) -> Change:
        _assert_may_be_approved(warehouse, periods, month)
        return approved

    change_state(warehouse, decide)
    at_phase("approved")
    _assert_as_approved(warehouse, month, versions)
    return approved


def withdraw(warehouse: Warehouse, month: str, *, by: str, why: str) -> Change:
    """Take the approval of a month back, which opens it again. Returns the change of state. Raises PeriodError."""
    withdrawn = changed_now(month, WITHDRAWN, by=by, why=why)
    change_state(warehouse, lambda _: withdrawn)
    return withdrawn


def _assert_may_be_approved(warehouse: Warehouse, periods: Periods, month: str) -> None:
    """Raise PeriodError unless the month's draft is there, is later than the last close, and it is the month's turn."""
    if periods.is_frozen(month):
        raise PeriodError(f"approving {month}: {periods.says(month)}")
    if reason := periods.why_drafted_again(month):
        raise PeriodError(f"approving {month}: {reason}; `telecom run --month {month}` makes its bills")
    assert periods.state(month) == DRAFTED
    assert_in_order(warehouse, periods, month, "approving")


def _assert_complete(books: Books, month: str) -> BillingTerms:
    """Raise unless the bills of the month are those of its usage as it stands now, with the terms in force. Returns the terms."""
    warehouse, settings = books.warehouse, books.settings
    charges, bills = charges_of_month(warehouse, month), warehouse.pin_period(FACTURATION_COMPLETE.name, month)
    suspended, lines = (warehouse.pin_period(each.name, month) for each in (SUSPENDED_CDRS, BILL_LINES))
    inputs = BillingInputs.pin(warehouse, month, charges, suspended)
    customers, policy = warehouse.pin(CUSTOMERS.name), settings.missing_volume_policy
    inputs.assert_complete(customers, policy, settings.dedupe_days, books.record_types, lines)
    assert_billed(charges, bills, settings.dedupe_days, "approving")
    assert_corrected(books.warehouse, month, "approving")
    terms = terms_of(warehouse.pin(BILLING_TERMS.name).arrow(), month, settings.currency)
    billed_with = {
        (row["discount_pct"], row["tax_pct"], row["currency"])
        for batch in bills.batches()
        for row in batch.select(["discount_pct", "tax_pct", "currency"]).to_pylist()
    }
    if billed_with - {(terms.discount_pct, terms.tax_pct, terms.currency)}:
        raise PeriodError(
            f"approving {month}: its bills were made with other terms than those in force on {month_days(month)[-1]}; "
            f"`telecom run --month {month}` makes them again"
        )
    return terms


def kept_terms(
    settings: Settings, terms: BillingTerms, versions: Mapping[str, int], inputs: str | None = None
) -> ClosedWith:
    """What an approval keeps of the terms in force, the settings, the versions of tables, and the digests of what it rests on.

    inputs: `inputs_of` the month; None where its rows may not be what they rest on would make.
    """
    return ClosedWith(
        currency=terms.currency,
        discount_pct=terms.discount_pct,
        tax_pct=terms.tax_pct,
        tax_category=terms.tax_category,
        exemption_reason=terms.exemption_reason,
        payment_days=terms.payment_days,
        missing_volume_policy=settings.missing_volume_policy,
        dedupe_days=settings.dedupe_days,
        inputs=inputs,
        versions=versions,
    )


def versions_now(warehouse: Warehouse) -> dict[str, int]:
    """The newest versions of the tables that an approval names."""
    return {each.name: warehouse.version(each.name) for each in (*_CUT_OFF, *digested_tables(warehouse))}


def _assert_as_approved(warehouse: Warehouse, month: str, versions: Mapping[str, int]) -> None:
    """Withdraw the approval and raise PeriodError where a commit that began before it has changed rows of the month since.

    From the approval on the warehouse refuses such a commit; one that had asked before is seen here.
    """
    others = [
        each.name
        for each in digested_tables(warehouse)
        if any(
            f"{partition}".startswith(month) for partition in warehouse.log(each.name).last_changed(versions[each.name])
        )
    ]
    if others:
        why = f"{', '.join(others)} changed while it was approved"
        change_state(warehouse, lambda _: changed_now(month, WITHDRAWN, why=why))
        raise PeriodError(f"approving {month}: {why}; approve it again when `telecom run --month {month}` has ended")
