"""The documents of a close as XML, UBL and PDF: whole, with their digests, made once, by the issuer of the close; bills of 0."""

import datetime as dt
import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from deltalake import write_deltalake
from lxml import etree
from pypdf import PdfReader

from resources.engine import SparkEngine
from resources.postgres import PostgresError
from resources.stack_state import StackState
from telecom_assets.accounting.vat import vat_journal
from telecom_assets.books.factory import CheckInputs
from telecom_assets.closing.approving import Books
from telecom_assets.closing.as_ubl import documents_as_ubl
from telecom_assets.closing.checks import DOCUMENTS_GUARD
from telecom_assets.closing.closing import close
from telecom_assets.closing.document_files import files_have_their_digests
from telecom_assets.closing.frozen import frozen_rows_have_their_digest
from telecom_assets.closing.identities import documents_equal_bills
from telecom_assets.closing.issuing import issued_with
from telecom_assets.closing.preview import NoDocument, documents_shown
from telecom_assets.home.output_files import invoice_directory
from telecom_assets.invoices.checks import GUARD as INVOICES_GUARD
from telecom_assets.invoices.document import invoice_schema
from telecom_assets.invoices.issuer import Issuer, IssuerError, read_issuer
from telecom_assets.invoices.pdf import PdfWriter
from telecom_assets.invoices.pdf_folder import folder_of
from telecom_assets.invoices.stored_set import invoice_set_problems, read_invoice_totals
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.guard import may_write
from telecom_assets.periods.journal import read_periods
from telecom_assets.upgrade.shapes import add_columns, shape_of
from telecom_assets_tests.closing.months import (
    CHARGES,
    ISSUED,
    MONTH,
    approved,
    billed,
    books,
    charge,
    rated,
    rows,
)
from telecom_assets_tests.graph.project import make_database
from telecom_assets_tests.stages.chain import contract_table

ISSUER = """
name = "Atlas Télécom SA"
address = ["12, avenue Hassan II"]
city = "Rabat"
[tax_numbers]
ice = "001234567000089"
if = "12345678"
rc = "Rabat 54321"
[bank]
iban = "FR1420041010050500013M02606"
"""


def _month(folder: Path, engine: SparkEngine, dsn: str, **given: Any) -> Books:
    """October 2026, approved: 2126 has 1.14 before tax, 2127 a bill of 0.00."""
    (folder / "issuer.toml").write_text(ISSUER)
    of = books(folder, engine, dsn, **{"invoice_formats": "xml,ubl,pdf", "issuer": folder / "issuer.toml", **given})
    rated(of)
    billed(of)
    approved(of)
    return of


def _files(of: Books) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in invoice_directory(of.settings, MONTH).iterdir()}


def _verify(of: Books) -> list[str]:
    return list(files_have_their_digests(of.warehouse, of.settings, [MONTH]).findings)


def test_a_document_is_xml_ubl_and_pdf_and_each_has_its_digest(
    tmp_path: Path, sail: SparkEngine, postgres_dsn: str
) -> None:
    """What is made of a closed month on demand has the same bytes, also when the issuer has moved since."""
    of = _month(tmp_path, sail, postgres_dsn)
    told: list[tuple[int, int]] = []
    close(of, MONTH, by="Ben", today=ISSUED, progress=lambda *said: told.append(said))
    assert told == [(1, 2), (2, 2)]
    files = _files(of)
    documents = [f"{customer}{ending}" for customer in ("2126", "2127") for ending in (".xml", ".ubl.xml", ".pdf")]
    assert sorted(files) == sorted([*documents, "index.csv", "manifest.json"])
    for row in rows(of, "documents"):
        further = json.loads(row["further_files"])
        assert sorted(further) == sorted(
            name for name in documents[1:] if name[:4] == row["customer_id"] and name != row["file"]
        )
        for name, sha256 in {row["file"]: row["sha256"], **further}.items():
            assert sha256 == hashlib.sha256(files[name]).hexdigest()
            assert sha256 in files["index.csv"].decode()
    directory = invoice_directory(of.settings, MONTH)
    assert read_invoice_totals(directory).invoices == 2
    assert (invoice_set_problems(directory), _verify(of)) == ([], [])
    assert [each.name for each in directory.parent.iterdir() if each.name.endswith(".pdfs")] == []

    root = etree.fromstring(files["2126.xml"])
    invoice_schema().assertValid(root)
    said = [
        root.findtext(f"{{*}}Issuer/{path}")
        for path in ("{*}TaxNumbers/{*}If", "{*}TaxNumbers/{*}Rc", "{*}BankAccount/{*}Iban")
    ]
    assert said == ["12345678", "Rabat 54321", "FR1420041010050500013M02606"]
    assert root.findtext("{*}Issuer/{*}Address/{*}City") == "Rabat"

    moved = Issuer(name="Another")
    (pdf,) = documents_shown(of.warehouse, moved, MONTH, "2126")
    (ubl,) = documents_as_ubl(of.warehouse, moved, MONTH, "2126")
    assert (pdf.pdf, ubl.ubl, ubl.beyond) == (files["2126.pdf"], files["2126.ubl.xml"], None)
    assert "Atlas Télécom SA" in PdfReader(io.BytesIO(pdf.pdf)).pages[0].extract_text()


