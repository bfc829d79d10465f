"""Private members of pyspark and deltalake that are used, and why: shown on the installed versions.

A test that fails here says that a member is gone, or that a public call does the same now (`resources.private_members`).
"""

import atexit
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pytest
from deltalake.fs import DeltaStorageHandler
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from resources.engine import SparkEngine
from resources.private_members import do_not_clean_up_ml, make_active, stream_batches, write_through


def test_a_stream_holds_every_row_once(engine: SparkEngine) -> None:
    rows = engine.spark_session.range(12_345).select(F.col("id"), F.col("id").cast("string").alias("text"))
    streamed = pa.Table.from_batches(stream_batches(rows))
    assert sorted(streamed["id"].to_pylist()) == list(range(12_345))


def test_what_streams_in_public_makes_objects_of_rows(sail: SparkEngine) -> None:
    assert isinstance(next(iter(sail.spark_session.range(3).toLocalIterator())), Row)


def another_session(engine: SparkEngine) -> SparkSession:
    """A session of the same server, which becomes the active one."""
    session: SparkSession = SparkSession.builder.remote(engine._address()).create()
    return session


def test_kept_rows_are_taken_for_the_active_sessions(sail: SparkEngine) -> None:
    mine, other = sail.spark_session, another_session(sail)
    try:
        make_active(other)
        assert mine.range(3).localCheckpoint().sparkSession is other
        make_active(mine)
        assert mine.range(3).localCheckpoint().sparkSession is mine
    finally:
        make_active(mine)
        other.stop()


def test_a_session_would_clean_up_at_the_end(sail: SparkEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[Any] = []
    taken: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(atexit, "register", registered.append)
        patch.setattr(atexit, "unregister", taken.append)
        other = another_session(sail)
        do_not_clean_up_ml(other)
    try:
        assert len(taken) == 1
        assert taken[0] in registered
    finally:
        make_active(sail.spark_session)
        other.stop()


def test_pyarrow_does_not_write_through_the_file_system_of_deltalake(tmp_path: Path) -> None:
    files = pafs.PyFileSystem(DeltaStorageHandler(str(tmp_path)))
    with pytest.raises(TypeError), files.open_output_stream("by pyarrow") as stream:
        stream.write(b"rows")
    write_through(files, "below/by us", b"rows")
    assert (tmp_path / "below" / "by us").read_bytes() == b"rows"
