"""Private members of pyspark and deltalake: every use of one, with the version it was seen in.

Belongs here: what no public call does, each in a function that says why. Does not belong here: what the embedded engine
does differently (`sail_quirks`). `test_private_members` fails when a library has not such a member any more, and when a
public call would do.
"""

import atexit
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
from pyspark.sql import DataFrame, SparkSession


def stream_batches(rows: DataFrame) -> Iterator[pa.RecordBatch]:
    """Rows of a DataFrame as Arrow batches, without holding them all.

    pyspark 4.1.1: `toLocalIterator` makes Row objects of them, `toArrow` holds them all; both ask the client as this does.
    """
    frame: Any = rows
    client, plan = frame.sparkSession.client, frame._plan
    for received in client.to_table_as_iterator(plan.to_proto(client), plan.observations):
        if isinstance(received, pa.Table):
            yield from received.to_batches()


def make_active(session: SparkSession) -> None:
    """Make a session the thread's active one.

    pyspark 4.1.1 (Connect): the client takes kept rows that come back for the active session's, whichever asked for them,
    and `SparkSession.getOrCreate` is the only public call that makes one active: it would make another.
    """
    kind: Any = type(session)
    kind._active_session.session = session


def never_forget(kept: DataFrame) -> None:
    """Let kept rows (`checkpoint`, `localCheckpoint`) stay with their session.

    pyspark 4.1.1 (Connect), on either engine: their finalizer asks the server to forget them, from wherever the garbage
    collector happens to run: inside another request, which waits for ever. They go with the session, that is the process.
    """
    plan: Any = kept._plan
    plan._spark_session = None


def do_not_clean_up_ml(session: SparkSession) -> None:
    """Spare the end of the process a request to the server.

    pyspark 4.1.1 (Connect) cleans up Spark ML when Python ends. Nothing here uses it, and the embedded engine has none.
    """
    connected: Any = session
    atexit.unregister(connected.client._cleanup_ml_cache)


def write_through(files: pafs.PyFileSystem, path: str, content: bytes) -> None:
    """Put a whole file in its place through the file system of deltalake.

    deltalake 1.6.6: the file that it opens does not take pyarrow's buffers, so pyarrow's own streams fail to write to it.
    """
    handler: Any = files.handler
    with closing(handler._handler.open_output_stream(path, None)) as stream:
        stream.write(content)
