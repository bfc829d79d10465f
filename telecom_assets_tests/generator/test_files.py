"""The files of a generated month: whole, reproducible, readable by others."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from telecom_assets.generator import GeneratorSpec, generate_cdr_chunks, generate_customers, write_files
from telecom_assets.generator import files as files_module

SPEC = GeneratorSpec(cdrs=3_000, customers=400, month="2025-05", seed=3, chunk_rows=1_000)


def test_cdr_file_is_the_lines_each_with_its_end(tmp_path: Path) -> None:
    written = write_files(SPEC, tmp_path / "new" / "folder")
    lines = [line for chunk in generate_cdr_chunks(SPEC) for line in chunk.to_pylist()]
    content = written.cdr_file.read_bytes()
    assert written.cdr_file == tmp_path / "new" / "folder" / "cdr.jsonl"
    assert content == "".join(line + "\n" for line in lines).encode()
    assert (written.cdrs, written.cdr_bytes) == (3_000, len(content))


def test_customers_file_says_the_same_as_the_table(tmp_path: Path) -> None:
    written = write_files(SPEC, tmp_path)
    table = generate_customers(SPEC.customers, SPEC.seed)
    with written.customers_file.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == [
        "customer_id",
        "customer_name",
        "subscription_type",
        "rate_plan_id",
        "activation_date",
        "status",
        "region",
    ]
    assert rows == [[str(value) for value in row.values()] for row in table.to_pylist()]
    assert written.customers == len(rows) == 400


def test_names_hold_what_csv_must_quote(tmp_path: Path) -> None:
    text = write_files(SPEC, tmp_path).customers_file.read_text(encoding="utf-8")
    assert '""Atlas"" SARL"' in text
    assert ', Transport SARL"' in text


def test_twice_the_same_bytes_and_older_files_are_replaced(tmp_path: Path) -> None:
    first = write_files(SPEC, tmp_path / "first")
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "cdr.jsonl").write_text("older")
    second = write_files(SPEC, tmp_path / "second")
    assert second.cdr_file.read_bytes() == first.cdr_file.read_bytes()
    assert second.customers_file.read_bytes() == first.customers_file.read_bytes()


def test_progress_adds_up(tmp_path: Path) -> None:
    steps: list[int] = []
    write_files(SPEC, tmp_path, steps.append)
    assert len(steps) > 1
    assert sum(steps) == SPEC.cdrs


def test_no_cdrs_is_an_empty_file(tmp_path: Path) -> None:
    written = write_files(GeneratorSpec(cdrs=0, customers=1, month="2025-05"), tmp_path)
    assert written.cdr_file.read_bytes() == b""


def test_an_interrupted_file_does_not_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(spec: GeneratorSpec) -> Iterator[pa.StringArray]:
        yield next(generate_cdr_chunks(spec))
        raise KeyboardInterrupt

    monkeypatch.setattr(files_module, "generate_cdr_chunks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_files(SPEC, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["customers.csv"]
