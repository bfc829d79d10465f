"""States of a home folder: saved after a run, restored before the next, so that every repetition begins alike.

Belongs here: the folder and the database of a run, and their snapshots. Does not belong here: the runs.

A state is the home (warehouse, outputs, Dagster's storage) and the PostgreSQL database. Parquet files are never changed
in place, so a restored home shares them with its snapshot by hard links; everything else is copied.
A snapshot is valid only for the code that made it: it has a digest of the project's source, and a snapshot of other code counts
as missing.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from bench.dataset import TOPIC, Dataset
from bench.errors import BenchError

_ROOT = Path(__file__).parents[1]
_BOUND = "TELECOM_ENGINE_MEMORY_MB"
_MINE = ("TELECOM_", "DAGSTER_")


@dataclass(frozen=True)
class Homes:
    """The home folder of the runs on one engine, and its saved states."""

    dataset: Dataset
    engine: str

    @property
    def home(self) -> Path:
        return self.dataset.folder / self.engine / "home"

    def environment(self) -> dict[str, str]:
        """Environment of a process that works in the home: the project's defaults whatever the caller has set, except for
        the bound of the engine's memory.
        """
        own = {name: value for name, value in os.environ.items() if name == _BOUND or not name.startswith(_MINE)}
        own.pop("SPARK_REMOTE", None)
        return {
            **own,
            "ENGINE": self.engine,
            "TELECOM_HOME": str(self.home),
            "TELECOM_KAFKA_TOPIC": TOPIC,
            "TELECOM_POSTGRES_DSN": self.database_url("run"),
        }

    def database_url(self, state: str) -> str:
        assert self.dataset.stack.postgres is not None
        return self.dataset.stack.postgres.url(self._database(state))

    def has(self, state: str) -> bool:
        """Whether the state was saved, by the code as it is now."""
        stamp = self._snapshot(state) / "made-by"
        return stamp.exists() and stamp.read_text(encoding="utf-8") == source_digest()

    def save(self, state: str) -> None:
        """Keep the home and the database as they are now."""
        snapshot = self._snapshot(state)
        shutil.rmtree(snapshot, ignore_errors=True)
        snapshot.mkdir(parents=True)
        _copy(self.home, snapshot / "home")
        self._copy_database("run", state)
        (snapshot / "made-by").write_text(source_digest(), encoding="utf-8")

    def restore(self, state: str) -> None:
        """Restore the home and the database as they were when the state was saved. Raises BenchError."""
        if not self.has(state):
            raise BenchError(f"state {state!r} of {self.dataset.folder.name} was not saved by the code as it is now")
        shutil.rmtree(self.home, ignore_errors=True)
        _copy(self._snapshot(state) / "home", self.home)
        # Ports may have changed since.
        shutil.copy2(self.dataset.stack_home / "stack.json", self.home / "stack.json")
        self._copy_database(state, "run")

    def clear(self) -> None:
        """An empty home that knows the servers, and an empty database."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        shutil.copy2(self.dataset.stack_home / "stack.json", self.home / "stack.json")
        self._copy_database(None, "run")

    def _snapshot(self, state: str) -> Path:
        return self.dataset.folder / self.engine / "states" / state

    def _database(self, state: str) -> str:
        return f"bench_{self.engine}_{state}"

    def _copy_database(self, source: str | None, target: str) -> None:
        assert self.dataset.stack.postgres is not None
        template = "template1" if source is None else self._database(source)
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self._database(target)))
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(self._database(target)), sql.Identifier(template)
        )
        with psycopg.connect(self.dataset.stack.postgres.url(), autocommit=True) as session:
            _patiently(session.execute, drop)
            _patiently(session.execute, create)


@retry(
    retry=retry_if_exception_type((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectInUse)),
    stop=stop_after_delay(60),
    wait=wait_fixed(0.2),
    reraise=True,
)
def _patiently(execute: Callable[[sql.Composed], object], statement: sql.Composed) -> None:
    """Try again while the server's own vacuum works in a database, which only a superuser may end."""
    execute(statement)


def _copy(source: Path, target: Path) -> None:
    def link_or_copy(one: str, other: str) -> str:
        if one.endswith(".parquet"):
            os.link(one, other)
            return other
        return str(shutil.copy2(one, other))

    shutil.copytree(source, target, symlinks=True, copy_function=link_or_copy)


Files = Mapping[Path, tuple[int, int]]


def files_of(home: Path) -> Files:
    """Size and time of change of every file of a home's tables and outputs, by path relative to the home."""
    found = {}
    for root in ("warehouse", "output"):
        for folder, _, names in os.walk(home / root):
            for name in names:
                path = Path(folder) / name
                status = path.lstat()
                found[path.relative_to(home)] = (status.st_size, status.st_mtime_ns)
    return found


@cache
def source_digest() -> str:
    """Digest of the project's source."""
    digest = hashlib.sha256()
    for package in ("telecom_assets", "resources"):
        for path in sorted((_ROOT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
