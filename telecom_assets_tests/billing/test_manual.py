"""What a person credits and charges, on tables: the refusals, the cap, and what the next bills make of it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from resources.expected_errors import ExpectedError
from resources.warehouse import Partitions, Warehouse
from telecom_assets.billing.adjustment_lines import document_totals
from telecom_assets.billing.correction_identities import (
    corrections_equal_lines,
    documents_equal_lines,
    nothing_below_zero,
)
from telecom_assets.billing.corrections import Corrections, history_of
from telecom_assets.billing.identities import bills_equal_lines, rated_equals_billed
from telecom_assets.billing.left_aside import NO_HOLDERS
from telecom_assets.billing.manual import Wanted, note_line
from telecom_assets.billing.rules import bill, correction_documents
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE, MANUAL_LINES
from telecom_assets.corrections.tables import ADJUSTMENTS
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.periods.states import Change, Periods
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.tables import RATED_CDRS
from telecom_assets.reference.tables import CUSTOMERS
from telecom_assets.reports.rules import BilledMonth, report
from telecom_assets.reports.tables import REVENUE_BY_PLAN
from telecom_assets_tests.billing.corrected import difference, line, subscriber
from telecom_assets_tests.billing.test_lines import charge
from telecom_assets_tests.reports.bills import bill as bill_row
from telecom_assets_tests.stages.chain import TERMS, contract_frame, contract_table, rows_of

MARCH, APRIL, DAY = "2026-03", "2026-04", dt.date(2026, 4, 10)
CLOSED_WITH = ClosedWith("MAD", Decimal(5), Decimal(20), "S", None, 30, "customer_min", 31)


def put(warehouse: Warehouse, contract: Any, period: str, rows: Sequence[Mapping[str, Any]]) -> None:
    warehouse.overwrite_arrow(contract.name, contract_table(contract, rows), Partitions(period, period))


def moved(warehouse: Warehouse, month: str, *states: Any) -> None:
    for state in states:
        change = changed_now(
            month,
            state,
            by="Anna",
            closed_with=CLOSED_WITH.as_json() if state in ("closing", "closed") else None,
            way="bills" if state == "closing" else None,
        )
        change_state(warehouse, partial(_always, change))


def _always(change: Change, _: Periods) -> Change:
    return change


@pytest.fixture
def closed(plain: Warehouse) -> Warehouse:
    """March is closed: c had voice of 10.00 at 20 %; a number of two holders had 1.00 and 2.00."""
    two = "two holders"
    lines = [
        line("c", MARCH, "10.00"),
        line(two, MARCH, "1.00"),
        line(two, MARCH, "2.00", holder_no=2),
    ]
    put(plain, BILL_LINES, MARCH, lines)
    bills = [
        bill_row(row["customer_id"], (row["amount"], "0", "0"), holder_no=row["holder_no"], billing_period=MARCH)
        for row in lines
    ]
    put(plain, FACTURATION_COMPLETE, MARCH, bills)
    moved(plain, MARCH, "drafted", "approved", "closing", "closed")
    return plain


def wanted(amount: str = "4", **changed: Any) -> Wanted:
    given: dict[str, Any] = {
        "customer_id": "c",
        "month": MARCH,
        "amount": Decimal(amount),
        "tax_pct": Decimal(20),
        "by": "Anna",
        "why": "an outage",
        "is_credit": True,
    }
    return Wanted(**(given | changed))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (wanted("0"), "credit of 0: expected an amount above 0 with up to 2 decimals"),
        (wanted("1.005"), "credit of 1.005: expected an amount above 0 with up to 2 decimals"),
        (wanted("NaN", is_credit=False), "charge of NaN: expected an amount"),
        (wanted(tax_pct=Decimal(101)), "tax of 101 %: expected 0 to 100"),
        (wanted(month=APRIL), "credit for 2026-04: expected a month that is closed"),
        (wanted(customer_id="x"), "customer x has no bill of 2026-03"),
        (
            wanted(customer_id="two holders"),
            "customer two holders has bills of 2026-03 as holder 1, 2; name one of them",
        ),
        (wanted(holder_no=3), "customer c has bills of 2026-03 as holder 1; name one of them"),
        (wanted("10.01"), "credit of 10.01 for 2026-03: customer c has 10.00 left of that month at S 20 % before tax"),
        (wanted("1.01", customer_id="two holders", holder_no=1), "has 1.00 left"),
        (wanted("0.01", tax_pct=Decimal(10)), "customer c has 0 left of that month at S 10 %"),
    ],
)
def test_what_cannot_be_credited_or_charged(closed: Warehouse, asked: Wanted, message: str) -> None:
    with pytest.raises(ExpectedError) as refused:
        note_line(closed, asked)
    assert message in str(refused.value)
    assert str(refused.value).endswith("nothing was changed")
    assert closed.pin(MANUAL_LINES.name).arrow().num_rows == 0


def test_a_credit_leaves_what_was_credited_before_out(closed: Warehouse) -> None:
    """Of 10.00, April's bills take 3.00 back (a draft), and 4.00 are credited: 3.00 are left; what is charged may be credited too."""
    put(
        closed,
        BILL_LINES,
        APRIL,
        [line("c", APRIL, "-3.00", kind="adjustment", line_kind="usage", original_period=MARCH)],
    )
    assert note_line(closed, wanted("4"))["manual_no"] == 1
    with pytest.raises(ExpectedError, match=r"customer c has 3\.00 left"):
        note_line(closed, wanted("3.01"))
    note_line(closed, wanted("0.01", is_credit=False))
    note_line(closed, wanted("3.01"))
    assert [row["amount"] for row in closed.pin(MANUAL_LINES.name).arrow().sort_by("manual_no").to_pylist()] == [
        Decimal("-4.00"),
        Decimal("0.01"),
        Decimal("-3.01"),
    ]


