"""Provenance: a commit says how its rows were made, and from the logs alone follows whether they are up to date.

Belongs here: reading and writing that part of a commit, and comparing it with the logs as they are now. Does not belong here:
the rules themselves (they are given as a digest), and what follows for a month.

A commit covers the partitions that its run was about, also those without rows. For each partition the newest commit counts
that covers it or changes its rows. The partition is up to date while this commit says how it was made, by the current rules,
and while the partitions that it was made from have not changed in any table that it read. Whatever the logs cannot say counts
as changed: a missing log entry, another table in the place, the same version made by another commit (a warehouse that was
restored from a backup).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resources.warehouse import Partitions, PinnedTable, Warehouse, changed_files, identity_of

#: Key in the log entry of a commit: how its rows were made.
MADE = "telecom.made"
#: A version that was read: table id, version, and the text that tells its commit from others (`identity_of`).
_State = tuple[str, int, str]
#: Whether a partition of a table (its name, and the partition as the log writes it) would read other rows in the second version of
#: a table without partitions than it has read in the first.
ReadsOthers = Callable[[str, str, PinnedTable, PinnedTable], bool]
#: Changes of a table since a version that was read: the changed partitions, or a reason in words why all may have changed. Of a table
#: without partitions, both versions, where rows must tell.
_Since = frozenset[str] | str | tuple[PinnedTable, PinnedTable]


def how_made(
    warehouse: Warehouse, rules: str, partitions: Partitions | None, reads: Mapping[str, int]
) -> dict[str, Any]:
    """The provenance for a commit (`MADE`): the rules, the partitions, and the versions of the tables that were read."""
    look = Look(warehouse)
    return {
        MADE: {
            "rules": rules,
            "covers": [str(partitions.first), str(partitions.last)] if partitions is not None else [],
            "read": {name: look.state(name, version) for name, version in reads.items()},
        }
    }


@dataclass(frozen=True)
class _Word:
    """The provenance in the newest commit of a partition; `made` is None where the commit has none."""

    made: Mapping[str, Any] | None
    trouble: str = ""


class Look:
    """One reading of the logs of a warehouse: each entry is read once. A new Look sees later commits."""

    def __init__(
        self, warehouse: Warehouse, append_only: Collection[str] = (), reads_others: ReadsOthers | None = None
    ) -> None:
        """append_only: tables from which no rows are removed. Were some removed, all that was made from them counts as changed.

        reads_others: asked about a newer version of a table without partitions. None: all that was made from the version before
        counts as changed.
        """
        self.warehouse = warehouse
        self.append_only = append_only
        self.reads_others = reads_others
        self._entries: dict[tuple[str, int], Sequence[Mapping[str, Any]] | None] = {}
        self._changes: dict[tuple[str, _State], _Since] = {}

    def state(self, name: str, version: int) -> _State:
        """The state of a version, which differs for another version of the same number."""
        return self.warehouse.pin(name).table_id, version, identity_of(self._entry(name, version))

    def not_as_made(self, name: str, partitions: Collection[str], rules: str, reads: Collection[str]) -> dict[str, str]:
        """The partitions of a table, as the log writes them, that are out of date, each with the reason.

        reads: the tables that the partitions are made from. A commit that does not name the version of each makes its
        partitions out of date.
        """
        found: dict[str, str] = {}
        for value, word in self._last_words(name, partitions).items():
            reason = word.trouble or self._outdated(name, value, word.made or {}, rules, reads)
            if reason:
                found[value] = reason
        return found

    # -- inside ------------------------------------------------------------------------------------------------------

    def _entry(self, name: str, version: int) -> Sequence[Mapping[str, Any]] | None:
        if (name, version) not in self._entries:
            self._entries[name, version] = self.warehouse.log(name).entry(version)
        return self._entries[name, version]

    def _last_words(self, name: str, partitions: Collection[str]) -> dict[str, _Word]:
        """For each partition the provenance in the newest commit that covers it or changes its rows."""
        newest = self.warehouse.version(name)
        column = self.warehouse.contracts[name].partition_by
        words: dict[str, _Word] = {}
        for version in range(newest, 0, -1):
            open_ones = [value for value in partitions if value not in words]
            if not open_ones:
                break
            actions = self._entry(name, version)
            if actions is None or any("metaData" in action for action in actions):
                change = "is gone" if actions is None else "alters the table"
                return dict.fromkeys(open_ones, _Word(None, f"version {version} of {name} {change}")) | words
            made = next((each["commitInfo"].get(MADE) for each in actions if "commitInfo" in each), None)
            touched = None if made else _touched(actions, column)
            for value in open_ones:
                if made and _covers(made, value):
                    words[value] = _Word(made)
                elif touched and (value in touched or None in touched):
                    words[value] = _Word(None, f"{name} was changed by another hand")
        return {value: words.get(value, _Word(None, f"{name} was never made")) for value in partitions}

    def _outdated(
        self, name: str, value: str, made: Mapping[str, Any], rules: str, reads: Collection[str]
    ) -> str | None:
        """Why a partition is out of date by the provenance of its commit; None when it is up to date."""
        if made["rules"] != rules:
            return "other rules or settings"
        read = made["read"]
        if unknown := sorted(set(reads) - set(read)):
            return f"not told which {unknown[0]} was read"
        for other, (table_id, version, commit) in read.items():
            since = self._since(other, (table_id, version, commit))
            if isinstance(since, str):
                return since
            if isinstance(since, tuple):
                concerned = self.reads_others is None or self.reads_others(name, value, *since)
            else:
                concerned = self._concerns(name, value, other, since)
            if concerned:
                return f"{other} has changed"
        return None

    def _since(self, name: str, read: _State) -> _Since:
        """The partitions of a table that changed after the version that was read, or the reason why all may have changed."""
        if (name, read) not in self._changes:
            self._changes[name, read] = self._changed_since(name, read)
        return self._changes[name, read]

    def _changed_since(self, name: str, read: _State) -> _Since:
        table_id, version, commit = read
        now, column = self.warehouse.pin(name), self.warehouse.contracts[name].partition_by
        newest = now.version
        same_table = newest >= version and now.table_id == table_id
        if not (same_table and commit and self.state(name, version)[2] == commit):
            return f"version {version} of {name} is gone, or another one"
        if column is None:
            return frozenset() if newest == version else (self.warehouse.pin(name, version=version), now)
        changed: set[str] = set()
        for later in range(version + 1, newest + 1):
            actions = self._entry(name, later)
            if actions is None or any("metaData" in action for action in actions):
                return f"version {later} of {name} is gone, or alters the table"
            touched = _touched(actions, column, removed=name in self.append_only)
            if None in touched:
                return f"rows of {name} were taken away"
            changed |= {value for value in touched if value is not None}
        return frozenset(changed)

    def _concerns(self, name: str, value: str, other: str, changed: Collection[str]) -> bool:
        """Whether changed partitions of another table concern a partition: the same day or month, or the days of a month."""
        mine, theirs = (self.warehouse.contracts[each].partition_by for each in (name, other))
        if mine == theirs:
            return value in changed
        return any(each.startswith(value) for each in changed)


def _covers(made: Mapping[str, Any], value: str) -> bool:
    covers = made["covers"]
    return not covers or covers[0] <= value <= covers[1]


def _touched(actions: Iterable[Mapping[str, Any]], column: str | None, *, removed: bool = False) -> set[str | None]:
    """The partitions whose rows a commit changed; None for rows without a partition and, if `removed`, for removed rows."""
    return {
        None if removed and kind == "remove" else (file.get("partitionValues") or {}).get(column or "")
        for kind, file in changed_files(actions)
    }
