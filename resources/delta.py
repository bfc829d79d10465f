"""The warehouse: one Delta table per asset under one root, read at a pinned version, written by whole partitions.

Belongs here: paths, versions, commits, predicates, and every difference between the engines in reading and writing
tables. Does not belong here: Dagster (`resources.io_manager`), what a table means (the contracts are passed in).
"""

import calendar
import datetime as dt
import json
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import partial
from typing import Any, Protocol
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import RemoveAction
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from resources.engine import SparkEngine, readable_path
from resources.footers import ColumnFacts, column_facts
from resources.log_repair import (
    HINT,
    Damage,
    LogFiles,
    checkpoint_path,
    damage,
    entry_path,
    hint_is_wrong,
    hinted,
    made_checkpoint,
    mend,
    write_hint,
)
from resources.s3 import S3Error, S3Storage
from resources.staging import Staged, new_folder, put, staged, write_staged


class Contract(Protocol):
    """What the warehouse needs to know of a table."""

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> tuple[str, ...]: ...
    @property
    def partition_by(self) -> str | None: ...
    @property
    def indexed(self) -> int: ...
    @property
    def money(self) -> tuple[str, ...]: ...
    @property
    def columns(self) -> Sequence[Any]: ...
    @property
    def column_names(self) -> list[str]: ...
    def arrow_schema(self) -> pa.Schema: ...


class WarehouseError(Exception):
    """A table cannot be read or written. The message names it, what was expected and what to do."""


class Refused(WarehouseError):
    """Another commit came after the version that this one was to follow. Nothing was changed."""


class MissingTable(WarehouseError):
    """A table that is only to be read was never written."""


class Overtaken(WarehouseError):
    """The same partitions were written from newer inputs meanwhile. Nothing was changed."""


#: Versions that are kept open: those that one run pins, and the next run's.
_KEPT_OPEN = 16
#: Commits between two checkpoints. A reader replays at most so many commits (about 20 ms); Delta's 10 would fill the log
#: of a table with thousands of files five times as fast.
_CHECKPOINT_INTERVAL = 50
#: What the engines and delta-rs are told of it: checkpoints are made here (`Warehouse.checkpoint`).
_NO_CHECKPOINTS = 1_000_000
#: Where a commit says which attempt it is of, and which versions of other tables its rows were made from.
ATTEMPT, READS = "telecom.attempt", "telecom.reads"
#: Nothing is done by delta-rs after a commit: checkpoints and old versions are the warehouse's own care.
_NOTHING_AFTERWARDS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
#: Commits of others that one write lets pass before it gives up.
_TRIES = 30
#: What a run of the embedded engine has pinned is not older. Readers list the log from there on.
_LONGEST_RUN = dt.timedelta(hours=6)
#: How files are compressed, as each engine is told: level 1 takes the time of snappy and half of its bytes.
_COMPRESSION = {"sail": "zstd(1)", "spark": "zstd"}
#: Rows up to this many are read into memory rather than asked for: a question takes the embedded engine some 15 ms and
#: Apache Spark half a second, whatever its size.
_FEW_ROWS = 50_000
#: Entries of a log that are looked for one by one before the log is listed, and readers of them side by side.
_FEW_ENTRIES, _READERS = 20, 16
#: Digits of a sum of sums: more than any DECIMAL has, where Python's own would round at 28.
_EXACT = 60


@dataclass(frozen=True)
class Partitions:
    """A contiguous range of partition values, both ends included: days or billing periods."""

    first: Any
    last: Any

    def holds(self, column: Column) -> Column:
        if self.first == self.last:
            return column == F.lit(self.first)
        return (column >= F.lit(self.first)) & (column <= F.lit(self.last))

    def filters(self, name: str) -> list[tuple[str, str, str]]:
        """As delta-rs is told of them."""
        return [(name, ">=", str(self.first)), (name, "<=", str(self.last))]

    def widened(self, days: int) -> "Partitions":
        """A range of days with so many more before and after it."""
        reach = dt.timedelta(days=days)
        return Partitions(self.first - reach, self.last + reach)

    def __contains__(self, value: Any) -> bool:
        return self.first <= value <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}…{self.last}"


class Everything:
    """All rows of a table, whatever its partitions."""


EVERYTHING = Everything()


