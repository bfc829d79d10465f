"""Reports as CSV: what is written comes back to the last digit, and other programs read the same."""

import csv
import datetime as dt
import random
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.model.csv_text import guarded, unguarded
from telecom_assets.reports.csv_files import (
    ReportFileError,
    differing_rows,
    read_csv_rows,
    read_report_csv,
    with_currency,
    write_csv_rows,
    write_report_csv,
)
from telecom_assets.reports.tables import REPORTS
from telecom_assets_tests.examples import examples

SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("money", pa.decimal128(18, 6)),
        ("tiny", pa.decimal128(38, 20)),
        ("day", pa.date32()),
        ("count", pa.int64()),
        ("hour", pa.int32()),
        ("flag", pa.bool_()),
    ]
)


#: A row by its columns' names.
Row = dict[str, Any]

#: Every example is synced to disk, which takes as long as the disk takes.
WRITES_FILES = settings(deadline=None, max_examples=examples(50))


def decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    """Values of so many digits, so many of them after the point."""
    return st.integers(1 - 10**digits, 10**digits - 1).map(lambda units: Decimal(units).scaleb(-scale))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text("'=\",\r\n \t@+-", max_size=6)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | TEXT,
            "money": st.none() | decimals(18, 6),
            "tiny": st.none() | decimals(25, 20),
            "day": st.none() | st.dates(),
            "count": st.none() | st.integers(-(2**63), 2**63 - 1),
            "hour": st.none() | st.integers(0, 23),
            "flag": st.none() | st.booleans(),
        }
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


def table_of(rows: list[Row], schema: pa.Schema = SCHEMA) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


def in_order(rows: list[Row]) -> list[tuple[Any, ...]]:
    return sorted(tuple((value is None, str(value)) for value in row.values()) for row in rows)


@WRITES_FILES
@given(ROWS)
def test_every_table_comes_back_exactly(folder: Path, rows: list[Row]) -> None:
    path = folder / "round.csv"
    write_report_csv(table_of(rows), path)
    back = read_report_csv(path, SCHEMA)
    assert back.schema == SCHEMA
    assert in_order(back.to_pylist()) == in_order(table_of(rows).to_pylist())


@WRITES_FILES
@given(ROWS, st.randoms())
def test_the_bytes_do_not_depend_on_the_order_or_chunks_of_the_rows(
    folder: Path, rows: list[Row], chance: random.Random
) -> None:
    write_report_csv(table_of(rows), folder / "one.csv")
    shuffled = list(rows)
    chance.shuffle(shuffled)
    half = len(rows) // 2
    chunked = pa.concat_tables([table_of(shuffled[:half]), table_of(shuffled[half:])])
    write_report_csv(chunked, folder / "two.csv")
    assert (folder / "one.csv").read_bytes() == (folder / "two.csv").read_bytes()


@WRITES_FILES
@given(ROWS)
def test_another_csv_reader_finds_the_same_text_and_plain_numbers(folder: Path, rows: list[Row]) -> None:
    path = folder / "other.csv"
    write_report_csv(table_of(rows), path)
    with path.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file, strict=True, lineterminator="\n"))
    assert sorted(line["text"] for line in found) == sorted(guarded(row["text"] or "") for row in rows)
    for line in found:
        for column in ("money", "tiny", "count", "hour"):
            assert set(line[column]) <= set("-.0123456789")
    assert sorted(Decimal(line["money"]) for line in found if line["money"]) == sorted(
        row["money"] for row in rows if row["money"] is not None
    )


def test_the_file_byte_by_byte(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"text": 'say "hi", é', "money": Decimal("-0.000001"), "tiny": Decimal("1E-20"), "day": dt.date(2025, 5, 2)},
        {"text": "", "money": Decimal("12.5"), "count": 7, "hour": 0, "flag": False},
        {"text": "=1+1", "money": Decimal("0"), "flag": True},
        {"text": None},
    ]
    path = tmp_path / "a" / "report.csv"
    write_report_csv(table_of(rows), path)
    assert path.read_bytes().decode() == (
        "text,money,tiny,day,count,hour,flag\n"
        '"",12.500000,,,7,0,false\n'
        '"\'=1+1",0.000000,,,,,true\n'
        '"say ""hi"", é",-0.000001,0.00000000000000000001,2025-05-02,,,\n'
        ",,,,,,\n"
    )


