"""A warehouse of before customers and tariffs had dates: it gets the columns, and its days are as they were."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from resources.contract import TableContract
from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse, WarehouseError
from telecom_assets.reference.judging import product_catalog_findings, rate_plan_findings
from telecom_assets.tables import TABLES
from telecom_assets.upgrade import plan_upgrade, upgrade
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.stages.chain import CALENDAR_START, contract_table

#: The columns that came with the dates, by table.
NEW = {
    **dict.fromkeys(("rate_plans", "product_catalog"), ("valid_from", "valid_to")),
    "customers": ("holder_no", "valid_from", "valid_to"),
    **dict.fromkeys(
        ("rated_cdrs", "suspended_cdrs", "period_charges"),
        ("holder_no", "customer_valid_from", "plan_valid_from", "product_valid_from"),
    ),
}
DAY = dt.date(2026, 3, 5)


def before_dates(name: str) -> TableContract:
    contract = TABLES[name]
    columns = tuple(column for column in contract.columns if column.name not in NEW.get(name, ()))
    return replace(contract, columns=columns, key=tuple(each for each in contract.key if each != "valid_from"))


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "warehouse")


@pytest.fixture
def filled(root: str, sail: SparkEngine) -> Warehouse:
    """A warehouse as the version before made it: customers, tariffs, catalogue, and a rated day."""
    former = Warehouse(root, sail, {name: before_dates(name) for name in TABLES})
    former.make_tables()
    former.overwrite_arrow("rate_plans", contract_table(former.contracts["rate_plans"], cdrs.RATE_PLANS))
    former.overwrite_arrow("product_catalog", contract_table(former.contracts["product_catalog"], cdrs.CATALOGUE))
    former.overwrite_arrow("customers", contract_table(former.contracts["customers"], cdrs.CUSTOMERS))
    rated = contract_table(former.contracts["rated_cdrs"], [{"record_id": "1", "amount": "0.5", "event_date": DAY}])
    former.overwrite_arrow("rated_cdrs", rated, Partitions(DAY, DAY))
    return former


@pytest.mark.thorough
def test_tables_get_their_dates_and_are_in_force_on_all_days(filled: Warehouse, root: str, sail: SparkEngine) -> None:
    warehouse = Warehouse(root, sail, TABLES)
    with pytest.raises(WarehouseError, match="telecom warehouse upgrade"):
        warehouse.pin("rate_plans").arrow()
    plan = plan_upgrade(warehouse, [], CALENDAR_START)
    assert {shape.name: tuple(shape.added) for shape in plan.shapes} == NEW
    upgrade(warehouse, plan, calendar_start=CALENDAR_START, dedupe_days=31)
    for name in ("customers", "rate_plans", "product_catalog", "rated_cdrs"):
        rows = warehouse.pin(name).arrow().to_pylist()
        kept = [{column: value for column, value in row.items() if column not in NEW[name]} for row in rows]
        assert kept == filled.pin(name, version=1).arrow().to_pylist()
        holders = {row.pop("holder_no") for row in rows if "holder_no" in row}
        assert holders == {"customers": {1}, "rated_cdrs": {None}}.get(name, set())
        assert {row.get(column) for row in rows for column in NEW[name]} == {None}
    plans, products = (warehouse.pin(name).arrow() for name in ("rate_plans", "product_catalog"))
    assert product_catalog_findings(products) == []
    assert rate_plan_findings(plans, products) == [
        f"rate_plans PLAN_VOICE: no price for product {each['product_code']}"
        for each in cdrs.CATALOGUE
        if each["product_code"] != "VOICE_NAT"
    ]

    assert warehouse.pin("rated_cdrs").all().collect()[0]["amount"] == Decimal("0.5")
