"""Reports as CSV files: exact to the last decimal, whole or not at all, the same bytes for the same rows.

Belongs here: a table to a file and back. Does not belong here: what a report holds (`telecom_assets.reports.rules`)
and how a field is written (`csv_text`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from resources.atomic_files import replaced_file
from resources.expected_errors import ExpectedError
from telecom_assets.model.csv_text import csv_line, text_field, unguarded
from telecom_assets.model.text import plain

#: The last columns of every report file.
CURRENCY, PERIOD = "currency", "billing_period"
_BATCH_ROWS = 10_000
#: Up to so many decimals Arrow writes a decimal in plain notation; 10^-7 it writes with an exponent.
_PLAIN_SCALE = 6
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ReportFileError(ExpectedError, ValueError):
    """A table cannot be written as a report, or a file is not the report that was expected."""


def with_currency(table: pa.Table, currency: str) -> pa.Table:
    """The table with the currency of its amounts before its last column, the billing period."""
    column = pa.array([currency] * table.num_rows, pa.string())
    return table.add_column(table.num_columns - 1, CURRENCY, column)


def write_report_csv(table: pa.Table, path: Path, order_by: Sequence[str] = (), *, bom: bool = False) -> None:
    """Write a table to `path` (`write_csv_rows`), ordered.

    Rows are ordered by `order_by` (a name after `-` is descending), then by all columns from left to right, so that the
    order of the input does not matter; the columns of every report begin with its key.
    """
    asked = [(name.removeprefix("-"), "descending" if name.startswith("-") else "ascending") for name in order_by]
    named = {name for name, _ in asked}
    keys = [*asked, *((name, "ascending") for name in table.column_names if name not in named)]
    ordered = table.sort_by(keys) if keys else table
    write_csv_rows(table.schema, ordered.to_batches(max_chunksize=_BATCH_ROWS), path, bom=bom)


def write_csv_rows(schema: pa.Schema, batches: Iterable[pa.RecordBatch], path: Path, *, bom: bool = False) -> int:
    """Write rows to `path`, which is the old file or the whole new one at any moment; returns the number of rows.

    UTF-8, a header, text in quotes (RFC 4180), LF line ends, decimals in plain notation with a point, dates as yyyy-mm-dd.
    bom: begin with a byte order mark. Columns may be text, integers, decimals, dates and booleans; a float column is
    refused (ReportFileError), because its digits differ from the computed decimal.
    """
    texts_of = [_texts_of(field) for field in schema]
    rows = 0
    with replaced_file(path) as file:
        file.write((_BYTE_ORDER_MARK if bom else b"") + csv_line(schema.names))
        for batch in batches:
            columns = [text(column) for text, column in zip(texts_of, batch.columns, strict=True)]
            file.writelines((",".join(row) + "\n").encode() for row in zip(*columns, strict=True))
            rows += batch.num_rows
    return rows


def read_report_csv(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a file that was written here: the same rows, equal to the last decimal, with the types of `schema`.

    A byte order mark makes no difference. Raises ReportFileError when the header is another one or a value does not fit
    its column.
    """
    size = path.stat().st_size
    # A record may be as long as the file: read as one block, so that no record is cut in two.
    return pa.Table.from_batches(_batches(path, schema, max(size, 1024)), schema)


def read_csv_rows(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The same, as a stream: for files of any size whose records are short."""
    return _batches(path, schema, 1 << 22)


def differing_rows(
    left: Iterable[pa.RecordBatch], right: Iterable[pa.RecordBatch], schema: pa.Schema, limit: int = 20
) -> list[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """The first pairs of rows in which two streams differ; empty when they are equal. The sizes of their batches do not matter.

    None stands for the row of a stream that has ended. Neither stream is in memory as a whole.
    """
    found: list[tuple[dict[str, Any] | None, dict[str, Any] | None]] = []
    rest = [schema.empty_table(), schema.empty_table()]
    streams = [iter(left), iter(right)]
    while True:
        for side, stream in enumerate(streams):
            if (
                not rest[side].num_rows
                and (batch := next((each for each in stream if each.num_rows), None)) is not None
            ):
                rest[side] = pa.Table.from_batches([batch]).cast(schema)
        shared = min(table.num_rows for table in rest)
        if not shared:
            ended = [table.slice(0, limit - len(found)).to_pylist() for table in rest]
            return [*found, *zip_longest(*ended)]
        ours, theirs = (table.slice(0, shared) for table in rest)
        if not ours.equals(theirs):
            pairs = zip(ours.to_pylist(), theirs.to_pylist(), strict=True)
            found += islice((pair for pair in pairs if pair[0] != pair[1]), limit - len(found))
        if len(found) == limit:
            return found
        rest = [table.slice(shared) for table in rest]


def _batches(path: Path, schema: pa.Schema, block_size: int) -> Iterator[pa.RecordBatch]:
    expected = csv_line(schema.names)
    with path.open("rb") as file:
        mark = file.read(len(_BYTE_ORDER_MARK))
        start = len(mark) if mark == _BYTE_ORDER_MARK else 0
        file.seek(start)
        header = file.readline()
        if header != expected:
            found = header.removesuffix(b"\n").decode(errors="replace")
            raise ReportFileError(f"{path}: expected the header {expected.decode().strip()!r}, found {found!r}")
        if not file.read(1):  # pyarrow refuses a file without a row
            return
        file.seek(start + len(header))
        try:
            yield from map(_unguarded, pyarrow.csv.open_csv(file, *_options(schema, block_size)))
        except pa.ArrowInvalid as error:
            raise ReportFileError(f"{path}: {error}") from error


def _options(schema: pa.Schema, block_size: int) -> tuple[Any, Any, Any]:
    """Options by which pyarrow reads the rows after the header."""
    return (
        pyarrow.csv.ReadOptions(block_size=block_size, column_names=schema.names),
        pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        pyarrow.csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["true"],
            false_values=["false"],
        ),
    )


def _unguarded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with the original texts: `csv_text` has guarded those that a spreadsheet would take for a formula."""
    columns = [
        pa.array([None if text is None else unguarded(text) for text in column.to_pylist()], column.type)
        if pa.types.is_string(column.type)
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _texts_of(field: pa.Field) -> Callable[[pa.Array], list[str]]:
    """How the values of a column are written; NULL is empty."""
    kind = field.type
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and 0 <= kind.scale <= _PLAIN_SCALE):
        return _as_arrow_writes
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _one_by_one(text_field)
    if pa.types.is_decimal(kind):
        return _one_by_one(plain)
    if pa.types.is_date(kind):
        return _one_by_one(lambda value: str(value.isoformat()))
    if pa.types.is_boolean(kind):
        return _one_by_one(lambda value: "true" if value else "false")
    raise ReportFileError(
        f"column {field.name!r} is {kind}: a report holds text, integers, decimals, dates and booleans; cast it first"
    )


def _as_arrow_writes(column: pa.Array) -> list[str]:
    texts: list[str] = pc.fill_null(column.cast(pa.string()), "").to_pylist()
    return texts


def _one_by_one(text: Callable[[Any], str]) -> Callable[[pa.Array], list[str]]:
    return lambda column: ["" if value is None else text(value) for value in column.to_pylist()]
