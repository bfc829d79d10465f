"""Rows of a pinned version: through the engine, or as Arrow without it.

Belongs here: how each client reads a version. Does not belong here: figures that are known without reading rows (`statistics`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import QueryBuilder
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources import sail_quirks
from resources.contract import TableContract
from resources.warehouse.conditions import Condition, at_least, at_most, quoted
from resources.warehouse.errors import MissingTable, WarehouseError
from resources.warehouse.log_repair import hinted
from resources.warehouse.staged_files import Staged

if TYPE_CHECKING:
    from resources.warehouse.pinned_table import PinnedTable
    from resources.warehouse.warehouse import Warehouse


def read_frame(pinned: "PinnedTable") -> DataFrame:
    """All rows of a version, through the engine."""
    warehouse, contract = pinned.warehouse, pinned.contract
    try:
        warehouse.tables.at(contract, pinned.version)
    except MissingTable:
        return _no_rows(warehouse, contract)
    spark = warehouse.engine.spark_session
    if _is_out_of_reach(pinned):
        return _as_declared(spark.read.parquet(_copy(replace(pinned, partitions=None))), contract)
    return (
        spark.read.format("delta")
        .option("versionAsOf", pinned.version)
        .load(warehouse.place.engine_path(pinned.name))
        .select(contract.column_names)
    )


def read_batches(pinned: "PinnedTable") -> Iterator[pa.RecordBatch]:
    """Rows of the pinned partitions as a stream of Arrow batches, read without the engine; not all are in memory at once."""
    contract, partitions = pinned.contract, pinned.partitions
    tables, stored = pinned.warehouse.tables, pinned.warehouse.place.stored(pinned.name)
    within, files = None, None
    if partitions is not None and contract.partition_by is not None:
        name, column = contract.partition_by, pc.field(contract.partition_by)
        within = (column >= partitions.first) & (column <= partitions.last)
        # Files are chosen here: by the filter alone pyarrow would first make a fragment of every file of the table.
        files = [(name, ">=", partitions.first), (name, "<=", partitions.last)]
    try:
        table = tables.at(contract, pinned.version)
    except MissingTable:
        return
    dataset = table.to_pyarrow_dataset(filesystem=stored, file_pruning_predicate=files)
    try:
        for batch in dataset.to_batches(columns=contract.column_names, filter=within):
            yield batch.cast(contract.arrow_schema())
    except FileNotFoundError as error:
        tables.forget(contract.name, pinned.version)
        tables.at(contract, pinned.version)
        raise tables.unreadable(contract, pinned.version, error) from error


def read_rows(pinned: "PinnedTable", columns: Sequence[str] | None, *conditions: Condition) -> list[dict[str, Any]]:
    """Rows of the pinned partitions for which every condition holds: for few rows of a table of any size. columns: None for all.

    Beside the embedded engine delta-rs reads them, which needs no engine to start and takes half the time of a query; on Apache Spark
    the cluster does, where there is something to search for.
    """
    contract, partitions = pinned.contract, pinned.partitions
    names = contract.column_names if columns is None else list(columns)
    try:
        table = pinned.warehouse.tables.at(contract, pinned.version)
    except MissingTable:
        return []
    if pinned.warehouse.engine.name != "sail" or pinned.warehouse.tables.is_from_a_copy(contract.name, pinned.version):
        if not conditions:
            return list(pinned.arrow().select(names).to_pylist())
        frame = reduce(DataFrame.where, (each.column() for each in conditions), pinned.df)
        return list(frame.select(names).toArrow().to_pylist())
    if partitions is not None and contract.partition_by is not None:
        of = contract.partition_by
        conditions = (at_least(of, partitions.first), at_most(of, partitions.last), *conditions)
    where = " AND ".join(each.sql for each in conditions) or "TRUE"
    query = f"SELECT {', '.join(map(quoted, names))} FROM rows WHERE {where}"  # noqa: S608 - `conditions` quotes every value
    try:
        found = QueryBuilder().register("rows", table).execute(query).read_all()
    except Exception as error:  # delta-rs raises no class of its own here
        raise pinned.warehouse.tables.unreadable(contract, pinned.version, error) from error
    # pyarrow would load pandas, which takes a quarter of a second, before it makes a Python value of a time.
    return [
        dict(zip(names, row, strict=True))
        for row in zip(*(column.to_pylist() for column in found.columns), strict=True)
    ]


def staged_rows(warehouse: "Warehouse", name: str, files: Staged) -> DataFrame:
    """Rows that are staged, through the engine."""
    rows = warehouse.engine.spark_session.read.parquet(f"{warehouse.place.engine_path(name)}/{files.folder}")
    return _as_declared(rows, warehouse.contracts[name])


def staged_arrow(warehouse: "Warehouse", name: str, files: Staged, columns: Sequence[str]) -> pa.Table:
    """Columns of staged rows (not the partition's), without the engine."""
    stored = warehouse.place.stored(name)
    parts = [
        pq.read_table(file.path, columns=list(columns), filesystem=stored, partitioning=None) for file in files.files
    ]
    schema = pa.schema([warehouse.contracts[name].arrow_schema().field(column) for column in columns])
    return pa.concat_tables([part.cast(schema) for part in parts]) if parts else schema.empty_table()


def _as_declared(rows: DataFrame, contract: TableContract) -> DataFrame:
    """Rows of files with the columns and types of a contract."""
    return rows.select([F.col(column.name).cast(column.type) for column in contract.columns])


def _no_rows(warehouse: "Warehouse", contract: TableContract) -> DataFrame:
    """The rows of a missing table: none."""
    columns = [F.lit(None).cast(column.type).alias(column.name) for column in contract.columns]
    return warehouse.engine.spark_session.range(0).select(columns)


def _is_out_of_reach(pinned: "PinnedTable") -> bool:
    """Whether the engine cannot read a version, so that its rows are copied first. Raises WarehouseError for a torn log on Spark."""
    warehouse, name = pinned.warehouse, pinned.name
    if warehouse.engine.name != "sail":
        if warehouse.tables.is_from_a_copy(name, pinned.version):
            raise WarehouseError(
                f"table {name} at {warehouse.path(name)}: its log is torn, and Apache Spark cannot read it; `telecom maintain` "
                "mends it"
            )
        return False
    if warehouse.tables.is_from_a_copy(name, pinned.version):
        return True
    return not warehouse.tables.is_newest_known(name, pinned.version) and sail_quirks.is_hidden(
        pinned.version, hinted(warehouse.place.stored(name))
    )


@lru_cache(maxsize=16)
def _copy(pinned: "PinnedTable") -> str:
    """A copy of all rows of a version. A process copies a version once, since versions never change."""
    return sail_quirks.local_copy(read_batches(pinned), pinned.contract.arrow_schema())
