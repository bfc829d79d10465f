"""Opening tables: which version is the newest, and versions that stay open.

Belongs here: finding a table and a version, making a table, the errors of a table that cannot be opened. Does not belong here:
rows.

`at` is for readers and writes nothing: a missing table raises MissingTable, and a log whose torn parts can be made again
(`log_repair`) is read from a mended copy outside the warehouse. `for_writing` is for writers: it makes a missing table, and
mends its log in place.
"""

import logging
import threading
from collections import OrderedDict
from contextlib import suppress

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from resources.contract import OTHER_CURRENCY, TableContract, has_other_decimals
from resources.temporary import process_folder
from resources.warehouse.errors import MissingTable, WarehouseError, first_line
from resources.warehouse.log_repair import Damage, copy_log, damage, entry_path, hint_is_wrong, mend, mended
from resources.warehouse.place import Place

#: How many versions are kept open besides the newest one of each table: enough for those that one run pins.
_KEPT_OPEN = 16
#: Checkpoint interval for engines and delta-rs, never reached: the warehouse makes checkpoints itself (`TableLog.checkpoint`).
_NO_CHECKPOINTS = 1_000_000

_log = logging.getLogger(__name__)


def retention_properties(retention_days: int) -> dict[str, str]:
    """Table properties that keep an engine, which cleans the log at its checkpoints, from removing a version too early."""
    return {
        "delta.checkpointInterval": str(_NO_CHECKPOINTS),
        "delta.logRetentionDuration": f"interval {retention_days} days",
        "delta.deletedFileRetentionDuration": f"interval {retention_days} days",
    }


