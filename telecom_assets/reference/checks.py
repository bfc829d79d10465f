"""The checks of customers, tariffs, catalogue and terms of bills."""

from collections.abc import Callable, Sequence

from telecom_assets.books.contract_checks import contract_check
from telecom_assets.books.factory import Check, CheckInputs, Guard
from telecom_assets.books.verdict import Verdict
from telecom_assets.reference.billing_terms import billing_terms_findings, days_without_terms
from telecom_assets.reference.judging import (
    customer_findings,
    known_plans,
    missing_prices,
    product_catalog_findings,
    rate_plan_findings,
    unreachable_prices,
)


def _reference_check(
    name: str,
    description: str,
    findings: Callable[[CheckInputs], Sequence[str]],
    reads: Sequence[str],
    *,
    otherwise: str,
    advisory: bool = False,
) -> Check:
    def judge(inputs: CheckInputs) -> Verdict:
        return Verdict(description.rstrip("."), findings(inputs), otherwise=otherwise)

    return Check(name, description, judge, reads, advisory)


_CUSTOMER_PLANS = _reference_check(
    "customers_are_valid",
    "Every customer has a known subscription type, status and rate plan.",
    lambda inputs: customer_findings(inputs.pin("customers").arrow(), known_plans(inputs.pin("rate_plans").arrow())),
    reads=["rate_plans"],
    otherwise="Some customers have an unknown subscription type, status or rate plan",
)
_PRICES = _reference_check(
    "prices_are_complete",
    "Every plan prices every product, once on a day, without negative prices; tiers are whole and only where the catalogue says so.",
    lambda inputs: rate_plan_findings(inputs.pin("rate_plans").arrow(), inputs.pin("product_catalog").arrow()),
    reads=["product_catalog"],
    otherwise="Some prices are missing, doubled, negative or in tiers that the catalogue does not allow",
)
_REACHED = _reference_check(
    "prices_are_reached",
    "Every price can be charged for some event.",
    lambda inputs: unreachable_prices(
        inputs.pin("rate_plans").arrow(), inputs.pin("product_catalog").arrow(), inputs.record_types
    ),
    reads=["product_catalog"],
    otherwise="Some prices are charged for no event",
    advisory=True,
)
_GAPS = _reference_check(
    "prices_have_no_gaps",
    "What has a price on some days has one on all days between.",
    lambda inputs: missing_prices(
        inputs.pin("rate_plans").arrow(), inputs.pin("product_catalog").arrow(), inputs.record_types
    ),
    reads=["product_catalog"],
    otherwise="Some products have no price on some days",
    advisory=True,
)
_CATALOG = _reference_check(
    "products_are_valid",
    "Every product has a known service, unit and rate type; those that mediation makes are there.",
    lambda inputs: product_catalog_findings(inputs.pin("product_catalog").arrow(), inputs.record_types),
    reads=[],
    otherwise="The catalogue is not valid",
)
_TERMS = _reference_check(
    "terms_are_valid",
    "One row of terms is in force on a day; tax category, rate and reason go together.",
    lambda inputs: billing_terms_findings(inputs.pin("billing_terms").arrow()),
    reads=[],
    otherwise="The terms of bills are not valid",
)
_TERMS_GAPS = _reference_check(
    "terms_have_no_gap",
    "Terms follow each other without days between them.",
    lambda inputs: days_without_terms(inputs.pin("billing_terms").arrow()),
    reads=[],
    otherwise="The terms of bills leave days out",
    advisory=True,
)

GUARD = Guard(
    "reference",
    {
        "customers": [contract_check("customers", unique=True), _CUSTOMER_PLANS],
        "rate_plans": [contract_check("rate_plans", unique=True), _PRICES, _REACHED, _GAPS],
        "product_catalog": [contract_check("product_catalog", unique=True), _CATALOG],
        "billing_terms": [contract_check("billing_terms", unique=True), _TERMS, _TERMS_GAPS],
    },
)
