"""Files that are locked for as long as a process lives (`flock`; they want a local file system).

Belongs here: how a lock file is made, taken and asked. Does not belong here: what a lock is for.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def waited_for(path: Path) -> Iterator[None]:
    """Be the only process of this machine that holds a lock file; wait while another one does. For short work."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_locked(path: Path) -> bool:
    """Whether a living process has a file locked. Raises FileNotFoundError."""
    with path.open("rb") as file:
        return not lock(file)


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


def lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed. False when another process has done so."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
