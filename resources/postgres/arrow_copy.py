"""Arrow in and out of PostgreSQL by COPY: a million rows in seconds, exact decimals, no row objects.

Belongs here: the CSV dialect that both sides agree on. Does not belong here: which rows.

The dialect: NULL is an empty field, an empty text is a quoted one. PostgreSQL and pyarrow both write it and both tell
the two apart; decimals travel as digits.
"""

import io
from collections.abc import Iterable, Iterator, Sequence

import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql

from resources.postgres.connection import PostgresConnection, PostgresError
from resources.postgres.tables import TableMissing, columns_sql, postgres_type

_BLOCK_BYTES = 4 << 20


def read_table(
    connection: PostgresConnection, table: str, schema: pa.Schema, *, order_by: Sequence[str] = ()
) -> pa.Table:
    """Every row of a table (or view), the schema's columns in its types, in the order of `order_by`.

    One statement, so one consistent state of the table. Columns of another type are cast by PostgreSQL; text is ordered
    by code point, whatever the collation of the database. Raises TableMissing, and PostgresError when a column is
    missing or a value does not fit the schema.
    """
    with connection.session(f"reading {table}") as session:
        try:
            with session.cursor() as cursor, cursor.copy(_copy_out(table, schema, order_by)) as copy:
                rows = pa.csv.read_csv(
                    _CopyReader(iter(copy)),
                    read_options=pa.csv.ReadOptions(block_size=_BLOCK_BYTES),
                    parse_options=pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
                    convert_options=pa.csv.ConvertOptions(
                        column_types=schema,
                        null_values=[""],
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=False,
                        true_values=["t"],
                        false_values=["f"],
                    ),
                )
            rows.validate(full=True)  # the CSV reader lets digits beyond a decimal's precision pass
            return rows
        except psycopg.errors.UndefinedTable:
            raise TableMissing(f"table {table} does not exist at {connection.address}") from None
        except psycopg.errors.UndefinedColumn as error:
            raise PostgresError(
                f"table {table} at {connection.address}: {error.diag.message_primary}; "
                f"expected the columns {', '.join(schema.names)}"
            ) from None
        except pa.ArrowInvalid as error:
            raise PostgresError(
                f"table {table} at {connection.address} holds a value that does not fit its contract: {error}"
            ) from None


def copy_batches(
    session: psycopg.Connection, table: sql.Composable, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> None:
    """COPY record batches into an existing table, columns found by name. Raises ValueError when a batch lacks one."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')").format(
        table, columns_sql(schema.names)
    )
    options = pa.csv.WriteOptions(include_header=False)
    with session.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in batches:
            block = io.BytesIO()
            pa.csv.write_csv(_fit(batch, schema), block, options)
            copy.write(block.getbuffer())


def _fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if missing := [name for name in schema.names if name not in batch.schema.names]:
        raise ValueError(f"rows without the column(s) {', '.join(missing)}; expected {', '.join(schema.names)}")
    return batch.select(schema.names).cast(schema)


def _copy_out(table: str, schema: pa.Schema, order_by: Sequence[str]) -> sql.Composed:
    columns = sql.SQL(", ").join(_selected(field) for field in schema)
    order = sql.SQL(", ").join(
        sql.SQL('{} COLLATE "C"' if schema.field(name).type == pa.string() else "{}").format(sql.Identifier(name))
        for name in order_by
    )
    query = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(table))
    if order_by:
        query = sql.SQL("{} ORDER BY {}").format(query, order)
    return sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')").format(query)


def _selected(field: pa.Field) -> sql.Composable:
    """A column of the SELECT. A number is not cast: that would round it; pyarrow refuses one that does not fit."""
    name = sql.Identifier(field.name)
    if pa.types.is_decimal(field.type):
        return name
    return sql.SQL("{}::{} AS {}").format(name, sql.SQL(postgres_type(field.type)), name)


class _CopyReader(io.RawIOBase):
    """The rows of a COPY as the byte stream that pyarrow reads; holds one block at a time."""

    def __init__(self, rows: Iterator[bytes | bytearray | memoryview]) -> None:
        super().__init__()
        self._rows = rows
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = io.BytesIO()
        block.write(self._rest)
        while size < 0 or block.tell() < size:
            row = next(self._rows, None)
            if row is None:
                break
            block.write(row)
        data = block.getvalue()
        end = len(data) if size < 0 else size
        self._rest = data[end:]
        return data[:end]
