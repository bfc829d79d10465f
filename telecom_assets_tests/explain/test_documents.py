"""A charge is followed to the number of its document; its formula gives its amount."""

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.engine import SparkEngine
from telecom_assets.billing.tables import BILL
from telecom_assets.cli.show_explained_bill import print_bill
from telecom_assets.closing.closing import close
from telecom_assets.explain.bills import Bill, Document, Line, explain_bill
from telecom_assets.explain.records import _formula, explain_record
from telecom_assets_tests import oracle
from telecom_assets_tests.closing.months import ISSUED, MONTH, approved, billed, books, rated
from telecom_assets_tests.examples import examples
from telecom_assets_tests.oracle import Price


def test_a_charge_is_followed_to_the_number_of_its_document(
    tmp_path: Path, sail: SparkEngine, postgres_dsn: str
) -> None:
    """2126, the first of two customers: 0.999999 of voice is 1.00 on his line; he owes 1.30. The draft has no number."""
    of = books(tmp_path, sail, postgres_dsn)
    rated(of)
    billed(of)
    approved(of)
    (event,) = explain_record(of.warehouse, "2126 voice 0.999999").events
    assert event.on_bill is not None
    assert event.on_bill.document is None
    close(of, MONTH, by="Ben", today=ISSUED)
    (event,) = explain_record(of.warehouse, "2126 voice 0.999999", day=dt.date(2026, 10, 15)).events
    assert event.on_bill is not None
    assert event.on_bill.document is not None
    document = event.on_bill.document
    assert (event.month_state, event.on_bill.line["amount"]) == ("closed", Decimal("1.00"))
    assert (document["number"], document["issue_date"], document["amount_due"]) == (
        "INV-2026-000001",
        ISSUED,
        Decimal("1.30"),
    )
    (bill,) = explain_bill(of.warehouse, "2126", MONTH).documents
    assert bill.issued is not None
    assert bill.issued["number"] == "INV-2026-000001"
    assert [(line.row["service"], line.exact_sum, line.rounding) for line in bill.lines] == [
        ("voice", Decimal("0.999999"), Decimal("0.000001")),
        ("sms", Decimal("0.135"), Decimal("0.005")),
    ]


def test_each_tax_category_of_a_rate_is_told_by_its_own_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Two categories at 0 %: 2.00 less 5 %, and 3.00 without a discount."""
    lines, rates = [], []
    for number, (category, amount, discount_pct) in enumerate((("E", "2.00", "5"), ("Z", "3.00", "0")), 1):
        taxed = {"tax_category": category, "tax_pct": Decimal(0)}
        given = {"discount_pct": Decimal(discount_pct), "amount": Decimal(amount), "exact_amount": Decimal(amount)}
        told = {
            "kind": "usage",
            "service": "sms",
            "rate_plan_id": "P",
            "region": "R",
            "original_period": None,
            "events": 0,
        }
        lines.append(Line({**taxed, **given, **told, "line_no": number}, ()))
        off = Decimal(amount) * Decimal(discount_pct) / 100
        rates.append({**taxed, "amount": Decimal(amount), "discount": off, "tax": Decimal(0)})
    of_bill = ("amount_before_tax", "discount", "after_discount", "tax", "amount_due", "rounding_difference")
    figures = dict(zip(of_bill, map(Decimal, ("5.00", "0.10", "4.90", "0.00", "4.90", "0.00")), strict=True))
    document = Document(BILL, {"holder_no": 1, "currency": "MAD", **figures}, tuple(rates), tuple(lines), None)
    print_bill(Bill("2126", MONTH, "open", (document,), (), (), ()))
    printed = capsys.readouterr().out
    assert "2.00 × 5.00 %, rounded" in printed
    assert "3.00 × 0.00 %, rounded" in printed
    assert " or 5" not in printed


_units = st.decimals(0, 10_000, places=3)
_prices = st.decimals(0, 100, places=6)
_flat = st.builds(Price, _prices, _units)
_tiered = (
    st.tuples(_units, _units)
    .map(sorted)
    .flatmap(lambda both: st.builds(Price, _prices, st.just(both[0]), st.just(both[1]), _prices))
)


@given(units=_units, price=st.one_of(_flat, _tiered))
@settings(max_examples=examples(200), deadline=None)
def test_a_formula_gives_the_amount(units: Decimal, price: Price) -> None:
    """Worked out as it is written; its right side is what the oracle charges."""
    is_tiered = price.tier_threshold is not None
    charge = {
        "billable_units": units,
        "free_units_applied": min(units, price.free_units),
        "unit_price": price.unit_price,
        "tier_threshold": price.tier_threshold,
        "tier_price": price.tier_price,
        "amount": price.cost(units),
    }
    left, right = _formula(charge, {"rate_type": "tiered" if is_tiered else "flat"}).split(" = ")
    assert (oracle.half_up(_worked_out(left), 6), Decimal(right)) == (price.cost(units), price.cost(units))


def _worked_out(formula: str) -> Decimal:
    """Sums in brackets, then products, then sums."""
    plain = formula.replace(" free", "")
    while bracket := re.search(r"\(([^()]*)\)", plain):
        plain = plain.replace(bracket[0], f"{_worked_out(bracket[1]):f}")
    return sum((_product(term) for term in plain.split(" + ")), Decimal(0))


def _product(term: str) -> Decimal:
    if "×" in term:
        one, other = term.split(" × ")
        return Decimal(one) * Decimal(other)
    first, *taken = term.split(" − ")
    return Decimal(first) - sum(map(Decimal, taken), Decimal(0))


@pytest.mark.parametrize(
    ("formula", "expected"), [("(5 − 2 free) × 1.5", "4.5"), ("2 × 3 + (7 − 3) × 0.5", "8"), ("(2 − 2 free) × 9", "0")]
)
def test_formulas_are_worked_out_as_people_do(formula: str, expected: str) -> None:
    assert _worked_out(formula) == Decimal(expected)
