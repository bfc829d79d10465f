"""What customers, tariffs and catalogue must keep before anything is rated with them.

Belongs here: the rules. Does not belong here: reading files (`tariff_files`), how a finding becomes an asset check (`checks.py`
beside this), how an event is rated (`telecom_assets.rating.rules`).

Judging takes tables of the contracts and lists what is wrong with their meaning: one sentence each, naming row, value and rule. Advice
is for what may be intended, but hardly is.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resources.contract import TableContract
from telecom_assets.model.columns import VALID_FROM
from telecom_assets.model.stretches import Stretch, span, without
from telecom_assets.model.text import visible
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.as_of import stretch_of, validity_findings
from telecom_assets.reference.tables import (
    CUSTOMER_LIST,
    CUSTOMER_STATUSES,
    CUSTOMERS,
    PRODUCT_CATALOG,
    RATE_PLANS,
    RATE_TYPES,
    SUBSCRIPTION_TYPES,
)

#: The smallest value that rounds to an amount (0.000001); less rounds to nothing.
_LEAST_AMOUNT = Decimal("0.0000005")

_SHOWN = 5


def known_plans(rate_plans: pa.Table) -> list[str]:
    """The rate plans that have a price for something, sorted."""
    return sorted(set(rate_plans["rate_plan_id"].to_pylist()) - {None})


def product_catalog_findings(product_catalog: pa.Table, record_types: RecordTypes = RECORD_TYPES) -> list[str]:
    """What is wrong with the catalogue.

    Missing values, two rows of a product on one day, unknown service or rate type, a unit other than rating counts (which would be
    charged wrongly), a product whose service changes, a product that mediation makes of these record types and that is missing or
    has another service.
    """
    units = {each.name: each.units.name for each in record_types}
    services = {row["product_code"]: row["service_type"] for row in product_catalog.to_pylist()}
    return [
        *_missing_values(product_catalog, PRODUCT_CATALOG),
        *validity_findings(product_catalog, PRODUCT_CATALOG),
        *_changed_services(product_catalog),
        *_missing_products(services, record_types),
        *_unknown_values(product_catalog, PRODUCT_CATALOG, "service_type", record_types.names),
        *_unknown_values(product_catalog, PRODUCT_CATALOG, "rate_type", RATE_TYPES),
        *(
            f"product_catalog {visible(row['product_code'])}: unit is {row['unit']!r}, but {row['service_type']} is counted in "
            f"{units[row['service_type']]!r}"
            for row in product_catalog.to_pylist()
            if row["unit"] != units.get(row["service_type"], row["unit"])
        ),
    ]


def rate_plan_findings(rate_plans: pa.Table, product_catalog: pa.Table) -> list[str]:
    """What is wrong with the tariffs, given the catalogue.

    Missing values, two prices on one day, unknown product, service type other than the catalogue's, negative figures, a tier
    where there is none or half of one, free units beyond the tier, a product that a plan has no price for on any day of its own.
    """
    products = _by(product_catalog, "product_code")
    prices = rate_plans.to_pylist()
    priced = {(row["rate_plan_id"], row["product_code"]) for row in prices}
    return [
        *_missing_values(rate_plans, RATE_PLANS),
        *validity_findings(rate_plans, RATE_PLANS),
        *(
            f"rate_plans {_price_of(row)}: {problem}"
            for row in prices
            for problem in _price_problems(row, products.get(row["product_code"], []))
        ),
        *(
            f"rate_plans {visible(plan)}: no price for product {visible(product)}"
            for plan, days in _days_of_plans(rate_plans).items()
            for product, rows in products.items()
            if (plan, product) not in priced and any(stretch_of(row).meets(days) for row in rows)
        ),
    ]


def missing_prices(
    rate_plans: pa.Table, product_catalog: pa.Table, record_types: RecordTypes = RECORD_TYPES
) -> list[str]:
    """Days on which nothing has a price that has one on others: advice, for a product may pause.

    Of a plan, the days between its first and its last price on which the catalogue has a product and the plan has no price for it;
    of the catalogue, the days on which it lacks a product that mediation makes. Events of these days are suspended as no_price.
    """
    plans, products = _days_of_plans(rate_plans), _by(product_catalog, "product_code")
    whole = [span([stretch_of(row) for row in product_catalog.to_pylist()])] if product_catalog.num_rows else []
    gaps = [
        (
            f"rate_plans {visible(plan)}/{visible(product)}",
            without([plans[plan].common(stretch_of(row)) for row in products.get(product, [])], map(stretch_of, rows)),
        )
        for (plan, product), rows in _by(rate_plans, "rate_plan_id", "product_code").items()
        if plan is not None
    ] + [
        (f"product_catalog {visible(product)}", without(whole, map(stretch_of, products[product])))
        for product in record_types.made_products
        if product in products
    ]
    return [
        f"{what}: days without a price: {', '.join(map(str, days))}; their events are suspended as no_price"
        for what, days in gaps
        if days
    ]


def unreachable_prices(
    rate_plans: pa.Table, product_catalog: pa.Table, record_types: RecordTypes = RECORD_TYPES
) -> list[str]:
    """Prices that no event can ever be charged, given the catalogue: advice, for they may be meant.

    Free units and tiers are for each event; people often take them for those of a month. An event of a product that is counted in
    events is one unit, so with one free unit or more it costs nothing, and a tier above one is never reached. A charge that rounds
    to nothing counts as none. No advice is given for a price of 0, which says itself that nothing is charged, nor for a product
    that is free up to its tier, which is written that way.
    """
    services = {row["product_code"]: row["service_type"] for row in product_catalog.to_pylist()}
    most = {each.name: each.most_units for each in record_types}
    return [
        f"rate_plans {_price_of(row)}: {problem}, and one {service} event has {most[service]} at most"
        for row in rate_plans.to_pylist()
        if (service := services.get(row["product_code"])) in most
        for problem in _unreachable(row, most[service])
    ]


def customer_findings(customers: pa.Table, plans: Collection[str]) -> list[str]:
    """What is wrong with the customers and their dates, given the rate plans that there are (`known_plans`).

    Missing values, two versions of a customer on one day, versions without a day, unknown type, status or plan. One finding for each
    wrong value with the number of its rows, not one for each customer: there may be millions.
    """
    return [
        *_missing_values(customers, CUSTOMERS),
        *validity_findings(customers, CUSTOMERS),
        *_unknown_values(customers, CUSTOMERS, "subscription_type", SUBSCRIPTION_TYPES),
        *_unknown_values(customers, CUSTOMERS, "status", CUSTOMER_STATUSES),
        *_unknown_values(customers, CUSTOMERS, "rate_plan_id", sorted(plans)),
    ]


def repeated_customers(listed: pa.Table) -> list[str]:
    """What is wrong with the numbers of a list of customers (CUSTOMER_LIST): a number that stands there more than once."""
    return [
        f"{finding} (one number may be written in several ways)" for finding in _repeated_keys(listed, CUSTOMER_LIST)
    ]


def _by(table: pa.Table, *columns: str) -> dict[Any, list[dict[str, Any]]]:
    """The rows by one column, or by several."""
    found: dict[Any, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        found.setdefault(row[columns[0]] if len(columns) == 1 else tuple(row[name] for name in columns), []).append(row)
    return found


def _days_of_plans(rate_plans: pa.Table) -> dict[str, Stretch]:
    """The days of each plan, from its first price to its last; plans in order."""
    by_plan = _by(rate_plans, "rate_plan_id")
    days = {
        plan: [each for each in map(stretch_of, by_plan[plan]) if not each.is_empty] for plan in known_plans(rate_plans)
    }
    return {plan: span(stretches) for plan, stretches in days.items() if stretches}


def _price_problems(row: dict[str, Any], versions: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What is wrong with one price. versions: the rows of its product; without them its figures alone are judged."""
    threshold, tier_price, free_units = row["tier_threshold"], row["tier_price"], row["free_units"]
    if not versions:
        yield f"product {row['product_code']!r} is not in the catalogue"
    meanwhile = [each for each in versions if stretch_of(each).meets(stretch_of(row))]
    for service in dict.fromkeys(each["service_type"] for each in versions):
        if row["service_type"] != service:
            yield f"service_type is {row['service_type']!r}, in the catalogue {service!r}"
    for rate_type in dict.fromkeys(each["rate_type"] for each in meanwhile):
        if rate_type != "tiered" and (threshold is not None or tier_price is not None):
            yield f"has a tier, but the catalogue says {visible(rate_type)}"
        if rate_type == "tiered" and threshold is None and tier_price is None:
            yield "has no tier, but the catalogue says tiered"
    if (threshold is None) != (tier_price is None):
        yield "has half a tier; expected tier_threshold and tier_price, or neither"
    for name in ("unit_price", "free_units", "tier_threshold", "tier_price"):
        if row[name] is not None and row[name] < 0:
            yield f"{name} is {row[name]}; expected 0 or more"
    if threshold is not None and free_units is not None and free_units > threshold:
        yield f"free_units {free_units} exceed tier_threshold {threshold}"


