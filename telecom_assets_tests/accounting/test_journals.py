"""The journals of two closed months, by hand: the figures of docs/accounting.md."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse
from telecom_assets.accounting.accounts import read_accounts
from telecom_assets.accounting.close_journal import CloseJournal, close_journal
from telecom_assets.accounting.entries import balance
from telecom_assets.accounting.vat import vat_journal
from telecom_assets.books.verdict import ConservationError
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.periods.guard import may_write
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.periods.states import PeriodError
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.tables import TABLES
from telecom_assets_tests.accounting.books import FEBRUARY, JANUARY, MARCH, C, D, E, F, close, two_months
from telecom_assets_tests.closed_periods.project import Project
from telecom_assets_tests.closed_periods.system import House, Price, Usage, Version

pytestmark = pytest.mark.thorough

ACCOUNTS = read_accounts(None, ())


@pytest.fixture(scope="module")
def made(sail: SparkEngine, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The two months, as the embedded engine has made them."""
    return two_months(tmp_path_factory.mktemp("books"), sail)


@pytest.fixture(scope="module")
def warehouse(made: Warehouse, engine: SparkEngine) -> Warehouse:
    """The same, read by either engine."""
    return Warehouse(made.root, engine, TABLES)


def journal(warehouse: Warehouse, period: str, currency: str = "MAD") -> CloseJournal:
    return close_journal(warehouse, period, currency, ACCOUNTS, RecordTypes(RECORD_TYPES))


def entries(of: CloseJournal, section: str) -> list[tuple[Any, ...]]:
    """entry, detail, original_period, debit, credit; amounts as texts."""
    return [
        (each.entry, each.detail, each.original_period, f"{each.debit:f}", f"{each.credit:f}")
        for each in of.entries
        if each.section == section
    ]


def test_the_journal_of_a_month_with_corrections(warehouse: Warehouse) -> None:
    """February.

    C: 1.00 of his own at 20 %, less 0.05, tax 0.19; a late message of January: 3.012 → 3.01 of which 2.01 were billed, 1.00, less 0.05,
    and tax 8.56 × 10 % → 0.86 less 0.76, 0.10. D gets January back: −1.00, −0.05, −0.10. F: 4 × 1.5 = 6.00, less 0.30, tax 0.57.
    E: 2.00 by hand, tax 0.20; his late 0.20 would be due 0.21 and is written off.
    """
    found = journal(warehouse, FEBRUARY)
    assert found.issue_date == dt.date(2026, 3, 3)
    assert entries(found, "ledger") == [
        ("receivables", "credit_note", None, "0.00", "1.05"),
        ("receivables", "invoice", None, "8.46", "0.00"),
        ("receivables", "supplementary", None, "2.20", "0.00"),
        ("discounts", None, None, "0.05", "0.00"),
        ("discounts", None, JANUARY, "0.30", "0.00"),
        ("revenue", "sms", None, "0.00", "1.00"),
        ("adjustments", "data", JANUARY, "0.00", "6.00"),
        ("manual", None, JANUARY, "0.00", "2.00"),
        ("vat", "S 10.00 %", None, "0.00", "0.77"),
        ("vat", "S 20.00 %", None, "0.00", "0.19"),
    ]
    assert balance(found.entries, "ledger") == (Decimal("11.01"), Decimal("11.01"))
    assert entries(found, "memorandum") == [
        ("written_off", None, JANUARY, "0.20", "0.00"),
        ("contra", None, None, "0.00", "0.20"),
    ]
    assert entries(found, "balance") == [
        ("written_off", None, JANUARY, "0.20", "0.00"),
        ("unbilled_open", None, MARCH, "1.00", "0.00"),
        ("unbilled_suspended", "unknown_customer", FEBRUARY, "0.00", "0.00"),
        ("contra", None, None, "0.00", "1.20"),
    ]
    exact = {(row["entry"], row["detail"]): (row["events"], row["exact_amount"]) for row in found.table().to_pylist()}
    assert exact["revenue", "sms"] == exact["unbilled_open", None] == (1, Decimal("1.004"))
    assert exact["unbilled_suspended", "unknown_customer"] == (1, Decimal(0))


def test_what_rounding_has_taken_away_is_an_entry(made: Warehouse) -> None:
    """January: 2.008 and twice 1.004 are 4.016 → 4.02 of messages, of which 2.01 + 1.00 + 1.00 = 4.01 were asked for."""
    found = journal(made, JANUARY)
    assert entries(found, "ledger") == [
        ("receivables", "invoice", None, "10.47", "0.00"),
        ("discounts", None, None, "0.50", "0.00"),
        ("revenue", "data", None, "0.00", "6.00"),
        ("revenue", "sms", None, "0.00", "4.02"),
        ("rounding", None, None, "0.01", "0.00"),
        ("vat", "S 10.00 %", None, "0.00", "0.96"),
    ]
    # F's data have a price since then, and February has settled them; at the end of January they were suspended.
    assert entries(found, "balance") == [
        ("unbilled_suspended", "no_price", JANUARY, "6.00", "0.00"),
        ("contra", None, None, "0.00", "6.00"),
    ]


