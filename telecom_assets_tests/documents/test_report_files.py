"""Reports as CSV: what is written comes back to the last digit, and other programs read the same."""

import csv
import datetime as dt
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telecom_assets.documents.csv_text import guarded, unguarded
from telecom_assets.documents.report_files import ReportFileError, read_report_csv, write_report_csv
from telecom_assets.schemas.billing import REPORTS

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


#: Every example is synced to disk, which takes as long as the disk takes.
WRITES_FILES = settings(deadline=None, max_examples=50)


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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    return tmp_path_factory.mktemp("reports")


def table_of(rows: list[dict], schema: pa.Schema = SCHEMA) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


def in_order(rows: list[dict]) -> list[tuple]:
    return sorted(tuple((value is None, str(value)) for value in row.values()) for row in rows)


@WRITES_FILES
@given(ROWS)
def test_every_table_comes_back_exactly(folder: Path, rows: list[dict]) -> None:
    path = folder / "round.csv"
    write_report_csv(table_of(rows), path)
    back = read_report_csv(path, SCHEMA)
    assert back.schema == SCHEMA
    assert in_order(back.to_pylist()) == in_order(table_of(rows).to_pylist())


@WRITES_FILES
@given(ROWS, st.randoms())
def test_the_bytes_do_not_depend_on_the_order_or_chunks_of_the_rows(
    folder: Path, rows: list[dict], chance: random.Random
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
def test_another_csv_reader_finds_the_same_text_and_plain_numbers(folder: Path, rows: list[dict]) -> None:
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
    rows = [
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
        "'=1+1,0.000000,,,,,true\n"
        '"say ""hi"", é",-0.000001,0.00000000000000000001,2025-05-02,,,\n'
        ",,,,,,\n"
    )


def test_rows_are_in_the_order_of_the_key_and_then_of_the_other_columns(tmp_path: Path) -> None:
    schema = pa.schema([("name", pa.string()), ("place", pa.int32())])
    rows = [{"name": "b", "place": 2}, {"name": "a", "place": 2}, {"name": "c", "place": 1}]
    path = tmp_path / "report.csv"
    write_report_csv(table_of(rows, schema), path)
    assert path.read_text() == "name,place\na,2\nb,2\nc,1\n"
    write_report_csv(table_of(rows, schema), path, order_by=["place"])
    assert path.read_text() == "name,place\nc,1\na,2\nb,2\n"


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_every_report_of_the_contract_can_be_written_and_begins_with_its_key(report: object, tmp_path: Path) -> None:
    schema = report.arrow_schema()  # type: ignore[attr-defined]
    columns = [field for field in schema if field.name != "billing_period"]
    key = [name for name in report.key if name != "billing_period"]  # type: ignore[attr-defined]
    assert [field.name for field in columns[: len(key)]] == key
    write_report_csv(pa.schema(columns).empty_table(), tmp_path / "empty.csv")
    assert read_report_csv(tmp_path / "empty.csv", pa.schema(columns)).num_rows == 0


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

    monkeypatch.setattr("telecom_assets.documents.report_files.csv_line", broken)
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
