"""The warehouse: one Delta table per asset under one root, read at a pinned version, written by whole partitions.

Belongs here: its operations. How they work is in the modules beside this one: opening (`open_tables`), reading
(`pinned_table`, `reading`, `statistics`), writing (`staged_files`, `commits`), logs (`table_log`, `log_repair`). Does not
belong here: Dagster (`resources.io_manager`), what a table means (the contracts are passed in).

Reading never writes: `version`, `pin` and the methods of a pinned table make no table and change no file. A write makes its
table when that is missing; `make_tables` makes tables beforehand.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources import sail_quirks
from resources.contract import TableContract
from resources.engine import SparkEngine
from resources.s3 import S3Storage
from resources.warehouse.commits import Change, append_files, commit_files, replace_partitions
from resources.warehouse.errors import MissingTable
from resources.warehouse.open_tables import OpenTables
from resources.warehouse.partitions import Commit, Everything, Partitions, indexed_columns, of_month
from resources.warehouse.pinned_table import PinnedTable
from resources.warehouse.place import Place
from resources.warehouse.staged_files import Staged, new_folder, staged, write_staged
from resources.warehouse.table_log import TableLog

#: Compression option of each engine's writer: level 1 takes the time of snappy and half of its bytes.
_COMPRESSION = {
    "sail": sail_quirks.COMPRESSION,
    "spark": {"compression": "zstd", "parquet.compression.codec.zstd.level": "1"},
}


#: Told the partitions whose rows a commit would change (None: maybe all), it raises where they must stay as they are.
Guard = Callable[["Warehouse", TableContract, Sequence[Partitions] | None], None]


class Warehouse:
    """All tables under one root, through one engine."""

    def __init__(
        self,
        root: str,
        engine: SparkEngine,
        contracts: Mapping[str, TableContract],
        s3: S3Storage | None = None,
        retention_days: int = 35,
        guard: Guard | None = None,
    ) -> None:
        """guard: asked before each commit, but for those that move rows into other files."""
        self.guard = guard
        self.place = Place(root, engine, s3)
        self.root, self.storage_options = self.place.root, self.place.storage_options
        self.s3 = s3
        self.engine = engine
        self.contracts = dict(contracts)
        #: How long a version stays readable after another has taken its place.
        self.retention_days = retention_days
        self.tables = OpenTables(self.place, retention_days)
        #: Sums of the money columns of pinned tables (`PinnedTable.totals`).
        self.sums: dict[PinnedTable, Mapping[Any, Mapping[str, Decimal]]] = {}
        #: For each table, id, partitions and digest of their files: the version in which they were seen first (`as_first_seen`).
        self.first_seen: dict[tuple[str, str, Partitions | None, str], int] = {}
        #: For each table: the version that this process has written last.
        self.written: dict[str, int] = {}
        self._logs = {name: TableLog(self.place, self.tables, contract) for name, contract in self.contracts.items()}

    def path(self, name: str) -> str:
        return self.place.path(name)

    # -- reading -----------------------------------------------------------------------------------------------------

    def exists(self, name: str) -> bool:
        """Whether a table exists."""
        return self.tables.exists(name)

    def version(self, name: str) -> int:
        """The newest version of a table; 0 for a missing table, as for a new empty one."""
        try:
            return self.tables.at(self.contracts[name]).version()
        except MissingTable:
            return 0

    def pin(
        self,
        name: str,
        partitions: Partitions | None = None,
        version: int | None = None,
        *,
        was: TableContract | None = None,
    ) -> PinnedTable:
        """Pin the newest (or the given) version of a table. was: the contract that the table keeps, if that is a former one."""
        contract = was or self.contracts[name]
        try:
            table = self.tables.at(contract, version)
        except MissingTable:
            return PinnedTable(self, contract, 0, partitions)
        return PinnedTable(self, contract, table.version(), partitions, str(table.metadata().id))

    def pin_period(self, name: str, period: str) -> PinnedTable:
        """Pin the newest version of a table, narrowed to one month (yyyy-MM): the month's days, or its own partition."""
        return self.pin(name, of_month(self.contracts[name], period))

    def log(self, name: str) -> TableLog:
        """The log of a table."""
        return self._logs[name]

    # -- writing -----------------------------------------------------------------------------------------------------

    def make_tables(self, names: Iterable[str] | None = None) -> None:
        """Make the missing ones of these tables (default: all), empty; mend torn logs as far as that is possible."""
        for name in self.contracts if names is None else names:
            self.tables.for_writing(self.contracts[name])

    def stage(self, name: str, rows: DataFrame, *, was: TableContract | None = None) -> Staged:
        """Have the engine write rows as files below the table; they belong to no version until they are committed.

        was: see `commit`.
        """
        contract = self.contracts[name]
        self.tables.for_writing(was or contract)
        folder, path = new_folder(), self.place.engine_path(name)
        columns = [F.col(column.name).cast(column.type) for column in contract.columns]
        writer = rows.select(columns).write.format("parquet").mode("error").options(**_COMPRESSION[self.engine.name])
        # No `_SUCCESS` file: here the commit says that the rows are complete.
        writer = writer.option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")
        if contract.partition_by is not None:
            writer = writer.partitionBy(contract.partition_by)
        try:
            writer.save(f"{path}/{folder}")
        except BaseException:
            self.drop(name, folder)
            raise
        return staged(self.place.stored(name), folder, contract.partition_by, indexed_columns(contract))

    def stage_arrow(self, name: str, rows: pa.Table) -> Staged:
        """Write a few rows as files below the table, without the engine."""
        contract = self.contracts[name]
        if not self.tables.is_still_there(contract):
            # The log comes first: rows without a log are the remains of a damaged table (`log_repair.damage`).
            self.tables.for_writing(contract)
        rows = rows.select(contract.column_names).cast(contract.arrow_schema())
        stored = self.place.stored(name)
        return write_staged(stored, new_folder(), rows, contract.partition_by, indexed_columns(contract))

    def drop(self, name: str, folder: str) -> None:
        """Remove the files of an attempt as far as possible; maintenance removes the rest."""
        with suppress(OSError):
            self.place.stored(name).delete_dir(folder)

    def commit(
        self,
        name: str,
        files: Staged,
        on: int,
        *,
        replace: Partitions | Everything | None = None,
        remove: Iterable[str] = (),
        moved: bool = False,
        positions: Mapping[str, int] | None = None,
        info: Mapping[str, Any] | None = None,
        was: TableContract | None = None,
    ) -> Commit:
        """Make staged files a part of the table, as the version after `on`, or raise Refused and change nothing.

        replace: partitions (or everything) whose present files are removed. remove: paths of single files that are removed.
        moved: the rows were in the table before, in the removed files. positions: transaction versions that the commit sets
        (`TableLog.position`). info: further content of its log entry. was: the former contract of the table, when this commit
        replaces everything and gives the table its new contract. Nothing is rebased: any other commit after `on` refuses this
        one. When the answer of the commit is lost, the log is read to see whether it was made.
        """
        return commit_files(self, name, files, on, Change(replace, remove, moved, positions or {}, info or {}, was))

    def append(self, name: str, rows: DataFrame) -> Commit:
        """Append rows in one commit, behind whatever others commit."""
        return append_files(self, name, self.stage(name, rows))

    def append_arrow(self, name: str, rows: pa.Table) -> Commit:
        """Append a few rows, without the engine."""
        return append_files(self, name, self.stage_arrow(name, rows))

    def overwrite(
        self,
        name: str,
        rows: DataFrame,
        partitions: Partitions | None,
        reads: Mapping[str, int] | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Replace exactly the given partitions (or everything) in one commit. reads, info: see `replace_partitions`."""
        on = self.version(name)
        return replace_partitions(self, name, self.stage(name, rows), partitions, on, reads or {}, info or {})

    def overwrite_arrow(
        self,
        name: str,
        rows: pa.Table,
        partitions: Partitions | None = None,
        reads: Mapping[str, int] | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Replace exactly the given partitions of a table with few rows, without the engine. See `replace_partitions`.

        An unpartitioned table is replaced whole, unless it holds the same rows already: then the version stays. Where `reads` names
        the table itself, the rows were made from that version of it, and a newer one is not replaced.
        """
        contract, now = self.contracts[name], self.pin(name)
        if contract.partition_by is None and now.version > 0:
            rows = rows.select(contract.column_names).cast(contract.arrow_schema())
            order = [(column, "ascending") for column in contract.column_names]
            if now.arrow().sort_by(order).equals(rows.sort_by(order)):
                return Commit(now.version, {None: rows.num_rows})
        files = self.stage_arrow(name, rows)
        on = (reads or {}).get(name, now.version)
        return replace_partitions(self, name, files, partitions, on, reads or {}, info or {})
