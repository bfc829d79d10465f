"""Maintenance of the warehouse: small files become large ones, and versions past their retention are removed.

Belongs here: what may be done to a table while others write and read it, and what must be kept for them. Does not belong
here: when it is done, and which table has a writer at work (both are asked for by the caller).

Readers: a version is kept while it is the newest, and for the retention after another has taken its place. Older versions are
removed without a commit. Writers: compaction commits the same rows in other files, one partition at a time, on a version that
has all of the replaced files (`Warehouse.commit`). An append at the same time does not conflict with it. After an overwrite or
another compaction of the same files the commit is refused, and the merged files are dropped.
"""

import datetime as dt
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from resources.arrow_streams import read_stream
from resources.contract import TableContract
from resources.warehouse.commits import NOTHING_AFTERWARDS
from resources.warehouse.errors import Refused, WarehouseError
from resources.warehouse.log_repair import CHECKPOINT, LOG
from resources.warehouse.open_tables import retention_properties
from resources.warehouse.partitions import indexed_columns
from resources.warehouse.staged_files import Staged, new_folder, put, staged
from resources.warehouse.table_log import changes_rows
from resources.warehouse.warehouse import Warehouse

#: Says why a table is not to be committed to now, or None.
Busy = Callable[[str], str | None]

_COMMIT = re.compile(r"\A(\d{20})\.json\Z")
_OF_A_VERSION = re.compile(r"\A\.?(\d{20})\.(json|crc|checkpoint\..*)(\.crc)?\Z")
_CHECKSUM = re.compile(r"\A\.(.+)\.crc\Z")
_INTERVAL = re.compile(r"\Ainterval (\d+) (day|week)s?\Z")
#: How many appends of others may come first before a compaction gives up.
_TRIES = 10


@dataclass
class Maintained:
    """The maintenance of one table, done or (in a dry run) to be done."""

    table: str
    #: Versions that can be read, of which the newest is `version`.
    versions: int = 0
    version: int = 0
    #: Files of the newest version. In a dry run the second number is the first.
    files_before: int = 0
    files_after: int = 0
    #: Small files that were merged.
    files_compacted: int = 0
    #: Files of rows and of the log that were removed from disk.
    files_removed: int = 0
    bytes_removed: int = 0
    seconds: float = 0.0
    #: The work that was left for the next time, and why.
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def maintain(
    warehouse: Warehouse,
    *,
    target_file_bytes: int,
    now: dt.datetime,
    busy: Busy = lambda _name: None,
    dry_run: bool = False,
    report: Callable[[Maintained], None] = lambda _done: None,
) -> list[Maintained]:
    """Maintain every table there is. Raises WarehouseError at the end when a table could not be; the others are done."""
    results, failures = [], []
    for name in sorted(warehouse.contracts):
        if not warehouse.exists(name):
            continue
        try:
            if not dry_run:
                warehouse.make_tables([name])  # the table exists: this mends its log where it is torn
            done = _Upkeep(warehouse, name, target_file_bytes, now, busy, dry_run).carry_out()
        except WarehouseError as error:
            failures.append(str(error))
        except (DeltaError, OSError) as error:
            failures.append(
                f"table {name} at {warehouse.path(name)} cannot be maintained: {str(error).splitlines()[0]}"
            )
        else:
            report(done)
            results.append(done)
    if failures:
        raise WarehouseError("; ".join(failures))
    return results