def _change(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"2126", b"2128"))


@pytest.mark.parametrize(
    ("damage", "name", "says"),
    [
        (_change, "2126.xml", "2126.xml was changed after it was written"),
        (_change, "2126.ubl.xml", "2126.ubl.xml was changed after it was written"),
        (lambda path: path.write_bytes(b"%PDF"), "2127.pdf", "2127.pdf was changed after it was written"),
        (Path.unlink, "2127.pdf", "2127.pdf is missing (customer 2127)"),
        (lambda path: path.write_bytes(b""), "9.ubl.xml", "1 more documents as UBL than were issued"),
    ],
)
def test_damage_is_named(of: Books, damage: Callable[[Path], None], name: str, says: str) -> None:
    path = invoice_directory(of.settings, MONTH) / name
    was = path.read_bytes() if path.exists() else None
    try:
        damage(path)
        assert _verify(of) == [f"{MONTH}: {says}"]
        assert invoice_set_problems(path.parent) != []
    finally:
        path.unlink(missing_ok=True)
        if was is not None:
            path.write_bytes(was)
    assert (_verify(of), invoice_set_problems(path.parent)) == ([], [])


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory, sail: SparkEngine, stack: StackState) -> Books:
    """The month closed in all formats. What a test damages it puts back."""
    made = _month(tmp_path_factory.mktemp("documents"), sail, make_database(stack))
    close(made, MONTH, by="Ben", today=ISSUED)
    return made


def test_no_documents_at_all_are_told_of(tmp_path: Path, of: Books) -> None:
    elsewhere = of.settings.replaced(output=tmp_path)
    (finding,) = files_have_their_digests(of.warehouse, elsewhere, [MONTH]).findings
    assert finding.startswith(f"{MONTH}: no documents at {tmp_path}")


class _Killed(Exception):
    """Stands for the end of the process."""


