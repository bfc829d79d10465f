"""What a commit says of how it was made, and whether that still holds: the tables tell what is up to date, nobody else.

Belongs here: reading and writing that part of a commit, and comparing it with the logs as they are now. Does not belong here:
what the rules are (a text that differs when they do), and what follows for a month.

A commit covers the partitions that its run was about, those without rows included. Of each partition the newest commit that
covers it or changes its rows is the one that counts. It holds while it says how it was made, by the rules of now, and while
none of the tables that it read has changed since in what the partition is made from. Whatever cannot be told counts as
changed: an entry of a log that is gone, another table in its place, the same version made by another commit (a warehouse that
was restored from a backup).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resources.warehouse import Partitions, Warehouse, changed_files, identity_of

#: Where the log's entry of a commit says how it was made.
MADE = "telecom.made"
#: What a version was: table id, version, identity of the commit that made it.
_State = tuple[str, int, str]
#: What is known of a table since a version that was read: the partitions that changed, or, in words, that all may have.
_Since = frozenset[str] | str


def how_made(
    warehouse: Warehouse, rules: str, partitions: Partitions | None, reads: Mapping[str, int]
) -> dict[str, Any]:
    """What a commit is to say (`MADE`): by which rules, over which partitions, from which versions of which tables."""
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
    """What the newest commit of a partition says of how it was made; `made` is None where another hand wrote the rows."""

    made: Mapping[str, Any] | None
    trouble: str = ""


class Look:
    """One look at the logs of a warehouse. Each entry is read once; make another to see what came since."""

    def __init__(self, warehouse: Warehouse, append_only: Collection[str] = ()) -> None:
        """append_only: tables in which rows are never removed; should some be, all that was made from them may differ."""
        self.warehouse = warehouse
        self.append_only = append_only
        self._entries: dict[tuple[str, int], Sequence[Mapping[str, Any]] | None] = {}
        self._changes: dict[tuple[str, _State], _Since] = {}

    def state(self, name: str, version: int) -> _State:
        """What tells a version from another of the same number."""
        return self.warehouse.pin(name).table_id, version, identity_of(self._entry(name, version))

    def not_as_made(self, name: str, partitions: Collection[str], rules: str, reads: Collection[str]) -> dict[str, str]:
        """Partitions of a table, as the log writes them, that are not as they would be made now, each with the reason.

        reads: tables that whoever makes it reads; a commit that does not say which version of each it read does not count.
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
        """Of each partition what the newest commit that covers it, or changes its rows, says."""
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
        """Why what a commit says does not hold any more, or None."""
        if made["rules"] != rules:
            return "other rules or settings"
        read = made["read"]
        if unknown := sorted(set(reads) - set(read)):
            return f"not told which {unknown[0]} was read"
        for other, (table_id, version, commit) in read.items():
            since = self._since(other, (table_id, version, commit))
            if isinstance(since, str):
                return since
            if self._concerns(name, value, other, since):
                return f"{other} has changed"
        return None

    def _since(self, name: str, read: _State) -> _Since:
        """Partitions of a table that changed after what was read, or why all may have."""
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
            # Any version more counts, one of compaction too: rated rows name the version of their tariff, one for a month.
            return frozenset() if newest == version else f"{name} has changed"
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
        """Whether changes of another table's partitions concern a partition: a month is made from its days."""
        mine, theirs = (self.warehouse.contracts[each].partition_by for each in (name, other))
        if mine == theirs:
            return value in changed
        return any(each.startswith(value) for each in changed)


def _covers(made: Mapping[str, Any], value: str) -> bool:
    covers = made["covers"]
    return not covers or covers[0] <= value <= covers[1]


def _touched(actions: Iterable[Mapping[str, Any]], column: str | None, *, removed: bool = False) -> set[str | None]:
    """Partitions whose rows a commit changed; None for a row without one, and, if `removed`, for rows that it took away."""
    return {
        None if removed and kind == "remove" else (file.get("partitionValues") or {}).get(column or "")
        for kind, file in changed_files(actions)
    }
