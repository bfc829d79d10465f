"""Dagster's SQLite databases of a home: each is made by one process, and is there whole or not at all.

Belongs here: the first making of a database, and what becomes of one that an earlier start left half made. Does not
belong here: how a storage uses its database (`telecom_assets.home.dagster_storage`).

Dagster makes its tables in the file itself, in several transactions, and notes the revision of its schema last. Two
processes that do so at once leave tables without a revision or with two, and no later start gets past either; so does a
process that is killed meanwhile. Here a database is made in a folder of its own, under a lock, and then put in its
place. One that was left half made is found at the next start:

    it holds no rows              it is moved aside, and made anew
    it holds rows                 what is missing is added to it, and no row is touched
    it holds rows, and its tables are not those of this Dagster, or it cannot be read:
                                  InstanceError says what the file holds and what to do

A database with one revision that is not this Dagster's was made by another version of it, and is left as it is.
"""

import datetime as dt
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from resources.expected_errors import ExpectedError
from resources.file_locks import waited_for

log = logging.getLogger(__name__)

#: How long a connection waits for another one that writes; Dagster's own wait as long.
BUSY_TIMEOUT_SECONDS = 30

_REVISIONS = "alembic_version"
#: Tables that Dagster fills when it makes a database. Rows of any other table are data that must not be lost.
_OWN_TABLES = {_REVISIONS, "instance_info", "secondary_indexes"}
_NEW = ".new-"


class InstanceError(ExpectedError):
    """A database of the Dagster instance cannot be used. The message names it, what it holds and what to do."""


@dataclass(frozen=True)
class Database:
    """One of Dagster's databases in a home.

    `tables`: the names of all its tables. `make`: Dagster's own way to make it in a folder, and to bring its indexes up to
    date where it is there. `holds`: what would be lost with it, for people.
    """

    file: Path
    tables: Collection[str]
    make: Callable[[str], None]
    holds: str

    def ensure(self) -> None:
        """Make the database unless it is there, and mend it when it is half made. Raises InstanceError."""
        if self._is_whole():
            return
        folder = self.file.parent
        folder.mkdir(parents=True, exist_ok=True)
        with waited_for(folder / f".{self.file.name}.lock"):
            if self._is_whole():  # another process was here first
                return
            for left in folder.glob(f"{_NEW}{self.file.name}-*"):
                shutil.rmtree(left, ignore_errors=True)
            made = Path(tempfile.mkdtemp(prefix=f"{_NEW}{self.file.name}-", dir=folder))
            try:
                self.make(str(made))
                self._put(made / self.file.name)
            finally:
                shutil.rmtree(made, ignore_errors=True)

    def _put(self, new: Path) -> None:
        """Put a new database in its place, or what is missing into the one that is there."""
        if self._holds_rows():
            self._mend(new)
            return
        aside = dt.datetime.now(dt.UTC).strftime("half-made-%Y%m%dT%H%M%S%f")
        for part in self._parts():
            # A write-ahead log that stayed behind would be played into the new database.
            moved = part.rename(part.with_name(f"{part.name}.{aside}"))
            log.warning("%s was half made and held nothing; it is now %s, and a new one is in its place", part, moved)
        with closing(sqlite3.connect(new)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        new.rename(self.file)

    def _mend(self, new: Path) -> None:
        """Add the tables and the revision that are missing, as the new database has them."""
        with closing(self._connect()) as here, closing(sqlite3.connect(new)) as pattern:
            found, expected = _revisions(here), _revisions(pattern)
            if len(found) == 1 and found != expected:
                return
            drift = [
                name for name in _tables(pattern) & _tables(here) if _columns(pattern, name) - _columns(here, name)
            ]
            if drift:
                raise InstanceError(
                    f"{self.file}: was left half made by another version of Dagster (columns are missing in "
                    f"{', '.join(sorted(drift))}); {self._what_to_do}"
                )
            here.execute("BEGIN IMMEDIATE")
            missing = {name: statement for name, statement in _objects(pattern).items() if name not in _objects(here)}
            for statement in missing.values():
                here.execute(statement)
            here.execute(f"DELETE FROM {_REVISIONS}")  # noqa: S608  (a constant of ours)
            here.executemany(f"INSERT INTO {_REVISIONS} VALUES (?)", [(one,) for one in expected])  # noqa: S608
            here.execute("COMMIT")
        self.make(str(self.file.parent))
        if missing:
            log.warning("%s was half made; what was missing is added, and its rows are as they were", self.file)
        else:  # as the project's first version left it
            log.info("%s: the revision of its schema, which was not noted, is noted now", self.file)

    def _is_whole(self) -> bool:
        if _size(self.file) == 0:
            return False
        with self._read() as connection:
            return {_REVISIONS, *self.tables} <= _tables(connection) and len(_revisions(connection)) == 1

    def _holds_rows(self) -> bool:
        if _size(self.file) == 0:
            if self.file.exists() and _size(self._with_ending("-wal")):
                raise InstanceError(f"{self.file}: is empty, but its write-ahead log is not; {self._what_to_do}")
            return False
        with self._read() as connection:
            return any(
                connection.execute(f'SELECT EXISTS (SELECT * FROM "{name}")').fetchone()[0]  # noqa: S608
                for name in _tables(connection) - _OWN_TABLES
            )

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._connect()) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise InstanceError(f"{self.file}: cannot be read ({error}); {self._what_to_do}") from error

    def _connect(self) -> sqlite3.Connection:
        """Connect to the file that exists; never make one."""
        address = f"{self.file.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(address, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)

    @property
    def _what_to_do(self) -> str:
        return (
            f"it holds {self.holds}: restore it from a copy, or move it and what begins with its name away "
            "to begin anew without them"
        )

    def _with_ending(self, ending: str) -> Path:
        """A file that SQLite keeps for this database: its name and an ending."""
        return self.file.with_name(f"{self.file.name}{ending}")

    def _parts(self) -> list[Path]:
        """The database file, and the files that SQLite keeps beside it."""
        return [part for part in map(self._with_ending, ("", "-wal", "-shm", "-journal")) if part.exists()]


def _size(file: Path) -> int:
    """Bytes of a file; 0 when there is none."""
    return file.stat().st_size if file.exists() else 0


def _objects(connection: sqlite3.Connection) -> dict[str, str]:
    """Tables and indexes by name, in the order of their making."""
    return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"))


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", [table])}


def _revisions(connection: sqlite3.Connection) -> list[str]:
    """The revisions of the schema that are noted; one, in a database that is whole."""
    if _REVISIONS not in _tables(connection):
        return []
    return [revision for (revision,) in connection.execute(f"SELECT version_num FROM {_REVISIONS}")]  # noqa: S608