def test_an_approved_period_takes_no_more(closed: Warehouse) -> None:
    note_line(closed, wanted("1"))
    moved(closed, APRIL, "drafted", "approved")
    with pytest.raises(ExpectedError, match="2026-04 is approved by Anna"):
        note_line(closed, wanted("1"))
    assert closed.pin(MANUAL_LINES.name).arrow().num_rows == 1


def test_a_month_without_a_closed_one_before_it_reads_nothing_more(plain: Warehouse) -> None:
    """Its lines are its usage, whatever stands in the other tables; its identities ask nothing."""
    put(plain, BILL_LINES, APRIL, [line("c", APRIL, "1.00")])
    put(plain, ADJUSTMENTS, APRIL, [difference("c", MARCH, "1.00", billing_period=APRIL)])
    lines, documents = (plain.pin_period(table.name, APRIL) for table in (BILL_LINES, CORRECTION_DOCUMENTS))
    corrections = Corrections.pin(plain, APRIL)
    usage = lines.df
    assert corrections.lines(usage, usage, TERMS, "on_invoice") is usage
    assert history_of(lines) is None
    assert corrections_equal_lines(corrections.rows, corrections.manual, lines).passed
    assert documents_equal_lines(lines, documents).passed
    assert nothing_below_zero(lines).passed


