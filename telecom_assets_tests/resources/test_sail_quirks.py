"""What the embedded engine gets wrong, shown on the installed one.

A test that fails here says that the engine has got over a quirk: its work-around in `resources.sail_quirks` can go, and the
test with it.
"""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.errors import PySparkException

from resources import sail_quirks
from resources.engine import SparkEngine, readable_path


def table_of(folder: Path, versions: int) -> str:
    """A table with a row more in each version, from 0 on."""
    for number in range(versions):
        write_deltalake(str(folder), pa.table({"number": [number]}), mode="append")
    return str(folder)


@pytest.mark.parametrize("name", ["ware house", "entrepôt"])
def test_a_table_is_not_found_where_a_path_must_be_encoded(tmp_path: Path, sail: SparkEngine, name: str) -> None:
    path, spark = table_of(tmp_path / name, 2), sail.spark_session
    assert sail_quirks.encodes_wrongly(path)
    with pytest.raises(PySparkException):
        spark.read.format("delta").load(path).count()
    assert spark.read.format("delta").load(readable_path(sail, path)).count() == 2


def test_a_version_before_the_checkpoint_that_is_named_is_not_read(tmp_path: Path, sail: SparkEngine) -> None:
    path = table_of(tmp_path / "table", 6)
    DeltaTable(path).create_checkpoint()  # of version 5, which it names
    old = sail.spark_session.read.format("delta").option("versionAsOf", 2)
    assert sail_quirks.is_hidden(2, 5)
    assert not sail_quirks.is_hidden(5, 5)
    with pytest.raises(PySparkException, match="Missing commit file"):
        old.load(path).count()
    assert DeltaTable(path, version=2).to_pyarrow_table().num_rows == 3
    Path(path, "_delta_log", "_last_checkpoint").unlink()
    assert old.load(path).count() == 3


def test_the_level_of_compression_stands_behind_its_name(tmp_path: Path, sail: SparkEngine) -> None:
    """Spark's option for it is not heeded. Files of one level have one size."""
    rows = pa.table({"text": [f"{number * 7919 % 1_000_003}" for number in range(200_000)]})

    def size(name: str, **options: str) -> int:
        written = sail.spark_session.createDataFrame(rows).write.format("parquet").options(**options)
        written.save(str(tmp_path / name))
        files = list((tmp_path / name).rglob("*.parquet"))
        codecs = {pq.read_metadata(file).row_group(0).column(0).compression for file in files}
        assert codecs == {"ZSTD"}
        return sum(file.stat().st_size for file in files)

    option = {"parquet.compression.codec.zstd.level": "9"}
    assert size("option", compression="zstd", **option) == size("none", compression="zstd")
    assert size("behind", compression="zstd(9)") < size("ours", **sail_quirks.COMPRESSION)


_STARTED = """
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession

server = SparkConnectServer("127.0.0.1", 0)
server.start(background=True)
host, port = server.listening_address
SparkSession.builder.remote(f"sc://{host}:{port}").create().range(1).count()
"""


@pytest.mark.thorough
@pytest.mark.parametrize("given", [{}, sail_quirks.ENVIRONMENT], ids=["alone", "ours"])
def test_the_server_writes_to_stderr_unless_it_is_told_not_to(given: dict[str, str]) -> None:
    others = {name: value for name, value in os.environ.items() if name not in sail_quirks.ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", _STARTED],
        env={**others, **given},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert ("INFO" in done.stderr) == (not given)


def test_which_checkpoint_is_named() -> None:
    """The newest that is six hours old: no run pins an older version. None where there is no such checkpoint."""
    now = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
    at = {
        10: now - dt.timedelta(hours=30),
        20: now - dt.timedelta(hours=6),
        30: now - dt.timedelta(hours=5, minutes=59),
    }
    assert sail_quirks.checkpoint_to_name(at, now) == 20
    assert sail_quirks.checkpoint_to_name({30: at[30]}, now) is None
    assert sail_quirks.checkpoint_to_name({}, now) is None
