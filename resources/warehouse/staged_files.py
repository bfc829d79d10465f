"""Files of rows that lie below a table and belong to no version of it yet: the first half of every write.

Belongs here: the files of an attempt to write, and the log action for each file. Does not belong here:
the commit that makes the files a part of the table (`commits`).

A write has two halves. First the rows become plain Parquet in a folder of their own, named after the attempt; no reader
sees them. Then one commit names the files, on the version that the writer has read (`Warehouse.commit`). A process that dies
between the two has written nothing: maintenance removes the folder after the retention, as it removes every file that no
version names. The folder's name begins neither with `_` nor with `.`, since maintenance does not see such files.
"""

import datetime as dt
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from resources.private_members import write_through

#: How many footers are read at the same time.
_AT_ONCE = 8
#: Texts in statistics are cut to this length, as the Delta protocol advises; a longer maximum is left out.
_TEXT_LENGTH = 32
#: Name of the folder of the partition without a value.
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def new_folder() -> str:
    """A name for the folder of one attempt."""
    return f"rows-{uuid.uuid4().hex}"


@dataclass(frozen=True)
class StagedFile:
    """One file: its path below the table, its size, its partition as the log writes it, rows and statistics."""

    path: str
    size: int
    partition: Mapping[str, str | None]
    rows: int
    stats: str

    def action(self, *, moved: bool) -> AddAction:
        """The log action that adds the file. moved: its rows were in the table before, in other files."""
        now = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
        return AddAction(quote(self.path, safe="/=-._~"), self.size, self.partition, now, not moved, self.stats)


@dataclass(frozen=True)
class Staged:
    """The files of one attempt to write, without files that have no rows."""

    folder: str
    files: Sequence[StagedFile] = field(default=())

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    def rows_by(self, partition_by: str | None) -> dict[str | None, int]:
        """Rows per partition value, as the log writes it (or under None)."""
        counts: dict[str | None, int] = {}
        for file in self.files:
            key = file.partition[partition_by] if partition_by else None
            counts[key] = counts.get(key, 0) + file.rows
        return counts


def staged(files: pafs.FileSystem, folder: str, partition_by: str | None, indexed: Sequence[str]) -> Staged:
    """The files in the folder of an attempt, with rows and statistics from their footers.

    files: the table's folder. indexed: columns for which the log gets the smallest and the largest value.
    """
    infos = [
        info
        for info in files.get_file_info(pafs.FileSelector(folder, allow_not_found=True, recursive=True))
        if info.type is pafs.FileType.File and _is_rows(info.path)
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(partial(_staged_file, files, partition_by, indexed), infos))
    return Staged(folder, tuple(file for file in found if file.rows))


def write_staged(
    files: pafs.FileSystem, folder: str, rows: pa.Table, partition_by: str | None, indexed: Sequence[str]
) -> Staged:
    """Write a few rows without an engine, a file for each partition value."""
    written = []
    for value, part in _by_partition(rows, partition_by):
        text = None if value is None else str(value)
        below = f"{partition_by}={NULL_PARTITION if text is None else text}/" if partition_by else ""
        path = f"{folder}/{below}{uuid.uuid4().hex}.parquet"
        content = pa.BufferOutputStream()
        pq.write_table(part, content, compression="zstd", compression_level=1)
        put(files, path, content.getvalue().to_pybytes())
        written.append(_staged_file(files, partition_by, indexed, files.get_file_info(path)))
    return Staged(folder, tuple(file for file in written if file.rows))


def put(files: pafs.FileSystem, path: str, content: bytes) -> None:
    """Write a whole file in one step, in a local folder or in a bucket."""
    if isinstance(files, pafs.PyFileSystem):
        write_through(files, path, content)
        return
    files.create_dir(path.rsplit("/", 1)[0], recursive=True)
    with files.open_output_stream(path) as stream:
        stream.write(content)


def _by_partition(rows: pa.Table, partition_by: str | None) -> Iterator[tuple[Any, pa.Table]]:
    if partition_by is None:
        yield None, rows
        return
    keys = rows[partition_by]
    for value in pc.unique(keys).to_pylist():
        mask = pc.is_null(keys) if value is None else pc.equal(keys, pa.scalar(value, keys.type))
        yield value, rows.filter(mask).drop_columns([partition_by])


def _is_rows(path: str) -> bool:
    return path.endswith(".parquet") and not any(part.startswith(("_", ".")) for part in path.split("/"))


def _staged_file(
    files: pafs.FileSystem, partition_by: str | None, indexed: Sequence[str], info: pafs.FileInfo
) -> StagedFile:
    with files.open_input_file(info.path) as file:
        footer = pq.read_metadata(file)
    partition = {partition_by: _partition(info.path, partition_by)} if partition_by else {}
    return StagedFile(info.path, info.size, partition, footer.num_rows, json.dumps(_statistics(footer, indexed)))


def _partition(path: str, partition_by: str) -> str | None:
    """The partition value of a file, from the name of its folder."""
    [named] = [part for part in path.split("/") if part.startswith(f"{partition_by}=")]
    value = unquote(named.split("=", 1)[1])
    return None if value == NULL_PARTITION else value


def _statistics(footer: pq.FileMetaData, indexed: Sequence[str]) -> dict[str, Any]:
    """The statistics of a file in the form of the log (Delta protocol, "Per-file Statistics")."""
    places = {footer.schema.column(number).path: number for number in range(footer.num_columns)}
    groups = [group for group in map(footer.row_group, range(footer.num_row_groups)) if group.num_rows]
    lows, highs, nulls = {}, {}, {}
    for name in indexed:
        if name not in places:
            continue
        each = [group.column(places[name]).statistics for group in groups]
        if all(found is not None and found.has_null_count for found in each):
            nulls[name] = sum(found.null_count for found in each)
        bounded = [found for found in each if found is not None and found.has_min_max]
        if len(bounded) == len(each) and each:
            low, high = (
                _in_log(min(found.min for found in bounded)),
                _in_log(max(found.max for found in bounded), upper=True),
            )
            if low is not None and high is not None:
                lows[name], highs[name] = low, high
    return {"numRecords": footer.num_rows, "minValues": lows, "maxValues": highs, "nullCount": nulls}


def _in_log(value: Any, *, upper: bool = False) -> Any:
    """A smallest or largest value in the form of the log; None where it is better left out."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        return value[:_TEXT_LENGTH] if len(value) <= _TEXT_LENGTH or not upper else None
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, dt.date):
        return value.isoformat()
    return None
