"""The two files of a generated month: `cdr.jsonl` and `customers.csv`.

Belongs here: writing what the sibling modules make, whole or not at all. Does not belong here: what is in them.
"""

import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from telecom_assets.generator.cdrs import generate_cdr_chunks
from telecom_assets.generator.customers import generate_customers
from telecom_assets.generator.spec import GeneratorSpec

CDR_FILE = "cdr.jsonl"
CUSTOMERS_FILE = "customers.csv"


@dataclass(frozen=True)
class GeneratedFiles:
    """What was written: where, how many lines or rows, how many bytes of CDRs."""

    cdr_file: Path
    cdrs: int
    cdr_bytes: int
    customers_file: Path
    customers: int


def write_files(spec: GeneratorSpec, out_dir: Path, progress: Callable[[int], None] | None = None) -> GeneratedFiles:
    """Write the CDRs and their customers into a folder, which is made when it is missing; older files are replaced.

    A file appears under its name when it is complete. `progress` is called with the lines written since the last call.
    Raises OSError.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    customers = generate_customers(spec.customers, spec.seed)
    with _whole_file(out_dir / CUSTOMERS_FILE) as file:
        write_customers_csv(customers, file)
    lines = size = 0
    with _whole_file(out_dir / CDR_FILE) as file:
        for chunk in generate_cdr_chunks(spec):
            size += file.write(json_lines(chunk))
            lines += len(chunk)
            if progress is not None:
                progress(len(chunk))
    return GeneratedFiles(out_dir / CDR_FILE, lines, size, out_dir / CUSTOMERS_FILE, customers.num_rows)


def json_lines(chunk: pa.StringArray) -> memoryview:
    """The lines of a chunk as they are in the file, each with its line end."""
    ended = pc.binary_join_element_wise(chunk, "", "\n")
    _, ends, data = ended.buffers()
    return memoryview(data)[: memoryview(ends).cast("i")[len(ended)]]


def write_customers_csv(customers: pa.Table, file: BinaryIO) -> None:
    """A customers table as CSV: UTF-8, a header, values quoted where they must be."""
    file.write(_csv([customers.column_names]))
    for batch in customers.to_batches(max_chunksize=10_000):
        file.write(_csv(zip(*(column.to_pylist() for column in batch.columns), strict=True)))


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
