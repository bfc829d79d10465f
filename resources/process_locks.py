"""Locks that end with the process that holds them.

Belongs here: what may be done by one process of a machine at a time, who is at it, which processes live. Does not belong here:
how a file is locked (`resources.file_locks`).

The places that Dagster gives in its pools are rows of a database: a process that is killed keeps its own for ever, and a
run that was cancelled by force goes on without one.

Who finds a lock taken either waits or is refused. What is done anyway, sooner or later, waits (`turn`): a month's run for
another of the same month, landing, maintenance. What somebody must look at first is refused (`held`): an upgrade, while the
warehouse is worked on; a demo or a UI in a folder that has one.
"""

import datetime as dt
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from resources.expected_errors import ExpectedError
from resources.file_locks import is_locked, lock, new_locked_file

#: How often who waits looks again, seconds.
_LOOK_SECONDS = 0.2
#: How long a step waits for one that was cancelled by force: it has the step's place in its pool for so long.
STEP_PATIENCE_SECONDS = 3600.0


class Busy(ExpectedError):
    """Another process of this machine is at what only one may do."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, as it said itself."""

    pid: int | None = None
    #: Local time.
    since: str = ""
    #: What it is at, in words.
    at: str = ""

    def __str__(self) -> str:
        if self.pid is None:
            return "another process of this machine"
        said = ", ".join(text for text in (f"since {self.since}" if self.since else "", self.at) if text)
        return f"process {self.pid}" + (f" ({said})" if said else "")


class Turn:
    """A lock that this process holds."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._since = f"{dt.datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
        self.note("")

    def note(self, at: str) -> None:
        """Say what this process is at; those who wait show it. A disk that is full keeps nobody from working."""
        content = json.dumps(asdict(Holder(os.getpid(), self._since, at))).encode()
        with suppress(OSError):
            self._file.seek(0)
            self._file.truncate()
            self._file.write(content)
            self._file.flush()

    def fileno(self) -> int:
        """Who inherits this holds the lock too."""
        return self._file.fileno()


@contextmanager
def held(home: Path, work: str) -> Iterator[Turn]:
    """Be the only process of this machine and home folder at some work. Raises Busy at once when another one is."""
    with _lock_file(home, work) as file:
        if not lock(file):
            raise Busy(f"{_under_way(home, work)}; nothing was done, run it again after that")
        yield Turn(file)


@contextmanager
def turn(
    home: Path, work: str, tell: Callable[[Holder], None] = lambda _: None, patience: float | None = None
) -> Iterator[Turn]:
    """The same, but wait for the other one. `tell` hears who that is, again and again; an interrupt ends the wait at once.

    patience: seconds after which Busy is raised. Default: none.
    """
    with _lock_file(home, work) as file:
        begun = time.monotonic()
        while not lock(file):
            tell(holder(home, work))
            if patience is not None and time.monotonic() - begun > patience:
                raise Busy(f"{_under_way(home, work)}, for {patience:.0f} seconds now; nothing was done")
            time.sleep(_LOOK_SECONDS)
        yield Turn(file)


def once(tell: Callable[[Holder], None]) -> Callable[[Holder], None]:
    """Tells of each process that is waited for once."""
    told: set[int | None] = set()

    def hear(other: Holder) -> None:
        if other.pid not in told:
            told.add(other.pid)
            tell(other)

    return hear


def holder(home: Path, work: str) -> Holder:
    """Who has a lock. What a process said that has ended since says nothing."""
    with suppress(OSError, ValueError, TypeError):
        found = Holder(**json.loads(_path(home, work).read_bytes()))
        if found.pid is not None and _lives(found.pid):
            return found
    return Holder()


def _under_way(home: Path, work: str) -> str:
    return (
        f"{work} is under way in {holder(home, work)}, which holds {_path(home, work)} (a run that was cancelled by force "
        "goes on until its process ends)"
    )


def _path(home: Path, work: str) -> Path:
    return home / "locks" / f"{work}.lock"


@contextmanager
def _lock_file(home: Path, work: str) -> Iterator[BinaryIO]:
    path = _path(home, work)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with path.open("r+b") as file:
        yield file


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


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
