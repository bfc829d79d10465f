"""Locks that end with the process that holds them.

Belongs here: what may be done by one process of a machine at a time, which processes live. Does not belong here: how a
file is locked (`resources.file_locks`).

The places that Dagster gives in its pools are rows of a database: a process that is killed keeps its own for ever, and a
run that was cancelled by force goes on without one.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resources.file_locks import is_locked, lock, new_locked_file


class Busy(Exception):
    """Another process of this machine is at what only one may do."""


@contextmanager
def held(home: Path, work: str) -> Iterator[None]:
    """Be the only process of this machine and home folder at some work. Raises Busy at once when another one is."""
    path = home / "locks" / f"{work}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        if not lock(file):
            raise Busy(
                f"{work} is under way in another process of this machine, which holds {path} (a run that was cancelled "
                "by force goes on until its process ends); nothing was done, run it again after that"
            )
        yield


class SignOfLife:
    """A file that stays locked for as long as this process lives. `name` tells it from those of all others."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path, self._file = new_locked_file(lambda: folder / f"{secrets.token_hex(8)}.alive")
        self.name = path.name

    def end(self) -> None:
        """What the end of the process does."""
        self._file.close()


def has_ended(folder: Path, name: str) -> bool:
    """Whether the process of a sign of life is known to have ended. Not when there is no such file: it may be elsewhere."""
    try:
        return not is_locked(folder / name)
    except FileNotFoundError:
        return False


def remove_ended(folder: Path, keep: set[str]) -> None:
    """Remove what ended processes left, but for the names in `keep`."""
    for path in folder.glob("*.alive"):
        if path.name not in keep and has_ended(folder, path.name):
            path.unlink(missing_ok=True)
