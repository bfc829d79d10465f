"""Files and directories that appear whole or not at all.

Belongs here: how a finished file or a finished set of files takes the place of the one before it. Does not belong
here: what is in them.

A set of files is a directory that readers reach through a symbolic link:

    invoices/2025-05                                 the link; readers know this name only
    invoices/.2025-05.versions/v7-1f0c9d2e/          the set it points to
    invoices/.2025-05.versions/v8-77ab01cd/          a set that is being written
    invoices/.2025-05.versions/v8-77ab01cd.claim     locked by its writer for as long as that lives

A writer fills a directory of its own, syncs it to disk and replaces the link, which POSIX makes one atomic step. A killed
writer leaves a directory whose lock is free; the next writer removes it. The locks (`flock`) need a local file system.
"""

import ctypes
import fcntl
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

from resources.expected_errors import ExpectedError
from resources.file_locks import is_locked, new_locked_file, waited_for

T = TypeVar("T")

#: The phases of `replaced_directory`, in order. `at_phase` is called with the name of each when it has been reached.
PHASES = ("staged", "written", "synced", "swapped", "removed")

_VERSION = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


class PublishError(ExpectedError):
    """A file or a set of files could not be put in its place. What was there before is still there."""


class Superseded(PublishError):
    """A newer version was put in place while this one was being written; this one has been thrown away."""


def _no_phase(_: str) -> None: ...


def _no_objection() -> None: ...


@contextmanager
def replaced_directory(
    directory: Path,
    version: int | str,
    at_phase: Callable[[str], None] = _no_phase,
    *,
    before_swap: Callable[[], None] = _no_objection,
) -> Iterator[Path]:
    """Yield an empty directory to fill; when the block ends well, readers of `directory` see it instead of the old one.

    When the block raises, the old set stays and the new one is removed. `version` is a number or a short name for what
    the set was made from. A writer that finds, at the end, that a set with a higher number was put in place since it
    began (it was suspended, say) raises Superseded and leaves that one there.

    `before_swap` may still object, by raising: it is called when the set is synced, directly before the swap, and no
    other writer of `directory` can swap or begin until it returns. So it must not write there itself.

    Raises PublishError when `directory` exists and is not a set that was written by this function.
    """
    if not _VERSION.match(str(version)):
        raise PublishError(f"version {version!r}: expected at most 64 letters, digits, '.', '_' or '-'")
    directory = directory.absolute()
    store = directory.with_name(f".{directory.name}.versions")
    store.mkdir(parents=True, exist_ok=True)
    # Held for the few calls that must not interleave, never while files are written.
    with waited_for(store / ".lock"):
        replaced = _published_name(directory)
        stale = _unclaimed(store, keep=replaced)
        stage = store / f"v{version}-{secrets.token_hex(4)}"
        claim_path = stage.with_name(f"{stage.name}.claim")
        claim = claim_path.open("wb")
        fcntl.flock(claim, fcntl.LOCK_EX)
        stage.mkdir()
    with claim:
        try:
            _remove(stale)
            at_phase("staged")
            yield stage
            at_phase("written")
            _sync_tree(stage)
            at_phase("synced")
            with waited_for(store / ".lock"):
                current = _published_name(directory)
                if current != replaced and _number(current) > _number(stage.name):
                    raise Superseded(
                        f"{directory}: {current} was put in place while {stage.name} was being written; "
                        "the newer one stays. Nothing to do."
                    )
                before_swap()
                _swap(directory, stage)
        except BaseException:
            if not _is_shown(directory, stage):  # an interrupt may come when the link has just been replaced
                _remove([stage])
            claim_path.unlink(missing_ok=True)
            raise
        _fsync_file(directory.parent)
        claim_path.unlink(missing_ok=True)
        at_phase("swapped")
        _remove([store / name for name in {current, replaced} if name])
        at_phase("removed")


def read_directory(directory: Path, read: Callable[[Path], T]) -> T:
    """Apply `read` to the current set of `directory`, and return what it returns for one set from beginning to end.

    The old set is removed as soon as a new one is in place. When that happens during a read, the new set is read instead.
    Raises FileNotFoundError when there is no set.
    """
    while True:
        shown = directory.resolve(strict=True)
        try:
            result = read(shown)
        except FileNotFoundError:
            if directory.resolve(strict=True) == shown:
                raise
            continue
        if directory.resolve(strict=True) == shown:
            return result


