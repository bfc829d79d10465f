"""The history of a table, from its log: what each commit says of itself, and which rows have changed since a version.

Does not belong here: reading the log (`table_log`), what follows from a change.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from resources.warehouse.commits import ATTEMPT
from resources.warehouse.partitions import Partitions
from resources.warehouse.pinned_table import PinnedTable
from resources.warehouse.statistics import same_files
from resources.warehouse.table_log import changed_files
from resources.warehouse.warehouse import Warehouse


def commit_info(warehouse: Warehouse, name: str, version: int) -> Mapping[str, Any]:
    """What a commit says of itself (Delta protocol, "Commit Provenance Information"); nothing where the log has no such entry."""
    actions = warehouse.log(name).entry(version) or ()
    return next((each["commitInfo"] for each in actions if "commitInfo" in each), {})


def identity_of(actions: Iterable[Mapping[str, Any]] | None) -> str:
    """A text that tells a commit from another commit of the same version, made after the table was restored from a backup.

    actions: its entry in the log. Empty where the log has no such entry.
    """
    said: Mapping[str, Any] = next((each["commitInfo"] for each in actions or () if "commitInfo" in each), {})
    return f"{said.get('timestamp', '')} {said.get(ATTEMPT, '')}".strip()


def partitions_changed(warehouse: Warehouse, name: str, table_id: str, since: int) -> set[str] | None:
    """Partition values, as the log writes them, whose rows may differ from those of version `since`.

    None when the log cannot say it, or when any partition may differ: another table is there, the log has lost the version or a
    commit after it, columns or properties changed, or a table without partitions has a newer version. Compaction of a
    partitioned table changes nothing.
    """
    pinned, column = warehouse.pin(name), warehouse.contracts[name].partition_by
    newest = pinned.version
    if newest < since or pinned.table_id != table_id:
        return None
    if column is None:
        return set() if newest == since else None
    changed: set[str] = set()
    for version in range(since + 1, newest + 1):
        actions = warehouse.log(name).entry(version)
        if actions is None or any("metaData" in action for action in actions):
            return None
        for _, file in changed_files(actions):
            value = (file.get("partitionValues") or {}).get(column)
            if value is None:
                return None
            changed.add(value)
    return changed


def as_first_seen(pinned: PinnedTable, around: Partitions | None = None) -> PinnedTable:
    """The version in which this process first saw the files that hold the rows of the pinned partitions.

    A result that was computed from that version is right for the pinned one too, since a commit to other partitions leaves these
    files alone. So results are kept by this version. around: the partitions whose files are compared, where a computation reads
    more than the pinned ones.
    """
    compared = pinned if around is None else replace(pinned, partitions=around)
    key = (pinned.name, pinned.table_id, compared.partitions, same_files(compared))
    return replace(pinned, version=pinned.warehouse.first_seen.setdefault(key, pinned.version))


def newest_change(pinned: PinnedTable) -> int:
    """The newest version, up to the pinned one, that changed rows of the pinned partition.

    The pinned version itself where the log has lost the entries.
    """
    assert pinned.partitions is not None
    changed = pinned.warehouse.log(pinned.name).last_changed(-1, pinned.version)
    return changed.get(pinned.partitions.first, pinned.version)


def committed_at(warehouse: Warehouse, name: str, version: int) -> dt.datetime | None:
    """When a version was committed, as its entry in the log says; None where the log has no such entry any more."""
    milliseconds = commit_info(warehouse, name, version).get("timestamp")
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC) if milliseconds else None
