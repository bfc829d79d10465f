"""The log of one table: what its commits did, which partitions they changed, checkpoints.

Belongs here: reading entries and writing checkpoints. Does not belong here: what follows from a change (`history`, the
callers), the repair of a damaged log (`log_repair`).
"""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from resources.contract import TableContract
from resources.sail_quirks import checkpoint_to_name
from resources.warehouse.errors import MissingTable
from resources.warehouse.log_repair import (
    HINT,
    LogFiles,
    checkpoint_path,
    entry_path,
    hinted,
    made_checkpoint,
    write_hint,
)
from resources.warehouse.open_tables import OpenTables
from resources.warehouse.partitions import partition_value
from resources.warehouse.place import Place
from resources.warehouse.staged_files import put

#: Commits between two checkpoints. A reader replays at most so many commits (about 20 ms); Delta's 10 would fill the log
#: of a table with thousands of files five times as fast.
CHECKPOINT_INTERVAL = 50
#: Up to so many entries of a log are looked up one by one; for more the log is listed first. And the number of parallel readers.
_FEW_ENTRIES, _READERS = 20, 16


class TableLog:
    """The log of one table. The log of a missing table has no entries."""

    def __init__(self, place: Place, tables: OpenTables, contract: TableContract) -> None:
        self._place = place
        self._tables = tables
        self._contract = contract
        #: For each table that was here, by its id: the partition values whose rows a version changed.
        self._changes: dict[str, dict[int, frozenset[Any]]] = {}

    def entry(self, version: int) -> list[dict[str, Any]] | None:
        """The actions of one commit (Delta protocol, "Actions"), or None where the log has no such entry."""
        try:
            with self._place.stored(self._contract.name).open_input_stream(entry_path(version)) as stream:
                return [json.loads(line) for line in stream.read().splitlines() if line]
        except FileNotFoundError:
            return None
        except json.JSONDecodeError as error:
            raise self._tables.unreadable(self._contract, version, error) from error

    def created_at(self) -> float:
        """When the table was made, milliseconds since 1970; 0 where its metadata do not say."""
        try:
            return float(self._tables.at(self._contract).metadata().created_time or 0)
        except MissingTable:
            return 0.0

    def position(self, key: str, version: int | None = None) -> int | None:
        """The newest value that commits have set for a key (Delta protocol, "Transaction Identifiers"), or None."""
        try:
            found = self._tables.at(self._contract, version).transaction_version(key)
        except MissingTable:
            return None
        return None if found is None else int(found)

    def rows_changed(self, since: int, upto: int) -> bool:
        """Whether a version after `since`, up to `upto`, has other rows than the version before it. Compaction changes no rows.

        True as well where the log has lost an entry.
        """
        entries = (self.entry(version) for version in range(since + 1, upto + 1))
        return any(entry is None or changes_rows(entry) for entry in entries)

    def rows_added(self, actions: Iterable[Mapping[str, Any]]) -> dict[Any, int]:
        """Rows per partition value that the actions of one commit added, from the statistics they wrote."""
        rows: dict[Any, int] = {}
        for file in (action["add"] for action in actions if "add" in action):
            key = self._value(file)
            rows[key] = rows.get(key, 0) + json.loads(file["stats"])["numRecords"]
        return dict(sorted(rows.items(), key=lambda item: str(item[0])))

    def last_changed(self, since: int, upto: int | None = None) -> dict[Any, int]:
        """Partition values whose rows changed after a version, each with the newest version that changed them.

        Versions that have left the log are skipped: maintenance removes none that is younger than the retention. A process
        reads an entry once, since versions never change.
        """
        try:
            table = self._tables.at(self._contract)
        except MissingTable:
            return {}
        versions = range(since + 1, (table.version() if upto is None else upto) + 1)
        known = self._changes.setdefault(str(table.metadata().id), {})
        unknown = [version for version in versions if version not in known]
        if len(unknown) > _FEW_ENTRIES:
            logged = {entry_path(entry) for entry in LogFiles.of(self._place.stored(self._contract.name)).entries}
            known |= {version: frozenset() for version in unknown if entry_path(version) not in logged}
            unknown = [version for version in unknown if version not in known]
        with ThreadPoolExecutor(_READERS) as readers:
            known |= zip(unknown, readers.map(self._changed_by, unknown), strict=True)
        return {value: version for version in versions for value in known[version]}

    def checkpoint(self, version: int) -> None:
        """Write the checkpoint of a version, where there is none."""
        files = self._place.files(self._contract.name)
        known = LogFiles.of(files).checkpoints
        if version not in known:
            put(files, checkpoint_path(version), made_checkpoint(files, version, list(known)))
        self.name_an_old_checkpoint()

    def name_an_old_checkpoint(self) -> None:
        """Make `_last_checkpoint` name a checkpoint old enough for every version that a run may read: engines move the hint on."""
        files = self._place.files(self._contract.name)
        wanted = checkpoint_to_name(
            {number: info.mtime for number, info in LogFiles.of(files).checkpoints.items()}, dt.datetime.now(dt.UTC)
        )
        if wanted is None:
            with suppress(FileNotFoundError):  # there is none, or another process was here first
                files.delete_file(HINT)
        elif wanted != hinted(files):
            write_hint(files, wanted)

    def _changed_by(self, version: int) -> frozenset[Any]:
        """The partition values whose rows a version changed."""
        return frozenset(self._value(file) for _, file in changed_files(self.entry(version) or ()))

    def _value(self, file: Mapping[str, Any]) -> Any:
        """The partition value of a file, with the type of the contract."""
        by = self._contract.partition_by or ""
        return partition_value((file.get("partitionValues") or {}).get(by), self._contract)


def changes_rows(actions: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a commit added or removed rows, and did not just move them to other files."""
    return any(True for _ in changed_files(actions))


def changed_files(actions: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Files that a commit added or removed, with which of the two ("add", "remove"); not those whose rows only moved."""
    for action in actions:
        for kind in ("add", "remove"):
            if (file := action.get(kind)) and file["dataChange"]:
                yield kind, file
