"""The invoices of a month as a set: complete, summed, indexed, deterministic, whole or not at all, memory flat."""

import csv
import hashlib
import json
import tracemalloc
import weakref
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lxml import etree

from resources.atomic_files import PHASES, Superseded
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.invoices.document import InvoiceError, invoice_schema
from telecom_assets.invoices.files import InvoiceTotals, write_invoices
from telecom_assets.invoices.index import INDEX_COLUMNS
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.invoices.stored_set import invoice_set_problems, read_invoice_totals
from telecom_assets_tests.reports.bills import PERIOD, SCHEMA, batches, bill, bills


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def index_of(directory: Path) -> list[dict[str, str]]:
    with (directory / "index.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def total(rows: list[dict[str, Any]], column: str) -> Decimal:
    return sum((row[column] for row in rows), Decimal(0))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "invoices" / PERIOD


def test_a_set_holds_one_valid_document_a_customer_and_sums_to_the_bills(directory: Path) -> None:
    rows = bills(250)
    summary = write_invoices(batches(rows, 100), PERIOD, directory, 12)
    documents = sorted(path.name for path in directory.glob("*.xml"))
    assert documents == sorted(f"{row['customer_id']}.xml" for row in rows)
    for path in directory.glob("*.xml"):
        invoice_schema().assertValid(etree.parse(path))
    assert summary.count == 250
    assert summary.amount_due == total(rows, "amount_due")
    assert summary.amount_before_tax == total(rows, "amount_before_tax")
    assert summary.discount == total(rows, "discount")
    assert summary.tax == total(rows, "tax")
    assert summary.rounding_difference == total(rows, "rounding_difference")
    assert (summary.period, summary.version, summary.currency) == (PERIOD, "12", "MAD")
    totals = read_invoice_totals(directory)
    assert totals == expected_of(rows)
    assert invoice_set_problems(directory) == []


def test_the_index_names_every_document_with_its_hash_in_order(directory: Path) -> None:
    rows = bills(50)[::-1]
    summary = write_invoices(batches(rows), PERIOD, directory, 1)
    lines = index_of(directory)
    assert tuple(lines[0]) == INDEX_COLUMNS
    assert [line["customer_id"] for line in lines] == sorted(row["customer_id"] for row in rows)
    for line in lines:
        content = (directory / line["file"]).read_bytes()
        assert line["sha256"] == hashlib.sha256(content).hexdigest()
        assert line["bytes"] == str(len(content))
    assert {line["customer_id"]: Decimal(line["amount_due"]) for line in lines} == {
        row["customer_id"]: row["amount_due"] for row in rows
    }
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["index_sha256"] == hashlib.sha256((directory / "index.csv").read_bytes()).hexdigest()
    assert manifest["amount_due"] == str(summary.amount_due)
    assert manifest["count"] == 50
    assert "directory" not in manifest


def test_the_same_bills_give_the_same_bytes_in_whatever_order_and_batches_they_come(tmp_path: Path) -> None:
    rows = bills(300)
    write_invoices(batches(rows, 7), PERIOD, tmp_path / "one", 5)
    write_invoices(batches(rows[::-1], 300), PERIOD, tmp_path / "two", 5)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_documents_do_not_depend_on_the_version(tmp_path: Path) -> None:
    write_invoices(batches(bills(5)), PERIOD, tmp_path / "one", 5)
    write_invoices(batches(bills(5)), PERIOD, tmp_path / "two", 6)
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert [name for name in one if one[name] != two[name]] == ["manifest.json"]


def test_a_second_run_replaces_the_first_and_leaves_no_invoice_of_it(directory: Path) -> None:
    write_invoices(batches(bills(20)), PERIOD, directory, 1)
    write_invoices(batches(bills(10)), PERIOD, directory, 2)
    assert read_invoice_totals(directory).invoices == 10
    assert len(list(directory.parent.glob(f".{PERIOD}.versions/v*"))) == 1


@pytest.mark.parametrize("stream", [[], [pa.RecordBatch.from_pylist([], schema=SCHEMA)]], ids=["no batch", "no row"])
def test_no_bills_give_an_empty_set(directory: Path, stream: list[pa.RecordBatch]) -> None:
    summary = write_invoices(stream, PERIOD, directory, 1)
    assert (summary.count, summary.amount_due, summary.currency) == (0, Decimal(0), None)
    assert read_invoice_totals(directory) == expected_of([])
    assert index_of(directory) == []
    assert invoice_set_problems(directory) == []


@pytest.mark.parametrize("phase", PHASES)
def test_a_failure_at_any_phase_leaves_a_whole_set(directory: Path, phase: str) -> None:
    def at_phase(reached: str) -> None:
        if reached == phase:
            raise RuntimeError(phase)

    write_invoices(batches(bills(4)), PERIOD, directory, 1)
    old = contents(directory)
    with pytest.raises(RuntimeError, match=phase):
        write_invoices(batches(bills(6)), PERIOD, directory, 2, at_phase=at_phase)
    if phase in ("swapped", "removed"):
        assert read_invoice_totals(directory).invoices == 6
    else:
        assert contents(directory) == old
    assert invoice_set_problems(directory) == []


@pytest.mark.thorough
def test_bills_that_stop_in_the_middle_leave_the_old_set(directory: Path) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(bills(1_500), 500)
        raise ConnectionError("the table went away")

    write_invoices(batches(bills(4)), PERIOD, directory, 1)
    old = contents(directory)
    with pytest.raises(ConnectionError):
        write_invoices(broken(), PERIOD, directory, 2)
    assert contents(directory) == old


def expected_of(rows: list[dict[str, Any]]) -> InvoiceTotals:
    names = ("amount_before_tax", "discount", "tax", "amount_due", "rounding_difference")
    return InvoiceTotals(len(rows), {name: total(rows, name) for name in names})


def test_bills_that_add_up_to_what_is_expected_are_written(directory: Path) -> None:
    rows = bills(20)
    write_invoices(batches(rows), PERIOD, directory, 1, expected=expected_of(rows))
    assert read_invoice_totals(directory) == expected_of(rows)
    write_invoices([], PERIOD, directory, 2, expected=expected_of([]))
    assert read_invoice_totals(directory).invoices == 0


@pytest.mark.parametrize(
    "stream",
    [
        bills(20)[:-1],
        bills(21),
        [*bills(20)[:-1], bill("212600000019", ["12.34"] * 3)],
        [],
    ],
    ids=["one lacks", "one more", "other amounts", "none"],
)
def test_bills_that_do_not_add_up_to_what_is_expected_leave_the_old_set(
    directory: Path, stream: list[dict[str, Any]]
) -> None:
    write_invoices(batches(bills(4)), PERIOD, directory, 1)
    old = contents(directory)
    rows = bills(20)
    with pytest.raises(InvoiceError) as error:
        write_invoices(batches(stream), PERIOD, directory, 2, expected=expected_of(rows))

    def said(bills: list[dict[str, Any]]) -> str:
        names = ("amount_before_tax", "discount", "tax", "amount_due", "rounding_difference")
        return ", ".join([f"{len(bills)} invoices", *(f"{name} {total(bills, name)}" for name in names)])

    assert str(error.value) == f"2025-05: the bills say {said(rows)}; written were {said(stream)}; run again"
    assert contents(directory) == old


def test_an_objection_before_the_swap_leaves_the_old_set(directory: Path) -> None:
    def object_to_it() -> None:
        raise Superseded("newer bills")

    write_invoices(batches(bills(4)), PERIOD, directory, 1)
    old = contents(directory)
    with pytest.raises(Superseded, match="newer bills"):
        write_invoices(batches(bills(6)), PERIOD, directory, 2, before_swap=object_to_it)
    assert contents(directory) == old


@pytest.mark.parametrize(
    "rows, message",
    [
        ([bill("1"), bill("2"), bill("1")], "customer '1': two bills"),
        ([bill("1"), bill("2", currency="EUR")], "a bill in EUR among bills in MAD"),
        ([bill("1"), bill("")], "without a customer_id"),
        ([bill("1"), bill("2", billing_period="2025-04")], "a bill of 2025-04, expected 2025-05"),
    ],
)
def test_bills_that_cannot_be_right_are_refused(directory: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InvoiceError, match=message):
        write_invoices(batches(rows), PERIOD, directory, 1)
    assert not directory.exists()


def test_a_missing_column_is_named(directory: Path) -> None:
    stream = [batch.drop_columns(["tax", "region"]) for batch in batches(bills(1))]
    with pytest.raises(InvoiceError, match="bills without region, tax"):
        write_invoices(stream, PERIOD, directory, 1)


def test_columns_may_be_more_in_other_order_and_of_wider_types(directory: Path) -> None:
    table = pa.Table.from_batches(batches(bills(3), schema=FACTURATION_COMPLETE.arrow_schema()))
    table = table.select(table.column_names[::-1]).append_column("extra", pa.array([1, 2, 3]))
    wide = pa.schema(
        [pa.field(field.name, pa.string_view() if field.type == pa.string() else field.type) for field in table.schema]
    )
    assert write_invoices(table.cast(wide).to_batches(), PERIOD, directory, 1).count == 3


def test_hostile_customer_ids_stay_in_the_directory_and_in_the_index(directory: Path) -> None:
    customers = ["../../escape", "=1+1", 'a"b,c\nd', "index.csv", "\x00", "é", "." * 300]
    write_invoices(batches([bill(customer) for customer in customers]), PERIOD, directory, 1)
    assert invoice_set_problems(directory) == []
    assert read_invoice_totals(directory).invoices == len(customers)
    assert {path.parent for path in directory.rglob("*")} == {directory}
    assert not list(directory.parent.glob("*escape*"))
    assert "'=1+1" in {line["customer_id"] for line in index_of(directory)}


def test_the_issuer_is_a_setting(directory: Path) -> None:
    write_invoices(batches(bills(1)), PERIOD, directory, 1, Issuer(name="Opérateur <&>", country="FR"))
    document = next(directory.glob("*.xml")).read_text(encoding="utf-8")
    assert "<Name>Opérateur &lt;&amp;&gt;</Name>" in document
    assert "<Country>FR</Country>" in document


@pytest.mark.thorough
def test_bills_stream_through_two_batches_at_a_time(directory: Path) -> None:
    made: list[weakref.ref[pa.RecordBatch]] = []
    most = 0

    def stream() -> Iterator[pa.RecordBatch]:
        nonlocal most
        for batch in batches(bills(2_000), 100):
            made.append(weakref.ref(batch))
            most = max(most, sum(1 for reference in made if reference() is not None))
            yield batch

    assert write_invoices(stream(), PERIOD, directory, 1).count == 2_000
    assert len(made) == 20
    assert most == 2  # the one that was just made and the one before, which the writer still holds


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_number_of_customers(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        def stream() -> Iterator[pa.RecordBatch]:
            for start in range(0, count, 500):
                rows = [bill(f"2126{number:08d}") for number in range(start, start + 500)]
                yield from batches(rows)

        tracemalloc.start()
        try:
            write_invoices(stream(), PERIOD, tmp_path / str(count), 1)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(500)  # what is imported and cached once
    assert peak(3_000) < 1.25 * peak(1_000)


def remove_a_document(directory: Path) -> None:
    (directory / "212600000003.xml").unlink()


def change_a_document(directory: Path) -> None:
    path = directory / "212600000003.xml"
    path.write_text(path.read_text().replace("<AmountDue>", "<AmountDue>1"))


def add_a_document(directory: Path) -> None:
    (directory / "999.xml").write_bytes((directory / "212600000003.xml").read_bytes())


def change_the_index(directory: Path) -> None:
    path = directory / "index.csv"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize(
    "damage, message",
    [
        (remove_a_document, "212600000003.xml is missing"),
        (change_a_document, "212600000003.xml was changed"),
        (add_a_document, "11 documents, but 10 lines"),
        (change_the_index, "index.csv was changed"),
    ],
)
def test_damage_to_a_set_is_found(directory: Path, damage: object, message: str) -> None:
    write_invoices(batches(bills(10)), PERIOD, directory, 1)
    before = read_invoice_totals(directory)
    damage(directory)  # type: ignore[operator]
    assert any(message in problem for problem in invoice_set_problems(directory))
    assert (read_invoice_totals(directory) == before) == (damage is change_the_index)


@pytest.mark.parametrize("content", [b"", b"<a/>", b"<Invoice xmlns='urn:telecom-assets:invoice:2'/>", b"<a><b></a>"])
def test_a_file_that_is_no_invoice_is_an_error_that_names_it(directory: Path, content: bytes) -> None:
    write_invoices(batches(bills(2)), PERIOD, directory, 1)
    (directory / "junk.xml").write_bytes(content)
    with pytest.raises(InvoiceError, match=r"junk\.xml"):
        read_invoice_totals(directory)


def test_an_entity_in_a_file_is_not_followed(directory: Path, tmp_path: Path) -> None:
    write_invoices(batches(bills(1)), PERIOD, directory, 1)
    (tmp_path / "amount").write_text("1000000.00")
    path = next(directory.glob("*.xml"))
    text = path.read_text(encoding="utf-8")
    head, body = text.split("\n", 1)
    doctype = f'<!DOCTYPE Invoice [<!ENTITY e SYSTEM "{(tmp_path / "amount").as_uri()}">]>'
    start, end = body.index("<AmountDue>") + len("<AmountDue>"), body.index("</AmountDue>")
    path.write_text(f"{head}\n{doctype}\n{body[:start]}&e;{body[end:]}", encoding="utf-8")
    with pytest.raises(InvoiceError, match="not an amount"):
        read_invoice_totals(directory)
