"""Figures of the rows of a version: from the statistics of its files, from their footers, or from one aggregate.

Belongs here: counts, missing values, constants, sums of money. Does not belong here: rows (`reading`).
"""

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from resources.arrow_streams import read_stream
from resources.warehouse.errors import MissingTable
from resources.warehouse.parquet_footers import ColumnFacts, column_facts
from resources.warehouse.staged_files import Staged

if TYPE_CHECKING:
    from resources.warehouse.pinned_table import PinnedTable

#: Digits of a sum: more than any DECIMAL has. Python's default context would round at 28.
_EXACT = 60


def files_of(pinned: "PinnedTable") -> pa.Table:
    """The files of a version as its log has them: `path`, `num_records`, `partition.<column>`, `null_count.<column>`…

    For a missing table: no rows and no columns.
    """
    try:
        return read_stream(pinned.warehouse.tables.at(pinned.contract, pinned.version).get_add_actions(flatten=True))
    except MissingTable:
        return pa.table({})


def rows_by_partition(pinned: "PinnedTable") -> dict[Any, int]:
    """Rows per partition value (or under None) of the whole version, from file statistics."""
    files, partition_by = files_of(pinned), pinned.contract.partition_by
    if files.num_rows == 0:
        return {}
    if partition_by is None:
        return {None: pc.sum(files["num_records"]).as_py() or 0}
    keys, counts = files[f"partition.{partition_by}"].to_pylist(), files["num_records"].to_pylist()
    rows: dict[Any, int] = {}
    for key, count in zip(keys, counts, strict=True):
        rows[key] = rows.get(key, 0) + count
    return dict(sorted(rows.items()))


def same_files(pinned: "PinnedTable") -> str:
    """Digest that two versions have in common where the very same files hold the rows of their pinned partitions."""
    files = _of_partitions(files_of(pinned), pinned)
    paths = sorted(files["path"].to_pylist()) if files.num_rows else []
    return hashlib.sha256("\n".join(paths).encode()).hexdigest()


def missing_values(pinned: "PinnedTable", columns: Collection[str]) -> dict[str, int]:
    """Rows without a value, by column.

    The numbers come from the log for columns with statistics there, from the footers of the files for other columns, and from the
    engine where a footer has no number.
    """
    files, partition_by = files_of(pinned), pinned.contract.partition_by
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
    for name, facts in _facts(pinned, files, [name for name in columns if name not in missing]).items():
        nulls = [fact.nulls for fact in facts if fact.nulls is not None]
        if len(nulls) == len(facts):
            missing[name] = sum(nulls)
    unknown = [name for name in columns if name not in missing]
    if unknown:
        # Values are counted instead of NULLs, since that needs no expression.
        counts = [F.count("*").alias("_rows"), *(F.count(name).alias(name) for name in unknown)]
        row = pinned.df.select(counts).collect()[0]
        missing |= {name: row["_rows"] - row[name] for name in unknown}
    return {name: missing[name] for name in columns}


def constants(pinned: "PinnedTable", columns: Sequence[str]) -> list[tuple[Any, tuple[int, ...]]] | None:
    """Values of integer columns that are the same in all rows of a file, with its partition value, file by file.

    None when a file has several values in one of the columns, or no statistics.
    """
    partition_by = pinned.contract.partition_by
    files = _of_partitions(files_of(pinned), pinned)
    if not files.num_rows:
        return []
    facts = _facts(pinned, files, columns)
    if not facts:
        return None
    keys = files[f"partition.{partition_by}"].to_pylist() if partition_by else [None] * files.num_rows
    found: list[tuple[Any, tuple[int, ...]]] = []
    for key, *own_facts in zip(keys, *(facts[name] for name in columns), strict=True):
        values = tuple(fact.constant for fact in own_facts if fact.constant is not None)
        if len(values) == len(columns):
            found.append((key, values))
        elif own_facts[0].rows:
            return None
    return found


def totals_by_partition(pinned: "PinnedTable") -> Mapping[Any, Mapping[str, Decimal]]:
    """Sums of the money columns by partition value (or under None). Kept by the process, since versions never change."""
    known = pinned.warehouse.sums
    if pinned not in known:
        known[pinned] = _totals_by_partition(pinned)
    return known[pinned]


def _totals_by_partition(pinned: "PinnedTable") -> Mapping[Any, Mapping[str, Decimal]]:
    money, by = pinned.contract.money, pinned.contract.partition_by
    if not money:
        return {}
    keys = [by] if by is not None else []
    if pinned.is_small:
        rows = pinned.arrow()
        # Widened first, so that the sum fits.
        wide = [rows[name].cast(pa.decimal128(38, rows[name].type.scale)) for name in money]
        table = pa.table([*(rows[name] for name in keys), *wide], [*keys, *money])
        summed = table.group_by(keys).aggregate([(name, "sum") for name in money]).to_pylist()
        found = [{**row, **{name: row[f"{name}_sum"] for name in money}} for row in summed]
    else:
        sums = [F.sum(name).alias(name) for name in money]
        found = [row.asDict() for row in pinned.df.groupBy(*keys).agg(*sums).collect()]
    return {row[by] if by is not None else None: {name: row[name] or Decimal(0) for name in money} for row in found}


def went_back(pinned: "PinnedTable", files: Staged, column: str) -> dt.datetime | None:
    """The smallest instant of a column in staged files, if a file of the version reaches that instant; else None."""
    lows = [json.loads(file.stats)["minValues"].get(column) for file in files.files]
    older = files_of(pinned)
    if not lows or not older.num_rows:
        return None
    low = min(dt.datetime.fromisoformat(text) for text in lows)
    high = pc.max(older[f"max.{column}"]).as_py()
    return low if high is not None and high.astimezone(dt.UTC) >= low else None


def paths_of(pinned: "PinnedTable", values: Collection[Any]) -> set[str]:
    """Paths of the files of the version that hold some partition values."""
    by = f"partition.{pinned.contract.partition_by}"
    return {unquote(file["path"]) for file in files_of(pinned).to_pylist() if file[by] in values}


def sum_exactly(amounts: Iterable[Decimal]) -> Decimal:
    """The sum of amounts to the last digit, however many it has."""
    with localcontext(prec=_EXACT):
        return sum(amounts, Decimal(0))


def _facts(pinned: "PinnedTable", files: pa.Table, columns: Sequence[str]) -> dict[str, list[ColumnFacts]]:
    """Facts from the footers of some files of a table; empty when one of the files is gone."""
    if not columns or not files.num_rows:
        return {}
    stored = pinned.warehouse.place.stored(pinned.name)
    return column_facts(stored, files["path"].to_pylist(), columns) or {}


def _of_partitions(files: pa.Table, pinned: "PinnedTable") -> pa.Table:
    """The files of a table that have rows of the pinned partitions, or rows without a partition value."""
    partition_by, partitions = pinned.contract.partition_by, pinned.partitions
    if partition_by is None or partitions is None or not files.num_rows:
        return files
    keys = files[f"partition.{partition_by}"].to_pylist()
    return files.filter(pa.array([key is None or key in partitions for key in keys]))
