"""Locks that end with the process that holds them (`flock`; they want a local file system).

Belongs here: lock files, what may be done by one process of a machine at a time, which processes live. The places that
Dagster gives in its pools are rows of a database: a process that is killed keeps its own for ever, and a run that was
cancelled by force goes on without one.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


class Busy(Exception):
    """Another process of this machine is at what only one may do."""


@contextmanager
def held(home: Path, work: str) -> Iterator[None]:
    """Be the only process of this machine and home folder at some work. Raises Busy at once when another one is."""
    path = home / "locks" / f"{work}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        if not _locked(file):
            raise Busy(
                f"{work} is under way in another process of this machine, which holds {path} (a run that was cancelled "
                "by force goes on until its process ends); nothing was done, run it again after that"
            )
        yield


@contextmanager
def waited_for(path: Path) -> Iterator[None]:
    """Be the only process of this machine that holds a lock file; wait while another one does. For short work."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
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


def is_locked(path: Path) -> bool:
    """Whether a living process has a file locked. Raises FileNotFoundError."""
    with path.open("rb") as file:
        return not _locked(file)


def new_locked_file(new_path: Callable[[], Path]) -> tuple[Path, BinaryIO]:
    """A new file with a lock. Until it has one, another process may take it for what an ended one left: then once more."""
    while True:
        path = new_path()
        file = path.open("xb")
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return path, file
        file.close()


def _locked(file: BinaryIO) -> bool:
    """Lock a file until it is closed. False when another process has done so."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
