"""A full disk: one sentence, whichever library reports it.

Belongs here: which errors mean a full disk, which disk it is, and the sentence. Does not belong here: where it is shown.

The system reports a full disk by an error number, SQLite and the engines by texts of their own, and libraries wrap those in
errors of theirs. A full disk leaves nothing half done: tables are committed whole, documents are replaced in one step.
"""

import errno
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import IO, Any, cast

from telecom_assets.home.settings import Settings, SettingsError

_NUMBERS = (errno.ENOSPC, errno.EDQUOT)
_TEXTS = (
    "No space left on device",
    "database or disk is full",
    "Disk quota exceeded",
    "os error 28)",
    "not enough space",
)
_AMBIGUOUS = ("disk I/O error", "unable to open database file")
#: With less space than this, an ambiguous error of SQLite is taken for a full disk.
_NEXT_TO_NOTHING_BYTES = 8 * 2**20
#: A disk with more space than this is not named as the full one.
_LITTLE_BYTES = 512 * 2**20


@contextmanager
def dagster_says_it_once() -> Iterator[None]:
    """While the block runs, drop what libraries print about a full disk; the error itself is raised as ever.

    Dagster prints every event that it cannot store, its generators complain that their last event could not be stored, and the
    client of the engines prints every answer that is an error.
    """
    before, client = sys.unraisablehook, logging.getLogger("pyspark.sql.connect.logging")

    def hear(unraisable: Any) -> None:
        if not str(unraisable.exc_value).startswith("generator ignored GeneratorExit"):
            before(unraisable)

    sys.unraisablehook = hear
    client.addFilter(_says_nothing_of_it)
    try:
        with redirect_stderr(cast(IO[str], _WithoutRepeats(sys.stderr))):
            yield
    finally:
        sys.unraisablehook = before
        client.removeFilter(_says_nothing_of_it)


def _says_nothing_of_it(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not (any(text in record.getMessage() for text in _TEXTS) or (error is not None and _says_so(error)))


class _WithoutRepeats:
    """A stream that drops Dagster's line about an event that could not be stored."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if text.startswith("Exception while writing logger call to event log") and any(each in text for each in _TEXTS):
            return len(text)
        return self._stream.write(text)


def _says_so(error: BaseException) -> bool:
    """Whether an error, or one of its causes, says that a disk is full."""
    return any(
        # The same number is raised when inotify can watch no more files, which has nothing to do with a disk.
        (isinstance(each, OSError) and each.errno in _NUMBERS and "inotify" not in str(each)) or _holds(each, _TEXTS)
        for each in _chain(error)
    )


def _may_mean_it(error: BaseException) -> bool:
    """Whether SQLite could not extend a file beside its database: the disk is full, or something else is wrong."""
    return any(_holds(each, _AMBIGUOUS) for each in _chain(error))


def _holds(error: BaseException, texts: Sequence[str]) -> bool:
    return any(text in str(error) for text in texts)


def no_space(error: BaseException, settings: Settings | None = None) -> str | None:
    """The sentence for an error that comes from a full disk; None for any other error."""
    surely = _says_so(error)
    if not surely and not _may_mean_it(error):
        return None
    with suppress(SettingsError):
        settings = settings or Settings.load()
    said = "free some and run it again; what was good before is in place"
    full = _fullest(settings) if settings is not None else None
    if not surely and (full is None or full[1] > _NEXT_TO_NOTHING_BYTES):
        return None
    if full is None:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"no space left on a disk ({first}); {said}"
    folder, free = full
    return f"no space left on the disk of {folder} ({free / 1e6:,.1f} MB free); {said}"


def _fullest(settings: Settings) -> tuple[Path, int] | None:
    """The written folder on the disk with the least space, and that space in bytes; None when every disk has enough."""
    folders = [settings.home_path, settings.output_path, Path(tempfile.gettempdir())]
    if "://" not in settings.warehouse_uri:
        folders.append(Path(settings.warehouse_uri))
    found: list[tuple[int, Path]] = []
    for folder in folders:
        there = next((each for each in (folder, *folder.parents) if each.exists()), None)
        if there is not None:
            found.append((shutil.disk_usage(there).free, folder))
    free, folder = min(found, default=(_LITTLE_BYTES, Path()), key=lambda each: each[0])
    return (folder, free) if free < _LITTLE_BYTES else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__
