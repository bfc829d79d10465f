"""Adjustment lines on both engines, by hand: amounts, discount and tax of what remains, and where the lines stand.

Belongs here: the worked scenarios of docs/billing.md. Each is a customer, so that one query an engine makes them all.
"""

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal

import pytest

from resources.engine import SparkEngine
from telecom_assets.billing.placing import Part, leaving
from telecom_assets.billing.terms import BillingTerms
from telecom_assets_tests.billing.corrected import Corrected, difference, line, subscriber
from telecom_assets_tests.oracle import Row

FEBRUARY, MARCH, APRIL, MAY, JUNE = "2026-02", "2026-03", "2026-04", "2026-05", "2026-06"
ZERO = {"discount_pct": "0"}
AT_TEN = {"tax_pct": "10"}

#: The bills of February and March that are corrected later. Where nothing else is said: 5 % discount, 20 % tax.
CLOSED = [
    line("in three parts", MARCH, "0.99", **ZERO),
    line("taxed 20", MARCH, "10.00"),
    line("rounds", MARCH, "0.004", "0.00"),
    line("plan changed", MARCH, "1.002", "1.00"),
    line("moved", MARCH, "2.00"),
    line("two months", FEBRUARY, "1.10"),
    line("two months", MARCH, "0.90"),
    line("below", MARCH, "5.00"),
    line("base below", MARCH, "5.00"),
    line("left", MARCH, "1.00"),
    line("both sides", MARCH, "1.00"),
]
#: April's own lines, whose tax is 10 %.
OWN = [
    line("taxed 20", APRIL, "5.00", **AT_TEN),
    line("below", APRIL, "1.00", **AT_TEN),
    line("below", APRIL, "0.40", service="sms", line_no=2, **AT_TEN),
    line("base below", APRIL, "20.00", **AT_TEN),
    line("moved", APRIL, "10.00"),
]
IN_APRIL = [
    difference("in three parts", MARCH, "-0.33", **ZERO, reason="record_gone", events=-1, units="-1"),
    difference("taxed 20", MARCH, "1.00"),
    difference("rounds", MARCH, "0.004"),
    difference("plan changed", MARCH, "0.003"),
    difference("plan changed", MARCH, "0.002", record_id="r2"),
    difference("plan changed", MARCH, "0.005", record_id="r3", rate_plan_id="PLAN_B"),
    difference("moved", MARCH, "-2.00", side="taken_back", reason="customer_corrected", events=-1, units="-1"),
    difference("moved", MARCH, "1.50", reason="customer_corrected", region="R2"),
    difference("two months", FEBRUARY, "0.10"),
    difference("two months", MARCH, "-0.90", reason="record_gone", events=-1, units="-1"),
    difference("below", MARCH, "-5.00", reason="record_gone", events=-1, units="-1"),
    difference("base below", MARCH, "-1.00", reason="rerated", events=0, units="0"),
    difference("left", MARCH, "3.00"),
    # Neither is on a line: nobody has accepted it; it is too little; it costs nothing.
    difference("both sides", MARCH, "9.00", disposition="awaiting_acceptance"),
    difference("both sides", MARCH, "9.00", disposition="written_off"),
    difference("both sides", MARCH, "0.00", disposition="uncharged"),
]
SUBSCRIBERS = [
    *(
        subscriber(name)
        for name in (
            "in three parts",
            "taxed 20",
            "plan changed",
            "moved",
            "two months",
            "below",
            "base below",
            "both sides",
        )
    ),
    # Subscribed for three days of April: a bill all the same, for it has lines.
    subscriber("rounds", None, dt.date(2026, 4, 4)),
    subscriber("left", None, dt.date(2026, 4, 1)),
]


@pytest.fixture(scope="module")
def months(engine: SparkEngine) -> Corrected:
    return Corrected(engine, [*CLOSED], SUBSCRIBERS, BillingTerms(Decimal(5), Decimal(10), "MAD"))