class OpenTables:
    """The tables of one place, opened by this process."""

    def __init__(self, place: Place, retention_days: int) -> None:
        self._place = place
        self._retention_days = retention_days
        self._opened: OrderedDict[tuple[str, int], DeltaTable] = OrderedDict()
        #: For each table: the newest version when it was last looked up, with size and time of its log entry.
        self._newest: dict[str, tuple[int, tuple[int, int]]] = {}
        #: Tables whose hint was right when this process read it.
        self._right_hints: set[str] = set()
        #: Versions of tables that were opened from a mended copy of the log.
        self._from_copies: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def exists(self, name: str) -> bool:
        self._place.check_bucket()
        try:
            return DeltaTable.is_deltatable(self._place.path(name), storage_options=self._place.storage_options)
        except OSError as error:
            raise WarehouseError(f"{self._named(name)} cannot be looked for: {first_line(error)}") from error

    def at(self, contract: TableContract, version: int | None = None) -> DeltaTable:
        """A version of a table (default: the newest). Raises MissingTable where there is no table, and none is expected.

        A version never changes, so those that were opened last are kept: an old table takes a while to open, and a month
        asks some two hundred times which version is the newest.
        """
        self._place.check_bucket()
        with self._lock:
            wanted = self._still_newest(contract) if version is None else version
            known = None if wanted is None else self._opened.pop((contract.name, wanted), None)
            table = known or self._open(contract, version)
            if version is None and known is None:
                if self._is_another(contract, table):
                    self._opened.clear()
                if entry := self._log_entries(contract, table.version())[0]:
                    self._newest[contract.name] = (table.version(), entry)
            self._opened[contract.name, table.version()] = table
            self._close_old_ones()
            return table

    def for_writing(self, contract: TableContract, version: int | None = None) -> DeltaTable:
        """The same for a writer of the table: a missing table is made, and a torn log is mended."""
        name = contract.name
        if self.hint_is_wrong(name):
            self._mend(name)
        try:
            table = self.at(contract, version)
        except MissingTable:
            self._make(contract)
            return self.at(contract, version)
        if self.is_from_a_copy(name, table.version()):
            self._mend(name)
            table = self.at(contract, version)
            if self.is_from_a_copy(name, table.version()):
                raise WarehouseError(
                    f"{self._named(name)} cannot be written: its log is torn and was not mended; give this user the right "
                    "to write there"
                )
        return table

    def hint_is_wrong(self, name: str) -> bool:
        """Whether `_last_checkpoint` is torn, or names a checkpoint that does not exist. A hint that was right is not read again."""
        wrong = name not in self._right_hints and hint_is_wrong(self._place.stored(name))
        if not wrong:
            self._right_hints.add(name)
        return wrong

    def is_still_there(self, contract: TableContract) -> bool:
        """Whether a table is there: the newest version that this process knows, or any."""
        return self._still_newest(contract) is not None or self.exists(contract.name)

    def is_newest_known(self, name: str, version: int) -> bool:
        """Whether a version was the newest when this process last looked for it."""
        return name in self._newest and self._newest[name][0] == version

    def is_from_a_copy(self, name: str, version: int) -> bool:
        """Whether the log was torn when a version was opened, and a mended copy of it was read: no engine can read it then."""
        return (name, version) in self._from_copies

    def forget(self, name: str, version: int) -> None:
        """Close a version, which has changed since it was opened; the next `at` opens it anew."""
        with self._lock:
            self._opened.pop((name, version), None)

    def unreadable(self, contract: TableContract, version: int | None, error: Exception) -> WarehouseError:
        """The error for a table that cannot be read."""
        message = f"{self._named(contract.name)} cannot be read"
        message += "" if version is None else f" at version {version}"
        if (found := self._damage(contract)) is None:
            return WarehouseError(f"{message} ({first_line(error)}); its log is damaged or the version was vacuumed")
        return WarehouseError(f"{message}: {found}")

    # -- inside ------------------------------------------------------------------------------------------------------

    def _close_old_ones(self) -> None:
        """Close those that were used longest ago, but no newest version: a run looks at each table many times."""
        if len(self._opened) > _KEPT_OPEN:
            older = [key for key in self._opened if not self.is_newest_known(*key)]
            for key in older[: max(0, len(older) - _KEPT_OPEN)]:
                del self._opened[key]

    def _named(self, name: str) -> str:
        return f"table {name} at {self._place.path(name)}"

    def _still_newest(self, contract: TableContract) -> int | None:
        """The newest version known, if its log entry is unchanged and no other came after it; else None."""
        if contract.name not in self._newest:
            return None
        version, entry = self._newest[contract.name]
        return version if self._log_entries(contract, version) == (entry, None) else None

    def _log_entries(self, contract: TableContract, version: int) -> tuple[tuple[int, int] | None, ...]:
        """Size and time of the log's entries of a version and of the next one; None where there is none."""
        paths = [entry_path(number) for number in (version, version + 1)]
        try:
            found = self._place.stored(contract.name).get_file_info(paths)
        except TableNotFoundError:  # it was dropped since
            return None, None
        return tuple((info.size, info.mtime_ns) if info.type is pafs.FileType.File else None for info in found)

    def _is_another(self, contract: TableContract, table: DeltaTable) -> bool:
        """Whether the table was dropped and made again since this process opened a version of it."""
        known = [opened for (name, _), opened in self._opened.items() if name == contract.name]
        return any(opened.metadata().id != table.metadata().id for opened in known)

    def _open(self, contract: TableContract, version: int | None) -> DeltaTable:
        try:
            return self._of_this_version(contract, self._opened_log(contract, version))
        except TableNotFoundError as error:
            if version and not self.exists(contract.name):
                message = f"{self._named(contract.name)} is gone; expected version {version}"
                raise WarehouseError(message) from None
            if version or self._damage(contract):
                raise self.unreadable(contract, version, error) from error
            raise MissingTable(f"{self._named(contract.name)} is not there: nothing was ever written to it") from None
        except DeltaError as error:
            raise self.unreadable(contract, version, error) from error

    def _opened_log(self, contract: TableContract, version: int | None) -> DeltaTable:
        name, place = contract.name, self._place
        try:
            table = DeltaTable(place.path(name), version=version, storage_options=place.storage_options)
            self._from_copies.discard((name, table.version()))
        except TableNotFoundError:
            raise
        except DeltaError:
            table = self._opened_copy(name, version)
        [info] = place.stored(name).get_file_info([entry_path(table.version())])
        if info.type is pafs.FileType.File and not info.size:
            raise DeltaError(
                f"the entry of version {table.version()} is empty"
            )  # delta-rs would read an empty entry as no change
        return table

    def _opened_copy(self, name: str, version: int | None) -> DeltaTable:
        """A version of a table from a mended copy of its log. Raises DeltaError as the log itself would."""
        folder, done = process_folder(), list[str]()
        with suppress(OSError):  # a log that cannot be read at all is reported below
            copy_log(self._place.stored(name), folder)
            done = mended(pafs.SubTreeFileSystem(folder, pafs.LocalFileSystem()))
        if not done:  # nothing could be mended, or another process has mended the log itself meanwhile
            return DeltaTable(self._place.path(name), version=version, storage_options=self._place.storage_options)
        table = DeltaTable(folder, version=version)
        for each in done:
            _log.warning("%s, in a copy of its log (whoever writes it next mends that): %s", self._named(name), each)
        self._from_copies.add((name, table.version()))
        return table

    def _mend(self, name: str) -> None:
        """Mend the log of a table in its place, and close all versions of the table."""
        mend(self._place.files(name), self._named(name))
        with self._lock:
            self._from_copies = {key for key in self._from_copies if key[0] != name}
            self._newest.pop(name, None)
            for key in [key for key in self._opened if key[0] == name]:
                del self._opened[key]

    def _make(self, contract: TableContract) -> None:
        """Make an empty table, unless another process does."""
        path = self._place.path(contract.name)
        try:
            DeltaTable.create(
                path,
                schema=contract.arrow_schema(),
                mode="ignore",
                partition_by=[contract.partition_by] if contract.partition_by else None,
                name=contract.name,
                configuration={
                    "delta.dataSkippingNumIndexedCols": str(contract.indexed),
                    "delta.enableDeletionVectors": "false",
                    **retention_properties(self._retention_days),
                },
                storage_options=self._place.storage_options,
                # No retries: with them delta-rs would make the table a second time, with another id, right after another process.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except CommitFailedError:
            pass  # another process made it meanwhile
        except (DeltaError, OSError) as error:
            raise WarehouseError(f"table {contract.name} cannot be created at {path}: {first_line(error)}") from error

    def _of_this_version(self, contract: TableContract, table: DeltaTable) -> DeltaTable:
        """The table, if it has the columns of its contract. Raises WarehouseError for a table of an earlier version."""
        schema = pa.schema(table.schema().to_arrow())
        stored = {field.name: field.type for field in schema}
        missing = [name for name in contract.column_names if name not in stored]
        differences = [f"lacks {', '.join(missing)}"] if missing else []
        differences += [
            f"has {field.name} as {stored[field.name]}, not {field.type}"
            for field in contract.arrow_schema()
            if field.name in stored and _is_another_decimal(stored[field.name], field.type)
        ]
        if has_other_decimals(schema, contract) and not missing:
            raise WarehouseError(
                f"{self._named(contract.name)} {' and '.join(differences)}: its amounts have another number of decimals than "
                f"{OTHER_CURRENCY}; where nothing was billed yet, `telecom warehouse upgrade` makes the empty tables anew"
            )
        if differences:
            raise WarehouseError(
                f"{self._named(contract.name)} was made by an earlier version and {' and '.join(differences)}; expected a "
                "warehouse of this version: `telecom warehouse upgrade` makes it one (--dry-run says what it would do)"
            )
        return table

    def _damage(self, contract: TableContract) -> Damage | None:
        """The damage of a table's log, as far as the log can be read."""
        with suppress(OSError):
            return damage(self._place.stored(contract.name))
        return None


def _is_another_decimal(stored: pa.DataType, asked: pa.DataType) -> bool:
    """Whether both types are decimals, but different ones. Any other difference is damage, which the checks of contracts report."""
    return bool(pa.types.is_decimal(stored) and pa.types.is_decimal(asked) and stored != asked)
