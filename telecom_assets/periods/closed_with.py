"""The terms and policies that a period was approved and closed with: those that corrections of it go by, for ever.

Belongs here: what is kept, as JSON of billing_periods. Does not belong here: working with it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

#: Tax categories (UNCL 5305) of a rate that is not the period's own: standard rate, zero rate.
_STANDARD, _ZERO = "S", "Z"


@dataclass(frozen=True)
class ClosedWith:
    """What a period was made with. Percentages have up to 4 decimals."""

    currency: str
    discount_pct: Decimal
    tax_pct: Decimal
    tax_category: str
    exemption_reason: str | None
    payment_days: int
    missing_volume_policy: str
    dedupe_days: int
    #: Digest of what right and settled are made from: cleaned rows and reference rows of its days. NULL where it is not known.
    inputs: str | None = None
    #: Versions of tables at its approval, by name: what has landed later is late.
    versions: Mapping[str, int] = field(default_factory=dict)
    #: Holders (customer_id, holder_no) whose lines do not give their bills, of a period that was closed as it stood: what comes later
    #: for them is not corrected, since nobody knows what their bills rest on.
    not_corrected: tuple[tuple[str, int], ...] = ()
    #: What its close does with a bill on which nothing but 0 stands: issue, or skip.
    zero_bills: str = "issue"
    #: Who has issued its documents, as `telecom_assets.invoices.issuer.kept` gives it; None where the close did not keep it.
    issuer: Mapping[str, Any] | None = None

    def as_json(self) -> str:
        """Exact: percentages are texts."""
        return json.dumps(asdict(self), default=str, sort_keys=True)

    @classmethod
    def read(cls, text: str) -> "ClosedWith":
        """The value of `as_json`."""
        said = json.loads(text)
        exact = {name: Decimal(said[name]) for name in ("discount_pct", "tax_pct")}
        holders = tuple((customer, holder) for customer, holder in said.get("not_corrected", ()))
        return cls(**{**said, **exact, "not_corrected": holders})


def category_of(tax_pct: Decimal, closed_with: ClosedWith | None = None) -> str:
    """The tax category of a rate: that of the period for its own rate."""
    if closed_with is not None and closed_with.tax_pct == tax_pct:
        return closed_with.tax_category
    return _STANDARD if tax_pct else _ZERO