@pytest.fixture(scope="module")
def april(months: Corrected) -> list[Row]:
    return months.lines(APRIL, IN_APRIL, OWN)


def figures(rows: Iterable[Row], customer: str, *columns: str) -> list[tuple[str, ...]]:
    own = sorted(
        (row for row in rows if row["customer_id"] == customer), key=lambda row: (row["document"], row["line_no"])
    )
    return [tuple(str(row[name]) for name in columns) for row in own]


def test_an_adjustment_line_names_what_it_corrects(april: list[Row]) -> None:
    [found] = [row for row in april if row["customer_id"] == "in three parts"]
    assert found == {
        "rate_plan_id": "PLAN_A",
        "region": "R1",
        "tax_category": "S",
        "customer_id": "in three parts",
        "holder_no": 1,
        "line_no": 1,
        "document": MARCH,
        "kind": "adjustment",
        "line_kind": "usage",
        "service": "voice",
        "tax_pct": Decimal(20),
        "discount_pct": Decimal(0),
        "original_period": MARCH,
        "events": -1,
        "units": Decimal(-1),
        "exact_amount": Decimal("-0.33"),
        "amount": Decimal("-0.33"),
        "billing_period": APRIL,
    }
    assert figures(april, "both sides", "kind") == []


def test_what_is_rounded_is_the_sum_with_the_original_line(april: list[Row]) -> None:
    """0.004 and 0.004 are 0.008 → 0.01, of which 0.00 was billed. 1.002 and 0.005 are 1.007 → 1.01; another plan is another line."""
    columns = ("rate_plan_id", "events", "exact_amount", "amount")
    assert figures(april, "rounds", *columns) == [("PLAN_A", "1", "0.004000", "0.01")]
    assert figures(april, "plan changed", *columns) == [
        ("PLAN_A", "2", "0.005000", "0.01"),
        ("PLAN_B", "1", "0.005000", "0.01"),
    ]


def test_lines_stand_behind_those_of_the_period(april: list[Row]) -> None:
    columns = ("document", "line_no", "kind", "original_period", "region", "amount")
    assert figures(april, "taxed 20", *columns) == [
        ("bill", "1", "usage", "None", "R1", "5.00"),
        ("bill", "2", "adjustment", MARCH, "R1", "1.00"),
    ]
    assert figures(april, "moved", *columns) == [
        ("bill", "1", "usage", "None", "R1", "10.00"),
        ("bill", "2", "adjustment", MARCH, "R1", "-2.00"),
        ("bill", "3", "adjustment", MARCH, "R2", "1.50"),
    ]


MONEY = ("adjustments_total", "amount_before_tax", "discount", "tax", "amount_due")


