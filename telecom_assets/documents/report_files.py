"""Reports as CSV files: exact to the last decimal, whole or not at all, the same bytes for the same rows.

Belongs here: a table to a file and back. Does not belong here: what a report holds (`transforms`, `schemas.billing`)
and how a field is written (`csv_text`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from telecom_assets.documents.atomic import replaced_file
from telecom_assets.documents.csv_text import csv_line, guarded, unguarded
from telecom_assets.documents.text import plain

_BATCH_ROWS = 10_000


class ReportFileError(ValueError):
    """A table cannot be written as a report, or a file is not the report that was expected."""


def write_report_csv(table: pa.Table, path: Path, order_by: Sequence[str] = ()) -> None:
    """Write the table to `path`, which shows the old file or the new one and never a part.

    UTF-8, a header, RFC 4180 quoting, LF line ends, decimals in plain notation, dates as yyyy-mm-dd. Rows are ordered
    by `order_by` (a name after `-` is descending), then by all columns from left to right, so that the order of the
    input does not matter; the columns
    of every report begin with its key. Columns may be text, integers, decimals, dates and booleans; a float column is
    refused (ReportFileError), because its digits are not what was computed.
    """
    text_of = [_text_of(field) for field in table.schema]
    asked = [(name.removeprefix("-"), "descending" if name.startswith("-") else "ascending") for name in order_by]
    named = {name for name, _ in asked}
    keys = [*asked, *((name, "ascending") for name in table.column_names if name not in named)]
    ordered = table.sort_by(keys) if keys else table
    with replaced_file(path) as file:
        file.write(csv_line(table.column_names))
        for batch in ordered.to_batches(max_chunksize=_BATCH_ROWS):
            columns = [
                [None if value is None else text(value) for value in column.to_pylist()]
                for text, column in zip(text_of, batch.columns, strict=True)
            ]
            file.writelines(csv_line(row) for row in zip(*columns, strict=True))


def read_report_csv(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a file that `write_report_csv` wrote: the same rows, equal to the last decimal, with the types of `schema`.

    Raises ReportFileError when the header is another one or a value does not fit its column.
    """
    content = path.read_bytes()
    header = csv_line(schema.names)
    if not content.startswith(header):
        found = content.partition(b"\n")[0].decode(errors="replace")
        raise ReportFileError(f"{path}: expected the header {header.decode().strip()!r}, found {found!r}")
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content),
            # A record may be as long as its longest text: one block, so that no record is cut.
            read_options=pyarrow.csv.ReadOptions(block_size=max(len(content), 1024)),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=schema,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["true"],
                false_values=["false"],
            ),
        )
    except pa.ArrowInvalid as error:
        raise ReportFileError(f"{path}: {error}") from error
    for position, field in enumerate(schema):
        if pa.types.is_string(field.type):
            texts = [None if text is None else unguarded(text) for text in table.column(position).to_pylist()]
            table = table.set_column(position, field, pa.array(texts, field.type))
    return table


def _text_of(field: pa.Field) -> Callable[[Any], str]:
    """How a value of the column is written."""
    kind = field.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return guarded
    if pa.types.is_decimal(kind):
        return plain
    if pa.types.is_date(kind):
        return lambda value: str(value.isoformat())
    if pa.types.is_integer(kind):
        return str
    if pa.types.is_boolean(kind):
        return lambda value: "true" if value else "false"
    raise ReportFileError(
        f"column {field.name!r} is {kind}: a report holds text, integers, decimals, dates and booleans; cast it first"
    )
