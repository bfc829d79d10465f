"""Lines of bills on both engines, by hand: what a line adds up, discounts by group, taxes by rate, shares that add up.

Belongs here: figures of lines. What a bill makes of them is in `test_rules`.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.engine import SparkEngine
from telecom_assets.billing.lines import totals_by_rate, usage_lines, with_shares
from telecom_assets.billing.rules import bill
from telecom_assets.billing.tables import bill_lines, facturation_complete
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.rating.tables import RATED_CDRS
from telecom_assets.reference.tables import CUSTOMERS
from telecom_assets_tests import oracle
from telecom_assets_tests.examples import examples
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.stages.chain import TERMS, assert_schema, billed, contract_frame, contract_table, rows_of

PERIOD = "2026-06"


def charge(customer: str, kind: str, amount: str, units: str = "1", **changed: Any) -> Row:
    return {
        "record_id": "id",
        "customer_id": customer,
        "record_type": kind,
        "event_ts": datetime(2026, 6, 15, tzinfo=UTC),
        "rate_plan_id": "PLAN_A",
        "region": "R1",
        "billable_units": units,
        "amount": amount,
        "billing_period": PERIOD,
        "event_date": date(2026, 6, 15),
        **changed,
    }


def line(amount: str, number: int = 1, customer: str = "c", **changed: Any) -> Row:
    """A line whose exact amount is the amount."""
    return {
        "customer_id": customer,
        "holder_no": 1,
        "line_no": number,
        "document": "bill",
        "kind": "usage",
        "line_kind": None,
        "service": "voice",
        "rate_plan_id": "PLAN_A",
        "region": "R1",
        "tax_category": "S",
        "tax_pct": "20",
        "discount_pct": "5",
        "original_period": None,
        "events": 1,
        "units": "1",
        "exact_amount": amount,
        "amount": amount,
        "billing_period": PERIOD,
        **changed,
    }


# ------------------------------------------------------------------------------------------------------- usage lines

USAGE = [
    # One service, one plan, one home: one line, rounded once. 0.004 + 0.0011 = 0.0051 → 0.01.
    charge("one", "voice", "0.004", "2"),
    charge("one", "voice", "0.0011", "0.5"),
    # A service in two plans, and in two regions: each a line of its own, rounded by itself. 0.005 → 0.01 three times.
    charge("moved", "sms", "0.005", rate_plan_id="PLAN_B"),
    charge("moved", "sms", "0.005", region="R2"),
    charge("moved", "sms", "0.005"),
    charge("moved", "data", "1.234567", "10.000001"),
    # Voice comes first, then sms, data, and other services by name.
    *(charge("order", kind, "1") for kind in ("roaming", "data", "mms", "sms", "voice")),
]


def numbered(rows: Iterable[Row], customer: str, *columns: str) -> list[tuple[Any, ...]]:
    own = sorted((row for row in rows if row["customer_id"] == customer), key=lambda row: row["line_no"])
    assert [row["line_no"] for row in own] == list(range(1, len(own) + 1))
    return [tuple(row[name] for name in columns) for row in own]


@pytest.fixture(scope="module")
def lines(engine: SparkEngine) -> list[Row]:
    found = usage_lines(contract_frame(engine, RATED_CDRS, USAGE), PERIOD, TERMS)
    assert_schema(bill_lines(2), found)
    return rows_of(found)


def test_a_line_is_the_exact_sum_of_its_events_rounded_once(lines: list[Row]) -> None:
    [found] = [row for row in lines if row["customer_id"] == "one"]
    assert found == {
        "customer_id": "one",
        "holder_no": 1,
        "line_no": 1,
        "document": "bill",
        "kind": "usage",
        "line_kind": None,
        "service": "voice",
        "rate_plan_id": "PLAN_A",
        "region": "R1",
        "tax_category": "S",
        "tax_pct": Decimal(20),
        "discount_pct": Decimal(5),
        "original_period": None,
        "events": 2,
        "units": Decimal("2.5"),
        "exact_amount": Decimal("0.0051"),
        "amount": Decimal("0.01"),
        "billing_period": PERIOD,
    }


def test_each_plan_and_region_is_a_line(lines: list[Row]) -> None:
    columns = ("service", "rate_plan_id", "region", "exact_amount", "amount")
    cents = (Decimal("0.005"), Decimal("0.01"))
    assert numbered(lines, "moved", *columns) == [
        ("sms", "PLAN_A", "R1", *cents),
        ("sms", "PLAN_A", "R2", *cents),
        ("sms", "PLAN_B", "R1", *cents),
        ("data", "PLAN_A", "R1", Decimal("1.234567"), Decimal("1.23")),
    ]


def test_lines_stand_in_the_order_of_the_bill(lines: list[Row]) -> None:
    assert numbered(lines, "order", "service") == [("voice",), ("sms",), ("data",), ("mms",), ("roaming",)]


def test_a_month_without_charges_has_no_lines(sail: SparkEngine) -> None:
    assert rows_of(usage_lines(contract_frame(sail, RATED_CDRS, []), PERIOD, TERMS)) == []


# ------------------------------------------------------------------------------------- discount and tax, by group and rate

MIXED = [
    # Two discounts at 20 %, one tax: 1.10 and 0.90.
    # 5 % of 1.10 = 0.055 → 0.06; 10 % of 0.90 = 0.09; (2.00 − 0.15) × 20 % = 0.37
    line("1.05", 1),
    line("0.05", 2),
    line("0.90", 3, discount_pct="10"),
    # At 10 %: 5 % of 0.10 = 0.005 → 0.01; (0.10 − 0.01) × 10 % = 0.009 → 0.01
    line("0.10", 4, tax_pct="10"),
    # Exempt: 5 % of 0.30 = 0.015 → 0.02, no tax
    line("0.30", 5, tax_category="E", tax_pct="0"),
    # Another document of the customer counts for itself: 0.10 → 0.01, (0.10 − 0.01) × 20 % = 0.018 → 0.02
    line("0.10", 1, document="2026-05"),
]


def test_discount_by_group_and_tax_by_rate(engine: SparkEngine) -> None:
    found = {
        (row["document"], row["tax_category"], row["tax_pct"]): tuple(
            str(row[name]) for name in ("amount", "discount", "tax", "due")
        )
        for row in rows_of(totals_by_rate(contract_frame(engine, bill_lines(2), MIXED), 2))
    }
    assert found == {
        ("bill", "S", Decimal(20)): ("2.00", "0.15", "0.37", "2.22"),
        ("bill", "S", Decimal(10)): ("0.10", "0.01", "0.01", "0.10"),
        ("bill", "E", Decimal(0)): ("0.30", "0.02", "0.00", "0.28"),
        ("2026-05", "S", Decimal(20)): ("0.10", "0.01", "0.02", "0.11"),
    }


def test_a_bill_adds_up_its_own_document_and_nothing_else(engine: SparkEngine) -> None:
    """Corrections and what a person adds are adjustments_total, services without a column are other_total, whatever their tax."""
    own = [
        *MIXED,
        line("0.25", 6, service="mms"),  # 0.90 + 1.05 + 0.05 + 0.25 at 20 %
        line(
            "-0.40",
            7,
            kind="adjustment",
            line_kind="usage",
            original_period="2026-04",
            tax_pct="0",
            tax_category="Z",
            discount_pct="0",
        ),
        line("0.15", 8, kind="manual", service="sms", tax_pct="0", tax_category="Z", discount_pct="0"),
    ]
    known = contract_frame(engine, CUSTOMERS, [])
    found = bill(contract_frame(engine, bill_lines(2), own), known, PERIOD, TERMS)
    assert_schema(facturation_complete(2), found)
    [row] = rows_of(found)
    # voice 1.05 + 0.05 + 0.90 + 0.10 + 0.30
    assert (row["voice_total"], row["voice_count"], row["sms_total"], row["sms_count"]) == (Decimal("2.40"), 5, 0, 0)
    assert (row["adjustments_total"], row["other_total"]) == (Decimal("-0.25"), Decimal("0.25"))
    assert row["amount_before_tax"] == Decimal("2.40")
    # 20 %: 5 % of 1.35 = 0.0675 → 0.07, and 0.09; (2.25 − 0.16) × 20 % = 0.418 → 0.42. 10 %: 0.01 and 0.01. E: 0.02. Z: nothing.
    assert (row["discount"], row["tax"]) == (Decimal("0.19"), Decimal("0.43"))
    assert (row["after_discount"], row["amount_due"]) == (Decimal("2.21"), Decimal("2.64"))
    assert (row["status"], row["discount_pct"], row["tax_pct"]) == ("draft", Decimal(5), Decimal(20))


# ------------------------------------------------------------------------------------------------------------ currencies


@pytest.mark.parametrize(
    ("currency", "expected"),
    [
        # 1234.5675 + 10.0004. JPY: 1235 and 10, 1245; 5 % = 62.25 → 62; 1183; 20 % = 236.6 → 237; 1420
        ("JPY", ("1235", "10", "1245", "62", "1183", "237", "1420")),
        # MAD: 1234.57 and 10.00, 1244.57; 62.2285 → 62.23; 1182.34; 236.468 → 236.47; 1418.81
        ("MAD", ("1234.57", "10.00", "1244.57", "62.23", "1182.34", "236.47", "1418.81")),
        # TND: 1234.568 and 10.000, 1244.568; 62.2284 → 62.228; 1182.340; 236.468; 1418.808
        ("TND", ("1234.568", "10.000", "1244.568", "62.228", "1182.340", "236.468", "1418.808")),
        # CLF, four decimals: 1234.5675 and 10.0004, 1244.5679; 62.228395 → 62.2284; 1182.3395; 236.4679; 1418.8074
        ("CLF", ("1234.5675", "10.0004", "1244.5679", "62.2284", "1182.3395", "236.4679", "1418.8074")),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(
    engine: SparkEngine, currency: str, expected: tuple[str, ...]
) -> None:
    terms = BillingTerms(Decimal(5), Decimal(20), currency)
    usage = [charge("c", "voice", "1234.5675"), charge("c", "data", "10.0004")]
    lines, bills = billed(
        engine, contract_frame(engine, RATED_CDRS, usage), contract_frame(engine, CUSTOMERS, []), PERIOD, terms
    )
    assert_schema(bill_lines(terms.scale), lines)
    assert_schema(facturation_complete(terms.scale), bills)
    [row] = rows_of(bills)
    names = ("voice_total", "data_total", "amount_before_tax", "discount", "after_discount", "tax", "amount_due")
    assert tuple(str(row[name]) for name in names) == expected
    assert row["amount_before_tax"] - row["rounding_difference"] == Decimal("1244.5679")


# ---------------------------------------------------------------------------------------------------------------- shares


def shares_of(engine: SparkEngine, rows: Sequence[Row], due: Sequence[Row], scale: int = 2) -> list[str]:
    """The shares of lines of one document in the order of their numbers."""
    lines = contract_frame(engine, bill_lines(scale), rows)
    owed = engine.spark_session.createDataFrame(
        [
            (
                each["customer_id"],
                each["holder_no"],
                each["document"],
                each["tax_category"],
                Decimal(each["tax_pct"]),
                Decimal(each["due"]),
            )
            for each in due
        ],
        f"customer_id string, holder_no int, document string, tax_category string, tax_pct decimal(7,4), due decimal(18,{scale})",
    )
    found = rows_of(with_shares(lines, owed, scale))
    assert len(found) == len(rows)
    return [str(row["share"]) for row in sorted(found, key=lambda row: row["line_no"])]


def owed(due: str, **changed: Any) -> Row:
    return {
        "customer_id": "c",
        "holder_no": 1,
        "document": "bill",
        "tax_category": "S",
        "tax_pct": "20",
        "due": due,
        **changed,
    }


@pytest.mark.parametrize(
    ("amounts", "due", "expected"),
    [
        # 0.50: 0.57; due 0.50 − 0.03 + 0.09 = 0.56
        (["0.50"], "0.56", ["0.56"]),
        # 1.14 × 0.10 = 0.114 → 0.11 each, 0.33; due 0.34: one more to the first of equal amounts
        (["0.10", "0.10", "0.10"], "0.34", ["0.12", "0.11", "0.11"]),
        # one less: from the largest, wherever it stands
        (["0.10", "0.20", "0.10"], "0.44", ["0.11", "0.22", "0.11"]),
        # 0.11 + 0.23 + 0.11 = 0.45; two less: the largest, then the first of the equal ones
        (["0.10", "0.20", "0.10"], "0.43", ["0.10", "0.22", "0.11"]),
        # Mixed signs: −0.30 is the largest by its absolute amount: −0.342 → −0.34, 0.114 → 0.11, 0.228 → 0.23; sum 0.00
        (["-0.30", "0.10", "0.20"], "0.01", ["-0.33", "0.11", "0.23"]),
        (["-0.30", "0.10", "0.20"], "-0.02", ["-0.35", "0.11", "0.22"]),
        # More than there are lines: round again. 0.11 + 0.23 = 0.34; five more are 3 and 2
        (["0.10", "0.20"], "0.39", ["0.13", "0.26"]),
        (["0.10", "0.20"], "0.27", ["0.08", "0.19"]),
        # A line of nothing takes part, last.
        (["0.00", "0.10"], "0.13", ["0.01", "0.12"]),
    ],
)
def test_what_remains_goes_to_the_largest_first(
    engine: SparkEngine, amounts: list[str], due: str, expected: list[str]
) -> None:
    rows = [line(amount, number) for number, amount in enumerate(amounts, 1)]
    assert shares_of(engine, rows, [owed(due)]) == expected
    assert sum(map(Decimal, expected)) == Decimal(due)


def test_each_rate_and_each_document_adds_up_by_itself(engine: SparkEngine) -> None:
    """0.10 at 20 % is 0.114 → 0.11, at 10 % 0.1045 → 0.10; of nothing due in the other document −0.11 remain."""
    rows = [line("0.10", 1), line("0.10", 2, tax_pct="10"), line("0.10", 3, document="2026-05")]
    due = [owed("0.12"), owed("0.09", tax_pct="10"), owed("0.00", document="2026-05")]
    assert shares_of(engine, rows, due) == ["0.12", "0.09", "0.00"]


def test_the_smallest_unit_is_that_of_the_currency(engine: SparkEngine) -> None:
    """JPY: 114 of 100, one more 115. TND: 0.114, one more 0.115."""
    assert shares_of(engine, [line("100", 1), line("100", 2)], [owed("229")], 0) == ["115", "114"]
    assert shares_of(engine, [line("0.100", 1), line("0.100", 2)], [owed("0.229")], 3) == ["0.115", "0.114"]


AMOUNTS = st.integers(-10_000, 10_000).map(lambda cents: Decimal(cents) / 100)
PERCENTS = st.sampled_from([Decimal(each) for each in ("0", "2.4375", "5", "19.625", "20", "99.9999", "100")])
DOCUMENTS = st.lists(st.tuples(AMOUNTS, PERCENTS, PERCENTS), min_size=1, max_size=8)


@settings(
    max_examples=examples(6), derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(documents=st.lists(DOCUMENTS, min_size=1, max_size=25))
def test_shares_are_the_oracles_and_add_up(
    sail: SparkEngine, documents: list[list[tuple[Decimal, Decimal, Decimal]]]
) -> None:
    """Any amounts, discounts and rates: with mixed signs and several groups too."""
    rows = [
        line(str(amount), number, f"c{place:02d}", discount_pct=discount, tax_pct=tax)
        for place, document in enumerate(documents)
        for number, (amount, discount, tax) in enumerate(document, 1)
    ]
    table = contract_table(bill_lines(2), rows)
    frame = contract_frame(sail, bill_lines(2), rows)
    rates = totals_by_rate(frame, 2)
    found = {(row["customer_id"], row["line_no"]): row["share"] for row in rows_of(with_shares(frame, rates, 2))}
    exact: list[Row] = table.to_pylist()
    for place in range(len(documents)):
        own = [row for row in exact if row["customer_id"] == f"c{place:02d}"]
        expected = oracle.shares(own, 2)
        assert {(row["customer_id"], row["line_no"]): share for row, share in expected} == {
            (row["customer_id"], row["line_no"]): found[row["customer_id"], row["line_no"]] for row in own
        }
        totals = oracle.rate_totals(own, 2).values()
        due = sum((row["amount"] for row in own), Decimal(0)) + sum(
            (tax - discount for discount, tax in totals), Decimal(0)
        )
        assert sum((share for _, share in expected), Decimal(0)) == due
