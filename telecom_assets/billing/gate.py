"""The gate before a bill: everything that must hold of the month's inputs, on the versions that are billed.

Belongs here: which identities a month needs. The identities themselves are in `identities.py` of each room.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from resources.warehouse import PinnedTable, Warehouse
from telecom_assets.billing.correction_identities import corrections_equal_lines, documents_equal_lines
from telecom_assets.billing.corrections import Corrections
from telecom_assets.billing.identities import bills_equal_lines, lines_equal_charges, rated_equals_billed
from telecom_assets.billing.left_aside import NO_HOLDERS
from telecom_assets.billing.period_identities import bills_add_up, documents_add_up
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS
from telecom_assets.books.verdict import Verdict, asked, require
from telecom_assets.intake.identities import landed_rows_are_consumed
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.identities import month_is_mediated, raw_equals_outcomes, records_are_unique
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS
from telecom_assets.model.calendar import local_today
from telecom_assets.model.months import month_days
from telecom_assets.rating.charges import Charges
from telecom_assets.rating.identities import (
    cleaned_equals_ratings,
    deferred_equals_imputed,
    imputed_are_the_smallest,
    missing_volumes_follow,
    reference_is_as_rated,
)
from telecom_assets.rating.rules import MissingVolumePolicy
from telecom_assets.rating.tables import SUSPENDED_CDRS
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.tables import PRODUCT_CATALOG, RATE_PLANS

#: The tables on the way from the topic to the rated events that the gate reads.
GATE = (RAW_CDRS, MEDIATED_DAYS, CLEANED_CDRS, REJECTED_CDRS)


def month_is_over(period: str, today: dt.date) -> Verdict:
    """The month has ended, so no usage of it is still to come."""
    last = month_days(period)[-1]
    findings = [] if last < today else [f"it ends on {last}; until then its days can be mediated and rated"]
    return Verdict(f"the month {period} is over", findings, otherwise=f"the month {period} is not over")


@dataclass(frozen=True)
class BillingInputs:
    """The usage tables of one month, pinned together."""

    period: str
    raw: PinnedTable
    mediated: PinnedTable
    cleaned: PinnedTable
    rejected: PinnedTable
    charges: Charges
    suspended: PinnedTable

    @classmethod
    def pin(cls, warehouse: Warehouse, period: str, charges: Charges, suspended: PinnedTable) -> "BillingInputs":
        raw, mediated, cleaned, rejected = (warehouse.pin_period(contract.name, period) for contract in GATE)
        return cls(period, raw, mediated, cleaned, rejected, charges, suspended)

    @classmethod
    def behind(cls, bills: PinnedTable, charges: Charges) -> "BillingInputs":
        """The usage behind the bills of a month, at the newest versions. bills: facturation_complete, pinned to the month."""
        assert bills.partitions is not None
        period, warehouse = bills.partitions.first, bills.warehouse
        return cls.pin(warehouse, period, charges, warehouse.pin_period(SUSPENDED_CDRS.name, period))

    def assert_complete(
        self,
        customers: PinnedTable,
        policy: MissingVolumePolicy,
        dedupe_days: int,
        record_types: RecordTypes = RECORD_TYPES,
        lines: PinnedTable | None = None,
    ) -> None:
        """Raise ConservationError unless the month can be billed with these customers.

        lines: bill_lines of the month, once there are any; they must be those of its charges as they stand now.
        """
        require(month_is_over(self.period, local_today()), before=f"billing of {self.period}")
        questions = self.complete(customers, policy, dedupe_days, record_types, lines)
        require(*asked(questions), before=f"billing of {self.period}")

    def complete(
        self,
        customers: PinnedTable,
        policy: MissingVolumePolicy,
        dedupe_days: int,
        record_types: RecordTypes = RECORD_TYPES,
        lines: PinnedTable | None = None,
    ) -> list[Callable[[], Verdict]]:
        """What must hold of a month that is over, as functions to call (`asked`). lines: see `assert_complete`."""
        prices = [self.raw.warehouse.pin(contract.name) for contract in (RATE_PLANS, PRODUCT_CATALOG)]
        rated, suspended, imputed = self.charges.rated, self.suspended, self.charges.imputed
        return [
            lambda: month_is_mediated(self.period, month_days(self.period), self.mediated, self.raw),
            *self.conserved(dedupe_days),
            lambda: missing_volumes_follow(policy, rated, suspended),
            lambda: imputed_are_the_smallest(rated, suspended, imputed, record_types),
            *([] if lines is None else [lambda: lines_equal_charges(self.charges, lines)]),
            lambda: reference_is_as_rated([customers, *prices], rated, suspended, imputed),
        ]

    def conserved(self, dedupe_days: int) -> list[Callable[[], Verdict]]:
        """The identities from the topic to the charges, as functions to call (`asked`)."""
        warehouse = self.raw.warehouse
        return [
            lambda: landed_rows_are_consumed(warehouse),
            lambda: raw_equals_outcomes(self.mediated, self.cleaned, self.rejected),
            lambda: records_are_unique(self.cleaned, dedupe_days),
            lambda: cleaned_equals_ratings(self.cleaned, self.charges.rated, self.suspended),
            lambda: deferred_equals_imputed(self.suspended, self.charges.imputed),
        ]


def assert_billed(charges: Charges, bills: PinnedTable, dedupe_days: int, before: str) -> None:
    """Raise ConservationError unless the bills of a month stand on usage that adds up from the topic to them.

    For stages that pass bills on: the identities that held before the bills were made are checked again on the newest tables.
    """
    inputs = BillingInputs.behind(bills, charges)
    lines = bills.warehouse.pin_period(BILL_LINES.name, inputs.period)
    questions = [
        *inputs.conserved(dedupe_days),
        lambda: rated_equals_billed(charges, bills, lines, NO_HOLDERS),
        lambda: bills_equal_lines(lines, bills, NO_HOLDERS),
        lambda: bills_add_up(charges, lines, bills, NO_HOLDERS),
        lambda: corrections_equal_lines(*Corrections.pin(bills.warehouse, inputs.period).read, lines),
    ]
    require(*asked(questions), before=f"{before} of {inputs.period}")


def assert_corrected(warehouse: Warehouse, period: str, before: str) -> None:
    """Raise ConservationError unless the documents of corrections of a month are what its lines add up to."""
    lines, documents = (warehouse.pin_period(table.name, period) for table in (BILL_LINES, CORRECTION_DOCUMENTS))
    verdicts = documents_equal_lines(lines, documents), documents_add_up(lines, documents)
    require(*verdicts, before=f"{before} of {period}")