def test_bills_and_documents_of_corrections(months: Corrected, april: list[Row]) -> None:
    """Discount and tax of a correction are those of what remains of its month, less those of what remained before.

    What would bring a bill, or one rate of it, below zero leaves it; so does what is of somebody without a subscription.
    """
    bills, documents = months.documents(APRIL, april)
    assert {row["customer_id"]: tuple(str(row[name]) for name in MONEY) for row in bills} == {
        "in three parts": ("0.00", "0.00", "0.00", "0.00", "0.00"),
        # April: 5.00, discount 0.25, tax 10 % of 4.75 = 0.475 → 0.48. March at 20 %: 11.00, discount 0.55, tax 2.09;
        # before: 10.00, 0.50, 1.90. Together discount 0.25 + 0.05, tax 0.48 + 0.19.
        "taxed 20": ("1.00", "6.00", "0.30", "0.67", "6.37"),
        # 0.01: 5 % = 0.0005 → 0.00, 20 % = 0.002 → 0.00
        "rounds": ("0.01", "0.01", "0.00", "0.00", "0.01"),
        # 1.02: discount 0.051 → 0.05, tax 0.97 × 20 % = 0.194 → 0.19; before 0.05 and 0.19
        "plan changed": ("0.02", "0.02", "0.00", "0.00", "0.02"),
        # April 10.00: 0.50, 1.90. March 1.50: 0.075 → 0.08, 1.42 × 20 % = 0.284 → 0.28; before 2.00: 0.10 and 0.38
        "moved": ("-0.50", "9.50", "0.48", "1.80", "10.82"),
        # February 1.20: 0.06, 1.14 × 20 % = 0.228 → 0.23; before 1.10: 0.055 → 0.06, 1.04 × 20 % = 0.208 → 0.21. March leaves.
        "two months": ("0.10", "0.10", "0.00", "0.02", "0.12"),
        # 1.40: 0.07, 1.33 × 10 % = 0.133 → 0.13
        "below": ("0.00", "1.40", "0.07", "0.13", "1.46"),
        # 20.00: 1.00, 1.90; due is above 0 with March too, but its base at 20 % would be −0.95
        "base below": ("0.00", "20.00", "1.00", "1.90", "20.90"),
        "both sides": ("0.00", "0.00", "0.00", "0.00", "0.00"),
    }
    assert {
        (row["customer_id"], row["document"], row["kind"]): tuple(str(row[name]) for name in MONEY) for row in documents
    } == {
        # 0.66 × 20 % = 0.132 → 0.13, of 0.99 it was 0.198 → 0.20: tax −0.07
        ("in three parts", MARCH, "credit_note"): ("-0.33", "-0.33", "0.00", "-0.07", "-0.40"),
        # Nothing remains of 0.90: 0.045 → 0.05, 0.85 × 20 % = 0.17
        ("two months", MARCH, "credit_note"): ("-0.90", "-0.90", "-0.05", "-0.17", "-1.02"),
        # Nothing remains of 5.00: 0.25, 0.95
        ("below", MARCH, "credit_note"): ("-5.00", "-5.00", "-0.25", "-0.95", "-5.70"),
        # 4.00: 0.20, 0.76
        ("base below", MARCH, "credit_note"): ("-1.00", "-1.00", "-0.05", "-0.19", "-1.14"),
        # 4.00: 0.20, 0.76; before 1.00: 0.05, 0.19
        ("left", MARCH, "supplementary"): ("3.00", "3.00", "0.15", "0.57", "3.42"),
    }
    [row] = [row for row in documents if row["customer_id"] == "left"]
    assert {name: row[name] for name in ("original_period", "region", "rate_plan_id", "discount_pct", "tax_pct")} == {
        "original_period": MARCH,
        "region": "R1",
        "rate_plan_id": "PLAN_A",
        "discount_pct": Decimal(5),
        "tax_pct": Decimal(20),
    }
    assert (row["currency"], row["status"], row["billing_period"]) == ("MAD", "draft", APRIL)