class _Upkeep:
    """The maintenance of one table."""

    def __init__(
        self, warehouse: Warehouse, name: str, target_file_bytes: int, now: dt.datetime, busy: Busy, dry_run: bool
    ) -> None:
        self.warehouse = warehouse
        self.contract: TableContract = warehouse.contracts[name]
        self.name = name
        self.target_file_bytes = target_file_bytes
        self.cutoff = now - dt.timedelta(days=warehouse.retention_days)
        self.busy = busy
        self.dry_run = dry_run
        self.files = warehouse.place.files(name)
        self.log = warehouse.log(name)
        self.done = Maintained(name)

    def carry_out(self) -> Maintained:
        started = time.monotonic()
        before = self._open()
        self.done.files_before = len(_paths(before))
        if not self.dry_run:
            self._keep_versions(before)
        self._compact(before)
        newest = self._open()
        self.done.version, self.done.files_after = newest.version(), len(_paths(newest))
        log = LogFolder(self.files.get_file_info(pafs.FileSelector(LOG)))
        kept = self._oldest_kept(log, newest.version())
        self.done.versions = newest.version() - kept + 1
        unused = self._unused_files(newest, kept)
        if not self.dry_run:
            self.log.checkpoint(newest.version())
            if kept > log.oldest:
                self.log.checkpoint(kept)
        # The log is shortened first, so that every version that can be opened has its files.
        self._remove(log.before(kept))
        self._remove(unused)
        self.done.seconds = time.monotonic() - started
        return self.done

    # -- commits -----------------------------------------------------------------------------------------------------

    def _keep_versions(self, table: DeltaTable) -> None:
        """Set how long engines keep versions, in the properties of a table that has no such property or a shorter time."""
        stored = table.metadata().configuration
        due = {
            key: wanted
            for key, wanted in retention_properties(self.warehouse.retention_days).items()
            if key not in stored or _days(stored[key]) < _days(wanted)
        }
        if due and not self._leave():
            self._commit(lambda: table.alter.set_table_properties(due, post_commithook_properties=NOTHING_AFTERWARDS))

    def _compact(self, before: DeltaTable) -> None:
        """Merge the small files of each partition that has several."""
        for paths in self._small_files(before).values():
            if self.dry_run:
                self.done.files_compacted += len(paths)
                continue
            if self._leave():
                return
            merged = merge(self.warehouse, self.name, paths, self.target_file_bytes)
            if self._moved(merged, set(paths)):
                self.done.files_compacted += len(paths)
            else:
                self.warehouse.drop(self.name, merged.folder)
                self.done.note = "not all compacted: somebody wrote the table at the same time"

    def _moved(self, merged: Staged, paths: set[str]) -> bool:
        """Replace small files by the merged ones. False when the small files were replaced by others meanwhile."""
        for _ in range(_TRIES):
            newest = self._open()
            if not paths <= _paths(newest):
                return False
            with suppress(Refused):
                self.warehouse.commit(self.name, merged, newest.version(), remove=paths, moved=True)
                return True
        return False

    def _small_files(self, table: DeltaTable) -> dict[str, list[str]]:
        """Files below the target size per partition, where they are several."""
        small: dict[str, list[str]] = {}
        by = self.contract.partition_by
        for file in read_stream(table.get_add_actions(flatten=True)).to_pylist():
            if file["size_bytes"] < self.target_file_bytes:
                small.setdefault(str(file[f"partition.{by}"]) if by else "", []).append(unquote(file["path"]))
        return {partition: paths for partition, paths in sorted(small.items()) if len(paths) > 1}

    def _leave(self) -> bool:
        """Whether the table is being written; the rest of its maintenance is then left for the next time."""
        reason = self.busy(self.name)
        if reason is not None:
            self.done.note = f"not compacted: {reason}"
        return reason is not None

    def _commit(self, change: Callable[[], Any]) -> Any:
        """Make a commit, unless another process was first."""
        try:
            return change()
        except CommitFailedError:
            self.done.note = "not all compacted: somebody wrote the table at the same time"
            return None

    # -- what is kept ------------------------------------------------------------------------------------------------

    def _oldest_kept(self, log: "LogFolder", newest: int) -> int:
        """The version that was the newest at the beginning of the retention, else the oldest version that can be read.

        The newest commit that changed rows always stays in the log, since landing reads the commits after it.
        """
        changed = newest
        while changed > log.oldest and not changes_rows(self.log.entry(changed) or []):
            changed -= 1
        aged = [version for version, at in log.commits.items() if at <= self.cutoff]
        return max(min(max(aged, default=0), changed), log.oldest)

    def _unused_files(self, newest: DeltaTable, kept: int) -> list[pafs.FileInfo]:
        """Files older than the retention that no kept version has: from older versions, and from failed writes."""
        found = self.files.get_file_info(pafs.FileSelector("", recursive=True))
        needed = _paths(newest)
        old = [info for info in found if _holds_rows(info) and info.mtime <= self.cutoff and _file(info) not in needed]
        if old:
            needed |= _paths(self._open(kept))
            for version in range(kept + 1, newest.version() + 1):
                entry = self.log.entry(version)
                if entry is None:
                    raise WarehouseError(
                        f"table {self.name} at {self.warehouse.path(self.name)}: its log has no version {version}, "
                        f"between {kept} and {newest.version()}; nothing was removed"
                    )
                needed |= {unquote(action["add"]["path"]) for action in entry if "add" in action}
        return [info for info in old if _file(info) not in needed]

    # -- disk --------------------------------------------------------------------------------------------------------

    def _remove(self, infos: Iterable[pafs.FileInfo]) -> None:
        folders = set()
        for info in infos:
            if not self.dry_run:
                try:
                    self.files.delete_file(info.path)
                except FileNotFoundError:
                    continue  # an engine cleaned its log at the same time
                folders.add(info.path.split("/", 1)[0])
            self.done.files_removed += 1
            self.done.bytes_removed += info.size or 0
        for folder in folders - {LOG}:
            left = self.files.get_file_info(pafs.FileSelector(folder, allow_not_found=True, recursive=True))
            if left and all(info.type is pafs.FileType.Directory for info in left):
                self.warehouse.drop(self.name, folder)

    def _open(self, version: int | None = None) -> DeltaTable:
        """The table at a version, as an object of its own: a compaction changes the object that it is called on."""
        path = self.warehouse.path(self.name)
        return DeltaTable(path, version=version, storage_options=self.warehouse.storage_options)


