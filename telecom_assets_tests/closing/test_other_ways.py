"""Periods that are closed without bills, or as a former version has billed them."""

from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from resources.engine import SparkEngine
from resources.postgres import PostgresConnection, closed_periods
from resources.warehouse import Partitions
from telecom_assets.billing.tables import MANUAL_LINES
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.closing.approving import Books
from telecom_assets.closing.closing import close
from telecom_assets.closing.frozen import frozen_rows_are_unwritten, frozen_rows_have_their_digest
from telecom_assets.home.output_files import bills_file, invoice_directory
from telecom_assets.invoices.files import write_invoices
from telecom_assets.invoices.stored_set import read_invoice_totals
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import PeriodError
from telecom_assets_tests.closing.months import ISSUED, MONTH, billed, books, charge, rated, rows
from telecom_assets_tests.stages.chain import contract_table


@pytest.fixture
def of(tmp_path: Path, sail: SparkEngine, postgres_dsn: str) -> Books:
    """October 2026 with its bills, as a former version leaves it: without states."""
    of = books(tmp_path, sail, postgres_dsn)
    rated(of)
    billed(of)
    return of


class _Killed(Exception):
    """Stands for the end of the process."""


def _closed_with(of: Books) -> ClosedWith:
    kept = read_periods(of.warehouse).changes[-1].closed_with
    assert kept is not None
    return ClosedWith.read(kept)


def _stands_for_ever(of: Books) -> bool:
    """Whether the nightly checks of closed months find nothing."""
    found = (frozen_rows_are_unwritten, frozen_rows_have_their_digest)
    return all(identity(of.warehouse, [MONTH]).passed for identity in found)


@pytest.mark.parametrize("phase", [None, "begun", "bills", "filed", "published"])
def test_a_month_is_closed_without_bills(of: Books, postgres_dsn: str, phase: str | None) -> None:
    """Its usage was never settled; nothing of its drafts is left, no number is given, and PostgreSQL takes no bills of it any more."""
    bills = of.warehouse.pin_period("facturation_complete", MONTH)
    directory = invoice_directory(of.settings, MONTH)
    write_invoices(bills.batches(), MONTH, directory, bills.version)
    bills_file(of.settings, MONTH).parent.mkdir(parents=True)
    bills_file(of.settings, MONTH).write_text("drafts")

    def killed(reached: str) -> None:
        if reached == phase:
            raise _Killed

    if phase is not None:
        with pytest.raises(_Killed):
            close(of, MONTH, by="Ben", way="empty", today=ISSUED, at_phase=killed)
    closed = close(of, MONTH, by="Ben", way="empty", today=ISSUED)
    assert (closed.state, closed.way, closed.digest) == ("closed", "empty", "{}")
    for name in ("rated_cdrs", "bill_lines", "facturation_complete", "documents"):
        assert rows(of, name) == []
    assert read_invoice_totals(directory).invoices == 0
    assert not bills_file(of.settings, MONTH).exists()
    assert _closed_with(of).discount_pct == 5
    assert _stands_for_ever(of)
    assert closed_periods(PostgresConnection(postgres_dsn), "facturation_complete") == [MONTH]
    with psycopg.connect(postgres_dsn) as session:
        assert session.execute("SELECT count(*) FROM facturation_complete").fetchone() == (0,)


def test_another_month_keeps_its_rows_when_one_is_closed_without_bills(of: Books) -> None:
    """The next one's, which stand in the same tables."""
    rated(of, [charge("2126", "voice", "2", "2026-11")], "2026-11")
    billed(of, "2026-11")
    before = [rows(of, name, "2026-11") for name in ("rated_cdrs", "facturation_complete")]
    close(of, MONTH, by="Ben", way="empty", today=ISSUED)
    assert [rows(of, name, "2026-11") for name in ("rated_cdrs", "facturation_complete")] == before


def test_what_a_person_has_credited_is_not_thrown_away(of: Books) -> None:
    """A credit on October's bills: it is not closed without them."""
    row = {"manual_no": 1, "customer_id": "2126", "holder_no": 1, "original_period": "2026-09", "document": "bill"}
    credit = contract_table(MANUAL_LINES, [{**row, "amount": "-1.00", "billing_period": MONTH}])
    of.warehouse.overwrite_arrow(MANUAL_LINES.name, credit, Partitions(MONTH, MONTH))
    with pytest.raises(PeriodError, match="closing 2026-10 without bills: amounts were credited or charged by hand"):
        close(of, MONTH, by="Ben", way="empty", today=ISSUED)
    assert read_periods(of.warehouse).state(MONTH) is None
    assert len(rows(of, "rated_cdrs")) == 2


