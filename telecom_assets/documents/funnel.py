"""The funnel of a month: what became of every CDR that was received, and of the money.

Belongs here: the figures, the sums over them, the identities they must keep. Does not belong here: how they are
counted (`assets`), how they are shown (`dashboard`, the command line).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from telecom_assets.documents.text import plain

#: Rejections of a record that came more than once; the record itself is counted where it came first.
DUPLICATE_REASONS = ("duplicate", "duplicate_conflict")


@dataclass(frozen=True)
class Funnel:
    """Counts are CDRs of the month's event days; money is in the currency of the bills.

    `rejected`, `suspended` (to be worked) and `excluded` (not ours to bill) map a reason to its count. `rated_amount`
    is the exact sum of the rated CDRs, before discount and tax.
    """

    received: int
    cleaned: int
    rated: int
    rated_amount: Decimal
    billed_customers: int
    amount_before_tax: Decimal
    discount: Decimal
    tax: Decimal
    amount_due: Decimal
    rounding_difference: Decimal
    rejected: Mapping[str, int] = field(default_factory=dict)
    suspended: Mapping[str, int] = field(default_factory=dict)
    excluded: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected_total(self) -> int:
        """All rejected CDRs, duplicates among them."""
        return sum(self.rejected.values())

    @property
    def duplicates_total(self) -> int:
        """Rejected because the same record was there before."""
        return sum(self.rejected.get(reason, 0) for reason in DUPLICATE_REASONS)

    @property
    def invalid_total(self) -> int:
        """Rejected for what they hold: all rejected but the duplicates."""
        return self.rejected_total - self.duplicates_total

    @property
    def suspended_total(self) -> int:
        return sum(self.suspended.values())

    @property
    def excluded_total(self) -> int:
        return sum(self.excluded.values())

    @property
    def not_rated_total(self) -> int:
        """Cleaned CDRs without a price: suspended and excluded."""
        return self.suspended_total + self.excluded_total

    @property
    def after_discount(self) -> Decimal:
        """Tax-excluded amount of all bills."""
        return self.amount_before_tax - self.discount

    def imbalances(self) -> list[str]:
        """The identities that do not hold, one line each. Empty when the books balance."""
        identities: tuple[tuple[str, int | Decimal, int | Decimal], ...] = (
            ("received = cleaned + rejected", self.received, self.cleaned + self.rejected_total),
            ("cleaned = rated + suspended + excluded", self.cleaned, self.rated + self.not_rated_total),
            (
                "rated amount = amount before tax − rounding difference",
                self.rated_amount,
                self.amount_before_tax - self.rounding_difference,
            ),
            ("amount due = amount before tax − discount + tax", self.amount_due, self.after_discount + self.tax),
        )
        return [f"{rule}: {left} and {right}" for rule, left, right in identities if left != right]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: every figure and every total, decimals as text."""
        return {
            "received": self.received,
            "cleaned": self.cleaned,
            "rejected": dict(self.rejected),
            "rejected_total": self.rejected_total,
            "duplicates_total": self.duplicates_total,
            "rated": self.rated,
            "rated_amount": plain(self.rated_amount),
            "suspended": dict(self.suspended),
            "suspended_total": self.suspended_total,
            "excluded": dict(self.excluded),
            "excluded_total": self.excluded_total,
            "billed_customers": self.billed_customers,
            "amount_before_tax": plain(self.amount_before_tax),
            "discount": plain(self.discount),
            "after_discount": plain(self.after_discount),
            "tax": plain(self.tax),
            "amount_due": plain(self.amount_due),
            "rounding_difference": plain(self.rounding_difference),
            "imbalances": self.imbalances(),
        }