@pytest.mark.thorough
def test_a_month_with_corrections_and_what_people_added(closed: Warehouse) -> None:
    """April: usage 5.00, 1.00 late for March, 2.00 credited on the bill, 0.50 charged on a document of its own; and its books."""
    note_line(closed, wanted("2"))
    note_line(closed, wanted("0.50", is_credit=False, own_document=True))
    engine = closed.engine
    put(closed, ADJUSTMENTS, APRIL, [difference("c", MARCH, "1.00", billing_period=APRIL)])
    usage = [charge("c", "voice", "5.00", holder_no=1, billing_period=APRIL, event_date=DAY, imputed=False)]
    closed.overwrite_arrow(RATED_CDRS.name, contract_table(RATED_CDRS, usage), Partitions(DAY, DAY))
    customers = contract_frame(engine, CUSTOMERS, [subscriber("c")])
    corrections = Corrections.pin(closed, APRIL)
    own = contract_frame(engine, BILL_LINES, [line("c", APRIL, "5.00")])
    put(closed, BILL_LINES, APRIL, rows_of(corrections.lines(own, customers, TERMS, "on_invoice")))
    lines = closed.pin_period(BILL_LINES.name, APRIL)
    columns = ("document", "line_no", "kind", "original_period", "amount", "discount_pct", "service")
    stored = sorted(lines.arrow().to_pylist(), key=lambda row: (row["document"], row["line_no"]))
    assert [tuple(row[name] for name in columns) for row in stored] == [
        ("bill", 1, "usage", None, Decimal("5.00"), Decimal(5), "voice"),
        ("bill", 2, "manual", MARCH, Decimal("-2.00"), Decimal(0), None),
        ("bill", 3, "adjustment", MARCH, Decimal("1.00"), Decimal(5), "voice"),
        ("manual-2", 1, "manual", MARCH, Decimal("0.50"), Decimal(0), None),
    ]
    history = history_of(lines)
    assert history is not None
    put(closed, FACTURATION_COMPLETE, APRIL, rows_of(bill(lines.df, customers, APRIL, TERMS, history)))
    put(closed, CORRECTION_DOCUMENTS, APRIL, rows_of(correction_documents(lines.df, history, APRIL, "MAD", 2)))
    bills, documents = (closed.pin_period(table.name, APRIL) for table in (FACTURATION_COMPLETE, CORRECTION_DOCUMENTS))
    money = ("voice_total", "adjustments_total", "amount_before_tax", "discount", "tax", "amount_due")
    # Own lines: 5.00 at 5 % and −2.00 without discount: 0.25; (3.00 − 0.25) × 20 % = 0.55.
    # March 11.00: 0.55, 2.09; before 10.00: 0.50, 1.90. Together discount 0.30, tax 0.74.
    [found] = bills.arrow().to_pylist()
    assert [str(found[name]) for name in money] == ["5.00", "-1.00", "4.00", "0.30", "0.74", "4.44"]
    [document] = documents.arrow().to_pylist()
    assert (document["document"], document["kind"], document["original_period"]) == ("manual-2", "supplementary", MARCH)
    assert [str(document[name]) for name in money] == ["0.00", "0.50", "0.50", "0.00", "0.10", "0.60"]

    charges = charges_of_month(closed, APRIL)
    verdicts = [
        rated_equals_billed(charges, bills, lines, NO_HOLDERS),
        bills_equal_lines(lines, bills, NO_HOLDERS),
        documents_equal_lines(lines, documents),
        corrections_equal_lines(corrections.rows, corrections.manual, lines),
        nothing_below_zero(lines),
    ]
    assert [verdict.summary for verdict in verdicts if not verdict.passed] == []
    # The reports say everything billed: 4.44 + 0.60, exactly.
    month = BilledMonth(charges.df, lines.df, bills.df, history=history)
    assert [
        (row["rate_plan_id"], str(row["revenue_incl_tax"])) for row in rows_of(report(REVENUE_BY_PLAN, month, APRIL))
    ] == [("PLAN_A", "5.04")]
    due = rows_of(document_totals(lines.df, history, 2))
    assert {row["document"]: str(row["due"]) for row in due} == {"bill": "4.44", "manual-2": "0.60"}

    # And each identity sees what it is about.
    put(closed, BILL_LINES, APRIL, [{**row, "exact_amount": row["exact_amount"] * 2} for row in stored])
    wrong = closed.pin_period(BILL_LINES.name, APRIL)
    assert corrections_equal_lines(corrections.rows, corrections.manual, wrong).findings == [
        "customer c, adjustment of 2026-03: 1.000000 to be billed, 2.000000 on lines",
        "customer c, manual of 2026-03: -1.500000 to be billed, -3.000000 on lines",
    ]
    assert documents_equal_lines(wrong, documents).findings == [
        "customer c, document manual-2: exact_amount 0.500000, 1.000000 of its lines"
    ]
    put(closed, BILL_LINES, APRIL, [line("c", APRIL, "-10.01", kind="adjustment", original_period=MARCH)])
    below = nothing_below_zero(closed.pin_period(BILL_LINES.name, APRIL))
    assert below.findings == ["customer c: -0.01 remain of 2026-03 at S 20.0000 %"]