def test_a_close_that_has_begun_goes_on_in_its_way(of: Books) -> None:
    """No way leads back, and none to another."""

    def killed(_: str) -> None:
        raise _Killed

    with pytest.raises(_Killed):
        close(of, MONTH, by="Ben", way="empty", today=ISSUED, at_phase=killed)
    with pytest.raises(
        PeriodError, match="closing 2026-10 as it stands: its close without bills has begun, .* --empty --by NAME"
    ):
        close(of, MONTH, by="Ben", way="as_it_stands")


def test_a_month_of_a_former_version_is_closed_as_it_stands(of: Books, postgres_dsn: str) -> None:
    """It had no lines, and its rated rows no holders: the lines are made of them, and give the bills. No documents, no numbers."""
    lines = rows(of, "bill_lines")
    rated(of, [{**row, "holder_no": None} for row in rows(of, "rated_cdrs")])
    empty = of.warehouse.contracts["bill_lines"].arrow_schema().empty_table()
    of.warehouse.overwrite_arrow("bill_lines", empty, Partitions(MONTH, MONTH))
    closed = close(of, MONTH, by="Ben", way="as_it_stands", today=ISSUED)
    assert rows(of, "bill_lines") == lines
    assert rows(of, "documents") == []
    assert not invoice_directory(of.settings, MONTH).exists()
    assert _closed_with(of).not_corrected == ()
    assert closed.digest is not None and '"bill_lines"' in closed.digest
    assert _stands_for_ever(of)
    with psycopg.connect(postgres_dsn) as session:
        found = session.execute("SELECT customer_id, amount_due::text, status FROM facturation_complete ORDER BY 1")
        assert found.fetchall() == [("2126", "1.30", "closed"), ("2127", "0.00", "closed")]


def test_whose_lines_do_not_give_his_bill_is_listed(of: Books) -> None:
    """2126 was billed 0.01 more than his lines come to; 2128 has usage and no bill; 2127's bill of 0.00 needs no line."""
    wrong = {"voice_total": Decimal("1.01"), "amount_before_tax": Decimal("1.15")}
    stored = [{**row, **(wrong if row["customer_id"] == "2126" else {})} for row in rows(of, "facturation_complete")]
    rated(of, [*rows(of, "rated_cdrs"), charge("2128", "voice", "3")])
    contract = of.warehouse.contracts["facturation_complete"]
    table = pa.Table.from_pylist(stored, schema=contract.arrow_schema())
    of.warehouse.overwrite_arrow(contract.name, table, Partitions(MONTH, MONTH))
    of.warehouse.overwrite_arrow(
        "bill_lines", of.warehouse.contracts["bill_lines"].arrow_schema().empty_table(), Partitions(MONTH, MONTH)
    )
    close(of, MONTH, by="Ben", way="as_it_stands", today=ISSUED)
    assert _closed_with(of).not_corrected == (("2126", 1), ("2128", 1))
    assert [row["amount_before_tax"] for row in rows(of, "facturation_complete")] == [Decimal("1.15"), Decimal("0.00")]


def test_a_month_is_closed_with_the_terms_that_its_bills_name(of: Books) -> None:
    """Tax has changed since, in a file without dates: the lines go by 10 %, as the bills."""
    billed(of, terms=BillingTerms(Decimal(5), Decimal(10), "MAD"))
    close(of, MONTH, by="Ben", way="as_it_stands", today=ISSUED)
    kept = _closed_with(of)
    assert (kept.discount_pct, kept.tax_pct, kept.tax_category, kept.not_corrected) == (
        Decimal(5),
        Decimal(10),
        "S",
        (),
    )


def test_a_month_without_bills_does_not_stand_in_any_way(of: Books) -> None:
    """There is nothing to close as it stands."""
    close(of, MONTH, by="Ben", way="as_it_stands", today=ISSUED)
    with pytest.raises(PeriodError, match="closing 2026-11 as it stands: .* --empty --by NAME` closes"):
        close(of, "2026-11", by="Ben", way="as_it_stands")
    assert read_periods(of.warehouse).state("2026-11") is None
