"""Commits: staged files become a part of a table, in one step or not at all.

Belongs here: the one conditional commit, and how an append and an overwrite go on when others commit meanwhile. Does not
belong here: the files (`staged_files`).
"""

import datetime as dt
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import RemoveAction

from resources.arrow_streams import read_stream
from resources.contract import TableContract
from resources.warehouse import table_log
from resources.warehouse.errors import Overtaken, Refused, WarehouseError, first_line
from resources.warehouse.partitions import EVERYTHING, Commit, Everything, Partitions, partition_value
from resources.warehouse.staged_files import Staged

if TYPE_CHECKING:
    from resources.warehouse.warehouse import Warehouse

#: Keys in the log entry of a commit: the attempt that made it, and the versions of other tables that its rows were made from.
ATTEMPT, READS = "telecom.attempt", "telecom.reads"
#: delta-rs does nothing after a commit: the warehouse makes checkpoints and removes old versions itself.
NOTHING_AFTERWARDS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
#: How many commits of others may come first before a write gives up.
_TRIES = 30


@dataclass(frozen=True)
class Change:
    """What a commit does besides adding files. The fields are those of `Warehouse.commit`."""

    replace: Partitions | Everything | None = None
    remove: Iterable[str] = ()
    moved: bool = False
    positions: Mapping[str, int] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    was: TableContract | None = None


def commit_files(warehouse: "Warehouse", name: str, files: Staged, on: int, change: Change) -> Commit:
    """The version after `on`, or Refused. See `Warehouse.commit`."""
    contract = warehouse.contracts[name]
    if warehouse.guard is not None and not change.moved:
        warehouse.guard(warehouse, contract, _changed(contract, files, change))
    table = warehouse.tables.for_writing(change.was or contract, on)
    by = [contract.partition_by] if contract.partition_by else None
    actions: list[Any] = [file.action(moved=change.moved) for file in files.files]
    actions += [_removal(file, contract, moved=change.moved) for file in _named(table, set(change.remove))]
    filters = change.replace.filters(by[0]) if isinstance(change.replace, Partitions) and by else None
    properties = CommitProperties(
        custom_metadata={**change.info, ATTEMPT: files.folder},
        max_commit_retries=0,
        app_transactions=[Transaction(key, number) for key, number in change.positions.items()],
    )
    try:
        table.create_write_transaction(
            actions,
            "append" if change.replace is None else "overwrite",
            contract.arrow_schema(),
            by,
            partition_filters=filters,
            commit_properties=properties,
            post_commithook_properties=NOTHING_AFTERWARDS,
        )
    except (DeltaError, OSError) as error:
        # The commit may have been made although its answer was lost.
        if not _is_of(warehouse, name, on + 1, files.folder):
            if isinstance(error, CommitFailedError) and warehouse.log(name).entry(on + 1) is not None:
                raise Refused(f"table {name}: another commit came after version {on}") from error
            raise WarehouseError(
                f"table {name} at {warehouse.path(name)} cannot be written: {first_line(error)}"
            ) from error
    if (on + 1) % table_log.CHECKPOINT_INTERVAL == 0:
        warehouse.log(name).checkpoint(on + 1)
    counts = {partition_value(text, contract): rows for text, rows in files.rows_by(contract.partition_by).items()}
    return Commit(on + 1, dict(sorted(counts.items())) if None not in counts else counts)


def _changed(contract: TableContract, files: Staged, change: Change) -> list[Partitions] | None:
    """The partitions whose rows a commit changes; None where these may be any."""
    if contract.partition_by is None or isinstance(change.replace, Everything) or change.remove:
        return None
    values = [partition_value(text, contract) for text in files.rows_by(contract.partition_by)]
    return [*(Partitions(each, each) for each in values), *([change.replace] if change.replace is not None else [])]


def append_files(warehouse: "Warehouse", name: str, files: Staged) -> Commit:
    """Commit an append after all commits that others have made meanwhile."""
    on = warehouse.version(name)
    if not files.files:
        return Commit(on, {})
    for pause in _pauses():
        try:
            return warehouse.commit(name, files, on)
        except Refused:
            time.sleep(pause)
            on = warehouse.version(name)
    raise _no_peace(warehouse, name)


