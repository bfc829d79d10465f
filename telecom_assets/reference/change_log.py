"""reference_changes: who changed which reference rows, from what to what, by which file or read, when and why.

Belongs here: what a commit of a reference table says of its origin, and the table that follows from the logs. It is written after
the change, by whoever comes next where a process died in between, so no change is lost and none is told twice. Does not belong
here: which changes are refused (`past`).
"""

import getpass
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resources.warehouse import (
    Decided,
    PinnedTable,
    Warehouse,
    WarehouseError,
    append_decided,
    commit_info,
    committed_at,
)
from telecom_assets.model.columns import VALID_FROM
from telecom_assets.reference.as_of import named
from telecom_assets.reference.tables import BILLING_TERMS, CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS, REFERENCE_CHANGES

#: The tables whose changes are told of.
RECORDED = (CUSTOMERS, RATE_PLANS, PRODUCT_CATALOG, BILLING_TERMS)
#: Key in the log entry of a commit: the origin of the change.
ORIGIN = "telecom.reference_change"

_BEGUN, _EVERYTHING = "begun", "*"
_Row = dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """Where a change of reference rows comes from.

    source: the file, the table of PostgreSQL, or the settings. by and why: what a person said. corrects_past: whether that person
    wants it to change frozen periods too.
    """

    source: str
    by: str | None = None
    why: str | None = None
    corrects_past: bool = False

    def said(self, corrected: Sequence[str] = ()) -> dict[str, Any]:
        """What the commit of the change says of it. corrected: the frozen periods that it changes."""
        return {
            ORIGIN: {
                "source": self.source,
                "system_user": getpass.getuser(),
                "changed_by": self.by,
                "why": self.why,
                "corrected": ", ".join(corrected) or None,
            }
        }


def record_changes(warehouse: Warehouse) -> int:
    """Append to reference_changes what the logs of the reference tables have that it does not tell yet. Returns the number of rows.

    The first row of a table says with how many rows it began. Of two processes at a time one begins anew, from what the other left.
    """

    def untold(told: PinnedTable) -> Decided[int]:
        known = _last_told(told)
        rows = [row for contract in RECORDED for row in _untold(warehouse.pin(contract.name), known)]
        return Decided(len(rows), rows or None)

    return append_decided(warehouse, REFERENCE_CHANGES.name, untold)


def _last_told(told: PinnedTable) -> dict[tuple[str, str], int]:
    """For each table and identity: the newest version that is told of."""
    newest = (
        told.arrow().group_by(["reference_table", "table_id"]).aggregate([("reference_version", "max")]).to_pylist()
    )
    return {(row["reference_table"], row["table_id"]): row["reference_version_max"] for row in newest}


def _untold(newest: PinnedTable, known: Mapping[tuple[str, str], int]) -> Iterator[_Row]:
    """The rows for the versions of a table that are not told of."""
    warehouse, name = newest.warehouse, newest.name
    last = known.get((name, newest.table_id))
    if last is None:
        last = _beginning(newest)
        yield from _begun(warehouse.pin(name, version=last), newest.table_id)
    for version in range(last + 1, newest.version + 1):
        if warehouse.log(name).rows_changed(version - 1, version):
            yield from _changes(newest, version)


def _beginning(newest: PinnedTable) -> int:
    """The version with which the story of a table begins: the last one before those that say where they come from."""
    version = newest.version
    while version > 0 and ORIGIN in commit_info(newest.warehouse, newest.name, version):
        version -= 1
    return version


def _begun(table: PinnedTable, table_id: str) -> Iterator[_Row]:
    count = table.arrow().num_rows
    if count:
        yield _row(table, table_id, {"entity": _EVERYTHING, "change": _BEGUN, "now": json.dumps({"rows": count})})


def _changes(newest: PinnedTable, version: int) -> Iterator[_Row]:
    """The rows of one version that are others than in the version before."""
    warehouse, name = newest.warehouse, newest.name
    after = warehouse.pin(name, version=version)
    try:
        was, now = warehouse.pin(name, version=version - 1).arrow(), after.arrow()
    except WarehouseError:
        # A version from before its columns, or one that is past its retention: that it changed is all that can be said.
        yield _row(after, newest.table_id, {"entity": _EVERYTHING, "change": _BEGUN})
        return
    if not was.num_rows:
        yield from _begun(after, newest.table_id)
        return
    for before, row in _paired(was, now, after):
        some = before or row or {}
        said = {
            "entity": named(some, after.contract) or name,
            VALID_FROM: some[VALID_FROM],
            "change": _kind(before, row),
        }
        yield _row(after, newest.table_id, {**said, "was": _json(before), "now": _json(row)})


def _paired(was: pa.Table, now: pa.Table, table: PinnedTable) -> Iterator[tuple[_Row | None, _Row | None]]:
    """Rows that one of both versions alone has; those with one key as one change."""
    columns = table.contract.column_names
    both = pa.concat_tables(
        [
            each.select(columns).append_column("side", pa.repeat(side, each.num_rows))
            for side, each in enumerate((was, now))
        ]
    )
    grouped = both.group_by(columns).aggregate([("side", "sum"), ([], "count_all")])
    alone = grouped.filter(pc.equal(grouped["count_all"], 1)).to_pylist()
    pairs: dict[tuple[Any, ...], list[_Row | None]] = {}
    for row in alone:
        side = row.pop("side_sum")
        row.pop("count_all")
        key = tuple(row[column] for column in table.contract.key)
        pairs.setdefault(key, [None, None])[side] = row
    for key in sorted(pairs, key=lambda key: tuple(map(str, key))):
        before, after = pairs[key]
        yield before, after


def _kind(before: _Row | None, after: _Row | None) -> str:
    if before is None:
        return "added"
    return "removed" if after is None else "changed"


def _row(table: PinnedTable, table_id: str, said: _Row) -> _Row:
    origin: Mapping[str, Any] = commit_info(table.warehouse, table.name, table.version).get(ORIGIN) or {}
    return {
        "reference_table": table.name,
        "table_id": table_id,
        "reference_version": table.version,
        "changed_at": committed_at(table.warehouse, table.name, table.version),
        **{name: origin.get(name) for name in ("source", "system_user", "changed_by", "why", "corrected")},
        **said,
    }


def _json(row: _Row | None) -> str | None:
    """A row as JSON: numbers and days as texts, exactly; without the values that it does not have."""
    if row is None:
        return None
    said = {name: value for name, value in row.items() if value is not None}
    return json.dumps(said, default=str, ensure_ascii=False)
