"""Suspended usage that is written off: what is noted of it, by the prices of all record types in force."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse
from telecom_assets.corrections.suspense import Suspense, SuspenseError, suspense, write_off
from telecom_assets.rating.tables import SUSPENDED_CDRS, SUSPENSE_DECISIONS
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import RecordType, Units
from telecom_assets.reference.tables import PRODUCT_CATALOG, RATE_PLANS
from telecom_assets.tables import tables_of
from telecom_assets_tests.stages.chain import contract_table

MONTH, NEXT = "2026-10", "2026-11"
TYPES = RecordTypes((*RECORD_TYPES, RecordType("fax", "faxes", "sender_id", Units("event"), "receiver_id")))
FIRST, LAST, AFTER = dt.date(2026, 10, 1), dt.date(2026, 10, 31), dt.date(2026, 11, 2)


def _suspended(record_id: str, day: dt.date, plan: str) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "customer_id": "2126",
        "record_type": "fax",
        "event_ts": dt.datetime.combine(day, dt.time(12), dt.UTC),
        "reason": "no_price",
        "disposition": "suspended",
        "product_code": "FAX_NAT",
        "rate_plan_id": plan,
        "billable_units": "1",
        "rating_status": "ready",
        "billing_period": f"{day:%Y-%m}",
        "source_id": "topic",
        "source_part": 0,
        "source_position": day.day,
        "event_date": day,
    }


@pytest.fixture
def warehouse(tmp_path: Path, engine: SparkEngine) -> Warehouse:
    """Faxes of two months that have a price by now, 0.25 in PLAN_A; one of them in a plan that has none."""
    made = Warehouse(str(tmp_path / "warehouse"), engine, tables_of(TYPES))
    product = {
        "product_code": "FAX_NAT",
        "service_type": "fax",
        "unit": "event",
        "rate_type": "flat",
        "description": "Fax",
    }
    price = {**product, "rate_plan_id": "PLAN_A", "unit_price": "0.25", "free_units": "0"}
    made.overwrite_arrow(PRODUCT_CATALOG.name, contract_table(PRODUCT_CATALOG, [product]))
    made.overwrite_arrow(RATE_PLANS.name, contract_table(RATE_PLANS, [price]))
    waits = [("a", FIRST, "PLAN_A"), ("b", LAST, "PLAN_A"), ("c", LAST, "PLAN_Z"), ("d", AFTER, "PLAN_A")]
    rows = contract_table(SUSPENDED_CDRS, [_suspended(*each) for each in waits])
    made.overwrite_arrow(SUSPENDED_CDRS.name, rows, Partitions(FIRST, AFTER))
    return made


def test_a_write_off_notes_each_event_at_its_price(warehouse: Warehouse) -> None:
    """Two of 0.25 and one without a price in October, one of 0.25 in November; then November's is taken back."""
    october = Suspense(MONTH, "no_price", False, 3, 2, Decimal("0.5"), FIRST, LAST)
    november = Suspense(NEXT, "no_price", False, 1, 1, Decimal("0.25"), AFTER, AFTER)
    found = write_off(warehouse, {NEXT, MONTH}, "no_price", by="Ben", why="old", record_types=TYPES)
    assert found == [october, november]
    decided = warehouse.pin(SUSPENSE_DECISIONS.name).arrow().sort_by("record_id").to_pylist()
    assert [(row["record_id"], row["estimate"], row["billing_period"], row["decision"]) for row in decided] == [
        ("a", Decimal("0.25"), MONTH, "write_off"),
        ("b", Decimal("0.25"), MONTH, "write_off"),
        ("c", None, MONTH, "write_off"),
        ("d", Decimal("0.25"), NEXT, "write_off"),
    ]
    undone = write_off(warehouse, {NEXT}, "no_price", by="Ben", why="too early", undo=True, record_types=TYPES)
    assert [(each.billing_period, each.written_off, each.amount) for each in undone] == [(NEXT, True, Decimal("0.25"))]
    listed = {each.billing_period: each.written_off for each in suspense(warehouse, record_types=TYPES)}
    assert listed == {MONTH: True, NEXT: False}
    numbers = {
        row["decision_no"]: row["decision"] for row in warehouse.pin(SUSPENSE_DECISIONS.name).arrow().to_pylist()
    }
    assert numbers == {1: "write_off", 2: "undo"}


@pytest.mark.parametrize(("months", "undo"), [({MONTH}, True), ({"2026-09"}, False)])
def test_where_there_is_nothing_to_decide_nothing_is(warehouse: Warehouse, months: set[str], undo: bool) -> None:
    with pytest.raises(SuspenseError, match="^no usage of 2026-.* with reason no_price .*nothing was changed"):
        write_off(warehouse, months, "no_price", by="Ben", why="old", undo=undo, record_types=TYPES)
    assert warehouse.pin(SUSPENSE_DECISIONS.name).arrow().num_rows == 0
