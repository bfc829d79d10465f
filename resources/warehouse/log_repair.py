"""Repair of a damaged log: checkpoint and hint are made again from the entries; a damaged entry is an error in words.

Belongs here: which files of a log are whole, making a checkpoint from the entries, the hint, the sentence about a damage that
cannot be repaired. Does not belong here: opening tables, and when a log is examined (`open_tables`).

A checkpoint and the hint (`_last_checkpoint`) contain nothing that the entries do not contain, so a torn one is made anew from
them. A reader repairs a copy of the log (`copy_log`, `mended`). A writer repairs the log itself (`mend`), with a warning. Nothing
is destroyed: a torn checkpoint stays beside the new one, under a name that no reader of tables knows. Several processes may
repair a log at once: each puts the same whole file in its place. Entries are never made, moved or removed: an entry that is
torn or missing held changes that are stored nowhere else.
"""

import hashlib
import json
import logging
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from resources.temporary import temporary_folder
from resources.warehouse.staged_files import put

#: The folder of a table's log, the names of its entries and checkpoints, and the hint: which checkpoint a reader begins with.
LOG = "_delta_log"
CHECKPOINT = re.compile(r"\A(\d{20})\.checkpoint\.parquet\Z")
_ENTRY = re.compile(r"\A(\d{20})\.json\Z")
HINT = f"{LOG}/_last_checkpoint"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Damage:
    """The damage that keeps a log from being read to its end."""

    #: The file, from the table's folder on.
    file: str
    #: What is wrong with it, in words.
    what: str
    #: The newest version that can be read; None when there is none.
    last_good: int | None
    #: Whether the file is the entry of the newest version, which a crash of the machine may leave half written.
    is_newest: bool = False

    def __str__(self) -> str:
        good = "no version can be read" if self.last_good is None else f"the last good version is {self.last_good}"
        message = f"{self.file} {self.what}; {good}; restore that file, or the whole warehouse, from a backup"
        if self.is_newest and self.last_good is not None:
            message += (
                f"; without one, move the file out of the log: the table is at version {self.last_good} then, and `telecom run "
                "--force` makes what is missing, or says what else has to go back"
            )
        return message


@dataclass(frozen=True)
class LogFiles:
    """The entries and checkpoints in a log."""

    entries: Mapping[int, pafs.FileInfo]
    checkpoints: Mapping[int, pafs.FileInfo]

    @classmethod
    def of(cls, files: pafs.FileSystem) -> "LogFiles":
        """files: the table's folder."""
        infos = files.get_file_info(pafs.FileSelector(LOG, allow_not_found=True))
        return cls(_named(_ENTRY, infos), _named(CHECKPOINT, infos))


def entry_path(version: int) -> str:
    return f"{LOG}/{version:020d}.json"


def checkpoint_path(version: int) -> str:
    return f"{LOG}/{version:020d}.checkpoint.parquet"


