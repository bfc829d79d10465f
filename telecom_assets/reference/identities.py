"""The identity of reference data, which must hold before they price anything."""

from functools import lru_cache

from resources.warehouse import PinnedTable
from telecom_assets.books.verdict import Verdict
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.judging import (
    customer_findings,
    known_plans,
    product_catalog_findings,
    rate_plan_findings,
)


@lru_cache(maxsize=8)
def references_are_valid(
    customers: PinnedTable,
    rate_plans: PinnedTable,
    product_catalog: PinnedTable,
    record_types: RecordTypes = RECORD_TYPES,
) -> Verdict:
    """Customers, tariffs and catalogue keep the rules that make a price right.

    The checks of the tables come after the tables are stored, so a version that failed its checks is the newest all the same.
    """
    people, plans, products = (table.arrow() for table in (customers, rate_plans, product_catalog))
    findings = [
        *product_catalog_findings(products, record_types),
        *rate_plan_findings(plans, products),
        *customer_findings(people, known_plans(plans)),
    ]
    return Verdict(
        "customers, tariffs and catalogue are valid",
        findings,
        otherwise="customers, tariffs or catalogue are not valid",
    )
