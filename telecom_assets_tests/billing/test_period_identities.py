"""What the control totals of a period add up to: each equation holds, and is broken by one row less and by 0.01 more."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from resources.contract import TableContract
from resources.warehouse import Partitions, Warehouse
from telecom_assets.billing.correction_identities import corrections_equal_lines
from telecom_assets.billing.corrections import Corrections
from telecom_assets.billing.left_aside import NO_HOLDERS
from telecom_assets.billing.period_identities import bills_add_up, documents_add_up
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE
from telecom_assets.books.totals import totals_of
from telecom_assets.corrections.tables import ADJUSTMENTS
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS, SUSPENDED_CDRS, SUSPENSE_DECISIONS
from telecom_assets_tests.billing.corrected import difference, line
from telecom_assets_tests.billing.test_manual import APRIL, DAY, MARCH, moved, put
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.stages.chain import contract_table


def event(record_id: str, position: int, amount: str | None = None, **changed: Any) -> Row:
    known = {
        "record_id": record_id,
        "customer_id": "c",
        "holder_no": 1,
        "record_type": "data",
        "rate_plan_id": "PLAN_A",
    }
    of_day = {"event_date": DAY, "billing_period": APRIL, "region": "R1", "source_position": position, "amount": amount}
    return {**known, **of_day, "billable_units": "1", **changed}


def money(before_tax: str, discount: str, tax: str, due: str, **changed: Any) -> Row:
    """A bill, or a document of corrections, of customer c."""
    amounts = {"amount_before_tax": before_tax, "discount": discount, "tax": tax, "amount_due": due}
    known = {"customer_id": "c", "holder_no": 1, "rounding_difference": "0", "billing_period": APRIL}
    return {**known, **amounts, **changed}


def corrects(exact: str, number: int, document: str, kind: str = "adjustment") -> Row:
    return line("c", APRIL, exact, kind=kind, original_period=MARCH, line_no=number, document=document)


def adjusts(amount: str, disposition: str, record_id: str) -> Row:
    return difference("c", MARCH, amount, disposition=disposition, record_id=record_id, billing_period=APRIL)


#: April: usage of 4.50 and, worked out by the month, 0.50; March is corrected by 1.00 on the bill and by −2.00 beside it, 0.03 is written
#: off, 9.00 waits to be accepted, 8.00 is refused; a person has added 0.50.
MONTH: dict[TableContract, list[Row]] = {
    RATED_CDRS: [event("r-1", 1, "4.00"), event("r-2", 2, "0.50")],
    SUSPENDED_CDRS: [
        event("d-1", 3, disposition="deferred", reason="missing_volume"),
        event("d-2", 4, disposition="deferred", reason="missing_volume"),
        event("s-1", 5, disposition="suspended", reason="unknown_plan"),
    ],
    PERIOD_CHARGES: [event("d-1", 3, "0.50"), event("d-2", 4)],
    ADJUSTMENTS: [
        adjusts("1.00", "billed", "a-1"),
        adjusts("-2.00", "billed", "a-2"),
        adjusts("0.03", "written_off", "a-3"),
        adjusts("9.00", "awaiting_acceptance", "a-4"),
        adjusts("8.00", "refused", "a-5"),
        adjusts("0", "uncharged", "a-6"),
    ],
    BILL_LINES: [
        line("c", APRIL, "5.00"),
        corrects("1.00", 2, "bill"),
        corrects("-2.00", 1, MARCH),
        corrects("0.50", 1, "manual-1", "manual"),
    ],
    FACTURATION_COMPLETE: [money("6.00", "0.30", "1.14", "6.84")],
    CORRECTION_DOCUMENTS: [
        money("-2.00", "-0.10", "-0.38", "-2.28", document=MARCH, kind="credit_note", original_period=MARCH),
        money("0.50", "0.00", "0.10", "0.60", document="manual-1", kind="supplementary", original_period=MARCH),
    ],
}
DEFERRED = "deferred = imputed"
CHARGES = "rated + imputed amount = exact amount of usage lines"
ADJUSTED = "adjustments = exact amount of adjustment lines + written off"
LINED = "amount of lines on bills = amount before tax"
LINED_APART = "amount of lines on documents of their own = amount before tax"
DUE = "amount before tax − discount + tax = amount due"


def stored(warehouse: Warehouse, contract: TableContract, rows: list[Row]) -> None:
    if contract.partition_by == "event_date":
        warehouse.overwrite_arrow(contract.name, contract_table(contract, rows), Partitions(DAY, DAY))
    else:
        put(warehouse, contract, APRIL, rows)


@pytest.fixture
def april(plain: Warehouse) -> Warehouse:
    """April after a closed March."""
    moved(plain, MARCH, "drafted", "approved", "closing", "closed")
    for contract, rows in MONTH.items():
        stored(plain, contract, rows)
    return plain


def broken(warehouse: Warehouse) -> list[str]:
    """What the identities of the period find."""
    lines, bills, documents = (
        warehouse.pin_period(each.name, APRIL) for each in (BILL_LINES, FACTURATION_COMPLETE, CORRECTION_DOCUMENTS)
    )
    verdicts = [
        bills_add_up(charges_of_month(warehouse, APRIL), lines, bills, NO_HOLDERS),
        documents_add_up(lines, documents),
    ]
    return [finding.removeprefix(f"{APRIL}: ") for verdict in verdicts for finding in verdict.findings]


def less(place: int) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [*rows[:place], *rows[place + 1 :]]


def more(place: int, *columns: str) -> Callable[[list[Row]], list[Row]]:
    """0.01 more of some amounts of a row."""

    def change(rows: list[Row]) -> list[Row]:
        dearer = {column: str(Decimal(rows[place][column]) + Decimal("0.01")) for column in columns}
        return [*rows[:place], {**rows[place], **dearer}, *rows[place + 1 :]]

    return change


DAMAGES: list[tuple[TableContract, Callable[[list[Row]], list[Row]], list[str]]] = [
    (
        SUSPENDED_CDRS,
        less(0),
        [f"{DEFERRED}: left side 1, right side 2", f"sum of positions, {DEFERRED}: left side 4, right side 7"],
    ),
    (SUSPENDED_CDRS, less(2), []),  # what is to be worked is in no identity of money
    (
        PERIOD_CHARGES,
        less(1),
        [f"{DEFERRED}: left side 2, right side 1", f"sum of positions, {DEFERRED}: left side 7, right side 3"],
    ),
    (PERIOD_CHARGES, more(0, "amount"), [f"{CHARGES}: left side 5.010000, right side 5.000000"]),
    (RATED_CDRS, less(1), [f"{CHARGES}: left side 4.500000, right side 5.000000"]),
    (RATED_CDRS, more(0, "amount"), [f"{CHARGES}: left side 5.010000, right side 5.000000"]),
    (BILL_LINES, more(0, "exact_amount"), [f"{CHARGES}: left side 5.000000, right side 5.010000"]),
    (BILL_LINES, more(0, "amount"), [f"{LINED}: left side 6.01, right side 6.00"]),
    (BILL_LINES, more(1, "exact_amount"), [f"{ADJUSTED}: left side -0.970000, right side -0.960000"]),
    (
        BILL_LINES,
        less(2),
        [f"{ADJUSTED}: left side -0.970000, right side 1.030000", f"{LINED_APART}: left side 0.50, right side -1.50"],
    ),
    (BILL_LINES, more(3, "amount"), [f"{LINED_APART}: left side -1.49, right side -1.50"]),
    (ADJUSTMENTS, less(0), [f"{ADJUSTED}: left side -1.970000, right side -0.970000"]),
    (ADJUSTMENTS, more(1, "amount"), [f"{ADJUSTED}: left side -0.960000, right side -0.970000"]),
    (ADJUSTMENTS, more(5, "amount"), [f"{ADJUSTED}: left side -0.960000, right side -0.970000"]),
    (ADJUSTMENTS, more(2, "amount"), []),  # written off and waiting ones are on no line
    (ADJUSTMENTS, less(3), []),
    (FACTURATION_COMPLETE, less(0), [f"{LINED}: left side 6.00, right side 0"]),
    (FACTURATION_COMPLETE, more(0, "amount_before_tax", "amount_due"), [f"{LINED}: left side 6.00, right side 6.01"]),
    *(
        (FACTURATION_COMPLETE, more(0, name), [f"{DUE}: left side {found}, right side 6.84"])
        for name, found in (("discount", "6.83"), ("tax", "6.85"))
    ),
    (FACTURATION_COMPLETE, more(0, "amount_due"), [f"{DUE}: left side 6.84, right side 6.85"]),
    (CORRECTION_DOCUMENTS, less(1), [f"{LINED_APART}: left side -1.50, right side -2.00"]),
    *(
        (CORRECTION_DOCUMENTS, more(0, name), [f"{DUE}: left side {found}, right side -1.68"])
        for name, found in (("discount", "-1.69"), ("tax", "-1.67"))
    ),
    (CORRECTION_DOCUMENTS, more(0, "amount_due"), [f"{DUE}: left side -1.68, right side -1.67"]),
]


@pytest.mark.thorough
def test_one_row_less_or_a_centime_more_breaks_the_equation_that_it_is_in(april: Warehouse) -> None:
    assert broken(april) == []
    for contract, rows in MONTH.items():
        for damage, found in [(damage, found) for of, damage, found in DAMAGES if of is contract]:
            stored(april, contract, damage(rows))
            assert broken(april) == found, contract.name
        stored(april, contract, rows)
    assert broken(april) == []


@pytest.mark.thorough
def test_adjustments_of_each_holder_are_on_lines_or_written_off(april: Warehouse) -> None:
    """Those that await acceptance, or are refused, are in neither side; so is what is written off, on no line."""

    def found(adjustments: list[Row]) -> list[str]:
        stored(april, ADJUSTMENTS, adjustments)
        corrections, lines = Corrections.pin(april, APRIL), april.pin_period(BILL_LINES.name, APRIL)
        return list(corrections_equal_lines(corrections.rows, corrections.manual, lines).findings)

    stored(april, BILL_LINES, MONTH[BILL_LINES][:3])  # what a person has added is said in test_manual
    rows = MONTH[ADJUSTMENTS]
    assert found(rows) == []
    assert found(less(3)(rows)) == found(more(2, "amount")(rows)) == []
    for changed, amount in (
        (less(0)(rows), "-2.000000"),
        (more(0, "amount")(rows), "-0.990000"),
        (more(5, "amount")(rows), "-0.990000"),
    ):
        assert found(changed) == [f"customer c, adjustment of 2026-03: {amount} to be billed, -1.000000 on lines"]


def test_a_period_without_a_closed_one_before_it_is_not_asked_for_adjustments(plain: Warehouse) -> None:
    for contract, rows in MONTH.items():
        stored(plain, contract, rows)
    stored(plain, BILL_LINES, [line("c", APRIL, "5.00")])
    stored(plain, FACTURATION_COMPLETE, [money("5.00", "0.25", "0.95", "5.70")])
    stored(plain, CORRECTION_DOCUMENTS, [])
    assert broken(plain) == []


@pytest.mark.thorough
def test_suspended_usage_that_is_written_off_is_counted_and_in_no_money(april: Warehouse) -> None:
    """Its estimate stands beside it in the control totals; no identity has it."""
    decided = {
        "decision_no": 1,
        "decision": "write_off",
        "record_id": "s-1",
        "reason": "unknown_plan",
        "estimate": "7.77",
        "decided_at": dt.datetime(2026, 5, 2, tzinfo=dt.UTC),
        "billing_period": APRIL,
    }
    stored(april, SUSPENSE_DECISIONS, [decided])
    [total] = totals_of(april.pin_period(SUSPENSE_DECISIONS.name, APRIL))
    assert (total.outcome, total.records, total.money) == ("write_off", 1, Decimal("7.77"))
    assert broken(april) == []
