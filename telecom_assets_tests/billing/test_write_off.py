"""Write-off on both engines, by hand: too little, then more, then withdrawn. Each scenario is a customer.

Belongs here: dispositions of rows. What is billed of them is in `test_adjustment_lines`.
"""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from resources.engine import SparkEngine
from telecom_assets.billing.tables import bill_lines
from telecom_assets.billing.write_off import disposed
from telecom_assets.corrections.tables import ADJUSTMENTS
from telecom_assets_tests.billing.corrected import difference, line
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.stages.chain import contract_frame, rows_of

MARCH, APRIL, MAY = "2026-03", "2026-04", "2026-05"
PLAIN = {"discount_pct": "0", "tax_pct": "20"}
#: March as billed, without discount: 1.00 and tax of 0.20 each.
CLOSED = [line(name, MARCH, "1.00", **PLAIN) for name in ("grows", "stays little", "withdrawn", "credit", "moved")]


def row(customer: str, amount: str, record_id: str = "r", **changed: object) -> Row:
    return difference(customer, MARCH, amount, record_id=record_id, **PLAIN, **changed)


@pytest.fixture(scope="module")
def april(engine: SparkEngine) -> list[Row]:
    """0.40 with tax is 0.48: below the threshold of 0.50."""
    return judged(
        engine,
        APRIL,
        [
            row("grows", "0.40"),
            row("stays little", "0.10"),
            row("withdrawn", "0.40"),
            row("credit", "-0.10"),
            # 1.20 back and 1.40 charged: 0.20 more, with tax 0.24. Both rows are of one decision.
            row("moved", "-1.00", side="taken_back", reason="customer_corrected", events=-1, units="-1"),
            row("moved", "1.20", reason="customer_corrected", rate_plan_id="PLAN_B"),
            row("moved", "9.00", "awaits", disposition="awaiting_acceptance"),
            # 0.42 × 20 % = 0.084 → 0.08: 0.50 is not below the threshold.
            row("enough", "0.42"),
        ],
    )


def judged(engine: SparkEngine, period: str, rows: Sequence[Row], written_off: Sequence[Row] = ()) -> list[Row]:
    new, before = (
        contract_frame(engine, ADJUSTMENTS, each)
        for each in ([{**one, "billing_period": period} for one in rows], written_off)
    )
    history = contract_frame(engine, bill_lines(2), CLOSED)
    return rows_of(disposed(new, before, history, period, Decimal("0.50"), 2))


def said(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    found = [
        tuple(str(each[name]) for name in ("customer_id", "record_id", "rate_plan_id", "side", "disposition", "amount"))
        for each in rows
    ]
    return sorted(found)


@pytest.mark.thorough
def test_too_little_is_written_off(april: list[Row]) -> None:
    """A credit is never too little, and rows that are on no bill anyway stay as they are."""
    assert said(april) == [
        ("credit", "r", "PLAN_A", "charged", "billed", "-0.100000"),
        ("enough", "r", "PLAN_A", "charged", "billed", "0.420000"),
        ("grows", "r", "PLAN_A", "charged", "written_off", "0.400000"),
        ("moved", "awaits", "PLAN_A", "charged", "awaiting_acceptance", "9.000000"),
        ("moved", "r", "PLAN_A", "taken_back", "written_off", "-1.000000"),
        ("moved", "r", "PLAN_B", "charged", "written_off", "1.200000"),
        ("stays little", "r", "PLAN_A", "charged", "written_off", "0.100000"),
        ("withdrawn", "r", "PLAN_A", "charged", "written_off", "0.400000"),
    ]


@pytest.mark.thorough
def test_what_was_written_off_is_judged_once_more_with_what_is_new(engine: SparkEngine, april: list[Row]) -> None:
    """In May 0.30 more come to 0.70 and tax; 0.10 more to 0.20; 0.40 are withdrawn, so nothing remains; who did not differ is left."""
    off = [each for each in april if each["disposition"] == "written_off"]
    may = judged(
        engine,
        MAY,
        [
            row("grows", "0.30", "r2"),
            row("stays little", "0.10", "r2"),
            row("withdrawn", "-0.40", reason="record_gone", events=-1, units="-1", side="taken_back"),
        ],
        off,
    )
    assert said(may) == [
        ("grows", "r", "PLAN_A", "charged", "billed", "0.400000"),
        ("grows", "r", "PLAN_A", "taken_back", "written_off", "-0.400000"),
        ("grows", "r2", "PLAN_A", "charged", "billed", "0.300000"),
        ("stays little", "r2", "PLAN_A", "charged", "written_off", "0.100000"),
        ("withdrawn", "r", "PLAN_A", "taken_back", "written_off", "-0.400000"),
    ]
    assert {each["billing_period"] for each in may} == {MAY}