@dataclass(frozen=True)
class PinnedTable:
    """One version of one table, and the partitions a run is about. Reading it twice gives the same rows."""

    warehouse: "Warehouse" = field(repr=False)
    contract: Contract = field(repr=False)
    version: int
    partitions: Partitions | None = None
    #: Of the table: one that was dropped and made again counts its versions anew.
    table_id: str = ""

    @property
    def name(self) -> str:
        return self.contract.name

    @property
    def df(self) -> DataFrame:
        """The rows of the run's partitions."""
        return self.between(self.partitions) if self.partitions else self.all()

    def between(self, partitions: Partitions) -> DataFrame:
        """The rows of other partitions, same version."""
        assert self.contract.partition_by is not None
        return self.all().where(partitions.holds(F.col(self.contract.partition_by)))

    def all(self) -> DataFrame:
        return self.warehouse.read(self.contract, self.version)

    def arrow(self) -> pa.Table:
        """The rows of the run's partitions as Arrow, read without the engine: for small tables."""
        return self.warehouse.read_arrow(self.contract, self.version, self.partitions)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The same rows as a stream of batches: for tables of any size."""
        return self.warehouse.read_batches(self.contract, self.version, self.partitions)

    def rows_by_partition(self) -> dict[Any, int]:
        """Rows per partition value of the run's partitions, from file statistics."""
        counts = self.warehouse.rows_by_partition(self.contract, self.version)
        return {key: rows for key, rows in counts.items() if self.partitions is None or key in self.partitions}

    @property
    def is_small(self) -> bool:
        """Whether the rows of the run's partitions are so few that they are read faster than an engine is asked."""
        return sum(self.rows_by_partition().values()) <= _FEW_ROWS

    def repeated_keys(self, limit: int) -> list[tuple[tuple[Any, ...], int]]:
        """Keys of the contract that several of the rows have, with how many; `limit` of them at most."""
        key = list(self.contract.key)
        if self.is_small:
            counted = self.arrow().group_by(key).aggregate([([], "count_all")])
            found = counted.filter(pc.field("count_all") > 1).slice(0, limit)
        else:
            counts = self.df.groupBy(*key).agg(F.count("*").alias("count_all"))
            found = counts.where("count_all > 1").limit(limit).toArrow()
        keys = zip(*(found[name].to_pylist() for name in key), strict=True)
        return list(zip(keys, found["count_all"].to_pylist(), strict=True))

    def share_of(self, around: Partitions) -> float:
        """Rows of the run's partitions over those of a wider range, from file statistics."""
        counts = self.warehouse.rows_by_partition(self.contract, self.version)
        whole = sum(rows for key, rows in counts.items() if key in around)
        return sum(self.rows_by_partition().values()) / max(whole, 1)

    def missing_values(self, columns: Collection[str]) -> dict[str, int]:
        """Rows of the run's partitions without a value, by column: from file statistics where these tell."""
        return self.warehouse.missing_values(self, columns)

    def constants(self, columns: Sequence[str]) -> list[tuple[Any, tuple[int, ...]]] | None:
        """For each file of the run's partitions its partition value and those of columns that have one value in it.

        From file statistics; None where these do not tell.
        """
        return self.warehouse.constants(self, columns)


@dataclass(frozen=True)
class Commit:
    """What one write did: the version it made and the rows it added per partition value."""

    version: int
    rows: Mapping[Any, int]


