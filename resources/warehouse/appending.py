"""Rows that are decided from what a table has, and appended to just that.

Belongs here: reading, deciding, committing on the version that was read, and beginning anew where another commit came first. Does not
belong here: what is decided.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pyarrow as pa

from resources.warehouse.errors import Refused
from resources.warehouse.pinned_table import PinnedTable
from resources.warehouse.warehouse import Warehouse

T = TypeVar("T")


@dataclass(frozen=True)
class Decided(Generic[T]):
    """What was decided from a version of a table: what `append_decided` returns, and the rows to append.

    rows: None where nothing is to be committed. positions: transaction versions that the commit sets (`TableLog.position`).
    """

    result: T
    rows: pa.Table | Sequence[Mapping[str, Any]] | None
    positions: Mapping[str, int] = field(default_factory=dict)


def append_decided(warehouse: Warehouse, name: str, decide: Callable[[PinnedTable], Decided[T]]) -> T:
    """Append to a table what `decide` makes of its newest version. Of two at a time, one decides anew from what the other left.

    decide: gets the table, pinned before all else that it reads, and may raise, with nothing changed. It is asked again after a
    commit of another, whatever that was.
    """
    while True:
        pinned = warehouse.pin(name)
        decided = decide(pinned)
        if decided.rows is None:
            return decided.result
        files = warehouse.stage_arrow(name, _table(decided.rows, warehouse.contracts[name].arrow_schema()))
        try:
            warehouse.commit(name, files, pinned.version, positions=decided.positions)
        except Refused:
            warehouse.drop(name, files.folder)
        else:
            return decided.result


def _table(rows: pa.Table | Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    return rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows), schema=schema)
