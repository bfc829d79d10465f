"""Closing a period: numbers, documents, PostgreSQL, and a repeat after any phase that ends the same."""

import datetime as dt
import hashlib
import json
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from lxml import etree

from resources.engine import SparkEngine
from resources.postgres import PostgresConnection, PostgresError, closed_periods, publish_period
from resources.warehouse import Partitions
from telecom_assets.books.totals import amounts_of
from telecom_assets.closing.approving import Books, withdraw
from telecom_assets.closing.as_ubl import documents_as_ubl
from telecom_assets.closing.closing import close
from telecom_assets.closing.identities import documents_equal_bills, numbers_have_no_gap
from telecom_assets.closing.review import ReviewBlocks
from telecom_assets.home.deployment import OnDemand
from telecom_assets.home.output_files import bills_file, dashboard_file, invoice_directory, trend_file
from telecom_assets.invoices.document import NAMESPACE
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.invoices.stored_set import invoice_set_problems
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.guard import may_write
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import PeriodError, Way
from telecom_assets_tests.closing.months import (
    CHARGES,
    ISSUED,
    MONTH,
    approved,
    billed,
    billed_from,
    books,
    charge,
    customer,
    rated,
    rows,
    usage_line,
)
from telecom_assets_tests.stages.chain import contract_table


@pytest.fixture
def of(tmp_path: Path, sail: SparkEngine, postgres_dsn: str) -> Books:
    """October 2026 with its bills, approved by Anna."""
    return _approved_month(tmp_path, sail, postgres_dsn)


def _approved_month(folder: Path, engine: SparkEngine, dsn: str, **given: Any) -> Books:
    of = books(folder, engine, dsn, **given)
    rated(of)
    billed(of)
    approved(of)
    return of


def _documents(of: Books, month: str = MONTH) -> list[tuple[Any, ...]]:
    return [(row["number"], row["customer_id"], row["holder_no"]) for row in rows(of, "documents", month)]