def test_rows_are_in_the_order_of_the_key_and_then_of_the_other_columns(tmp_path: Path) -> None:
    schema = pa.schema([("name", pa.string()), ("place", pa.int32())])
    rows = [{"name": "b", "place": 2}, {"name": "a", "place": 2}, {"name": "c", "place": 1}]
    path = tmp_path / "report.csv"
    write_report_csv(table_of(rows, schema), path)
    assert path.read_text() == 'name,place\n"a",2\n"b",2\n"c",1\n'
    write_report_csv(table_of(rows, schema), path, order_by=["place"])
    assert path.read_text() == 'name,place\n"c",1\n"a",2\n"b",2\n'


def test_identities_of_digits_stand_in_quotes_and_numbers_do_not(tmp_path: Path) -> None:
    """As a program that tells text from numbers by the quotes reads them: none gets an exponent or loses a zero."""
    schema = pa.schema([("customer_id", pa.string()), ("amount", pa.decimal128(18, 2)), ("events", pa.int64())])
    rows = [
        {"customer_id": "212600000001", "amount": Decimal("1234567890123.40"), "events": 10**15},
        {"customer_id": "0012", "amount": Decimal("0.05"), "events": 0},
        {"customer_id": "+212600", "amount": Decimal("-0.05"), "events": 1},
    ]
    path = tmp_path / "bills.csv"
    write_report_csv(table_of(rows, schema), path, order_by=["-events"])
    assert path.read_bytes().decode() == (
        "customer_id,amount,events\n"
        '"212600000001",1234567890123.40,1000000000000000\n'
        '"\'+212600",-0.05,1\n'
        '"0012",0.05,0\n'
    )


@WRITES_FILES
@given(ROWS)
def test_a_byte_order_mark_is_all_that_the_setting_changes(folder: Path, rows: list[Row]) -> None:
    with_mark, without = folder / "marked.csv", folder / "plain.csv"
    write_report_csv(table_of(rows), with_mark, bom=True)
    write_report_csv(table_of(rows), without)
    assert with_mark.read_bytes() == b"\xef\xbb\xbf" + without.read_bytes()
    assert with_mark.read_text(encoding="utf-8-sig") == without.read_text(encoding="utf-8")
    assert read_report_csv(with_mark, SCHEMA).equals(read_report_csv(without, SCHEMA))


@WRITES_FILES
@given(rows=ROWS, bom=st.booleans())
def test_a_stream_of_rows_is_written_and_read_as_a_table_is(folder: Path, rows: list[Row], *, bom: bool) -> None:
    whole, stream = folder / "whole.csv", folder / "stream.csv"
    write_report_csv(table_of(rows), whole, bom=bom)
    ordered = read_report_csv(whole, SCHEMA)
    batches = [ordered.slice(start, 3).combine_chunks().to_batches() for start in range(0, ordered.num_rows, 3)]
    assert write_csv_rows(SCHEMA, [batch for part in batches for batch in part], stream, bom=bom) == len(rows)
    assert stream.read_bytes() == whole.read_bytes()
    assert pa.Table.from_batches(read_csv_rows(stream, SCHEMA), SCHEMA).equals(ordered)


NUMBERS = pa.schema([("number", pa.int64())])


def stream_of(parts: list[list[int]]) -> list[pa.RecordBatch]:
    return [pa.RecordBatch.from_pydict({"number": part}, schema=NUMBERS) for part in parts]


@given(st.lists(st.lists(st.integers(0, 2), max_size=3), max_size=6), st.lists(st.lists(st.integers(0, 2), max_size=3)))
def test_streams_are_the_same_when_their_rows_are_however_they_are_cut(
    one: list[list[int]], other: list[list[int]]
) -> None:
    rows, others = ([number for part in parts for number in part] for parts in (one, other))
    assert (not differing_rows(stream_of(one), stream_of(other), NUMBERS)) == (rows == others)
    assert not differing_rows(stream_of(one), stream_of([rows]), NUMBERS)
    assert differing_rows(stream_of(one), stream_of([*one, [7]]), NUMBERS)
    assert differing_rows(stream_of([*one, [7]]), stream_of(one), NUMBERS)