def test_a_repeat_makes_no_pdf_again(
    tmp_path: Path, sail: SparkEngine, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does another issuer in the settings count for it: the close has its own."""
    of = _month(tmp_path, sail, postgres_dsn)
    typeset, made = PdfWriter.typeset, list[str]()

    def counted(writer: PdfWriter, text: str) -> bytes:
        made.append(json.loads(text)["number"])
        return typeset(writer, text)

    def killed(done: int, _of: int) -> None:
        if done == 1:
            raise _Killed

    monkeypatch.setattr(PdfWriter, "typeset", counted)
    with pytest.raises(_Killed):
        close(of, MONTH, by="Ben", today=ISSUED, progress=killed)
    assert (made, rows(of, "documents")) == (["INV-2026-000001"], [])
    (tmp_path / "issuer.toml").write_text('name = "Another"')
    close(of, MONTH, by="Ben")
    assert made == ["INV-2026-000001", "INV-2026-000002"]
    assert b"Atlas" in _files(of)["2127.xml"]
    assert _verify(of) == []


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder of another file system than tmp_path's, to which no file of it can be linked."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        assert Path(folder).stat().st_dev != tmp_path.stat().st_dev
        yield Path(folder)


def test_a_close_that_fails_at_publishing_keeps_its_pdfs_until_the_month_is_closed(
    tmp_path: Path, elsewhere: Path, sail: SparkEngine, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody makes another table of that name meanwhile. The PDFs lie where nothing can be linked to: the set has copies."""
    of = _month(tmp_path, sail, postgres_dsn)
    directory = invoice_directory(of.settings, MONTH)
    kept = folder_of(directory)
    kept.mkdir(parents=True)
    (kept / PdfWriter(MONTH, read_issuer(of.settings.issuer)).made_with[:32]).symlink_to(elsewhere)
    typeset, made = PdfWriter.typeset, list[str]()

    def counted(writer: PdfWriter, text: str) -> bytes:
        made.append(json.loads(text)["number"])
        return typeset(writer, text)

    def drift(phase: str) -> None:
        if phase == "filed":
            with psycopg.connect(postgres_dsn) as session:
                session.execute("CREATE TABLE facturation_complete (customer_id text PRIMARY KEY)")

    monkeypatch.setattr(PdfWriter, "typeset", counted)
    with pytest.raises(PostgresError, match="facturation_complete .* differs from its contract"):
        close(of, MONTH, by="Ben", today=ISSUED, at_phase=drift)
    files, numbers = _files(of), ["INV-2026-000001", "INV-2026-000002"]
    assert (made, read_periods(of.warehouse).state(MONTH)) == (numbers, "closing")
    assert {each.read_bytes() for each in elsewhere.rglob("*.pdf")} == {files["2126.pdf"], files["2127.pdf"]}
    with pytest.raises(PostgresError, match="facturation_complete .* differs from its contract"):
        close(of, MONTH, by="Ben", at_phase=made.append)
    assert made == numbers, "the repeat asks PostgreSQL before it does anything"
    with psycopg.connect(postgres_dsn) as session:
        session.execute("DROP TABLE facturation_complete")
    assert close(of, MONTH, by="Ben").state == "closed"
    assert (made, _files(of), _verify(of), kept.exists()) == (numbers, files, [], False)


def test_a_close_without_pdf_and_ubl_and_one_of_before(tmp_path: Path, sail: SparkEngine, postgres_dsn: str) -> None:
    """XML alone, as by TELECOM_INVOICE_FORMATS=xml and by the version before, whose index has no columns of further files."""
    of = _month(tmp_path, sail, postgres_dsn, invoice_formats="xml")
    close(of, MONTH, by="Ben", today=ISSUED)
    assert sorted(_files(of)) == ["2126.xml", "2127.xml", "index.csv", "manifest.json"]
    assert [row["further_files"] for row in rows(of, "documents")] == [None, None]
    assert _verify(of) == []
    directory = invoice_directory(of.settings, MONTH)
    lines = [line.split(",")[:8] for line in (directory / "index.csv").read_text().splitlines()]
    (directory / "index.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["index_sha256"] = hashlib.sha256((directory / "index.csv").read_bytes()).hexdigest()
    (directory / "manifest.json").write_text(json.dumps(manifest))
    assert invoice_set_problems(directory) == []
    stored = of.warehouse.pin("documents").arrow()
    former = stored.drop_columns(["further_files"])
    write_deltalake(of.warehouse.path("documents"), former, mode="overwrite", schema_mode="overwrite")
    shape = shape_of(of.warehouse, "documents")
    assert shape is not None and (shape.only_grows, shape.changes) == (True, ["further_files is added"])
    add_columns(of.warehouse, shape)
    assert rows(of, "documents") == stored.sort_by("number").to_pylist()
    assert frozen_rows_have_their_digest(of.warehouse, [MONTH]).passed and _verify(of) == []


def test_an_issuer_that_cannot_be_read_stops_a_close_before_it_begins(
    tmp_path: Path, sail: SparkEngine, postgres_dsn: str
) -> None:
    of = _month(tmp_path, sail, postgres_dsn)
    (tmp_path / "issuer.toml").write_text("name = ")
    with pytest.raises(IssuerError, match="not TOML"):
        close(of, MONTH, by="Ben", today=ISSUED)
    assert read_periods(of.warehouse).state(MONTH) == "approved"


def test_bills_of_zero_are_skipped_where_the_setting_says_so(
    tmp_path: Path, sail: SparkEngine, postgres_dsn: str
) -> None:
    """2127's bill stays, closed, without number and document. 2128's of 0.004 → 0.00 is a document: a correction may name it."""
    of = books(tmp_path, sail, postgres_dsn, zero_bills="skip")
    rated(of, [*CHARGES, charge("2128", "voice", "0.004")])
    billed(of)
    approved(of)
    close(of, MONTH, by="Ben", today=ISSUED)
    issued = [(row["number"], row["customer_id"], str(row["amount_due"])) for row in rows(of, "documents")]
    assert issued == [("INV-2026-000001", "2126", "1.30"), ("INV-2026-000002", "2128", "0.00")]
    bills = [(row["customer_id"], row["status"]) for row in rows(of, "facturation_complete")]
    assert bills == [("2126", "closed"), ("2127", "closed"), ("2128", "closed")]
    assert sorted(_files(of)) == ["2126.xml", "2128.xml", "index.csv", "manifest.json"]
    inputs = CheckInputs(of.settings, of.warehouse, of.postgres, lambda: dt.datetime.now(dt.UTC), of.record_types)
    checks = [*DOCUMENTS_GUARD.checks["documents"], *INVOICES_GUARD.checks["invoices"]]
    for asked in (inputs, replace(inputs, full=True), inputs.over(MONTH, MONTH)):
        assert {check.name: check.judge(asked).findings for check in checks} == {check.name: [] for check in checks}
    assert vat_journal(of.warehouse, f"{ISSUED:%Y-%m}", "MAD").documents == 2
    for make in (documents_shown, documents_as_ubl):
        with pytest.raises(
            NoDocument, match="the bill of customer '2127' is 0, and has no document: it was closed with TELECOM_ZERO_"
        ):
            make(of.warehouse, Issuer(), MONTH, "2127")
    documents = of.warehouse.contracts["documents"]
    with may_write(MONTH):
        pinned = of.warehouse.pin_period("documents", MONTH)
        of.warehouse.overwrite_arrow(
            "documents", contract_table(documents, pinned.arrow().to_pylist()[:1]), pinned.partitions
        )
    assert documents_equal_bills(of.warehouse, [MONTH]).findings == [f"{MONTH} rows: documents 1, bills 2"]


def test_a_tax_rate_has_the_reasons_of_the_terms_that_its_lines_are_made_with() -> None:
    """The month is exempt by one law, a closed month that is corrected was by another, and one before had 20 %."""
    terms = ClosedWith("MAD", Decimal(5), Decimal(0), "E", "law of 2026", 30, "zero", 7)
    before = {
        "2026-09": replace(terms, exemption_reason="law of 1985"),
        "2026-08": replace(terms, tax_category="S", tax_pct=Decimal(20), exemption_reason=None),
    }

    def reasons(*lines: tuple[str, str | None]) -> list[str | None]:
        rates = {(category, 20 if category == "S" else 0) for category, _ in lines}
        made = [
            {
                "line_no": number,
                "tax_category": category,
                "tax_pct": 20 if category == "S" else 0,
                "original_period": period,
            }
            for number, (category, period) in enumerate(lines)
        ]
        row = {"lines": made, "rates": [{"tax_category": category, "tax_pct": pct} for category, pct in rates]}
        return [rate.get("exemption_reason") for rate in issued_with(row, terms, before)[1]]

    assert reasons(("E", None)) == ["law of 2026"]
    assert reasons(("E", "2026-09")) == ["law of 1985"]
    assert reasons(("E", None), ("E", "2026-09"), ("E", "2026-09"), ("S", "2026-08")) == [
        "law of 2026; law of 1985",
        None,
    ]
    assert reasons(("E", "2025-01")) == [None]