@contextmanager
def replaced_file(path: Path, at_phase: Callable[[str], None] = _no_phase) -> Iterator[BinaryIO]:
    """Yield a file to write bytes to; when the block ends well it takes the place of `path`, synced, in one step.

    Phases: `written`, `synced`, `swapped`.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{_glob_literal(path.name)}.*.tmp"):
        if _is_free(leftover):
            leftover.unlink(missing_ok=True)
    temporary, file = new_locked_file(lambda: path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp"))
    with file:
        try:
            yield file
            at_phase("written")
            file.flush()
            os.fsync(file.fileno())
            at_phase("synced")
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _fsync_file(path.parent)
        at_phase("swapped")


def _glob_literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _is_free(path: Path) -> bool:
    """True when no living process has `path` locked."""
    try:
        return not is_locked(path)
    except FileNotFoundError:
        return True


def _published_name(directory: Path) -> str | None:
    """Name of the set that the link points to; None when nothing has been published."""
    if directory.is_symlink():
        target = directory.readlink()
        if target.parent != Path(f".{directory.name}.versions"):
            raise PublishError(
                f"{directory}: a symbolic link to {target}, which was not made here; move it away and run again"
            )
        return target.name
    if directory.is_dir() and not any(directory.iterdir()):
        return None
    if directory.exists():
        raise PublishError(
            f"{directory}: expected nothing or a set published here, found something else; move it away and run again"
        )
    return None


def _is_shown(directory: Path, stage: Path) -> bool:
    """Whether readers of `directory` see `stage`. True when the disk cannot be read: the next writer removes what is left."""
    try:
        return _published_name(directory) == stage.name
    except PublishError:  # another thing lies there
        return False
    except OSError:
        return True


def _unclaimed(store: Path, keep: str | None) -> list[Path]:
    """Everything in the store except the set that readers see and the sets of living writers."""
    names = {path.name.removesuffix(".claim").removesuffix(".link") for path in store.iterdir()}
    found = []
    for name in sorted(names - {".lock", keep}):
        if _is_free(store / f"{name}.claim"):
            found += [store / name, store / f"{name}.claim", store / f"{name}.link"]
    if keep is not None:  # a writer that was killed after the swap has left its claim
        found.append(store / f"{keep}.claim")
    return found


def _remove(paths: list[Path]) -> None:
    """Remove directories and files; another writer may be removing the same.

    Files are removed by several threads: some disks answer each unlink slowly, but many at once (30,000 files: 18 s became 4 s).
    """
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            _remove_files(path)
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _remove_files(directory: Path) -> None:
    with ThreadPoolExecutor(8) as pool, suppress(FileNotFoundError), os.scandir(directory) as entries:
        files = (entry.path for entry in entries if not entry.is_dir(follow_symlinks=False))
        while some := list(islice(files, 1_000)):
            list(pool.map(_unlink, some))


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - pathlib keeps every name it has seen (interned)


def _number(name: str | None) -> int:
    """Version number in the name of a set; −1 when there is none."""
    match = re.match(r"\Av([0-9]+)-[0-9a-f]{8}\Z", name or "")
    return int(match[1]) if match else -1


def _swap(directory: Path, stage: Path) -> None:
    """Make `directory` a link to `stage`. The last statement puts the new set in place; before it nothing has changed."""
    if directory.is_dir() and not directory.is_symlink():
        directory.rmdir()  # empty, see _published_name: no set is lost
    link = stage.with_name(f"{stage.name}.link")
    link.symlink_to(Path(stage.parent.name, stage.name), target_is_directory=True)
    link.replace(directory)


def _sync_tree(directory: Path) -> None:
    """Force the directory and its files to disk.

    On Linux by one call of `syncfs`, which takes seconds where 100,000 calls of fsync take minutes, and which reports write
    errors since Linux 5.8. On other systems file by file.
    """
    if sys.platform == "linux" and _syncfs(directory):
        _fsync_file(directory.parent)
        return
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(_fsync_file, directory.iterdir()):
            pass
    _fsync_file(directory)
    _fsync_file(directory.parent)


def _syncfs(directory: Path) -> bool:
    """Sync the file system of `directory`. False when the C library has no such call."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        return False
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        if syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"syncfs: {os.strerror(number)}", str(directory))
    finally:
        os.close(descriptor)
    return True


def _fsync_file(path: Path) -> None:
    """Sync a file, or the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