def replace_partitions(
    warehouse: "Warehouse",
    name: str,
    files: Staged,
    partitions: Partitions | None,
    on: int,
    reads: Mapping[str, int],
    info: Mapping[str, Any],
) -> Commit:
    """Commit an overwrite of partitions on the version that was the newest before its rows were made.

    When others commit meanwhile and leave the rows of these partitions as they were (other partitions, compaction), this write
    is committed after them. When others change these rows, this write is committed only if it was made from the newest versions
    (`reads`: versions of tables), so that old rows never replace newer ones; else it raises Overtaken. Rows outside the
    partitions raise WarehouseError. In both cases the files are dropped.

    info: further content of the commit's log entry. With info, a commit is made even when no rows replace no rows.
    """
    contract, began = warehouse.contracts[name], on
    by = contract.partition_by
    if by is not None and partitions is not None:
        _assert_inside(warehouse, name, files, partitions)
    replace: Partitions | Everything = partitions if by is not None and partitions is not None else EVERYTHING
    said = {**({READS: dict(reads)} if reads else {}), **info}
    for pause in _pauses():
        if not (info or files.files) and isinstance(replace, Partitions) and not _holds(warehouse, name, on, replace):
            warehouse.written[name] = on
            return Commit(on, {})  # no rows would replace no rows
        try:
            commit = warehouse.commit(name, files, on, replace=replace, info=said)
        except Refused:
            time.sleep(pause)
        else:
            warehouse.written[name] = commit.version
            return commit
        on = warehouse.version(name)
        if _touched(warehouse, name, began, on, replace) and (stale := _stale(warehouse, reads)):
            warehouse.drop(name, files.folder)
            raise Overtaken(
                f"table {name}: while these rows were made from {stale}, another run wrote the same "
                f"partitions ({partitions or 'all'}) from what is newer; nothing was changed, run it again"
            )
    raise _no_peace(warehouse, name)


def _assert_inside(warehouse: "Warehouse", name: str, files: Staged, partitions: Partitions) -> None:
    contract = warehouse.contracts[name]
    strangers = [
        key for key in files.rows_by(contract.partition_by) if partition_value(key, contract) not in partitions
    ]
    if strangers:
        warehouse.drop(name, files.folder)
        raise WarehouseError(
            f"table {name}: a row lies outside the partitions that are being written ({partitions}): {strangers[0]}"
        )


def _touched(warehouse: "Warehouse", name: str, since: int, upto: int, replace: Partitions | Everything) -> bool:
    """Whether commits after `since` changed rows that this write replaces. True where the log has lost an entry."""
    contract, log = warehouse.contracts[name], warehouse.log(name)
    for version in range(since + 1, upto + 1):
        actions = log.entry(version)
        if actions is None:
            return True
        for _, file in table_log.changed_files(actions):
            values = file.get("partitionValues") or {}
            if not isinstance(replace, Partitions) or contract.partition_by not in values:
                return True
            if partition_value(values[contract.partition_by], contract) in replace:
                return True
    return False


def _stale(warehouse: "Warehouse", reads: Mapping[str, int]) -> str:
    """The tables whose rows have changed since the versions that were read, in words; empty when there is none."""
    behind = [
        f"{name} {version}"
        for name, version in reads.items()
        if (newest := warehouse.version(name)) != version and warehouse.log(name).rows_changed(version, newest)
    ]
    return ", ".join(behind)


def _holds(warehouse: "Warehouse", name: str, version: int, partitions: Partitions) -> bool:
    counts = warehouse.pin(name, version=version).rows_by_partition()
    return any(key is None or key in partitions for key in counts)


def _named(table: DeltaTable, paths: set[str]) -> list[dict[str, Any]]:
    """The files of a version with these paths, as the log has them."""
    if not paths:
        return []
    files = read_stream(table.get_add_actions(flatten=True)).to_pylist()
    return [file for file in files if unquote(file["path"]) in paths]


def _removal(file: Mapping[str, Any], contract: TableContract, *, moved: bool) -> RemoveAction:
    """The log action that removes a file; `file`: a row of `get_add_actions`."""
    by = contract.partition_by
    values = {by: None if file[f"partition.{by}"] is None else str(file[f"partition.{by}"])} if by else {}
    now = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
    return RemoveAction(file["path"], not moved, now, file["size_bytes"], values)


def _is_of(warehouse: "Warehouse", name: str, version: int, folder: str) -> bool:
    """Whether a version was made by the attempt that this folder belongs to."""
    actions = warehouse.log(name).entry(version) or []
    return any(action.get("commitInfo", {}).get(ATTEMPT) == folder for action in actions)


def _pauses() -> Iterator[float]:
    """Seconds that a writer waits after each commit that came before its own: random, and growing."""
    return (random.uniform(0, min(0.01 * 1.4**number, 1.0)) for number in range(_TRIES))  # noqa: S311  (no secret)


def _no_peace(warehouse: "Warehouse", name: str) -> WarehouseError:
    return WarehouseError(
        f"table {name} at {warehouse.path(name)}: {_TRIES} other commits came first, one after the other; "
        "nothing was changed, run it again when fewer write the table"
    )