class Warehouse:
    """All tables under one root, through one engine."""

    def __init__(
        self,
        root: str,
        engine: SparkEngine,
        contracts: Mapping[str, Contract],
        s3: S3Storage | None = None,
        retention_days: int = 35,
    ) -> None:
        self.root = root.rstrip("/").replace("s3a://", "s3://", 1)
        self.engine = engine
        self.contracts = dict(contracts)
        self.s3 = s3
        #: What delta-rs is told.
        self.storage_options = s3.delta_options() if s3 else None
        #: How long a version stays readable after another has taken its place.
        self.retention_days = retention_days
        self._opened: OrderedDict[tuple[str, int], DeltaTable] = OrderedDict()
        #: Of each table, the version that was the newest when it was last looked for, and its entry in the log.
        self._newest: dict[str, tuple[int, tuple[int, int]]] = {}
        #: Of each table, what versions changed (`_changed_by`).
        self._changes: dict[tuple[str, str], dict[int, frozenset[Any]]] = {}
        #: Sums of the money columns of what was pinned (`_sums_of`).
        self._sums: dict[PinnedTable, Mapping[Any, Mapping[str, Decimal]]] = {}
        #: Of each table, the version that this process has last written.
        self.written: dict[str, int] = {}
        #: Tables whose hint this process has looked at.
        self._looked_at: set[str] = set()
        self._opening = threading.Lock()
        #: How many are reading, for whom no table is made.
        self._only_readers = 0
        #: Who has reached the bucket: delta-rs, the engine.
        self._reached: set[str] = set()

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _engine_path(self, name: str) -> str:
        self._reach_by_engine(name)
        return f"{readable_path(self.engine, self.root)}/{name}"

    # -- reading -----------------------------------------------------------------------------------------------------

    @contextmanager
    def only_reading(self) -> Iterator[None]:
        """Within this nothing is written, of no thread: a table that is not there is not made, but raises MissingTable."""
        with self._opening:
            self._only_readers += 1
        try:
            yield
        finally:
            with self._opening:
                self._only_readers -= 1

    def version(self, name: str) -> int:
        """Newest version of a table; the empty table is made first where there is none."""
        return self._table(self.contracts[name]).version()

    def exists(self, name: str) -> bool:
        self._reach()
        return DeltaTable.is_deltatable(self.path(name), storage_options=self.storage_options)

    def table_id(self, name: str) -> str:
        """Identity of a table: one that was dropped and made again has another."""
        return str(self._table(self.contracts[name]).metadata().id)

    def created_at(self, name: str) -> float:
        """When a table was made, milliseconds since 1970; 0 where it does not say."""
        return float(self._table(self.contracts[name]).metadata().created_time or 0)

    def pin(self, name: str, partitions: Partitions | None = None, version: int | None = None) -> PinnedTable:
        """Pin the newest (or the given) version of a table."""
        if version is not None and self.engine.name == "sail":
            self.keep_readable(name, version)
        table = self._table(self.contracts[name], version)
        return PinnedTable(self, self.contracts[name], table.version(), partitions, str(table.metadata().id))

    def pin_period(self, name: str, period: str) -> PinnedTable:
        """Pin the newest version of a table, narrowed to one month (yyyy-MM): its own partition, or the month's days."""
        if self.contracts[name].partition_by == "billing_period":
            return self.pin(name, Partitions(period, period))
        year, month = int(period[:4]), int(period[5:7])
        last = calendar.monthrange(year, month)[1]
        return self.pin(name, Partitions(dt.date(year, month, 1), dt.date(year, month, last)))

    def stored_schema(self, contract: Contract, version: int) -> pa.Schema:
        """Columns and types as the table's log has them."""
        return pa.schema(self._table(contract, version).schema().to_arrow())

    def read(self, contract: Contract, version: int) -> DataFrame:
        self._table(contract, version)
        return (
            self.engine.spark_session.read.format("delta")
            .option("versionAsOf", version)
            .load(self._engine_path(contract.name))
            .select(contract.column_names)
        )

    def read_arrow(self, contract: Contract, version: int, partitions: Partitions | None) -> pa.Table:
        return pa.Table.from_batches(self.read_batches(contract, version, partitions), contract.arrow_schema())

    def read_batches(self, contract: Contract, version: int, partitions: Partitions | None) -> Iterator[pa.RecordBatch]:
        """Rows as Arrow batches, read without the engine and without holding them all."""
        within, files = None, None
        if partitions is not None and contract.partition_by is not None:
            name, column = contract.partition_by, pc.field(contract.partition_by)
            within = (column >= partitions.first) & (column <= partitions.last)
            # The filter alone would make a fragment of every file of the table first.
            files = [(name, ">=", partitions.first), (name, "<=", partitions.last)]
        table = self._table(contract, version)
        dataset = table.to_pyarrow_dataset(filesystem=self.stored(contract.name), file_pruning_predicate=files)
        try:
            for batch in dataset.to_batches(columns=contract.column_names, filter=within):
                yield batch.cast(contract.arrow_schema())
        except FileNotFoundError as error:
            self._opened.pop((contract.name, version), None)
            self._table(contract, version)
            raise self._unreadable(contract, version, error) from error

    def rows_by_partition(self, contract: Contract, version: int) -> dict[Any, int]:
        """Rows per partition value (or under None), from file statistics."""
        return _rows(self._files(contract, version), contract.partition_by)

    def missing_values(self, pinned: PinnedTable, columns: Collection[str]) -> dict[str, int]:
        """Rows without a value, by column.

        The log counts them in the columns that it has statistics of, the footers of the files in the others; the engine
        where a footer does not tell.
        """
        files, partition_by = self._files(pinned.contract, pinned.version), pinned.contract.partition_by
        if files.num_rows == 0:
            return dict.fromkeys(columns, 0)
        missing: dict[str, int] = {}
        if partition_by is not None:
            keys = files[f"partition.{partition_by}"]
            missing[partition_by] = pc.sum(files["num_records"].filter(pc.is_null(keys))).as_py() or 0
            files = _of_partitions(files, pinned)
        for name in columns:
            if (known := f"null_count.{name}") in files.column_names and files[known].null_count == 0:
                missing[name] = pc.sum(files[known]).as_py() or 0
        for name, facts in self._facts(pinned, files, [name for name in columns if name not in missing]).items():
            nulls = [fact.nulls for fact in facts if fact.nulls is not None]
            if len(nulls) == len(facts):
                missing[name] = sum(nulls)
        unknown = [name for name in columns if name not in missing]
        if unknown:
            # Values are counted, not NULLs: that needs no expression.
            counts = [F.count("*").alias("_rows"), *(F.count(name).alias(name) for name in unknown)]
            row = pinned.df.select(counts).collect()[0]
            missing |= {name: row["_rows"] - row[name] for name in unknown}
        return {name: missing[name] for name in columns}

    def constants(self, pinned: PinnedTable, columns: Sequence[str]) -> list[tuple[Any, tuple[int, ...]]] | None:
        """Values of integer columns that are the same in all rows of a file, with its partition value, file by file.

        None when a file has several values in one of them, or does not tell.
        """
        partition_by = pinned.contract.partition_by
        files = _of_partitions(self._files(pinned.contract, pinned.version), pinned)
        if not files.num_rows:
            return []
        facts = self._facts(pinned, files, columns)
        if not facts:
            return None
        keys = files[f"partition.{partition_by}"].to_pylist() if partition_by else [None] * files.num_rows
        found: list[tuple[Any, tuple[int, ...]]] = []
        for key, *told in zip(keys, *(facts[name] for name in columns), strict=True):
            values = tuple(fact.constant for fact in told if fact.constant is not None)
            if len(values) == len(columns):
                found.append((key, values))
            elif told[0].rows:
                return None
        return found

    def _facts(self, pinned: PinnedTable, files: pa.Table, columns: Sequence[str]) -> dict[str, list[ColumnFacts]]:
        """What the footers of some of a table's files say; nothing when one of them is gone."""
        if not columns or not files.num_rows:
            return {}
        return column_facts(self.stored(pinned.name), files["path"].to_pylist(), columns) or {}

    def paths_of(self, name: str, version: int, values: Collection[Any]) -> set[str]:
        """Paths of the files of a version that hold some partition values."""
        contract = self.contracts[name]
        files = self._files(contract, version).to_pylist()
        return {unquote(file["path"]) for file in files if file[f"partition.{contract.partition_by}"] in values}

    def rows_changed(self, name: str, since: int, upto: int) -> bool:
        """Whether a version after `since`, up to `upto`, has other rows than the one before; compaction has the same.

        True as well where the log does not tell any more.
        """
        entries = (self.log_entry(name, version) for version in range(since + 1, upto + 1))
        return any(entry is None or changes_rows(entry) for entry in entries)

    def log_entry(self, name: str, version: int) -> list[dict[str, Any]] | None:
        """The actions of one commit (Delta protocol, "Actions"), or None where the log has no such entry."""
        try:
            with self.stored(name).open_input_stream(entry_path(version)) as stream:
                return [json.loads(line) for line in stream.read().splitlines() if line]
        except FileNotFoundError:
            return None
        except json.JSONDecodeError as error:
            raise self._unreadable(self.contracts[name], version, error) from error

    def files(self, name: str) -> pafs.FileSystem:
        """The folder of a table as a file system, wherever it lies."""
        return pafs.PyFileSystem(DeltaStorageHandler(self.path(name), options=self.storage_options))

    def stored(self, name: str) -> pafs.FileSystem:
        """The same folder for reading alone.

        Of a local one Arrow's own file system: delta-rs's is called through Python, whose lock the threads that read
        many small files would take from each other, for up to 5 ms each time.
        """
        if "://" in self.root:
            return self.files(name)
        return pafs.SubTreeFileSystem(self.path(name), pafs.LocalFileSystem())

    def keep_readable(self, name: str, version: int | None = None) -> None:
        """See to it that a version (default: all that runs may have pinned) can be read beside newer checkpoints.

        `_last_checkpoint` names the checkpoint to begin with. The embedded engine (0.7.2) begins there even when it is
        to read an older version, misses the checkpoint that it needs, and fails with "Missing commit file". By the
        protocol the file may name any checkpoint, since readers look for newer ones behind it: it names an older one.
        """
        files = self.files(name)
        named = hinted(files)
        if version is not None and (named is None or named <= version):
            return
        before = dt.datetime.now(dt.UTC) - _LONGEST_RUN
        usable = [
            number
            for number, info in LogFiles.of(files).checkpoints.items()
            if (info.mtime <= before if version is None else number <= version)
        ]
        if not usable:
            with suppress(FileNotFoundError):  # there is none, or another process was here first
                files.delete_file(HINT)
        elif max(usable) != named:
            write_hint(files, max(usable))

    def checkpoint(self, name: str, version: int) -> None:
        """Write the checkpoint of a version, where there is none."""
        files = self.files(name)
        known = LogFiles.of(files).checkpoints
        if version not in known:
            put(files, checkpoint_path(version), made_checkpoint(files, version, list(known)))
        self.keep_readable(name)

    def rows_added(self, name: str, actions: Iterable[Mapping[str, Any]]) -> dict[Any, int]:
        """Rows per partition value that the actions of one commit added, from the statistics they wrote."""
        contract = self.contracts[name]
        rows: dict[Any, int] = {}
        for file in (action["add"] for action in actions if "add" in action):
            key = _key((file["partitionValues"] or {}).get(contract.partition_by or ""), contract)
            rows[key] = rows.get(key, 0) + json.loads(file["stats"])["numRecords"]
        return dict(sorted(rows.items(), key=lambda item: str(item[0])))

    def last_changed(self, name: str, since: int, upto: int | None = None) -> dict[Any, int]:
        """Partition values whose rows changed after a version, each with the newest version that changed them.

        Versions that have left the log are passed over: maintenance takes none that is younger than the retention. A
        version does not change: a process reads its entry once.
        """
        contract = self.contracts[name]
        versions = range(since + 1, (self.version(name) if upto is None else upto) + 1)
        known = self._changes.setdefault((name, self.table_id(name)), {})
        unknown = [version for version in versions if version not in known]
        if len(unknown) > _FEW_ENTRIES:
            logged = {entry_path(entry) for entry in LogFiles.of(self.stored(name)).entries}
            known |= {version: frozenset() for version in unknown if entry_path(version) not in logged}
            unknown = [version for version in unknown if version not in known]
        with ThreadPoolExecutor(_READERS) as readers:
            known |= zip(unknown, readers.map(partial(self._changed_by, contract), unknown), strict=True)
        return {value: version for version in versions for value in known[version]}

    def _changed_by(self, contract: Contract, version: int) -> frozenset[Any]:
        """Partition values whose rows a version changed."""
        by, files = contract.partition_by or "", changed_files(self.log_entry(contract.name, version) or ())
        return frozenset(_key((file.get("partitionValues") or {}).get(by), contract) for _, file in files)

    def went_back(self, name: str, files: Staged, version: int, column: str) -> dt.datetime | None:
        """Smallest instant of a column in staged files, if any file of a version reaches as far; else None."""
        lows = [json.loads(file.stats)["minValues"].get(column) for file in files.files]
        older = self._files(self.contracts[name], version)
        if not lows or not older.num_rows:
            return None
        low = min(dt.datetime.fromisoformat(text) for text in lows)
        high = pc.max(older[f"max.{column}"]).as_py()
        return low if high is not None and high.astimezone(dt.UTC) >= low else None

    def staged_rows(self, name: str, files: Staged) -> DataFrame:
        """Rows that are staged, through the engine."""
        contract = self.contracts[name]
        rows = self.engine.spark_session.read.parquet(f"{self._engine_path(name)}/{files.folder}")
        return rows.select([F.col(column.name).cast(column.type) for column in contract.columns])

    def staged_arrow(self, name: str, files: Staged, columns: Sequence[str]) -> pa.Table:
        """Columns of staged rows (not the partition's), without the engine."""
        stored = self.stored(name)
        parts = [
            pq.read_table(file.path, columns=list(columns), filesystem=stored, partitioning=None)
            for file in files.files
        ]
        schema = pa.schema([self.contracts[name].arrow_schema().field(column) for column in columns])
        return pa.concat_tables([part.cast(schema) for part in parts]) if parts else schema.empty_table()

    # -- writing -----------------------------------------------------------------------------------------------------

    def stage(self, name: str, rows: DataFrame, *, was: Contract | None = None) -> Staged:
        """Have the engine write rows as files below the table; they belong to no version until they are committed.

        was: see `commit`.
        """
        contract = self.contracts[name]
        self._table(was or contract)  # the engine is asked for it before it writes below it
        folder, path = new_folder(), self._engine_path(name)
        columns = [F.col(column.name).cast(column.type) for column in contract.columns]
        writer = rows.select(columns).write.format("parquet").mode("error")
        writer = writer.option("compression", _COMPRESSION[self.engine.name])
        # Spark's own file that says that it is done; the commit says so here.
        writer = writer.option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")
        if contract.partition_by is not None:
            writer = writer.partitionBy(contract.partition_by)
        try:
            writer.save(f"{path}/{folder}")
        except BaseException:
            self.drop(name, folder)
            raise
        return staged(self.stored(name), folder, contract.partition_by, _indexed(contract))

    def stage_arrow(self, name: str, rows: pa.Table) -> Staged:
        """Write a few rows as files below the table, without the engine."""
        contract = self.contracts[name]
        if self._still_newest(contract) is None and not self.exists(name):
            # The log comes first: rows without one are what is left of a table (`log_repair.damage`).
            self._table(contract)
        rows = rows.select(contract.column_names).cast(contract.arrow_schema())
        return write_staged(self.stored(name), new_folder(), rows, contract.partition_by, _indexed(contract))

    def drop(self, name: str, folder: str) -> None:
        """Remove what an attempt has left. Best effort: what stays is removed by maintenance."""
        with suppress(OSError):
            self.stored(name).delete_dir(folder)

    def commit(
        self,
        name: str,
        files: Staged,
        on: int,
        *,
        replace: "Partitions | Everything | None" = None,
        remove: Iterable[str] = (),
        moved: bool = False,
        positions: Mapping[str, int] | None = None,
        info: Mapping[str, Any] | None = None,
        was: Contract | None = None,
    ) -> Commit:
        """Make staged files a part of the table, as the version after `on`, or raise Refused and change nothing.

        replace: partitions (or everything) whose present files go. remove: paths of single files that go. moved: the
        rows were there before, in those files. positions: transaction versions that the commit sets (`position`).
        info: what else its entry in the log says. was: the contract that the table has until now, where the commit, which
        replaces everything, gives it its own. Nothing is rebased: another commit after `on` refuses this one, whatever it
        did. Where the answer is lost, the log is asked for it.
        """
        contract = self.contracts[name]
        table = self._table(was or contract, on)
        by = [contract.partition_by] if contract.partition_by else None
        actions: list[Any] = [file.action(moved=moved) for file in files.files]
        actions += [_removal(file, contract, moved=moved) for file in self._named(contract, on, set(remove))]
        filters = replace.filters(by[0]) if isinstance(replace, Partitions) and by else None
        properties = CommitProperties(
            custom_metadata={**(info or {}), ATTEMPT: files.folder},
            max_commit_retries=0,
            app_transactions=[Transaction(key, number) for key, number in (positions or {}).items()],
        )
        try:
            table.create_write_transaction(
                actions,
                "append" if replace is None else "overwrite",
                contract.arrow_schema(),
                by,
                partition_filters=filters,
                commit_properties=properties,
                post_commithook_properties=_NOTHING_AFTERWARDS,
            )
        except (DeltaError, OSError) as error:
            # An answer can be lost after the commit was made.
            if not self._is_of(name, on + 1, files.folder):
                if isinstance(error, CommitFailedError) and self.log_entry(name, on + 1) is not None:
                    raise Refused(f"table {name}: another commit came after version {on}") from error
                raise WarehouseError(
                    f"table {name} at {self.path(name)} cannot be written: {_first_line(error)}"
                ) from error
        if (on + 1) % _CHECKPOINT_INTERVAL == 0:
            self.checkpoint(name, on + 1)
        counts = {_key(text, contract): rows for text, rows in files.rows_by(contract.partition_by).items()}
        return Commit(on + 1, dict(sorted(counts.items())) if None not in counts else counts)

    def position(self, name: str, key: str, version: int | None = None) -> int | None:
        """What the table's commits have set of a key (Delta protocol, "Transaction Identifiers"), or None."""
        found = self._table(self.contracts[name], version).transaction_version(key)
        return None if found is None else int(found)

    def append(self, name: str, rows: DataFrame) -> Commit:
        """Append rows in one commit, behind whatever others commit."""
        return self._appended(name, self.stage(name, rows))

    def append_arrow(self, name: str, rows: pa.Table) -> Commit:
        """Append a few rows, without the engine."""
        return self._appended(name, self.stage_arrow(name, rows))

    def overwrite(
        self,
        name: str,
        rows: DataFrame,
        partitions: Partitions | None,
        reads: Mapping[str, int] | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Replace exactly the given partitions (or everything) in one commit. See `_replace`."""
        on = self.version(name)
        return self._replace(name, self.stage(name, rows), partitions, on, reads or {}, info or {})

    def overwrite_arrow(
        self,
        name: str,
        rows: pa.Table,
        partitions: Partitions | None = None,
        reads: Mapping[str, int] | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> Commit:
        """Replace exactly the given partitions of a table with few rows, without the engine. See `_replace`.

        An unpartitioned table is replaced whole, unless it holds the same rows already: then the version stays.
        """
        contract = self.contracts[name]
        table = self._table(contract)
        if contract.partition_by is None and table.version() > 0:
            rows = rows.select(contract.column_names).cast(contract.arrow_schema())
            order = [(column, "ascending") for column in contract.column_names]
            if self.read_arrow(contract, table.version(), None).sort_by(order).equals(rows.sort_by(order)):
                return Commit(table.version(), {None: rows.num_rows})
        return self._replace(name, self.stage_arrow(name, rows), partitions, table.version(), reads or {}, info or {})

    def totals(self, pinned: PinnedTable) -> dict[str, Decimal]:
        """Sums of the money columns over the pinned partitions. A version does not change: it is added up once."""
        sums = self._sums_of(pinned).values()
        return {name: sum_exactly(of[name] for of in sums) for name in pinned.contract.money}

    def totals_by_partition(self, pinned: PinnedTable) -> dict[Any, dict[str, Decimal]]:
        """The same sums by partition value, in one aggregate; a partition without rows is left out."""
        return {value: dict(of) for value, of in self._sums_of(pinned).items()}

    # -- inside ------------------------------------------------------------------------------------------------------

    def _sums_of(self, pinned: PinnedTable) -> Mapping[Any, Mapping[str, Decimal]]:
        if pinned not in self._sums:
            self._sums[pinned] = _totals(pinned)
        return self._sums[pinned]

    def _table(self, contract: Contract, version: int | None = None) -> DeltaTable:
        """The table, made empty where there is none: `replaceWhere` needs one on the embedded engine.

        A version never changes, so those that were opened last are kept: an old table takes a while to open, and a month
        asks some two hundred times which version is the newest.
        """
        self._reach()
        with self._opening:
            wanted = self._still_newest(contract) if version is None else version
            known = None if wanted is None else self._opened.pop((contract.name, wanted), None)
            table = known or self._open(contract, version)
            if version is None and known is None:
                if self._is_another(contract, table):
                    self._opened.clear()
                if entry := self._log_entries(contract, table.version())[0]:
                    self._newest[contract.name] = (table.version(), entry)
            self._opened[contract.name, table.version()] = table
            while len(self._opened) > _KEPT_OPEN:
                self._opened.popitem(last=False)
            return table

    def _still_newest(self, contract: Contract) -> int | None:
        """The version that was the newest, if its entry in the log is the same one and none came after it."""
        if contract.name not in self._newest:
            return None
        version, entry = self._newest[contract.name]
        return version if self._log_entries(contract, version) == (entry, None) else None

    def _log_entries(self, contract: Contract, version: int) -> tuple[tuple[int, int] | None, ...]:
        """Size and time of the log's entries of a version and of the next one; None where there is none."""
        paths = [entry_path(number) for number in (version, version + 1)]
        try:
            found = self.stored(contract.name).get_file_info(paths)
        except TableNotFoundError:  # it was dropped since
            return None, None
        return tuple((info.size, info.mtime_ns) if info.type is pafs.FileType.File else None for info in found)

    def _is_another(self, contract: Contract, table: DeltaTable) -> bool:
        """Whether versions of a table are known that was dropped since and made again."""
        known = [opened for (name, _), opened in self._opened.items() if name == contract.name]
        return any(opened.metadata().id != table.metadata().id for opened in known)

    def _open(self, contract: Contract, version: int | None) -> DeltaTable:
        path = self.path(contract.name)
        try:
            return self._of_this_version(contract, self._opened_log(contract, version))
        except TableNotFoundError as error:
            if version and not self.exists(contract.name):
                raise WarehouseError(f"table {contract.name} at {path} is gone; expected version {version}") from None
            if version or self._damage(contract):
                raise self._unreadable(contract, version, error) from error
        except DeltaError as error:
            raise self._unreadable(contract, version, error) from error
        if self._only_readers:
            raise MissingTable(f"table {contract.name} is not there ({path}): nothing was ever written to it")
        try:
            return DeltaTable.create(
                path,
                schema=contract.arrow_schema(),
                mode="ignore",
                partition_by=[contract.partition_by] if contract.partition_by else None,
                name=contract.name,
                configuration={
                    "delta.dataSkippingNumIndexedCols": str(contract.indexed),
                    "delta.enableDeletionVectors": "false",
                    **self.retention_properties(),
                },
                storage_options=self.storage_options,
                # With its usual retries it makes the table a second time, with another id, where one has just been made.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except CommitFailedError:
            # Another process made it meanwhile.
            return DeltaTable(path, storage_options=self.storage_options)
        except (DeltaError, OSError) as error:
            raise WarehouseError(f"table {contract.name} cannot be created at {path}: {_first_line(error)}") from error

    def _opened_log(self, contract: Contract, version: int | None) -> DeltaTable:
        """A version of a table as its log has it; what can be made again of a damaged log is made (`log_repair`)."""
        name, path = contract.name, self.path(contract.name)
        if name not in self._looked_at:
            # Once in a process: delta-rs may go on without a checkpoint where an engine does not.
            self._looked_at.add(name)
            if hint_is_wrong(self.stored(name)):
                mend(self.files(name), f"table {name} at {path}")
        try:
            table = DeltaTable(path, version=version, storage_options=self.storage_options)
        except TableNotFoundError:
            raise
        except DeltaError:
            mend(self.files(name), f"table {name} at {path}")  # or another process has, meanwhile
            table = DeltaTable(path, version=version, storage_options=self.storage_options)
        [info] = self.stored(name).get_file_info([entry_path(table.version())])
        if info.type is pafs.FileType.File and not info.size:
            raise DeltaError(f"the entry of version {table.version()} is empty")  # which delta-rs takes for no change
        return table

    def _of_this_version(self, contract: Contract, table: DeltaTable) -> DeltaTable:
        """The table, unless it has not the columns that are asked of it: an earlier version of the project made it then."""
        stored = {field.name: field.type for field in pa.schema(table.schema().to_arrow())}
        missing = [name for name in contract.column_names if name not in stored]
        told = [f"lacks {', '.join(missing)}"] if missing else []
        told += [
            f"has {field.name} as {stored[field.name]}, not {field.type}"
            for field in contract.arrow_schema()
            if field.name in stored and _is_another_decimal(stored[field.name], field.type)
        ]
        if told:
            raise WarehouseError(
                f"table {contract.name} at {self.path(contract.name)} was made by an earlier version and "
                f"{' and '.join(told)}; expected a warehouse of this version: `telecom warehouse upgrade` makes it one "
                "(--dry-run says what it would do)"
            )
        return table

    def _reach(self) -> None:
        """See once that the bucket of the warehouse can be used, where it lies in one."""
        if self.s3 is None or "delta-rs" in self._reached:
            return
        try:
            self.s3.check(self.root)
        except S3Error as error:
            raise WarehouseError(f"warehouse {self.root}: {error}") from error
        self._reached.add("delta-rs")

    def _reach_by_engine(self, name: str) -> None:
        """See once that Apache Spark reaches the bucket too."""
        if self.s3 is None or self.engine.name != "spark" or "spark" in self._reached:
            return
        try:
            # What is asked here is read in any case, and first of all.
            path = f"{readable_path(self.engine, self.root)}/{name}"
            self.engine.spark_session.read.format("delta").load(path).schema  # noqa: B018
        except PySparkException as error:
            raise WarehouseError(
                f"warehouse {self.root}: Apache Spark does not reach it ({str(error).splitlines()[0][:300]}); its "
                "executors and its server need the S3A jars, the endpoint and credentials, see docs/scaling.md"
            ) from error
        self._reached.add("spark")

    def retention_properties(self) -> dict[str, str]:
        """Table properties that keep an engine's own cleaning, at its checkpoints, from taking a version too early."""
        return {
            "delta.checkpointInterval": str(_NO_CHECKPOINTS),
            "delta.logRetentionDuration": f"interval {self.retention_days} days",
            "delta.deletedFileRetentionDuration": f"interval {self.retention_days} days",
        }

    def _damage(self, contract: Contract) -> Damage | None:
        """What is wrong with a table's log, as far as it can be looked at."""
        with suppress(OSError):
            return damage(self.stored(contract.name))
        return None

    def _unreadable(self, contract: Contract, version: int | None, error: Exception) -> WarehouseError:
        told = f"table {contract.name} at {self.path(contract.name)} cannot be read"
        told += "" if version is None else f" at version {version}"
        if (found := self._damage(contract)) is None:
            return WarehouseError(f"{told} ({_first_line(error)}); its log is damaged or the version was vacuumed")
        return WarehouseError(f"{told}: {found}")

    def _files(self, contract: Contract, version: int | None) -> pa.Table:
        return pa.table(self._table(contract, version).get_add_actions(flatten=True))

    def _appended(self, name: str, files: Staged) -> Commit:
        """Commit an append behind whatever came first."""
        on = self.version(name)
        if not files.files:
            return Commit(on, {})
        for pause in _pauses():
            try:
                return self.commit(name, files, on)
            except Refused:
                time.sleep(pause)
                on = self.version(name)
        raise self._no_peace(name)

    def _replace(
        self,
        name: str,
        files: Staged,
        partitions: Partitions | None,
        on: int,
        reads: Mapping[str, int],
        info: Mapping[str, Any],
    ) -> Commit:
        """Commit an overwrite of partitions on the version that was the newest before its rows were made.

        Commits of others are let pass where they left these partitions as they were (other partitions, compaction).
        Where they did not, this write goes on only if it was made from the newest there is (`reads`: versions of tables):
        old rows never take the place of newer ones. Raises Overtaken then, and for rows outside the partitions
        WarehouseError; the files are dropped.

        info: what the commit's entry in the log says besides; with some, no rows in the place of no rows are a commit too.
        """
        contract, began = self.contracts[name], on
        by = contract.partition_by
        if by is not None and partitions is not None:
            strangers = [key for key in files.rows_by(by) if _key(key, contract) not in partitions]
            if strangers:
                self.drop(name, files.folder)
                raise WarehouseError(_outside(contract, partitions) + f": {strangers[0]}")
        replace: Partitions | Everything = partitions if by is not None and partitions is not None else EVERYTHING
        said = {**({READS: dict(reads)} if reads else {}), **info}
        for pause in _pauses():
            if not (info or files.files) and isinstance(replace, Partitions) and not self._holds(contract, on, replace):
                self.written[name] = on
                return Commit(on, {})  # nothing in the place of nothing
            try:
                commit = self.commit(name, files, on, replace=replace, info=said)
            except Refused:
                time.sleep(pause)
            else:
                self.written[name] = commit.version
                return commit
            on = self.version(name)
            if self._touched(name, began, on, replace) and (stale := self._stale(reads)):
                self.drop(name, files.folder)
                raise Overtaken(
                    f"table {name}: while these rows were made from {stale}, another run wrote the same "
                    f"partitions ({partitions or 'all'}) from what is newer; nothing was changed, run it again"
                )
        raise self._no_peace(name)

    def _touched(self, name: str, since: int, upto: int, replace: "Partitions | Everything") -> bool:
        """Whether commits after `since` changed rows of what is to be replaced. True where the log does not tell."""
        contract = self.contracts[name]
        for version in range(since + 1, upto + 1):
            actions = self.log_entry(name, version)
            if actions is None:
                return True
            for _, file in changed_files(actions):
                values = file.get("partitionValues") or {}
                if not isinstance(replace, Partitions) or contract.partition_by not in values:
                    return True
                if _key(values[contract.partition_by], contract) in replace:
                    return True
        return False

    def _stale(self, reads: Mapping[str, int]) -> str:
        """The tables that have other rows now than the versions that were read, in words; empty when there is none."""
        behind = [
            f"{name} {version}"
            for name, version in reads.items()
            if (newest := self.version(name)) != version and self.rows_changed(name, version, newest)
        ]
        return ", ".join(behind)

    def _holds(self, contract: Contract, version: int, partitions: Partitions) -> bool:
        return any(key is None or key in partitions for key in self.rows_by_partition(contract, version))

    def _named(self, contract: Contract, version: int, paths: set[str]) -> list[dict[str, Any]]:
        """The files of a version with these paths, as the log has them."""
        if not paths:
            return []
        return [file for file in self._files(contract, version).to_pylist() if unquote(file["path"]) in paths]

    def _is_of(self, name: str, version: int, folder: str) -> bool:
        """Whether a version was made by the attempt of this folder."""
        actions = self.log_entry(name, version) or []
        return any(action.get("commitInfo", {}).get(ATTEMPT) == folder for action in actions)

    def _no_peace(self, name: str) -> WarehouseError:
        return WarehouseError(
            f"table {name} at {self.path(name)}: {_TRIES} other commits came first, one after the other; "
            "nothing was changed, run it again when fewer write the table"
        )


def sum_exactly(amounts: Iterable[Decimal]) -> Decimal:
    """The sum of amounts to the last digit, however many it has."""
    with localcontext(prec=_EXACT):
        return sum(amounts, Decimal(0))


def _totals(pinned: PinnedTable) -> Mapping[Any, Mapping[str, Decimal]]:
    """Sums of the money columns by partition value (or under None)."""
    money, by = pinned.contract.money, pinned.contract.partition_by
    if not money:
        return {}
    keys = [by] if by is not None else []
    if pinned.is_small:
        rows = pinned.arrow()
        # With room for the sum.
        wide = [rows[name].cast(pa.decimal128(38, rows[name].type.scale)) for name in money]
        table = pa.table([*(rows[name] for name in keys), *wide], [*keys, *money])
        summed = table.group_by(keys).aggregate([(name, "sum") for name in money]).to_pylist()
        found = [{**row, **{name: row[f"{name}_sum"] for name in money}} for row in summed]
    else:
        sums = [F.sum(name).alias(name) for name in money]
        found = [row.asDict() for row in pinned.df.groupBy(*keys).agg(*sums).collect()]
    return {row[by] if by is not None else None: {name: row[name] or Decimal(0) for name in money} for row in found}


def changes_rows(actions: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a commit added or removed rows, and did not just move them to other files."""
    return any(True for _ in changed_files(actions))


def changed_files(actions: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Files that a commit added or removed, with which of the two ("add", "remove"); not those whose rows only moved."""
    for action in actions:
        for kind in ("add", "remove"):
            if (file := action.get(kind)) and file["dataChange"]:
                yield kind, file


def _key(text: str | None, contract: Contract) -> Any:
    """A partition value as the contract types it; in the log all are text."""
    if contract.partition_by is None or text is None:
        return None
    is_day = pa.types.is_date(contract.arrow_schema().field(contract.partition_by).type)
    return dt.date.fromisoformat(text) if is_day else text


def _is_another_decimal(stored: pa.DataType, asked: pa.DataType) -> bool:
    """Whether both are decimals, and not the same. Another kind of type is damage, which the checks of contracts name."""
    return pa.types.is_decimal(stored) and pa.types.is_decimal(asked) and stored != asked


def _indexed(contract: Contract) -> list[str]:
    return contract.column_names[: contract.indexed]


def _removal(file: Mapping[str, Any], contract: Contract, *, moved: bool) -> RemoveAction:
    """What a commit says of a file that goes; `file` as `get_add_actions` has it."""
    by = contract.partition_by
    values = {by: None if file[f"partition.{by}"] is None else str(file[f"partition.{by}"])} if by else {}
    now = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
    return RemoveAction(file["path"], not moved, now, file["size_bytes"], values)


def _pauses() -> Iterator[float]:
    """How long a writer waits after each commit that came before its own: longer and longer, by chance."""
    return (random.uniform(0, min(0.01 * 1.4**number, 1.0)) for number in range(_TRIES))  # noqa: S311  (no secret)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _outside(contract: Contract, partitions: Partitions) -> str:
    return f"table {contract.name}: a row lies outside the partitions that are being written ({partitions})"


def _of_partitions(files: pa.Table, pinned: PinnedTable) -> pa.Table:
    """Of the files of a table those that may hold rows of the pinned partitions, or rows of none."""
    partition_by, held = pinned.contract.partition_by, pinned.partitions
    if partition_by is None or held is None or not files.num_rows:
        return files
    keys = files[f"partition.{partition_by}"].to_pylist()
    return files.filter(pa.array([key is None or key in held for key in keys]))


def _rows(files: pa.Table, partition_by: str | None) -> dict[Any, int]:
    if files.num_rows == 0:
        return {}
    if partition_by is None:
        return {None: pc.sum(files["num_records"]).as_py() or 0}
    keys, counts = files[f"partition.{partition_by}"].to_pylist(), files["num_records"].to_pylist()
    rows: dict[Any, int] = {}
    for key, count in zip(keys, counts, strict=True):
        rows[key] = rows.get(key, 0) + count
    return dict(sorted(rows.items()))


def stream_batches(rows: DataFrame) -> Iterator[pa.RecordBatch]:
    """Rows of a DataFrame as Arrow batches, without holding them all: `toLocalIterator` without its Row objects."""
    frame: Any = rows
    client, plan = frame.sparkSession.client, frame._plan
    for received in client.to_table_as_iterator(plan.to_proto(client), plan.observations):
        if isinstance(received, pa.Table):
            yield from received.to_batches()
