"""The six reports on both engines, by hand.

Belongs here: what each adds up, its order of ties, its rounding. Whole months are compared in `test_engines_agree`.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from resources.engine import SparkEngine
from telecom_assets.billing.tables import BILL_LINES, FACTURATION_COMPLETE
from telecom_assets.rating.tables import RATED_CDRS
from telecom_assets.reports.rules import BilledMonth, report
from telecom_assets.reports.tables import REPORTS, TRAFFIC_HOURLY
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.stages.chain import assert_schema, contract_frame, rows_of

PERIOD = "2026-03"
WEST, EAST = "Casablanca-Settat", "Oriental"


def usage(
    customer: str, kind: str, units: str, amount: str, at: str = "2026-03-10T09:00:00", region: str = WEST
) -> Row:
    """A rated event at an instant in UTC; in March 2026 Casablanca is at UTC+0 until the 22nd, then at UTC+1."""
    instant = datetime.fromisoformat(at).replace(tzinfo=UTC)
    local = instant.timestamp() + (3_600 if at >= "2026-03-22T02:00:00" else 0)
    return {
        "customer_id": customer,
        "record_type": kind,
        "event_ts": instant,
        "region": region,
        "billable_units": units,
        "amount": amount,
        "billing_period": PERIOD,
        "event_date": datetime.fromtimestamp(local, UTC).date(),
    }


def owed(customer: str, due: str, plan: str = "PLAN_A", region: str = WEST) -> Row:
    return {
        "customer_id": customer,
        "holder_no": 1,
        "rate_plan_id": plan,
        "region": region,
        "amount_due": due,
        "billing_period": PERIOD,
    }


RATED = [
    usage("c01", "voice", "3", "0.333333"),
    usage("c01", "voice", "1", "0.666667", at="2026-03-10T23:59:59"),
    usage("c02", "sms", "1", "0.045", at="2026-03-11T00:00:00", region=EAST),
    # The hour that is skipped on the 22nd: 01:59 is the last of hour 1, the next second is hour 3.
    usage("c02", "data", "512", "1", at="2026-03-22T01:59:59", region=EAST),
    usage("c02", "data", "0.000512", "0.000001", at="2026-03-22T02:00:00", region=EAST),
    # 23:30 in Greenwich is half past midnight of the next day in Casablanca.
    usage("c03", "data", "512.000512", "2", at="2026-03-25T23:30:00"),
    usage("c01", "data", "1", "0", at="2026-03-10T09:59:59"),
    usage("c01", "data", "1.5", "0", at="2026-03-10T09:00:00"),
    # Ten more consumers, so that three tie for the tenth place with 0.25 MB.
    *(usage(f"d{number:02d}", "data", str(100 - number), "0", at="2026-03-30T10:00:00") for number in range(6)),
    *(usage(name, "data", "0.25", "0", at="2026-03-30T10:00:00") for name in ("e3", "e1", "e2")),
    usage("z", "voice", "1000000", "0", at="2026-03-30T10:00:00"),  # minutes are no megabytes
]
BILLS = [
    owed("c01", "1.10"),
    owed("c02", "2.20", region=EAST),
    owed("c03", "0.05"),
    *(owed(f"d{number:02d}", "0.01", plan="PLAN_B") for number in range(6)),
    *(owed(name, "0") for name in ("e1", "e2", "e3", "z")),
    owed("silent", "0", plan="PLAN_S"),  # without a line: nothing is due, and its plan is named
]


def lined(customer: str, amount: str, number: int = 1, plan: str = "PLAN_A", region: str = WEST) -> Row:
    """A line without discount, at 20 % tax."""
    return {
        "customer_id": customer,
        "holder_no": 1,
        "line_no": number,
        "document": "bill",
        "rate_plan_id": plan,
        "region": region,
        "tax_category": "S",
        "tax_pct": "20",
        "discount_pct": "0",
        "amount": amount,
        "billing_period": PERIOD,
    }


#: With what they come to with tax: the share of each line of one customer, and the amount due of its bill.
LINES = [
    lined("c01", "0.92"),  # tax 0.184 → 0.18; 1.10
    lined("c02", "1.83", region=EAST),  # tax 0.366 → 0.37; 2.20
    # Moved in the month, from PLAN_B in the east: tax 0.008 → 0.01; due 0.05. Shares 0.024 → 0.02 each, one more for the first.
    lined("c03", "0.02", plan="PLAN_B", region=EAST),
    lined("c03", "0.02", 2),
    *(lined(f"d{number:02d}", "0.01", plan="PLAN_B") for number in range(6)),  # tax 0.002 → 0.00
]

MIDDLE = date(2026, 3, 10)
EXPECTED: dict[str, list[dict[str, Any]]] = {
    "daily_revenue": [
        {"billing_date": MIDDLE, "revenue": "1.0"},  # 0.333333 + 0.666667
        {"billing_date": date(2026, 3, 11), "revenue": "0.045"},
        {"billing_date": date(2026, 3, 22), "revenue": "1.000001"},
        {"billing_date": date(2026, 3, 26), "revenue": "2"},
        {"billing_date": date(2026, 3, 30), "revenue": "0"},
    ],
    "mix_by_region": [
        {"region": WEST, "record_type": "data", "revenue": "2"},
        {"region": WEST, "record_type": "voice", "revenue": "1"},
        {"region": EAST, "record_type": "data", "revenue": "1.000001"},
        {"region": EAST, "record_type": "sms", "revenue": "0.045"},
    ],
    "revenue_by_plan": [
        {"rate_plan_id": "PLAN_A", "revenue_incl_tax": "3.32"},  # 1.10 + 2.20 + 0.02
        {"rate_plan_id": "PLAN_B", "revenue_incl_tax": "0.09"},  # 0.03 + 6 × 0.01
        {"rate_plan_id": "PLAN_S", "revenue_incl_tax": "0"},
    ],
    "plan_by_region": [
        {"region": WEST, "rate_plan_id": "PLAN_A", "revenue_incl_tax": "1.12"},
        {"region": WEST, "rate_plan_id": "PLAN_B", "revenue_incl_tax": "0.06"},
        {"region": EAST, "rate_plan_id": "PLAN_A", "revenue_incl_tax": "2.20"},
        {"region": EAST, "rate_plan_id": "PLAN_B", "revenue_incl_tax": "0.03"},
        {"region": WEST, "rate_plan_id": "PLAN_S", "revenue_incl_tax": "0"},
    ],
    "top10_consumers": [
        # c02 and c03 tie at 512.000512 MB; of e1, e2 and e3 (0.25 each) only the first is among the ten
        {"customer_id": "c02", "total_mb": "512.000512", "amount_due": "2.20"},
        {"customer_id": "c03", "total_mb": "512.000512", "amount_due": "0.05"},
        *(
            {"customer_id": f"d{number:02d}", "total_mb": str(100 - number), "amount_due": "0.01"}
            for number in range(6)
        ),
        {"customer_id": "c01", "total_mb": "2.5", "amount_due": "1.10"},
        {"customer_id": "e1", "total_mb": "0.25", "amount_due": "0"},
    ],
    "traffic_hourly": [
        {"billing_date": MIDDLE, "hour": 9, "total_gb": "0.002441"},  # 2.5 / 1024 = 0.00244140625
        {"billing_date": date(2026, 3, 22), "hour": 1, "total_gb": "0.5"},
        {"billing_date": date(2026, 3, 22), "hour": 3, "total_gb": "0.000001"},  # 0.000512 / 1024 = 0.0000005: half up
        {"billing_date": date(2026, 3, 26), "hour": 0, "total_gb": "0.500001"},  # 0.5000005: half up
        # 100 + 99 + 98 + 97 + 96 + 95 + 0.75 = 585.75; / 1024 = 0.572021484…
        {"billing_date": date(2026, 3, 30), "hour": 11, "total_gb": "0.572021"},
    ],
}


def exact(rows: list[Row]) -> list[tuple[Any, ...]]:
    """Rows without their order: figures as numbers, the period left out."""
    return sorted(
        tuple(
            Decimal(value) if name.startswith(("revenue", "total_", "amount_")) else value
            for name, value in row.items()
            if name != "billing_period"
        )
        for row in rows
    )


def month_of(
    engine: SparkEngine, rated: list[Row], lines: list[Row] | None = None, bills: list[Row] | None = None
) -> BilledMonth:
    return BilledMonth(
        contract_frame(engine, RATED_CDRS, rated),
        contract_frame(engine, BILL_LINES, lines or []),
        contract_frame(engine, FACTURATION_COMPLETE, bills or []),
    )


@pytest.fixture(scope="module")
def reports(engine: SparkEngine) -> dict[str, list[Row]]:
    month, found = month_of(engine, RATED, LINES, BILLS), {}
    for contract in REPORTS:
        frame = report(contract, month, PERIOD)
        assert_schema(contract, frame)
        found[contract.name] = rows_of(frame)
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_a_report(reports: dict[str, list[Row]], name: str) -> None:
    assert exact(reports[name]) == exact(EXPECTED[name])
    assert {row["billing_period"] for row in reports[name]} == {PERIOD}


def test_an_hour_that_comes_twice_is_one_row(engine: SparkEngine) -> None:
    """On 15 February 2026 Ramadan's clock begins at 03:00, which is 02:00 again: half past two is 01:30Z and 02:30Z."""
    day = {"event_date": date(2026, 2, 15), "billing_period": "2026-02"}
    twice = [
        {**usage("c01", "data", mb, "0", at=f"2026-02-15T{at}:00"), **day}
        for mb, at in (("512", "01:30"), ("256", "02:30"), ("1024", "03:00"))
    ]
    found = rows_of(report(TRAFFIC_HOURLY, month_of(engine, twice), "2026-02"))
    # (512 + 256) / 1024 = 0.75 in the hour of two; 1024 MB in the hour of three
    assert {row["hour"]: row["total_gb"] for row in found} == {2: Decimal("0.75"), 3: Decimal(1)}
    assert len(found) == 2