def test_the_vat_journal_has_each_rate_of_each_document(warehouse: Warehouse) -> None:
    """Of the documents issued in March; a bill of nothing stands at the rate of its month, so no number is missing."""
    found = vat_journal(warehouse, "2026-03", "MAD")
    rows = [
        (
            row["number"],
            row["kind"],
            row["customer_id"],
            row["original_period"],
            f"{row['tax_pct']:f}",
            *(f"{row[name]:f}" for name in ("base", "tax", "amount_due")),
        )
        for row in found.rows.to_pylist()
    ]
    assert rows == [
        ("CRN-2026-000001", "credit_note", D, JANUARY, "10.0000", "-0.95", "-0.10", "-1.05"),
        ("INV-2026-000005", "invoice", C, None, "10.0000", "0.95", "0.10", "1.05"),
        ("INV-2026-000005", "invoice", C, None, "20.0000", "0.95", "0.19", "1.14"),
        ("INV-2026-000006", "invoice", E, None, "20.0000", "0.00", "0.00", "0.00"),
        ("INV-2026-000007", "supplementary", E, JANUARY, "10.0000", "2.00", "0.20", "2.20"),
        ("INV-2026-000008", "invoice", F, None, "10.0000", "5.70", "0.57", "6.27"),
    ]
    assert (found.documents, set(found.rows["billing_period"].to_pylist())) == (5, {FEBRUARY})
    assert vat_journal(warehouse, "2026-01", "MAD").rows.num_rows == 0


@pytest.mark.parametrize(
    ("column", "change", "said"),
    [
        (
            "tax_breakdown",
            lambda text: text.replace('"0.19"', '"0.18"'),
            "INV-2026-000005: VAT journal 2.18, documents 2.19",
        ),
        (
            "number",
            lambda number: None if number == "INV-2026-000008" else number,
            "2026-02 rows: VAT journal 4, bills 5",
        ),
    ],
)
def test_documents_that_are_not_the_bills_have_no_journal(
    made: Warehouse, column: str, change: Callable[[str], str | None], said: str
) -> None:
    """Neither by rate of a document, nor when one is missing."""
    stored = made.pin_period(DOCUMENTS.name, FEBRUARY).arrow()
    changed = [{**row, column: change(row[column])} for row in stored.to_pylist()]
    kept = [row for row in changed if row[column] is not None]
    partition = Partitions(FEBRUARY, FEBRUARY)
    with may_write(FEBRUARY):
        made.overwrite_arrow(DOCUMENTS.name, type(stored).from_pylist(kept, stored.schema), partition)
    try:
        with pytest.raises(ConservationError, match=said):
            vat_journal(made, "2026-03", "MAD")
        with pytest.raises(
            ConservationError, match=f"^the close journal of {FEBRUARY} is refused: .*debits = credits does not hold"
        ):
            journal(made, FEBRUARY)
    finally:
        with may_write(FEBRUARY):
            made.overwrite_arrow(DOCUMENTS.name, stored, partition)


def test_a_month_that_is_not_closed_has_no_journal(made: Warehouse) -> None:
    with pytest.raises(PeriodError, match=f"^close journal of {MARCH}: {MARCH} is drafted; `telecom bill approve"):
        journal(made, MARCH)


@pytest.mark.thorough
def test_a_month_that_is_being_closed_has_neither(sail: SparkEngine, tmp_path: Path) -> None:
    """Its numbers are given one after the other; one that was closed without bills has a journal without entries, as it stood none."""
    project = Project(House({}), tmp_path / "warehouse", sail)
    warehouse = project.warehouse
    project.close_empty(JANUARY)
    assert (journal(warehouse, JANUARY).entries, vat_journal(warehouse, JANUARY, "MAD").documents) == ([], 0)
    project.run(FEBRUARY)
    project.approve(FEBRUARY)
    change_state(warehouse, lambda _: changed_now(FEBRUARY, "closing", way="bills", issue_date=dt.date(2026, 3, 3)))
    goes_on = f"{FEBRUARY} is closing; `telecom bill close --month {FEBRUARY} --by NAME` goes on with the close"
    with pytest.raises(PeriodError, match=f"^VAT journal of {MARCH}: {goes_on}"):
        vat_journal(warehouse, MARCH, "MAD")
    with pytest.raises(PeriodError, match=f"^close journal of {FEBRUARY}: {goes_on}"):
        journal(warehouse, FEBRUARY)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("decimals", "currency", "price", "ledger"),
    [
        (0, "JPY", "100.4", [("240", "0"), ("0", "201"), ("1", "0"), ("0", "40")]),
        (3, "TND", "1.0006", [("2.402", "0.000"), ("0.000", "2.001"), ("0.000", "0.001"), ("0.000", "0.400")]),
    ],
)
def test_currencies_of_no_and_of_three_decimals(
    sail: SparkEngine, tmp_path: Path, decimals: int, currency: str, price: str, ledger: list[tuple[str, str]]
) -> None:
    """Two messages: 200.8 → 201 yen, of which 2 × 100 were asked for, tax 2 × 20; 2.0012 → 2.001 dinars, 2 × 1.001, tax 2 × 0.200."""
    project = Project(House({}, decimals=decimals), tmp_path / "warehouse", sail)
    project.set_price("PLAN_A", "sms", [Price(Decimal(price))])
    for place, customer in enumerate((C, D)):
        project.set_customer(customer, [Version()])
        project.receive(Usage(f"r{place}", customer, dt.date(2026, 1, 5), "sms", place))
    project.run(JANUARY)
    project.approve(JANUARY)
    close(project, tmp_path, JANUARY, dt.date(2026, 2, 3))
    found = journal(project.warehouse, JANUARY, currency)
    assert [row[3:] for row in entries(found, "ledger")] == ledger
    vat = vat_journal(project.warehouse, "2026-02", currency)
    assert sum(vat.rows["tax"].to_pylist()) == Decimal(ledger[-1][1])