def _published(dsn: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as session:
        statement = "SELECT customer_id, amount_due::text, status FROM facturation_complete ORDER BY 1"
        return session.execute(statement).fetchall()


def test_a_close_numbers_the_bills_and_makes_them_documents(
    tmp_path: Path, engine: SparkEngine, postgres_dsn: str
) -> None:
    """2126: 1.00 + 0.14 = 1.14; 5 % are 0.057 → 0.06; 1.08; 20 % are 0.216 → 0.22; due 1.30. 2127 has a bill of 0.00."""
    of = _approved_month(tmp_path, engine, postgres_dsn)
    closed = close(of, MONTH, by="Ben", why="all is well", today=ISSUED)
    assert (closed.state, closed.changed_by, closed.why, closed.issue_date) == ("closed", "Ben", "all is well", ISSUED)
    first, second = rows(of, "documents")
    rate = {
        "tax_category": "S",
        "tax_pct": "20.0000",
        "amount": "1.14",
        "discount": "0.06",
        "tax": "0.22",
        "due": "1.30",
    }
    content = (invoice_directory(of.settings, MONTH) / "2126.xml").read_bytes()
    assert {**first, "amount_due": str(first["amount_due"]), "tax_breakdown": json.loads(first["tax_breakdown"])} == {
        "number": "INV-2026-000001",
        "kind": "invoice",
        "customer_id": "2126",
        "holder_no": 1,
        "document": "bill",
        "original_period": None,
        "issue_date": ISSUED,
        "due_date": dt.date(2026, 12, 3),
        "tax_breakdown": [rate],
        "amount_due": "1.30",
        "currency": "MAD",
        "file": "2126.xml",
        "sha256": hashlib.sha256(content).hexdigest(),
        "further_files": None,
        "billing_period": MONTH,
    }
    assert (second["number"], second["customer_id"], second["tax_breakdown"]) == ("INV-2026-000002", "2127", "[]")
    root = etree.fromstring(content)
    found = [root.findtext(f"{{{NAMESPACE}}}{name}") for name in ("Number", "IssueDate", "DueDate")]
    assert found == ["INV-2026-000001", "2026-11-03", "2026-12-03"]
    assert [line.findtext("{*}Amount") for line in root.iterfind("{*}Lines/{*}Line")] == ["1.00", "0.14"]
    assert invoice_set_problems(invoice_directory(of.settings, MONTH)) == []
    assert {row["status"] for row in rows(of, "facturation_complete")} == {"closed"}
    assert bills_file(of.settings, MONTH).read_text().count('"closed"') == 2
    assert "Closed bills" in dashboard_file(of.settings, MONTH).read_text()
    assert f'href="{trend_file(of.settings, MONTH).name}"' in dashboard_file(of.settings, MONTH).read_text()
    assert f'href="{dashboard_file(of.settings, MONTH).name}"' in trend_file(of.settings, MONTH).read_text()
    assert _published(postgres_dsn) == [("2126", "1.30", "closed"), ("2127", "0.00", "closed")]
    assert closed_periods(PostgresConnection(postgres_dsn), "facturation_complete") == [MONTH]
    periods = read_periods(of.warehouse)
    approval, closing, closed = periods.changes[-3:]
    assert [change.state for change in (approval, closing, closed)] == ["approved", "closing", "closed"]
    assert (closing.way, closing.digest) == (closed.way, closed.digest) == ("bills", approval.digest)
    assert approval.closed_with is not None and closing.closed_with is not None
    assert closed.closed_with == closing.closed_with
    with_issuer = replace(ClosedWith.read(approval.closed_with), issuer={"name": "Demonstration operator"})
    assert ClosedWith.read(closing.closed_with) == with_issuer


class _Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("phase", ["begun", "numbered"])
def test_a_close_that_another_repeats_later_ends_the_same(of: Books, postgres_dsn: str, phase: str) -> None:
    """A day later, by somebody else, when a customer has another name: the numbers, the dates and the files are those of the first.

    Each phase is tried with processes that are killed in `faults/test_closing`.
    """

    def killed(reached: str) -> None:
        if reached == phase:
            raise _Killed

    with pytest.raises(_Killed):
        close(of, MONTH, by="Ben", today=ISSUED, at_phase=killed)
    renamed = [customer("2126", customer_name="Another"), customer("2127")]
    of.warehouse.overwrite_arrow("customers", contract_table(of.warehouse.contracts["customers"], renamed))
    given = _documents(of)
    assert read_periods(of.warehouse).state(MONTH) == "closing"
    close(of, MONTH, by="Cleo", today=ISSUED + dt.timedelta(days=1))
    assert given in ([], _documents(of))
    assert _documents(of) == [("INV-2026-000001", "2126", 1), ("INV-2026-000002", "2127", 1)]
    assert {row["issue_date"] for row in rows(of, "documents")} == {ISSUED}
    document = (invoice_directory(of.settings, MONTH) / "2126.xml").read_bytes()
    assert rows(of, "documents")[0]["sha256"] == hashlib.sha256(document).hexdigest()
    assert b"Name of 2126" in document
    assert _published(postgres_dsn) == [("2126", "1.30", "closed"), ("2127", "0.00", "closed")]
    assert [change.state for change in read_periods(of.warehouse).changes] == [
        "drafted",
        "approved",
        "closing",
        "closed",
    ]


def test_numbers_go_on_in_the_next_month_and_begin_again_in_the_next_year(of: Books) -> None:
    """In the order of customer_id and holder_no: two who have had one number follow each other."""
    close(of, MONTH, by="Ben", today=ISSUED)
    warehouse = of.warehouse
    two = [customer("2126"), customer("2126", 2), customer("2125")]
    warehouse.overwrite_arrow("customers", contract_table(warehouse.contracts["customers"], two))
    for month, today in (("2026-11", dt.date(2026, 12, 31)), ("2026-12", dt.date(2027, 1, 3))):
        rated(of, [charge("2126", "voice", "2", month, holder_no=2)], month)
        billed(of, month)
        approved(of, month)
        close(of, month, by="Ben", today=today)
    assert _documents(of, "2026-11") == [
        ("INV-2026-000003", "2125", 1),
        ("INV-2026-000004", "2126", 1),
        ("INV-2026-000005", "2126", 2),
    ]
    assert [number for number, *_ in _documents(of, "2026-12")] == [f"INV-2027-00000{place}" for place in (1, 2, 3)]
    months = [MONTH, "2026-11", "2026-12"]
    assert numbers_have_no_gap(warehouse).passed
    assert documents_equal_bills(warehouse, months).passed
    with may_write("2026-11"):
        pinned = warehouse.pin_period("documents", "2026-11")
        warehouse.overwrite_arrow("documents", pinned.arrow().slice(1), pinned.partitions)
    assert numbers_have_no_gap(warehouse).findings == [
        "INV-2026: 4 documents with 4 numbers, from 1 to 5",
    ]
    assert documents_equal_bills(warehouse, months).findings[0] == "2026-11 rows: documents 2, bills 3"


def test_corrections_get_documents_in_the_series_of_their_kind(of: Books, postgres_dsn: str) -> None:
    """November takes back 2126's voice of October, on a document of its own, and charges 2127 late voice of 0.50 on the bill.

    2126, October: before 1.14 − 0.06 + 0.22 = 1.30; what remains 0.14 − 0.01 + 0.03 = 0.16; so −1.00, −0.05, −0.19, due −1.14.
    2127: 0.50; 5 % are 0.025 → 0.03; 0.47; 20 % are 0.094 → 0.09; due 0.56.
    """
    close(of, MONTH, by="Ben", today=ISSUED)
    corrects: dict[str, Any] = {"kind": "adjustment", "line_kind": "usage", "original_period": MONTH}
    back = usage_line("2126", "-1.00", "2026-11", **corrects, document=MONTH, exact_amount="-0.999999", events=-1)
    late = usage_line("2127", "0.50", "2026-11", **corrects)
    rated(of, [charge("2126", "voice", "2.00", "2026-11")], "2026-11")
    billed_from(of, [usage_line("2126", "2.00", "2026-11"), back, late], "2026-11")
    approved(of, "2026-11")
    close(of, "2026-11", by="Ben", today=dt.date(2026, 12, 3))
    found = {row["number"]: row for row in rows(of, "documents", "2026-11")}
    assert [(number, row["customer_id"], row["document"], str(row["amount_due"])) for number, row in found.items()] == [
        ("CRN-2026-000001", "2126", MONTH, "-1.14"),
        ("INV-2026-000003", "2126", "bill", "2.28"),
        ("INV-2026-000004", "2127", "bill", "0.56"),
    ]
    credit = found["CRN-2026-000001"]
    assert (credit["kind"], credit["original_period"], credit["file"]) == ("credit_note", MONTH, f"2126.{MONTH}.xml")
    assert json.loads(credit["tax_breakdown"]) == [
        {
            "tax_category": "S",
            "tax_pct": "20.0000",
            "amount": "-1.00",
            "discount": "-0.05",
            "tax": "-0.19",
            "due": "-1.14",
        }
    ]
    directory = invoice_directory(of.settings, "2026-11")
    root = etree.fromstring((directory / credit["file"]).read_bytes())
    names = ("Kind", "OriginalPeriod", "Totals/{*}AdjustmentsAmount")
    assert [root.findtext(f"{{*}}{name}") for name in names] == ["credit_note", MONTH, "-1.00"]
    preceding = [[each.text for each in document] for document in root.iterfind("{*}PrecedingInvoice")]
    assert preceding == [["INV-2026-000001", ISSUED.isoformat()]]
    root = etree.fromstring((directory / "2127.xml").read_bytes())
    assert [line.get("kind") for line in root.iterfind("{*}Lines/{*}Line")] == ["adjustment"]
    assert invoice_set_problems(directory) == []
    billed, note = (etree.fromstring(each.ubl) for each in documents_as_ubl(of.warehouse, Issuer(), "2026-11", "2126"))
    assert note.findtext("{*}LegalMonetaryTotal/{*}PayableAmount") == "1.14"
    assert note.findtext("{*}BillingReference/*/{*}ID") == "INV-2026-000001"
    assert billed.find("{*}BillingReference") is None
    with psycopg.connect(postgres_dsn) as session:
        statement = "SELECT document, amount_due::text, status FROM correction_documents"
        assert session.execute(statement).fetchall() == [(MONTH, "-1.14", "closed")]
    assert closed_periods(PostgresConnection(postgres_dsn), "correction_documents") == [MONTH, "2026-11"]
    _each_amount_is_compared(of, "2026-11")


def _each_amount_is_compared(of: Books, month: str) -> None:
    """The bills 2.00 − 0.10 + 0.38 = 2.28 and 0.50 − 0.03 + 0.09 = 0.56, the credit note −1.00 + 0.05 − 0.19 = −1.14."""
    sums = {"amount_before_tax": "1.50", "discount": "0.08", "tax": "0.28", "amount_due": "1.70"}
    issued = amounts_of(of.warehouse.pin_period("documents", month))
    assert {name: str(amount) for name, amount in issued.items()} == sums

    def found(table: str, changed: list[dict[str, Any]]) -> list[str]:
        before = rows(of, table, month)
        with may_write(month):
            for stored in (changed, before):
                contract = of.warehouse.contracts[table]
                of.warehouse.overwrite_arrow(table, contract_table(contract, stored), Partitions(month, month))
                if stored is changed:
                    findings = list(documents_equal_bills(of.warehouse, [MONTH, month]).findings)
        return [each.removeprefix(f"{month} ") for each in findings]

    for table in ("facturation_complete", "correction_documents"):
        first, *others = rows(of, table, month)
        for name, amount in sums.items():
            dearer = f"{Decimal(amount) + Decimal('0.01')}"
            changed = [{**first, name: first[name] + Decimal("0.01")}, *others]
            assert found(table, changed) == [f"{name}: documents {amount}, bills {dearer}"]
        assert "rows: documents 3, bills 2" in found(table, others)
    credit, *invoices = rows(of, "documents", month)
    breakdown = credit["tax_breakdown"].replace('"tax": "-0.19"', '"tax": "-0.18"')
    changed = [{**credit, "tax_breakdown": breakdown}, *invoices]
    assert found("documents", changed) == ["tax: documents 0.29, bills 0.28"]
    assert "rows: documents 2, bills 3" in found("documents", invoices)
    assert documents_equal_bills(of.warehouse, [MONTH, month]).passed


def test_only_closed_months_have_documents(of: Books) -> None:
    close(of, MONTH, by="Ben", today=ISSUED)
    stray = {**rows(of, "documents")[0], "billing_period": "2026-11", "number": "INV-2026-000003"}
    contract = of.warehouse.contracts["documents"]
    of.warehouse.overwrite_arrow("documents", contract_table(contract, [stray]), Partitions("2026-11", "2026-11"))
    assert documents_equal_bills(of.warehouse, [MONTH]).findings == [
        "2026-11, which is not closed, rows: documents 1, bills 0"
    ]


def test_what_is_not_approved_is_not_closed(of: Books) -> None:
    """Withdrawn; and a month that has no bills at all."""
    withdraw(of.warehouse, MONTH, by="Anna", why="a price was wrong")
    with pytest.raises(
        PeriodError, match="closing 2026-10: 2026-10 is withdrawn by Anna; `telecom run --month 2026-10`"
    ):
        close(of, MONTH, by="Ben")
    with pytest.raises(PeriodError, match="closing 2026-09: 2026-09 has no bills"):
        close(of, "2026-09", by="Ben")
    assert _documents(of) == []


def test_rows_that_are_not_those_that_were_approved_are_not_closed(of: Books) -> None:
    """Whoever got around the warehouse's own refusal: before the close, and before it goes on."""
    with may_write(MONTH):
        rated(of, [*CHARGES, charge("2127", "voice", "9")])
    with pytest.raises(
        PeriodError, match="closing 2026-10: rated_cdrs of it is not as approved by Anna; nothing was changed"
    ):
        close(of, MONTH, by="Ben")
    assert read_periods(of.warehouse).state(MONTH) == "approved"


def test_what_the_review_blocks_is_not_closed(tmp_path: Path, sail: SparkEngine, postgres_dsn: str) -> None:
    """Bills that are not what their lines come to, and were approved all the same: nothing has begun."""
    of = books(tmp_path, sail, postgres_dsn)
    rated(of)
    billed(of)
    rated(of, [*CHARGES, charge("2127", "voice", "9")])
    approved(of)
    with pytest.raises(ReviewBlocks, match="closing 2026-10 is refused: "):
        close(of, MONTH, by="Ben")
    assert read_periods(of.warehouse).state(MONTH) == "approved"


@pytest.mark.parametrize("way", ["bills", "empty", "as_it_stands"])
def test_without_postgresql_nothing_begins(tmp_path: Path, sail: SparkEngine, postgres_dsn: str, way: Way) -> None:
    """Nobody listens; then a server that takes no writes. Once it does, the same command closes the month."""
    of = books(tmp_path, sail, postgres_dsn)
    rated(of)
    billed(of)
    if way == "bills":
        approved(of)
    state, bills = read_periods(of.warehouse).state(MONTH), rows(of, "facturation_complete")
    nobody = PostgresConnection("postgresql://nobody@127.0.0.1:1/none", retry_seconds=0)
    read_only = PostgresConnection(
        f"{postgres_dsn}{'&' if '?' in postgres_dsn else '?'}options=-cdefault_transaction_read_only%3Don"
    )
    for connection, says in ((nobody, "127.0.0.1:1/none cannot be reached"), (read_only, "in a read-only transaction")):
        without = replace(of, postgres=OnDemand(partial(replace, connection)))
        with pytest.raises(PostgresError, match=says):
            close(without, MONTH, by="Ben", way=way, today=ISSUED)
        assert (read_periods(of.warehouse).state(MONTH), rows(of, "facturation_complete")) == (state, bills)
        assert (_documents(of), of.settings.output_path.exists()) == ([], False)
    assert close(of, MONTH, by="Ben", way=way, today=ISSUED).state == "closed"


def test_months_close_in_order(of: Books) -> None:
    """November waits for October's bills; without them October is closed later, empty, and November's bills are closed already."""
    rated(of, [charge("2126", "voice", "2", "2026-11")], "2026-11")
    billed(of, "2026-11")
    approved(of, "2026-11")
    with pytest.raises(PeriodError, match="closing 2026-11: months close in order, and 2026-10 has drafts .* --empty"):
        close(of, "2026-11", by="Ben")
    close(of, MONTH, by="Ben", way="empty", today=ISSUED)
    close(of, "2026-11", by="Ben", today=dt.date(2026, 12, 3))
    assert [number for number, *_ in _documents(of, "2026-11")] == ["INV-2026-000001", "INV-2026-000002"]


def test_who_approved_may_be_kept_from_closing(tmp_path: Path, sail: SparkEngine, postgres_dsn: str) -> None:
    """Where the setting says so; however the name is written."""
    of = _approved_month(tmp_path, sail, postgres_dsn, approver_is_not_closer=True)
    with pytest.raises(
        PeriodError, match="anna has approved its bills, and TELECOM_APPROVER_IS_NOT_CLOSER asks for another"
    ):
        close(of, MONTH, by="anna ")
    assert close(of, MONTH, by="Ben", today=ISSUED).state == "closed"


def test_the_rows_of_a_closed_month_are_written_by_nobody(of: Books) -> None:
    """The documents too; the close's own permission ends with it."""
    close(of, MONTH, by="Ben", today=ISSUED)
    for name in ("documents", "facturation_complete", "bill_lines"):
        pinned = of.warehouse.pin_period(name, MONTH)
        with pytest.raises(PeriodError, match=f"table {name} was not changed: 2026-10 is closed by Ben"):
            of.warehouse.overwrite(name, pinned.df, pinned.partitions)
    bills = of.warehouse.pin_period("facturation_complete", MONTH)
    with pytest.raises(Exception, match="facturation_complete of 2026-10 is closed, and its rows stay"):
        publish_period(
            of.postgres.connect(),
            bills.contract,
            MONTH,
            [],
            delta_table_id=bills.table_id,
            delta_version=bills.version + 1,
            expected_rows=0,
            expected_sums={},
        )
