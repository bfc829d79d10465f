"""Work-arounds for the embedded engine, Sail: each says what goes wrong without it, and in which version that was seen.

Belongs here: what would go if the engine did as Apache Spark does. `test_sail_quirks` shows each quirk on the installed
engine: where such a test fails, the engine has got over it, and the work-around can go. Does not belong here: how a
session is set up (`engine`), expressions that the two engines take differently (these are written so that both agree, in the
transforms, which know no engine).
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from resources.temporary import process_folder

#: What a run of the embedded engine has pinned is not older. Readers list a log from the checkpoint on that it names.
_LONGEST_RUN = dt.timedelta(hours=6)
#: How a writer of Parquet is told of level 1, which takes the time of snappy and half of its bytes. Sail 0.7.2 takes the
#: level behind the name, and has no heed of Spark's option for it.
COMPRESSION = {"compression": "zstd(1)"}

#: Read when the engine is loaded; what is set already wins. Sail 0.7.2; but for the first these are matters of time, which
#: no test shows: measure them again with another version.
ENVIRONMENT = {
    # The server logs every session at INFO to stderr.
    "RUST_LOG": "error",
    # Its allocator (mimalloc): huge pages are cleared whole for a little use, and pages that were given back are cleared
    # again when they are next used; half of a write's time in the kernel was that. A run's process keeps what it had.
    "MIMALLOC_ALLOW_THP": "0",
    "MIMALLOC_PURGE_DELAY": "-1",
    # Rows that go from one operator to the next together. The engine's default of 8,192 leaves a few hundred for each
    # day's file, and costs a tenth of mediation.
    "SAIL_EXECUTION__BATCH_SIZE": "32768",
}

_links: dict[str, str] = {}


def encodes_wrongly(path: str) -> bool:
    """Whether a path holds what the engine encodes twice, and then looks in another folder than it should.

    Sail 0.7.2: a space, an accent, whatever a URI must encode.
    """
    return quote(path) != path


def plain_link(path: str, new_folder: Callable[[], str]) -> str:
    """A link to a local folder by whose name the engine finds it; one per process and path. It lies in a new folder."""
    link = _links.get(path)
    if link is None:
        link = _links[path] = f"{new_folder()}/warehouse"
        Path(link).symlink_to(Path(path).absolute(), target_is_directory=True)
    return link


def checkpoint_to_name(checkpoints: Mapping[int, dt.datetime], now: dt.datetime) -> int | None:
    """The checkpoint that a table's `_last_checkpoint` is to name; None when the file is to go.

    Sail 0.7.2 begins at the checkpoint that `_last_checkpoint` names even when it is to read an older version, misses the
    checkpoint that it needs, and fails with "Missing commit file". By the protocol the file may name any checkpoint, since
    readers look for newer ones behind it: it names one that is older than any version that a run has pinned.
    checkpoints: by their versions, when each was made.
    """
    return max((version for version, made in checkpoints.items() if made <= now - _LONGEST_RUN), default=None)


def is_hidden(version: int, named: int | None) -> bool:
    """Whether the engine cannot read a version, given the checkpoint that `_last_checkpoint` names (`checkpoint_to_name`)."""
    return named is not None and version < named


def local_copy(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> str:
    """Rows as one Parquet file of this process's own, for a version that the engine cannot read (`is_hidden`)."""
    path = f"{process_folder()}/rows.parquet"
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return path