def _price_of(row: Mapping[str, Any]) -> str:
    """Plan and product of a price, and the day from which it holds, where there is one."""
    since = f" from {row[VALID_FROM]}" if row[VALID_FROM] else ""
    return f"{visible(row['rate_plan_id'])}/{visible(row['product_code'])}{since}"


def _unreachable(row: dict[str, Any], most: int) -> Iterator[str]:
    """The prices of a row that no event of up to so many units reaches, and why. A missing figure counts as 0."""
    price, free, threshold, tier_price = (
        Decimal(row[name] or 0) for name in ("unit_price", "free_units", "tier_threshold", "tier_price")
    )
    if price > 0 and (most - free) * price < _LEAST_AMOUNT:
        yield f"unit_price {_short(price)} is never charged: {_short(free)} units of each event are free"
    if tier_price > 0 and (most - threshold) * tier_price < _LEAST_AMOUNT:
        yield f"tier_price {_short(tier_price)} is never charged: it holds above {_short(threshold)} units of an event"


def _short(number: Decimal) -> str:
    """The number without zeros at the end of its decimals."""
    whole, _, decimals = f"{number:f}".partition(".")
    return f"{whole}.{decimals}".rstrip("0").rstrip(".")


def _missing_products(services: Mapping[str, str], record_types: RecordTypes) -> Iterator[str]:
    """Products that mediation makes and that the catalogue lacks or has under another service. services: by product."""
    for code, service in record_types.made_products.items():
        refused = f"mediation makes {code} of {service} records, and rejects them all as unknown_product without it"
        if code not in services:
            yield f"product_catalog: no product {code}; {refused}"
        elif services[code] != service:
            yield f"product_catalog {code}: service_type is {services[code]!r}, expected {service!r}; {refused}"