def test_the_first_rows_that_differ_are_told_side_by_side() -> None:
    left, right = stream_of([[1, 2], [3, 4]]), stream_of([[1], [9, 3, 4, 5]])
    assert differing_rows(left, right, NUMBERS) == [({"number": 2}, {"number": 9}), (None, {"number": 5})]
    assert differing_rows(left, right, NUMBERS, limit=1) == [({"number": 2}, {"number": 9})]


def test_the_currency_stands_before_the_billing_period() -> None:
    table = pa.table({"region": ["a", "b"], "billing_period": ["2025-05", "2025-05"]})
    assert with_currency(table, "MAD").to_pylist() == [
        {"region": "a", "currency": "MAD", "billing_period": "2025-05"},
        {"region": "b", "currency": "MAD", "billing_period": "2025-05"},
    ]
    assert with_currency(table, "MAD").column_names[-2:] == ["currency", "billing_period"]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_every_report_of_the_contract_can_be_written_and_begins_with_its_key(report: object, tmp_path: Path) -> None:
    table = with_currency(report.arrow_schema().empty_table(), "MAD")  # type: ignore[attr-defined]
    key = [name for name in report.key if name != "billing_period"]  # type: ignore[attr-defined]
    assert table.column_names[: len(key)] == key
    write_report_csv(table, tmp_path / "empty.csv")
    assert read_report_csv(tmp_path / "empty.csv", table.schema).num_rows == 0


@given(TEXT)
def test_no_text_begins_as_a_formula_and_none_is_lost(text: str) -> None:
    assert not guarded(text).startswith(tuple("=+-@\t\r\n＝＋－＠"))
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.timestamp("us"), pa.binary()])
def test_a_column_that_would_lose_digits_is_refused_by_name(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"revenue": pa.array([None], kind)})
    with pytest.raises(ReportFileError, match="column 'revenue' is"):
        write_report_csv(table, tmp_path / "report.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content, message",
    [
        (b"name,amount\nx,1.50\n", "expected the header"),
        (b"", "expected the header"),
        (b"region,amount\nx,1.505\n", "data loss"),
        (b"region,amount\nx,many\n", "many"),
        (b"region,amount\nx\n", "Expected 2 columns"),
        (b"region,amount\n\xff,1.00\n", "UTF8"),
    ],
)
def test_a_file_that_is_another_one_is_an_error_that_names_it(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "report.csv"
    path.write_bytes(content)
    with pytest.raises(ReportFileError, match=message) as caught:
        read_report_csv(path, pa.schema([("region", pa.string()), ("amount", pa.decimal128(18, 2))]))
    assert str(path) in str(caught.value)


def test_a_failure_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.csv"
    write_report_csv(table_of([{"text": "old"}]), path)
    old = path.read_bytes()

    def broken(_: object) -> bytes:
        raise OSError("no space left on device")

    monkeypatch.setattr("telecom_assets.reports.csv_files.csv_line", broken)
    with pytest.raises(OSError, match="no space"):
        write_report_csv(table_of([{"text": "new"}]), path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_changed_centime_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    table = table_of([{"text": "x", "money": Decimal("1.000001")}])
    write_report_csv(table, path)
    assert read_report_csv(path, SCHEMA).equals(table)
    path.write_bytes(path.read_bytes().replace(b"1.000001", b"1.000002"))
    assert not read_report_csv(path, SCHEMA).equals(table)


def test_the_docs_list_the_columns_of_every_file() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    listed = {file.strip("`"): re.findall(r"`([a-z0-9_]+)`", columns) for file, _, columns in rows}
    reports = {
        f"{contract.name}.csv": with_currency(contract.arrow_schema().empty_table(), "MAD").column_names
        for contract in REPORTS
    }
    assert listed == {"bills.csv": FACTURATION_COMPLETE.column_names, **reports}
