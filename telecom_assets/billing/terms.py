"""The terms of a bill: those in force on the last day of its period.

Belongs here: which terms a period has. Does not belong here: reading and judging terms (`telecom_assets.reference.billing_terms`),
what is worked out with them (`rules`), the one currency of a warehouse (`currency`).
"""

from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa

from resources.expected_errors import ExpectedError
from telecom_assets.model.currencies import currency_scale
from telecom_assets.model.months import month_days
from telecom_assets.reference.as_of import rows_in_force


class TermsError(ExpectedError):
    """A period cannot be billed by the terms that are there. The message says which, and what to do."""


@dataclass(frozen=True)
class BillingTerms:
    """The terms of a period: discount and tax in percent, the currency, the tax category (UNCL 5305), days to pay."""

    discount_pct: Decimal
    tax_pct: Decimal
    currency: str
    tax_category: str = "S"
    exemption_reason: str | None = None
    payment_days: int = 30

    @property
    def scale(self) -> int:
        """Decimals of every billed amount."""
        return currency_scale(self.currency)


def terms_of(billing_terms: pa.Table, period: str, currency: str) -> BillingTerms:
    """The terms of a period (yyyy-MM): the row of billing_terms that is in force on its last day. Raises TermsError."""
    last = month_days(period)[-1]
    rows = rows_in_force(billing_terms, last).to_pylist()
    if len(rows) != 1:
        found = "no row" if not rows else f"{len(rows)} rows"
        raise TermsError(
            f"billing of {period}: {found} of billing_terms in force on {last}, its last day; expected one: mend the file of "
            "TELECOM_BILLING_TERMS, and `telecom run` reads it again"
        )
    [row] = rows
    names = ("discount_pct", "tax_pct", "tax_category", "exemption_reason", "payment_days")
    return BillingTerms(currency=currency, **{name: row[name] for name in names})