@pytest.mark.thorough
def test_a_series_of_corrections_ends_at_the_right_bill(months: Corrected, april: list[Row]) -> None:
    """Three withdrawals of 0.33 of a bill of 0.99 and 20 % return 0.40, 0.39 and 0.40: 1.19. On documents of their own.

    A document whose lines are all 0 is none; its lines stay, and count when the next is rounded.
    """
    later = Corrected(months.engine, [*months.history, *april], SUBSCRIBERS, months.terms, "separate")
    withdrawn = difference("in three parts", MARCH, "-0.33", **ZERO, reason="record_gone", events=-1, units="-1")
    may = later.lines(MAY, [withdrawn, difference("rounds", MARCH, "0.004"), difference("taxed 20", MARCH, "1.00")])
    bills, documents = later.documents(MAY, may)
    assert {row["customer_id"]: tuple(str(row[name]) for name in MONEY) for row in documents} == {
        "in three parts": ("-0.33", "-0.33", "0.00", "-0.06", "-0.39"),
        # 12.00: 0.60, 2.28; before, with April's correction: 11.00, 0.55, 2.09
        "taxed 20": ("1.00", "1.00", "0.05", "0.19", "1.14"),
    }
    assert {row["amount_due"] for row in bills} == {0}
    # 0.004 three times is 0.012 → 0.01, all of which is billed
    columns = ("document", "exact_amount", "amount")
    assert figures(may, "rounds", *columns) == [(MARCH, "0.004000", "0.00")]
    later.closes(may)
    june = later.lines(JUNE, [withdrawn, difference("rounds", MARCH, "-0.012", reason="record_gone", events=-3)])
    bills, documents = later.documents(JUNE, june)
    assert {row["customer_id"]: (str(row["amount_before_tax"]), str(row["amount_due"])) for row in documents} == {
        "in three parts": ("-0.33", "-0.40"),
        "rounds": ("-0.01", "-0.01"),
    }


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("currency", "exact", "withdrawn", "expected"),
    [
        # JPY: 1234.5675 → 1235; 5 % = 61.75 → 62, 1173 × 20 % = 234.6 → 235: 1408. 34.5675 gone: 1200 → 60, 1140, 228: 1368.
        ("JPY", "1234.5675", "-34.5675", ("-35", "-2", "-7", "-40")),
        # TND: 1234.568, 61.7284 → 61.728, 1172.840 × 20 % = 234.568; 1200.000, 60.000, 228.000
        ("TND", "1234.5675", "-34.5675", ("-34.568", "-1.728", "-6.568", "-39.408")),
    ],
)
def test_corrections_have_the_decimals_of_their_currency(
    engine: SparkEngine, currency: str, exact: str, withdrawn: str, expected: tuple[str, ...]
) -> None:
    terms = BillingTerms(Decimal(5), Decimal(20), currency)
    billed = {"JPY": "1235", "TND": "1234.568"}[currency]
    months = Corrected(engine, [line("c", MARCH, exact, billed)], [], terms)
    lines = months.lines(APRIL, [difference("c", MARCH, withdrawn, reason="record_gone")])
    _, [document] = months.documents(APRIL, lines)
    assert tuple(str(document[name]) for name in MONEY[1:]) == expected


# ----------------------------------------------------------------------------------------------------- what leaves a bill


def part(period: str | None, base: str, due: str, pct: str = "20") -> Part:
    return Part(period, ("S", Decimal(pct)), Decimal(base), Decimal(due))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # A credit that the bill has room for stays.
        ([part(None, "10", "12"), part(MARCH, "-10", "-12")], set()),
        # One that it has no room for leaves, with all others whose own amount due is below 0; what is to be paid stays.
        (
            [
                part(None, "1", "1.2"),
                part(FEBRUARY, "-1", "-1.2"),
                part(MARCH, "-5", "-6"),
                part("2026-01", "1", "1.2"),
            ],
            {FEBRUARY, MARCH},
        ),
        # A rate without room: only those whose base of that rate is below 0 leave, whatever else is due of them.
        (
            [
                part(None, "50", "55", "10"),
                part(FEBRUARY, "-1", "-1.2"),
                part(FEBRUARY, "5", "5.5", "10"),
                part(MARCH, "-2", "-2.2", "10"),
            ],
            {FEBRUARY},
        ),
        # What leaves takes what is to be paid along, so that another one has no room any more.
        (
            [
                part(FEBRUARY, "-1", "-1.2"),
                part(FEBRUARY, "5", "5.5", "10"),
                part(MARCH, "-2", "-2.2", "10"),
            ],
            {FEBRUARY, MARCH},
        ),
        # Own lines stay, even where a person's credit brings them below 0.
        ([part(None, "-1", "-1.2"), part(MARCH, "0.5", "0.6")], set()),
    ],
)
def test_what_would_bring_a_bill_below_zero_leaves_it(parts: list[Part], expected: set[str]) -> None:
    assert leaving(parts) == expected
