"""Facts of columns from the footers of Parquet files, which their writer counted: no row is read.

Belongs here: reading footers, wherever the files lie. Does not belong here: which files a table has (`statistics`).
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

_AT_ONCE = 8


class ColumnFacts(NamedTuple):
    """One column of one file. `nulls` is None where its writer did not count them."""

    rows: int
    nulls: int | None
    #: The value of all rows when they have the same one; else None. Only for numbers: statistics may shorten texts.
    constant: int | None


def column_facts(
    files: pafs.FileSystem, paths: Sequence[str], columns: Iterable[str]
) -> dict[str, list[ColumnFacts]] | None:
    """Facts of the columns (of top level), in the order of the files; None when a file is not there or cannot be read.

    A column that a file lacks has no value in any of its rows.
    """
    names = list(columns)
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(partial(_facts_of_file, files, names), paths))
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    return {name: [facts[name] for facts in found] for name in names}


def _facts_of_file(files: pafs.FileSystem, names: Sequence[str], path: str) -> dict[str, ColumnFacts]:
    with files.open_input_file(unquote(path)) as file:
        footer = pq.read_metadata(file)
    groups = [group for group in map(footer.row_group, range(footer.num_row_groups)) if group.num_rows]
    places = {footer.schema.column(number).path: number for number in range(footer.num_columns)}
    rows = footer.num_rows
    return {
        name: _facts(rows, [group.column(places[name]).statistics for group in groups])
        if name in places
        else ColumnFacts(rows, rows, None)
        for name in names
    }


def _facts(rows: int, statistics: Sequence[Any]) -> ColumnFacts:
    if any(each is None or not each.has_null_count for each in statistics):
        return ColumnFacts(rows, None, None)
    nulls = sum(each.null_count for each in statistics)
    ends = {end for each in statistics if each.has_min_max for end in (each.min, each.max)}
    bounded = all(each.has_min_max for each in statistics)
    same = nulls == 0 and bounded and len(ends) == 1 and all(type(end) is int for end in ends)
    return ColumnFacts(rows, nulls, ends.pop() if same else None)
