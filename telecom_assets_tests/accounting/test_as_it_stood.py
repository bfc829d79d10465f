"""The journals of a month that a former version has billed, and that was closed as it stood."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse
from telecom_assets.accounting.accounts import read_accounts
from telecom_assets.accounting.close_journal import CloseJournal, close_journal
from telecom_assets.accounting.entries import balance
from telecom_assets.accounting.files import write_journals
from telecom_assets.accounting.vat import vat_journal
from telecom_assets.billing.tables import BILL_LINES, FACTURATION_COMPLETE
from telecom_assets.books.verdict import ConservationError
from telecom_assets.closing.approving import Books
from telecom_assets.closing.closing import close
from telecom_assets.periods.guard import may_write
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets_tests.closing.months import CHARGES, ISSUED, MONTH, billed, books, charge, rated, rows
from telecom_assets_tests.stages.chain import contract_table

TYPES = RecordTypes(RECORD_TYPES)


@pytest.fixture
def of(tmp_path: Path, engine: SparkEngine, postgres_dsn: str) -> Books:
    """October, without lines: 2126 was billed 0.01 more than his usage comes to, and 2128 was billed nothing for 3.00."""
    of = books(tmp_path, engine, postgres_dsn)
    bought = [*CHARGES, charge("2129", "voice", "2")]
    rated(of, bought)
    billed(of)
    wrong = {"voice_total": Decimal("1.01"), "amount_before_tax": Decimal("1.15"), "amount_due": Decimal("1.31")}
    store(
        of.warehouse,
        [{**row, **(wrong if row["customer_id"] == "2126" else {})} for row in rows(of, "facturation_complete")],
    )
    rated(of, [*bought, charge("2128", "voice", "3")])
    of.warehouse.overwrite_arrow(BILL_LINES.name, contract_table(BILL_LINES, []), Partitions(MONTH, MONTH))
    close(of, MONTH, by="Ben", way="as_it_stands", today=ISSUED)
    return of


def store(warehouse: Warehouse, bills: list[dict[str, Any]]) -> None:
    contract = warehouse.contracts[FACTURATION_COMPLETE.name]
    warehouse.overwrite_arrow(contract.name, contract_table(contract, bills), Partitions(MONTH, MONTH))


def _journal(of: Books) -> CloseJournal:
    return close_journal(of.warehouse, MONTH, "MAD", read_accounts(None, ()), TYPES)


def test_its_close_journal_says_what_the_bills_asked_for(of: Books) -> None:
    """2129: 2.00 less 0.10, tax 0.38, due 2.28. 2126: 1.15 less 0.06, tax 0.22, due 1.31. Lines are 1.00 + 0.14 + 2.00 + 3.00.

    The two whose bills are not their lines: 1.15 + 0 asked for, lines of 1.14 + 3.00, so 2.99 less. Nobody knows when it was issued.
    """
    found = _journal(of)
    assert found.issue_date is None
    assert [(each.entry, each.detail, str(each.debit), str(each.credit)) for each in found.entries] == [
        ("receivables", "invoice", "3.59", "0.00"),
        ("discounts", None, "0.16", "0.00"),
        ("revenue", "sms", "0.00", "0.14"),
        ("revenue", "voice", "0.00", "6.00"),
        ("billed_otherwise", None, "2.99", "0.00"),
        ("vat", "S 20.00 %", "0.00", "0.60"),
    ]
    assert balance(found.entries, "ledger") == (Decimal("6.74"), Decimal("6.74"))
    exact = {each.detail: (each.events, each.exact_amount) for each in found.entries if each.entry == "revenue"}
    assert exact == {"sms": (1, Decimal("0.135")), "voice": (3, Decimal("5.999999"))}
    vat = vat_journal(of.warehouse, "2026-11", "MAD")
    assert (vat.documents, vat.as_they_stood) == (0, (MONTH,))
    assert vat_journal(of.warehouse, "2026-12", "MAD").as_they_stood == ()
    assert [path.name for path in write_journals(of.warehouse, of.settings, MONTH, TYPES)] == ["close.csv"]


def test_bills_that_were_changed_since_have_no_journal(of: Books) -> None:
    """2129's, whose lines gave it when the month was closed."""
    changed = {"amount_before_tax": Decimal("2.05"), "amount_due": Decimal("2.33")}
    with may_write(MONTH):
        store(
            of.warehouse,
            [{**row, **(changed if row["customer_id"] == "2129" else {})} for row in rows(of, "facturation_complete")],
        )
    with pytest.raises(ConservationError, match="amount_due: close journal 3.59, bills 3.64"):
        _journal(of)