def merge(warehouse: Warehouse, name: str, paths: Sequence[str], target_bytes: int) -> Staged:
    """Write the rows of some files of one partition into as few of about the target size, and commit nothing."""
    contract, files = warehouse.contracts[name], warehouse.place.stored(name)
    by = contract.partition_by
    schema = contract.arrow_schema()
    if by is not None:
        schema = schema.remove(schema.get_field_index(by))
    below = [part for part in paths[0].split("/") if by and part.startswith(f"{by}=")]
    folder = new_folder()
    batches = (
        batch.select(schema.names).cast(schema)
        for path in paths
        for batch in pq.ParquetFile(files.open_input_file(path)).iter_batches()
    )
    for number, content in enumerate(_in_files(batches, schema, target_bytes)):
        put(files, "/".join([folder, *below, f"{number:05d}.parquet"]), content)
    return staged(files, folder, by, indexed_columns(contract))


def _in_files(batches: Iterable[pa.RecordBatch], schema: pa.Schema, target_bytes: int) -> Iterator[bytes]:
    """The contents of Parquet files of about the target size, in the order of the rows."""
    content, writer = pa.BufferOutputStream(), None
    for batch in batches:
        writer = writer or pq.ParquetWriter(content, schema, compression="zstd", compression_level=1)
        writer.write_batch(batch)
        if content.tell() >= target_bytes:
            writer.close()
            yield content.getvalue().to_pybytes()
            content, writer = pa.BufferOutputStream(), None
    if writer is not None:
        writer.close()
        yield content.getvalue().to_pybytes()


class LogFolder:
    """The files of a table's log."""

    def __init__(self, infos: Iterable[pafs.FileInfo]) -> None:
        self._infos = sorted(infos, key=lambda info: info.path)
        self.commits = {version: info.mtime for version, info in self._matching(_COMMIT)}
        self.checkpoints = {version for version, _ in self._matching(CHECKPOINT)}
        #: The oldest version that can be read.
        self.oldest = 0 if 0 in self.commits else min(self.checkpoints, default=0)

    def before(self, version: int) -> list[pafs.FileInfo]:
        """The files of older versions, oldest first."""
        return [info for number, info in self._matching(_OF_A_VERSION) if number < version]

    def _matching(self, pattern: re.Pattern[str]) -> Iterator[tuple[int, pafs.FileInfo]]:
        for info in self._infos:
            if match := pattern.match(info.base_name):
                yield int(match[1]), info


def _paths(table: DeltaTable) -> set[str]:
    """Files of a version, relative to the table."""
    return {unquote(path) for path in read_stream(table.get_add_actions())["path"].to_pylist()}


def _holds_rows(info: pafs.FileInfo) -> bool:
    """Whether a file has rows, is the checksum of such a file, or was left by a write: all files but the log and hidden ones."""
    return info.type == pafs.FileType.File and not _file(info).startswith(("_", "."))


def _file(info: pafs.FileInfo) -> str:
    """The file itself; for a checksum file (Hadoop writes them on a local disk) the file that it belongs to."""
    path: str = info.path
    folder, slash, name = path.rpartition("/")
    return folder + slash + (_CHECKSUM.sub(r"\1", name))


def _days(interval: str) -> int:
    """Days of an interval in the form that this project writes; any other text counts as less than every interval."""
    match = _INTERVAL.match(interval)
    return int(match[1]) * {"day": 1, "week": 7}[match[2]] if match else 0