def _changed_services(product_catalog: pa.Table) -> Iterator[str]:
    """Products that are of one service on some days and of another on others: what mediates an event asks for no day."""
    for product, rows in _by(product_catalog, "product_code").items():
        services = sorted({str(row["service_type"]) for row in rows})
        if len(services) > 1:
            yield f"product_catalog {visible(product)}: service_type is {' and '.join(services)}; expected one on all days"


def _missing_values(table: pa.Table, contract: TableContract) -> Iterator[str]:
    for name in contract.required_names:
        if missing := table[name].null_count:
            yield f"{contract.name}: {name} is missing in {_rows(missing)}"


def _repeated_keys(table: pa.Table, contract: TableContract) -> Iterator[str]:
    counted = table.group_by(list(contract.key)).aggregate([([], "count_all")])
    order = [(name, "ascending") for name in contract.key]
    repeated = counted.filter(pc.greater(counted["count_all"], 1)).sort_by(order)
    if repeated.num_rows:
        first = ["/".join(visible(row[name]) for name in contract.key) for row in repeated.slice(0, _SHOWN).to_pylist()]
        more = f" and {repeated.num_rows - _SHOWN} more" if repeated.num_rows > _SHOWN else ""
        yield f"{contract.name}: {', '.join(contract.key)} more than once: {', '.join(first)}{more}"


def _unknown_values(table: pa.Table, contract: TableContract, column: str, known: Sequence[str]) -> Iterator[str]:
    counted = table.group_by([column]).aggregate([([], "count_all")]).sort_by(column)
    for row in counted.to_pylist():
        if row[column] is not None and row[column] not in known:
            yield (
                f"{contract.name}: {column} {row[column]!r} in {_rows(row['count_all'])} is unknown; "
                f"expected one of {', '.join(map(visible, known))}"
            )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
