"""The funnel of a month: what became of every CDR that was received, and of the money.

Belongs here: the figures, the sums over them, the identities they must keep. Does not belong here: how they are
counted (`funnel_counts`), how they are shown (`dashboard`, the command line).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from telecom_assets.model.text import plain

#: Rejections of a record that came more than once; the record itself is counted where it came first.
DUPLICATE_REASONS = ("duplicate", "duplicate_conflict")
#: The reason of a deferred event, and the reason of an imputed event without an amount.
MISSING_VOLUME, OUT_OF_RANGE = "missing_volume", "amount_out_of_range"


@dataclass(frozen=True)
class MadeFrom:
    """The sources of a page's figures. Times are local; None where the log has lost the commit.

    `bills_version`, `bills_made`: the version of facturation_complete that made the month's bills. `tables_as_of`: the
    newest commit of all tables that were read.
    """

    bills_version: int
    bills_made: dt.datetime | None
    tables_as_of: dt.datetime | None


@dataclass(frozen=True)
class Malformed:
    """Messages that are no CDR (malformed_utf8, malformed_json), received while the month was open for its records.

    `first`, `last`: the days on which a record of the month can be received and be at home in it. `last` is None where
    that has no end: the month was opened by name. `on_its_days`: those received on days of the month itself.
    """

    first: dt.date
    last: dt.date | None
    messages: int
    on_its_days: int

    @property
    def time(self) -> str:
        """The days of receipt, for people."""
        return f"{self.first} to {self.last}" if self.last else f"from {self.first} on"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: days as text."""
        return {
            "received_from": self.first.isoformat(),
            "received_to": self.last.isoformat() if self.last else None,
            "messages": self.messages,
            "on_days_of_the_month": self.on_its_days,
        }


@dataclass(frozen=True)
class Remedy:
    """Why books do not balance, one sentence a cause, and the command that makes them; None where none does."""

    causes: Sequence[str]
    command: str | None

    def to_dict(self) -> dict[str, Any]:
        return {"causes": list(self.causes), "run": self.command}


@dataclass(frozen=True)
class Funnel:
    """Counts are CDRs of the month's event days; money is in the currency of the bills.

    `rejected`, `suspended` (to be worked) and `excluded` (not ours to bill) map a reason to its count. `rated` and
    `rated_amount` are of the CDRs that their days have priced, exact, before discount and tax. `deferred`: CDRs that their
    days have left to the month. `imputed`: those of them that the month has worked out, with their amount;
    `imputed_out_of_range` of these have none, since no bill holds it. `late`: CDRs of an approved or closed month that were cleaned
    since its approval, less those that are cleaned no more; they are a difference on a later bill, and no figure of this month.
    `corrections_amount`: what bills hold besides usage, exact, before discount and tax. `documents_due`: the amount due of the
    month's documents that are no bill.
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
    deferred: int = 0
    imputed: int = 0
    imputed_amount: Decimal = Decimal(0)
    imputed_out_of_range: int = 0
    late: int = 0
    corrections_amount: Decimal = Decimal(0)
    documents_due: Decimal = Decimal(0)

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
    def charged(self) -> int:
        """CDRs with a price, given by their day or by the month."""
        return self.rated + self.imputed - self.imputed_out_of_range

    @property
    def charged_amount(self) -> Decimal:
        return self.rated_amount + self.imputed_amount

    @property
    def billed_usage(self) -> Decimal:
        """The exact amount of the usage on all bills."""
        return self.amount_before_tax - self.rounding_difference - self.corrections_amount

    @property
    def after_discount(self) -> Decimal:
        """Tax-excluded amount of all bills."""
        return self.amount_before_tax - self.discount

    @property
    def is_empty(self) -> bool:
        """Whether the month has neither records nor bills."""
        return not (self.received or self.cleaned or self.rejected or self.rated or self.billed_customers)

    @property
    def without_price(self) -> int:
        """Cleaned CDRs with neither a price nor a reason; negative when there are more outcomes than cleaned CDRs."""
        return self.cleaned - self.late - self.rated - self.suspended_total - self.excluded_total - self.deferred

    @property
    def without_outcome(self) -> int:
        """Received CDRs that are neither cleaned nor rejected; negative when there are more outcomes than received CDRs."""
        return self.received - self.cleaned - self.rejected_total

    def identities(self) -> list[tuple[str, int | Decimal, int | Decimal]]:
        """The equations that must hold: rule, left side, right side."""
        return [
            ("received = cleaned + rejected", self.received, self.cleaned + self.rejected_total),
            (
                "cleaned = rated + suspended + excluded + deferred" + (" + late" if self.late else ""),
                self.cleaned,
                self.cleaned - self.without_price,
            ),
            ("deferred = imputed", self.deferred, self.imputed),
            (
                "rated + imputed amount = amount before tax − rounding difference",
                self.charged_amount,
                self.billed_usage,
            ),
            ("amount due = amount before tax − discount + tax", self.amount_due, self.after_discount + self.tax),
        ]

    def imbalances(self) -> list[str]:
        """The identities that do not hold, one line each. Empty when the books balance."""
        return imbalances(self.identities())

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
            "deferred": self.deferred,
            "imputed": self.imputed,
            "imputed_amount": plain(self.imputed_amount),
            "imputed_out_of_range": self.imputed_out_of_range,
            "late": self.late,
            "charged": self.charged,
            "charged_amount": plain(self.charged_amount),
            "billed_customers": self.billed_customers,
            "amount_before_tax": plain(self.amount_before_tax),
            "discount": plain(self.discount),
            "after_discount": plain(self.after_discount),
            "tax": plain(self.tax),
            "amount_due": plain(self.amount_due),
            "rounding_difference": plain(self.rounding_difference),
            "corrections_amount": plain(self.corrections_amount),
            "documents_due": plain(self.documents_due),
            "imbalances": self.imbalances(),
        }


def imbalances(identities: Sequence[tuple[str, int | Decimal, int | Decimal]]) -> list[str]:
    """Those of some identities that do not hold, one line each."""
    return [f"{rule}: {left} and {right}" for rule, left, right in identities if left != right]
