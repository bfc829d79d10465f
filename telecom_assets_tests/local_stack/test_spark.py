"""Apache Spark, up: sessions, Delta, Python workers, and who is kept out."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.errors.exceptions.connect import SparkConnectGrpcException
from pyspark.sql import SparkSession
from pyspark.sql.connect.proto import base_pb2
from pyspark.sql.datasource import DataSource, DataSourceReader

from telecom_assets.local_stack import LocalStack
from telecom_assets.local_stack.processes import ServerProcess
from telecom_assets.local_stack.spark import release_request, version_request


@pytest.fixture(scope="module")
def session(spark_remote: str) -> Iterator[SparkSession]:
    session = SparkSession.builder.remote(spark_remote).create()
    yield session
    session.stop()


def test_health_check_speaks_spark_connects_own_protocol() -> None:
    question = base_pb2.AnalyzePlanRequest.FromString(version_request("an id"))
    assert (question.session_id, question.user_context.user_id) == ("an id", "telecom")
    assert question.WhichOneof("analyze") == "spark_version"
    goodbye = base_pb2.ReleaseSessionRequest.FromString(release_request("an id"))
    assert (goodbye.session_id, goodbye.user_context.user_id) == ("an id", "telecom")


def test_status_is_up(spark_remote: str, stack_home: Path) -> None:
    assert [one.state for one in LocalStack(stack_home, ["spark"]).status()] == ["up"]
    assert LocalStack(stack_home, ["spark"]).up() == []


def test_session_has_the_settings_of_the_project(session: SparkSession) -> None:
    assert session.version == "4.1.1"
    wanted = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.shuffle.partitions": str(psutil.cpu_count()),
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    }
    assert {key: session.conf.get(key) for key in wanted} == wanted


def test_it_reads_each_version_of_a_delta_table(session: SparkSession, tmp_path: Path) -> None:
    """Which delta-rs has written: Spark commits to none."""
    path = str(tmp_path / "a table")
    for rows in ({"id": [1, 2], "part": ["a", "b"]}, {"id": [3], "part": ["b"]}):
        write_deltalake(path, pa.table(rows), partition_by=["part"], mode="append")

    def read(version: int) -> list[tuple[int, str]]:
        found = session.read.format("delta").option("versionAsOf", version).load(path).orderBy("id")
        return [tuple(row) for row in found.collect()]

    assert read(0) == [(1, "a"), (2, "b")]
    assert read(1) == [(1, "a"), (2, "b"), (3, "b")]


class Interpreter(DataSource):
    """One row: the Python that runs the source, and whether the project imports there."""

    @classmethod
    def name(cls) -> str:
        return "interpreter"

    def schema(self) -> str:
        return "executable string, package string"

    def reader(self, schema: Any) -> DataSourceReader:
        class Reader(DataSourceReader):
            def read(self, partition: Any) -> Iterator[tuple[str, str]]:
                import resources.stack_state  # noqa: PLC0415

                yield sys.executable, resources.stack_state.__name__

        return Reader()


def test_python_data_sources_run_in_the_projects_environment(session: SparkSession) -> None:
    Interpreter.__module__ = "__main__"  # sent by value: the workers do not have the tests
    session.dataSource.register(Interpreter)
    rows = session.read.format("interpreter").load().collect()
    assert [tuple(row) for row in rows] == [(sys.executable, "resources.stack_state")]


def test_without_the_token_there_is_no_session(spark_remote: str) -> None:
    address, _, _ = spark_remote.partition(";token=")
    with pytest.raises(SparkConnectGrpcException, match="token"):
        SparkSession.builder.remote(f"{address};token=guess").create().range(1).count()


def test_it_listens_on_loopback_only_and_shows_no_token(spark_remote: str, stack_home: Path) -> None:
    record = ServerProcess.read(stack_home / "run" / "spark.json")
    assert record is not None
    process = psutil.Process(record.pid)
    sockets = process.net_connections(kind="inet")
    listening = {one.laddr.ip.removeprefix("::ffff:") for one in sockets if one.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    token = spark_remote.partition(";token=")[2]
    assert token not in " ".join(process.cmdline())
    assert token not in (stack_home / "logs" / "spark.log").read_text()
