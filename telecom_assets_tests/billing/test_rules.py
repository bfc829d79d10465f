"""Bills on both engines, by hand: three lines rounded once, a discount, a tax, and where the difference went.

Belongs here: what a bill adds up, where it rounds, who gets one.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from resources.engine import SparkEngine
from telecom_assets.billing.tables import facturation_complete
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.rating.tables import RATED_CDRS
from telecom_assets.reference.tables import CUSTOMERS
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.stages.chain import TERMS, assert_schema, contract_frame, rows_of
from telecom_assets_tests.stages.chain import billed as billed_of

PERIOD = "2026-06"


def charge(customer: str, kind: str, amount: str, **changed: Any) -> Row:
    """A rated event; what a bill does not read is left out."""
    return {
        "record_id": "id",
        "customer_id": customer,
        "record_type": kind,
        "event_ts": datetime(2026, 6, 15, tzinfo=UTC),
        "rate_plan_id": "PLAN_A",
        "region": "Casablanca-Settat",
        "amount": amount,
        "billing_period": PERIOD,
        "event_date": date(2026, 6, 15),
        **changed,
    }


def customer(customer_id: str, subscription_type: str = "postpaid", status: str = "active") -> Row:
    changed = {"customer_id": customer_id, "subscription_type": subscription_type, "status": status}
    return {**cdrs.CUSTOMERS[0], "holder_no": 1, **changed}


CUSTOMER_ROWS = [
    *(customer(name) for name in ("lines", "ties", "down", "silent", "cents", "big", "nothing due")),
    customer("prepaid", "prepaid"),
    customer("closed", status="terminated"),
    customer("moved", status="suspended"),
]

USAGE: list[Row] = [
    # Three lines, each exact and rounded once: 0.004 + 0.004 = 0.008 → 0.01, not 0.00 + 0.00.
    *(charge("lines", "voice", "0.004") for _ in range(2)),
    charge("lines", "sms", "0.045"),  # 0.045 → 0.05
    *(charge("lines", "data", amount) for amount in ("1.157215", "0.05")),  # 1.207215 → 1.21
    # 0.10 before tax; 5 % are 0.005 → 0.01; 0.09 after; 20 % are 0.018 → 0.02; 0.11 due
    charge("ties", "data", "0.1"),
    # 0.004999 → 0.00 on every line: nothing is due, and all of it is rounding
    *(charge("down", kind, "0.004999") for kind in ("voice", "sms", "data")),
    # 100 events of 0.000001: their sum 0.0001 → 0.00
    *(charge("cents", "data", "0.000001") for _ in range(100)),
    # 123456789.125 → 123456789.13
    charge("big", "voice", "123456789.125"),
    charge("nothing due", "sms", "0"),
    # Usage of somebody who is not (any more) active postpaid, or not in the list, is billed all the same.
    charge("moved", "sms", "2"),
    charge("left", "data", "3.005", region="Fès-Meknès", rate_plan_id="PLAN_C"),
]

#: voice, sms, data totals; before tax, discount, after, tax, due; rounding difference; counts.
BILLS = {
    # 0.01 + 0.05 + 1.21 = 1.27; 5 %: 0.0635 → 0.06; 1.21; 20 %: 0.242 → 0.24; 1.45; 1.27 − 1.260215
    "lines": ("0.01", "0.05", "1.21", "1.27", "0.06", "1.21", "0.24", "1.45", "0.009785", (2, 1, 2)),
    "ties": ("0", "0", "0.10", "0.10", "0.01", "0.09", "0.02", "0.11", "0", (0, 0, 1)),
    "down": ("0", "0", "0", "0", "0", "0", "0", "0", "-0.014997", (1, 1, 1)),
    "silent": ("0", "0", "0", "0", "0", "0", "0", "0", "0", (0, 0, 0)),
    "cents": ("0", "0", "0", "0", "0", "0", "0", "0", "-0.0001", (0, 0, 100)),
    # 5 % of 123456789.13 = 6172839.4565 → .46; 117283949.67; 20 % = 23456789.934 → .93; 140740739.60
    "big": (
        *("123456789.13", "0", "0", "123456789.13", "6172839.46", "117283949.67", "23456789.93", "140740739.60"),
        *("0.005", (1, 0, 0)),
    ),
    "nothing due": ("0", "0", "0", "0", "0", "0", "0", "0", "0", (0, 1, 0)),
    # 2; 0.10; 1.90; 0.38; 2.28
    "moved": ("0", "2", "0", "2", "0.10", "1.90", "0.38", "2.28", "0", (0, 1, 0)),
    # 3.005 → 3.01; 0.1505 → 0.15; 2.86; 0.572 → 0.57; 3.43
    "left": ("0", "0", "3.01", "3.01", "0.15", "2.86", "0.57", "3.43", "0.005", (0, 0, 1)),
}


def bills(engine: SparkEngine, usage: list[Row], customers: list[Row], terms: BillingTerms = TERMS) -> dict[str, Row]:
    rated, known = contract_frame(engine, RATED_CDRS, usage), contract_frame(engine, CUSTOMERS, customers)
    _, found = billed_of(engine, rated, known, PERIOD, terms)
    assert_schema(facturation_complete(terms.scale), found)
    rows = rows_of(found)
    assert len({row["customer_id"] for row in rows}) == len(rows)
    return {row["customer_id"]: row for row in rows}


@pytest.fixture(scope="module")
def billed(engine: SparkEngine) -> dict[str, Row]:
    return bills(engine, USAGE, CUSTOMER_ROWS)


def test_who_gets_a_bill(billed: dict[str, Row]) -> None:
    """Every active postpaid customer, and whoever has rated usage; nobody else."""
    assert billed.keys() == BILLS.keys()


@pytest.mark.parametrize("name", BILLS)
def test_a_bill(billed: dict[str, Row], name: str) -> None:
    row = billed[name]
    names = (
        "voice_total",
        "sms_total",
        "data_total",
        "amount_before_tax",
        "discount",
        "after_discount",
        "tax",
        "amount_due",
    )
    *figures, difference, counts = BILLS[name]
    assert {each: row[each] for each in names} == dict(zip(names, map(Decimal, figures), strict=True))
    assert row["rounding_difference"] == Decimal(difference)
    assert (row["voice_count"], row["sms_count"], row["data_count"]) == counts
    terms = (row["discount_pct"], row["tax_pct"], row["currency"], row["billing_period"])
    assert terms == (Decimal(5), Decimal(20), "MAD", PERIOD)


def test_nothing_is_lost_to_rounding(billed: dict[str, Row]) -> None:
    """Σ rated = Σ (before tax − rounding difference), per customer and in all, to the last decimal."""
    for name, row in billed.items():
        rated = sum((Decimal(item["amount"]) for item in USAGE if item["customer_id"] == name), Decimal(0))
        assert row["amount_before_tax"] - row["rounding_difference"] == rated
        assert row["after_discount"] == row["amount_before_tax"] - row["discount"]
        assert row["amount_due"] == row["after_discount"] + row["tax"]


def test_region_and_plan_are_the_customers_or_else_the_usages(billed: dict[str, Row]) -> None:
    assert (billed["lines"]["region"], billed["lines"]["rate_plan_id"]) == ("Casablanca-Settat", "PLAN_A")
    assert (billed["left"]["region"], billed["left"]["rate_plan_id"]) == ("Fès-Meknès", "PLAN_C")


@pytest.mark.parametrize(
    ("discount_pct", "tax_pct", "expected"),
    [
        # 10.10 before tax in each
        ("0", "0", ("0", "10.10", "0", "10.10")),
        ("100", "20", ("10.10", "0", "0", "0")),
        ("2.5", "7", ("0.25", "9.85", "0.69", "10.54")),  # 0.2525; 0.6895
        ("0.05", "19.6", ("0.01", "10.09", "1.98", "12.07")),  # 0.00505; 1.97764
        ("0.0495", "19.6535", ("0", "10.10", "1.99", "12.09")),  # 0.0049995; 1.9850035
        ("0.0496", "19.6534", ("0.01", "10.09", "1.98", "12.07")),  # 0.0050096; 1.98302806
    ],
)
def test_other_terms(sail: SparkEngine, discount_pct: str, tax_pct: str, expected: tuple[str, str, str, str]) -> None:
    terms = BillingTerms(Decimal(discount_pct), Decimal(tax_pct), "EUR")
    row = bills(sail, [charge("lines", "data", "10.1")], [customer("lines")], terms)["lines"]
    found = tuple(row[name] for name in ("discount", "after_discount", "tax", "amount_due"))
    assert found == tuple(map(Decimal, expected))
    assert (row["currency"], row["discount_pct"], row["tax_pct"]) == ("EUR", Decimal(discount_pct), Decimal(tax_pct))


def test_what_a_customer_uses_may_be_more_than_one_event_holds(engine: SparkEngine) -> None:
    """Each amount is below 10^12; their sum is not, nor are its discount and tax."""
    usage = [charge("lines", "data", "999999999999.999999") for _ in range(3)]
    row = bills(engine, usage, [customer("lines")])["lines"]
    # 2999999999999.999997 → 3,000,000,000,000.00; 5 % off: 2,850,000,000,000; 20 % on top: 3,420,000,000,000
    assert (row["data_total"], row["amount_due"]) == (Decimal(3_000_000_000_000), Decimal(3_420_000_000_000))
    assert row["rounding_difference"] == Decimal("0.000003")


def test_a_month_without_usage_or_customers(sail: SparkEngine) -> None:
    assert bills(sail, [], [customer("prepaid", "prepaid")]) == {}
    assert bills(sail, [], [customer("silent")])["silent"]["amount_due"] == 0


def version(customer_id: str, first: date | None, end: date | None, **changed: str | int) -> Row:
    """A version of a customer: from the first of these days up to and without the second."""
    return {**customer(customer_id), "valid_from": first, "valid_to": end, **changed}


def test_a_bill_has_region_and_plan_of_the_last_day_of_its_month(engine: SparkEngine) -> None:
    """…else those of the last version; who is active on that day has a bill, who begins later has none."""
    last, next_month = date(2026, 6, 30), date(2026, 7, 1)
    known = [
        version("moved", None, last, region="Souss-Massa", rate_plan_id="PLAN_A"),
        version("moved", last, None, region="L'Oriental", rate_plan_id="PLAN_B"),
        version("moves", None, next_month, region="Souss-Massa"),
        version("moves", next_month, None, region="L'Oriental"),
        version("gone", None, date(2026, 6, 5), region="Souss-Massa"),
        version("gone", date(2026, 6, 5), last, region="L'Oriental"),
        version("gone without usage", None, last),
        version("ends", None, next_month),
        version("begins", last, None),
        version("comes", next_month, None),
        version("stops", None, last),
        version("stops", last, None, status="suspended"),
    ]
    usage = [charge(name, "sms", "1", region="Rabat", rate_plan_id="PLAN_C") for name in ("moved", "gone")]
    found = bills(engine, usage, known)
    assert {name: (row["region"], row["rate_plan_id"], row["sms_count"]) for name, row in found.items()} == {
        "moved": ("L'Oriental", "PLAN_B", 1),
        "moves": ("Souss-Massa", "PLAN_A", 0),
        "gone": ("L'Oriental", "PLAN_A", 1),
        "ends": ("Casablanca-Settat", "PLAN_A", 0),
        "begins": ("Casablanca-Settat", "PLAN_A", 0),
    }


def test_each_holder_of_a_number_has_a_bill_of_his_own(engine: SparkEngine) -> None:
    """Three have had the number; the first was rated when nobody asked for holders, and the third has used nothing yet."""
    known = [
        version("c", None, date(2026, 6, 10), region="Souss-Massa"),
        version("c", date(2026, 6, 12), date(2026, 6, 20), holder_no=2, rate_plan_id="PLAN_B"),
        version("c", date(2026, 6, 25), None, holder_no=3, region="L'Oriental"),
    ]
    usage = [
        charge("c", "voice", "0.006", holder_no=None),
        charge("c", "voice", "0.006", holder_no=1),
        charge("c", "voice", "0.004", holder_no=2, rate_plan_id="PLAN_B"),
        charge("c", "sms", "1", holder_no=2, rate_plan_id="PLAN_B"),
    ]
    frame = contract_frame(engine, RATED_CDRS, usage)
    lines, made = billed_of(engine, frame, contract_frame(engine, CUSTOMERS, known), PERIOD)
    assert {(row["holder_no"], row["line_no"], row["service"], str(row["amount"])) for row in rows_of(lines)} == {
        (1, 1, "voice", "0.01"),  # 0.012, rounded once
        (2, 1, "voice", "0.00"),
        (2, 2, "sms", "1.00"),
    }
    found = {row["holder_no"]: row for row in rows_of(made)}
    assert {
        holder: (row["region"], row["rate_plan_id"], row["voice_count"], str(row["amount_due"]))
        for holder, row in found.items()
    } == {
        1: ("Souss-Massa", "PLAN_A", 2, "0.01"),
        2: ("Casablanca-Settat", "PLAN_B", 1, "1.14"),  # 5 % of 1.00, then 20 % of 0.95
        3: ("L'Oriental", "PLAN_A", 0, "0.00"),
    }
