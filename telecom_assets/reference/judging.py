"""Tariffs and catalogue: read from CSV, and judged together with the customers.

Belongs here: the rules that reference data must keep before anything is rated with it. Does not belong here: how a
finding becomes an asset check (`checks.py` beside this), how an event is rated (`telecom_assets.rating.rules`).

Reading refuses what cannot be a value of its column (`InputFileError`: file, line, column, value, expected). Judging
takes tables of the contracts and lists what is wrong with their meaning: one sentence each, naming row, value and rule. Advice
is for values that may be intended, but hardly are.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resources.contract import Column, TableContract
from telecom_assets.model.text import visible
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.as_of import validity_findings
from telecom_assets.reference.csv_files import InputFileError, read_csv_rows
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

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_SHOWN = 5


def read_rate_plans(path: Path | None = None) -> pa.Table:
    """The tariffs in the RATE_PLANS schema, from a file or the packaged one. Raises InputFileError."""
    return _read(path or _packaged("rate_plans.csv"), RATE_PLANS)


def read_product_catalog(path: Path | None = None) -> pa.Table:
    """The catalogue in the PRODUCT_CATALOG schema, from a file or the packaged one. Raises InputFileError."""
    return _read(path or _packaged("product_catalog.csv"), PRODUCT_CATALOG)


def known_plans(rate_plans: pa.Table) -> list[str]:
    """The rate plans that have a price for something, sorted."""
    return sorted(set(rate_plans["rate_plan_id"].to_pylist()) - {None})


def product_catalog_findings(product_catalog: pa.Table, record_types: RecordTypes = RECORD_TYPES) -> list[str]:
    """What is wrong with the catalogue.

    Missing and repeated values, unknown service or rate type, a unit other than rating counts (which would be charged
    wrongly), a product that mediation makes of these record types and that is missing or has another service.
    """
    units = {each.name: each.units.name for each in record_types}
    services = {row["product_code"]: row["service_type"] for row in product_catalog.to_pylist()}
    return [
        *_missing_values(product_catalog, PRODUCT_CATALOG),
        *_repeated_keys(product_catalog, PRODUCT_CATALOG),
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

    Missing and repeated values, unknown product, service type other than the catalogue's, negative figures, a tier
    where there is none or half of one, free units beyond the tier, a product that a plan has no price for.
    """
    products = {row["product_code"]: row for row in product_catalog.to_pylist()}
    prices = rate_plans.to_pylist()
    priced = {(row["rate_plan_id"], row["product_code"]) for row in prices}
    return [
        *_missing_values(rate_plans, RATE_PLANS),
        *_repeated_keys(rate_plans, RATE_PLANS),
        *(
            f"rate_plans {_price_of(row)}: {problem}"
            for row in prices
            for problem in _price_problems(row, products.get(row["product_code"]))
        ),
        *(
            f"rate_plans {visible(plan)}: no price for product {visible(product)}"
            for plan in known_plans(rate_plans)
            for product in products
            if (plan, product) not in priced
        ),
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
    return [f"{finding} (one number may be written in several ways)" for finding in _repeated_keys(listed, CUSTOMER_LIST)]


def _packaged(name: str) -> Traversable:
    return files("telecom_assets").joinpath("data", name)


def _read(path: Path | Traversable, contract: TableContract) -> pa.Table:
    rows = []
    for row in read_csv_rows(path, contract.column_names):
        where = f"{path}: line {row.line}"
        if row.values is None:
            raise InputFileError(f"{where}: has {row.found} values, expected {len(contract.columns)}")
        rows.append(
            {
                column.name: _value(where, column, text)
                for column, text in zip(contract.columns, row.values, strict=True)
            }
        )
    if not rows:
        raise InputFileError(f"{path}: has no rows; expected at least one of {contract.name}")
    return pa.Table.from_pylist(rows, schema=contract.arrow_schema())


def _value(where: str, column: Column, text: str) -> str | Decimal | None:
    """The value of a cell, exactly as written: a number that its column cannot hold is refused, never rounded."""
    if not text.strip():
        if column.required:
            raise InputFileError(f"{where}: {column.name} is missing; expected {_expected(column)}")
        return None
    if not pa.types.is_decimal(column.arrow_type):
        return text
    number = _exact(text, column.arrow_type.precision, column.arrow_type.scale)
    if number is None:
        raise InputFileError(f"{where}: {column.name} is {text!r}; expected {_expected(column)}")
    return number


def _exact(text: str, precision: int, scale: int) -> Decimal | None:
    """The number with no more decimals than `scale`; None when there is none or digits would be lost.

    Works on the digits, so that no decimal context can round.
    """
    if not _NUMBER.fullmatch(text):
        return None
    sign, digits, exponent = Decimal(text).as_tuple()
    surplus = max(0, -int(exponent) - scale)
    cut = max(0, len(digits) - surplus)
    kept, lost = digits[:cut], digits[cut:]
    number = Decimal((sign, kept or (0,), int(exponent) + surplus))
    return None if any(lost) or abs(number) >= 10 ** (precision - scale) else number


def _expected(column: Column) -> str:
    if not pa.types.is_decimal(column.arrow_type):
        return "a text"
    precision, scale = column.arrow_type.precision, column.arrow_type.scale
    return f"a number such as 0.015, at most {precision - scale} digits before the point and {scale} after it"


def _price_problems(row: dict[str, Any], product: dict[str, Any] | None) -> Iterator[str]:
    """What is wrong with one price. Without a product (not in the catalogue) its figures alone are judged."""
    threshold, tier_price, free_units = row["tier_threshold"], row["tier_price"], row["free_units"]
    if product is None:
        yield f"product {row['product_code']!r} is not in the catalogue"
    else:
        if row["service_type"] != product["service_type"]:
            yield f"service_type is {row['service_type']!r}, in the catalogue {product['service_type']!r}"
        if product["rate_type"] != "tiered" and (threshold is not None or tier_price is not None):
            yield f"has a tier, but the catalogue says {visible(product['rate_type'])}"
        if product["rate_type"] == "tiered" and threshold is None and tier_price is None:
            yield "has no tier, but the catalogue says tiered"
    if (threshold is None) != (tier_price is None):
        yield "has half a tier; expected tier_threshold and tier_price, or neither"
    for name in ("unit_price", "free_units", "tier_threshold", "tier_price"):
        if row[name] is not None and row[name] < 0:
            yield f"{name} is {row[name]}; expected 0 or more"
    if threshold is not None and free_units is not None and free_units > threshold:
        yield f"free_units {free_units} exceed tier_threshold {threshold}"


def _price_of(row: Mapping[str, Any]) -> str:
    """Plan and product of a price."""
    return f"{visible(row['rate_plan_id'])}/{visible(row['product_code'])}"


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