def test_a_report_holds_more_than_its_rows_do(engine: SparkEngine) -> None:
    """Each row is as large as its column allows; a day, a region, a plan, a consumer and an hour have two of them."""
    most, due, units = "999999999999.999999", "9999999999999999.99", "999999999999.999999"
    rated = [usage("c01", "data", units, most) for _ in range(2)]
    lines = [{**lined(customer, due), "tax_pct": "0", "tax_category": "Z"} for customer in ("c01", "c02")]
    month = month_of(engine, rated, lines, [owed("c01", due), owed("c02", due)])
    found = {contract.name: rows_of(report(contract, month, PERIOD)) for contract in REPORTS}
    doubled = {"revenue": "1999999999999.999998", "revenue_incl_tax": "19999999999999999.98"}
    doubled["total_mb"] = "1999999999999.999998"
    # 1,999,999,999,999.999998 / 1024 = 1,953,124,999.999999998…
    doubled["total_gb"] = "1953125000.000000"
    for name, rows in found.items():
        [row] = rows
        assert {column: row[column] for column in doubled if column in row} == {
            column: Decimal(value) for column, value in doubled.items() if column in row
        }, name


def test_there_are_six() -> None:
    assert {contract.name for contract in REPORTS} == set(EXPECTED)


def test_an_empty_month_has_empty_reports(sail: SparkEngine) -> None:
    month = month_of(sail, [])
    assert [rows_of(report(contract, month, PERIOD)) for contract in REPORTS] == [[]] * len(REPORTS)
