"""The rows of a table in its new shape, as files that no version names yet.

Belongs here: making a file in the new shape from each file of the table, without an engine. Does not belong here: which rows
are removed, the content of ledgers, the commit.
"""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable

from resources.arrow_streams import read_stream
from resources.warehouse import NULL_PARTITION, Staged, Warehouse, new_folder, put, staged
from telecom_assets.upgrade.shapes import WORKED_OUT, Shape

#: Values of the columns that a table gets, the same in all of its rows.
Constants = Mapping[str, Any]


def rewrite(
    warehouse: Warehouse,
    shape: Shape,
    constants: Constants,
    *,
    without: Collection[Any] = (),
) -> Staged:
    """Write each file of a table anew, with its columns in the new shape; memory is bounded by one file.

    without: partition values, as the log writes them, whose files are left out.
    """
    stored, by = warehouse.place.stored(shape.name), shape.contract.partition_by
    table = DeltaTable(warehouse.path(shape.name), version=shape.version, storage_options=warehouse.storage_options)
    folder = new_folder()
    try:
        for number, file in enumerate(read_stream(table.get_add_actions(flatten=True)).to_pylist()):
            value = None if by is None or file[f"partition.{by}"] is None else str(file[f"partition.{by}"])
            if by is not None and value in without:
                continue
            below = [f"{by}={NULL_PARTITION if value is None else value}"] if by else []
            path = "/".join([folder, *below, f"{number:06d}.parquet"])
            put(stored, path, _file(stored, unquote(file["path"]), shape, constants))
        return staged(stored, folder, by, shape.contract.column_names[: shape.contract.indexed])
    except BaseException:
        warehouse.drop(shape.name, folder)
        raise


def reshape(rows: pa.Table, shape: Shape, constants: Constants) -> pa.Table:
    """Rows with the columns of the new shape, without the partition column. A column that the file lacks is NULL."""
    columns, schema, worked_out = {}, _schema(shape), WORKED_OUT.get(shape.name, {})
    for field in schema:
        former = shape.former(field.name)
        if field.name in constants and field.name in shape.added:
            columns[field.name] = pa.repeat(pa.scalar(constants[field.name], field.type), rows.num_rows)
        elif field.name in worked_out and field.name in shape.added:
            columns[field.name] = worked_out[field.name](rows).cast(field.type)
        elif former in rows.column_names:
            columns[field.name] = rows[former].cast(field.type)
        else:
            columns[field.name] = pa.nulls(rows.num_rows, field.type)
    return pa.table(columns, schema)


def _file(stored: pafs.FileSystem, path: str, shape: Shape, constants: Constants) -> bytes:
    """A file in the new shape, row group by row group."""
    content = pa.BufferOutputStream()
    with (
        stored.open_input_file(path) as source,
        pq.ParquetWriter(content, _schema(shape), compression="zstd", compression_level=1) as writer,
    ):
        file = pq.ParquetFile(source)
        for number in range(file.num_row_groups):
            writer.write_table(reshape(file.read_row_group(number), shape, constants))
    written: bytes = content.getvalue().to_pybytes()
    return written


def _schema(shape: Shape) -> pa.Schema:
    """The columns of a file: without the partition column, whose value is in the log alone."""
    return pa.schema([field for field in shape.contract.arrow_schema() if field.name != shape.contract.partition_by])
