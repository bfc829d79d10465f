"""A period that a former version has billed is closed as it stands: nothing of its bills is made again.

Belongs here: its terms and its lines, and whose lines do not give his bill. Does not belong here: the steps of a close (`closing`).
"""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import reduce
from operator import or_

from pyspark.sql import functions as F

from resources.warehouse import Partitions, PinnedTable, Warehouse
from telecom_assets.billing.lines import usage_lines
from telecom_assets.billing.rules import bill
from telecom_assets.billing.tables import BILL_LINES, FACTURATION_COMPLETE, HOLDER, SERVICES
from telecom_assets.billing.terms import BillingTerms, TermsError, terms_of
from telecom_assets.periods.closed_with import ClosedWith, category_of
from telecom_assets.periods.states import Change, PeriodError
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.reference.tables import BILLING_TERMS, CUSTOMERS

#: What the lines of a bill must come to, each to the smallest unit of the currency.
_MONEY = (
    *(f"{service}_total" for service in SERVICES),
    "other_total",
    "amount_before_tax",
    "discount",
    "tax",
    "amount_due",
)


def terms_billed(warehouse: Warehouse, month: str) -> BillingTerms | None:
    """The terms that the bills of a month name; None where they do not all name the same. Raises PeriodError without bills."""
    named = set(_named_terms(warehouse.pin_period(FACTURATION_COMPLETE.name, month)))
    if not named:
        raise PeriodError(
            f"closing {month} as it stands: it has no bills; `telecom bill close --month {month} --empty --by NAME` closes it without"
        )
    if len(named) > 1:
        return None
    [(discount_pct, tax_pct, currency)] = named
    try:
        in_force = terms_of(warehouse.pin(BILLING_TERMS.name).arrow(), month, currency)
    except TermsError:
        in_force = BillingTerms(discount_pct, tax_pct, currency, category_of(tax_pct))
    if (in_force.discount_pct, in_force.tax_pct) == (discount_pct, tax_pct):
        return in_force
    return BillingTerms(discount_pct, tax_pct, currency, category_of(tax_pct))


def make_lines(warehouse: Warehouse, begun: Change) -> None:
    """Make the lines of the month from its rated rows, unless it has lines."""
    month = begun.billing_period
    if not sum(warehouse.pin_period(BILL_LINES.name, month).rows_by_partition().values()):
        lines = usage_lines(charges_of_month(warehouse, month).df, month, _terms(begun))
        warehouse.overwrite(BILL_LINES.name, lines, Partitions(month, month))


def with_differing(warehouse: Warehouse, begun: Change) -> str:
    """The terms that the month is closed with (JSON), with the holders whose lines do not give their bills."""
    month = begun.billing_period
    lines, bills = (warehouse.pin_period(each.name, month) for each in (BILL_LINES, FACTURATION_COMPLETE))
    columns = [F.coalesce(name, F.lit(0)).alias(name) for name in _MONEY]
    made = bill(lines.df, warehouse.pin(CUSTOMERS.name).all(), month, _terms(begun)).select(*HOLDER, *columns)
    stored = bills.df.select(
        "customer_id",
        F.coalesce("holder_no", F.lit(1)).alias("holder_no"),
        *(each.alias(f"{name}_stored") for each, name in zip(columns, _MONEY, strict=True)),
    )
    differs = reduce(or_, (F.coalesce(name, F.lit(0)) != F.coalesce(f"{name}_stored", F.lit(0)) for name in _MONEY))
    differing = made.join(stored, on=list(HOLDER), how="full_outer").where(differs).select(*HOLDER).orderBy(*HOLDER)
    holders = tuple((row["customer_id"], row["holder_no"]) for row in differing.toArrow().to_pylist())
    return replace(_closed_with(begun), not_corrected=holders).as_json()


def _named_terms(bills: PinnedTable) -> Iterator[tuple[Decimal, Decimal, str]]:
    for batch in bills.batches():
        for row in batch.select(["discount_pct", "tax_pct", "currency"]).to_pylist():
            yield row["discount_pct"], row["tax_pct"], row["currency"]


def _closed_with(begun: Change) -> ClosedWith:
    assert begun.closed_with is not None
    return ClosedWith.read(begun.closed_with)


def _terms(begun: Change) -> BillingTerms:
    kept = _closed_with(begun)
    return BillingTerms(
        kept.discount_pct, kept.tax_pct, kept.currency, kept.tax_category, kept.exemption_reason, kept.payment_days
    )