def hinted(files: pafs.FileSystem) -> int | None:
    """The version of the checkpoint that `_last_checkpoint` names; None when it is missing or torn."""
    try:
        return int(json.loads(_content(files, HINT))["version"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def hint_is_wrong(files: pafs.FileSystem) -> bool:
    """Whether there is a hint, and it is torn or names a checkpoint that is not there."""
    try:
        said = _content(files, HINT)
    except OSError:  # there is no log; a log that cannot be read at all is reported when the table is opened
        return False
    named = hinted(files)
    if named is not None and _is_there(files, checkpoint_path(named)):
        return False
    with suppress(
        FileNotFoundError
    ):  # maintenance may have replaced the hint meanwhile, and removed the checkpoint that it named
        return _content(files, HINT) == said
    return False


def made_checkpoint(files: pafs.FileSystem, version: int, known: Collection[int]) -> bytes:
    """The checkpoint of a version, from its entries and from the newest one before it among the known.

    It is made in a copy of the log: made in the log itself, delta-rs would name it in `_last_checkpoint` at once, and a run
    that reads an older version at that moment would fail (`sail_quirks.checkpoint_to_name`). Raises FileNotFoundError where an entry is
    missing, DeltaError where one is torn.
    """
    base = max((number for number in known if number < version), default=None)
    needed = [entry_path(number) for number in range(0 if base is None else base + 1, version + 1)]
    needed += [] if base is None else [checkpoint_path(base)]
    with temporary_folder() as folder:
        Path(folder, LOG).mkdir()
        for each in needed:
            Path(folder, each).write_bytes(_content(files, each))
        DeltaTable(folder, version=version).create_checkpoint()
        return Path(folder, checkpoint_path(version)).read_bytes()


def mend(files: pafs.FileSystem, table: str) -> None:
    """Make missing and torn parts of a log again from its entries. `table`: its name for the warnings that say what was done."""
    for each in mended(files):
        _log.warning("%s: %s", table, each)


def mended(files: pafs.FileSystem) -> list[str]:
    """Make missing and torn parts of a log again from its entries; returns what was done, in words.

    A torn checkpoint is copied first. Without the right to write, nothing is done and nothing is raised.
    """
    done = []
    with suppress(OSError):
        log = LogFiles.of(files)
        torn = {version for version in log.checkpoints if not _is_checkpoint(files, version)}
        for version in sorted(torn):
            if made := _mended_checkpoint(files, version, set(log.checkpoints) - torn):
                torn.discard(version)
                done.append(made)
        if hint_is_wrong(files):
            usable = sorted(set(log.checkpoints) - torn)
            with suppress(FileNotFoundError):  # there is none, or another process was here first
                files.delete_file(HINT)
            if usable:
                write_hint(files, usable[0])
            named = f"names checkpoint {usable[0]} now" if usable else "is gone: there is no checkpoint"
            done.append(f"{HINT} was torn or named no checkpoint; it {named}")
    return done


def copy_log(files: pafs.FileSystem, folder: str) -> None:
    """Copy the log of a table, entries, checkpoints and hint, to a local folder."""
    Path(folder, LOG).mkdir(exist_ok=True)
    log = LogFiles.of(files)
    names = [*map(entry_path, log.entries), *map(checkpoint_path, log.checkpoints), HINT]
    for each in names:
        with suppress(FileNotFoundError):  # there is no hint, or maintenance has removed an old file meanwhile
            Path(folder, each).write_bytes(_content(files, each))


def write_hint(files: pafs.FileSystem, version: int) -> None:
    """Name a checkpoint in `_last_checkpoint`."""
    with files.open_input_file(checkpoint_path(version)) as stored:
        size = pq.read_metadata(stored).num_rows
    put(files, HINT, json.dumps({"version": version, "size": size}).encode())


def damage(files: pafs.FileSystem) -> Damage | None:
    """What is wrong with a log that cannot be read; None where every file of it is whole, or there is no table at all."""
    log = LogFiles.of(files)
    if not log.entries and not log.checkpoints:
        # Rows are looked for first: another process may be making the table, and it makes the log before the rows.
        gone = _holds_rows(files) and not LogFiles.of(files).entries
        return Damage(LOG, "is gone, and files of rows are there", None) if gone else None
    sound = [version for version in log.checkpoints if _is_checkpoint(files, version)]
    base = max(sound, default=None)
    version = -1 if base is None else base
    newest = max([*log.entries, *log.checkpoints], default=-1)
    while version < newest:
        version += 1
        wrong = _wrong_entry(files, version, log)
        if wrong is None:
            continue
        torn = [number for number in log.checkpoints if number not in sound and number >= version]
        if torn and version not in log.entries:
            # The entries before a checkpoint have left the log, so only the checkpoint had their content.
            wrong, path = "is torn, and the entries that it was made from are gone", checkpoint_path(max(torn))
        else:
            path = entry_path(version)
        is_newest = path == entry_path(newest) and version in log.entries
        return Damage(path, wrong, version - 1 if version > 0 else None, is_newest)
    return None


def whole_entry(content: bytes) -> bool:
    """Whether the bytes of an entry are one or more whole actions."""
    try:
        actions = [json.loads(line) for line in content.splitlines() if line.strip()]
    except ValueError:
        return False
    return bool(actions) and all(isinstance(action, dict) for action in actions)


def _mended_checkpoint(files: pafs.FileSystem, version: int, sound: Collection[int]) -> str | None:
    """Make a torn checkpoint anew, where its entries are all there; what was done, in words."""
    try:
        made = made_checkpoint(files, version, sound)
    except (FileNotFoundError, DeltaError):
        return None
    torn = _content(files, checkpoint_path(version))
    if _is_whole(pa.BufferReader(torn)):
        return None  # another process was here first
    kept = f"{LOG}/_torn-{version:020d}-{hashlib.sha256(torn).hexdigest()[:16]}"
    put(files, kept, torn)
    put(files, checkpoint_path(version), made)
    return f"{checkpoint_path(version)} was torn; it was made anew from the entries, and what it was is kept as {kept}"


def _wrong_entry(files: pafs.FileSystem, version: int, log: LogFiles) -> str | None:
    """What is wrong with the entry of a version, in words."""
    if version not in log.entries:
        return "is missing"
    if whole_entry(_content(files, entry_path(version))):
        return None
    size = log.entries[version].size
    return f"is torn ({size:,} bytes, expected whole lines of JSON)" if size else "is empty"


def _is_checkpoint(files: pafs.FileSystem, version: int) -> bool:
    """Whether a checkpoint can be read from its beginning to its end."""
    with files.open_input_file(checkpoint_path(version)) as stored:
        return _is_whole(stored)


def _is_whole(stored: pa.NativeFile) -> bool:
    """Whether a file is Parquet with rows, and can be read to its end."""
    try:
        return any(batch.num_rows for batch in pq.ParquetFile(stored).iter_batches())
    except (pa.ArrowException, OSError):
        return False


def _holds_rows(files: pafs.FileSystem) -> bool:
    found = files.get_file_info(pafs.FileSelector("", allow_not_found=True, recursive=True))
    return any(info.extension == "parquet" and not info.path.startswith(LOG) for info in found)


def _is_there(files: pafs.FileSystem, path: str) -> bool:
    [info] = files.get_file_info([path])
    return bool(info.type is pafs.FileType.File)


def _content(files: pafs.FileSystem, path: str) -> bytes:
    with files.open_input_stream(path) as stream:
        return bytes(stream.read())


def _named(pattern: re.Pattern[str], infos: Iterable[pafs.FileInfo]) -> dict[int, pafs.FileInfo]:
    found = ((pattern.match(info.base_name), info) for info in infos)
    return {int(match[1]): info for match, info in found if match}
