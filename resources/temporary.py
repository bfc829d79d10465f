"""Temporary folders that are removed when their process ends, also when it is killed.

Belongs here: how such a folder is made, and how the folder of a process that has ended is recognised and removed. Does not
belong here: the files in it.

    telecom-4f_9x2ka/          private to the user (mode 700)
    telecom-4f_9x2ka/.alive    locked by its process for as long as that lives

A killed process cannot remove its folder; the next process does. It removes folders of its own user whose lock is free, and
follows no link.
"""

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from resources.file_locks import lock, new_locked_file

_PREFIX = "telecom-"
#: The names that `mkdtemp` makes of the prefix.
_NAME = re.compile(rf"\A{_PREFIX}[a-z0-9_]{{8}}\Z")
_ALIVE = ".alive"


@contextmanager
def temporary_folder(parent: str | None = None) -> Iterator[str]:
    """A new private folder in `parent` (default: the user's temporary directory) that is gone at the end of the block."""
    while True:
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
        with suppress(FileNotFoundError):  # another process removed it before it was locked
            _, alive = new_locked_file(lambda: Path(folder, _ALIVE))  # noqa: B023
            break
    with alive:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def process_folder(parent: str | None = None) -> str:
    """A new private folder that is gone with this process."""
    remove_abandoned(parent)
    stack = ExitStack()
    folder = stack.enter_context(temporary_folder(parent))
    atexit.register(stack.close)
    return folder


def is_ours(path: str) -> bool:
    """Whether a path has the name of such a folder."""
    return _NAME.match(Path(path).name) is not None


def remove_abandoned(parent: str | None = None) -> None:
    """Remove the folders of this user's processes that were killed."""
    with suppress(OSError), os.scandir(parent or tempfile.gettempdir()) as entries:
        for entry in entries:
            with suppress(OSError):
                own = _NAME.match(entry.name) and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
                if own and entry.is_dir(follow_symlinks=False):
                    _remove_abandoned(Path(entry.path))


def _remove_abandoned(folder: Path) -> None:
    try:
        descriptor = os.open(folder / _ALIVE, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        folder.rmdir()  # its process was killed before it locked it; a folder that is not empty is another program's, and stays
        return
    with os.fdopen(descriptor, "rb") as alive:
        if lock(alive):
            shutil.rmtree(folder, ignore_errors=True)
