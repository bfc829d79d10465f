"""Dagster's databases of a new home, made once for all tests of a process: later homes get copies.

Belongs here: the copying. Does not belong here: the making (`telecom_assets.home.sqlite_databases`), and its tests, which
switch this off (`databases_made_anew`).
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from telecom_assets.home.sqlite_databases import Database


class MadeOnce:
    """Takes the place of `Database.ensure`. folder: where the first database of each kind is kept, without rows."""

    def __init__(self, folder: Path, ensure: Callable[[Database], None]) -> None:
        self._folder = folder
        self._ensure = ensure
        self._is_on = True

    def ensure(self, database: Database) -> None:
        """Make the database, or copy it, where nothing of it is there; in any other case do as `Database.ensure`."""
        kept, is_new = self._folder / database.file.name, not any(database.file.parent.glob(f"{database.file.name}*"))
        if self._is_on and is_new and kept.exists():
            database.file.parent.mkdir(parents=True, exist_ok=True)
            _copy(kept, database.file)
        else:
            self._ensure(database)
            if self._is_on and is_new and not kept.exists():
                _copy(database.file, kept)

    @contextmanager
    def switched_off(self) -> Iterator[None]:
        """Every database is made by Dagster."""
        self._is_on = False
        try:
            yield
        finally:
            self._is_on = True


def _copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all. A file that is there stays: another thread has copied it, and uses it already."""
    part = target.with_name(f".{uuid.uuid4().hex}")
    shutil.copyfile(source, part)
    try:
        os.link(part, target)
    except FileExistsError:
        pass
    finally:
        part.unlink()
