"""Locks that end with the process that holds them.

Belongs here: work that one process of a machine may do at a time, which process does it, and which processes live. Does not
belong here: how a file is locked (`resources.file_locks`).

Dagster's pools cannot do this. A place in a pool is a row of a database: a killed process keeps its place for ever, and a run
that was cancelled by force goes on working without one.

A process that finds a lock taken either waits or is refused. It waits for a lock (`turn`) when its work is to be done sooner or
later: a month's run, landing, maintenance. It is refused (`lock_or_refuse`) when a person should look first: an upgrade while the
warehouse is in use; a second demo or UI in one folder.
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

#: How long a waiting process sleeps before it tries the lock again, seconds.
_LOOK_SECONDS = 0.2
#: How long a step waits for a run that was cancelled by force, seconds. The step keeps its place in the pool meanwhile.
STEP_PATIENCE_SECONDS = 3600.0


class Busy(ExpectedError):
    """Another process of this machine does the work that only one may do."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, as that process described itself in the lock file."""

    pid: int | None = None
    #: When it took the lock, local time.
    since: str = ""
    #: What it does, in words.
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
        """Write into the lock file what this process does; waiting processes show it. An error, such as a full disk, is ignored."""
        content = json.dumps(asdict(Holder(os.getpid(), self._since, at))).encode()
        with suppress(OSError):
            self._file.seek(0)
            self._file.truncate()
            self._file.write(content)
            self._file.flush()

    def fileno(self) -> int:
        """The descriptor of the locked file. A child process that inherits it holds the lock too."""
        return self._file.fileno()


@contextmanager
def lock_or_refuse(home: Path, work: str) -> Iterator[Turn]:
    """Hold the lock of some work in a home folder for the length of the block. Raises Busy at once when it is taken."""
    with _lock_file(home, work) as file:
        if not lock(file):
            raise Busy(f"{_under_way(home, work)}; nothing was done, run it again after that")
        yield Turn(file)


@contextmanager
def turn(
    home: Path, work: str, tell: Callable[[Holder], None] = lambda _: None, patience: float | None = None
) -> Iterator[Turn]:
    """Hold the same lock, but wait until it is free. An interrupt ends the wait at once.

    tell: called with the holder each time the lock is found taken. patience: seconds after which Busy is raised; without it
    the wait has no end.
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
    """A `tell` for `turn` that passes on each holder once."""
    reported: set[int | None] = set()

    def hear(other: Holder) -> None:
        if other.pid not in reported:
            reported.add(other.pid)
            tell(other)

    return hear


def holder(home: Path, work: str) -> Holder:
    """The holder of a lock. An empty Holder when the process that wrote the lock file has ended."""
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
    """A file that stays locked for as long as this process lives. Its `name` is unique among the files of all processes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path, self._file = new_locked_file(lambda: folder / f"{secrets.token_hex(8)}.alive")
        self.name = path.name

    def end(self) -> None:
        """Unlock the file, as the end of the process would."""
        self._file.close()


def has_ended(folder: Path, name: str) -> bool:
    """Whether the process with this sign of life has ended. False when the file is missing: the process may run elsewhere."""
    try:
        return not is_locked(folder / name)
    except FileNotFoundError:
        return False


def remove_ended(folder: Path, keep: set[str]) -> None:
    """Remove the files of processes that have ended, except those named in `keep`."""
    for path in folder.glob("*.alive"):
        if path.name not in keep and has_ended(folder, path.name):
            path.unlink(missing_ok=True)
