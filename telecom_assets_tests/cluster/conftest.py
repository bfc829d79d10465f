"""One cluster for this folder: a master, two workers and a Connect server, with the warehouse on an S3 server."""

import shutil
from collections.abc import Iterator

import pytest

from resources.engine import SparkEngine
from resources.stack_state import read_stack_state
from resources.warehouse import Warehouse
from telecom_assets.local_stack import LocalStack, SparkShape
from telecom_assets_tests.graph.conftest import new_project
from telecom_assets_tests.s3_server import S3Server, s3_server
from telecom_assets_tests.sample_tables import TABLES
from telecom_assets_tests.stack_fixtures import FOR_LITTLE_DATA

__all__ = ["new_project"]

WORKERS = 2


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server, up for the session. Its address is in the environment, where the embedded engine looks for it."""
    with s3_server() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.storage.environment().items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def cluster(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The cluster, up for the session, in a path with a space."""
    home = tmp_path_factory.mktemp("cluster stack") / "home"
    shape = SparkShape(
        WORKERS,
        memory_mb=768,
        s3=s3.storage,
        properties={**FOR_LITTLE_DATA, "spark.databricks.delta.snapshotPartitions": "1"},
        java_options=("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
    )
    stack = LocalStack(home, ["spark"], spark=shape)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster_remote(cluster: LocalStack) -> str:
    """Address (sc://…, token included) of the cluster's Connect server."""
    state = read_stack_state(cluster.layout.state_file)
    assert state.spark is not None
    return state.spark.remote


@pytest.fixture(scope="session")
def cluster_engine(cluster_remote: str) -> SparkEngine:
    return SparkEngine(kind="spark", remote=cluster_remote)


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.new_bucket()


@pytest.fixture
def sail_on_s3(s3: S3Server, bucket: str, sail: SparkEngine) -> Warehouse:
    """An empty warehouse in a bucket of its own, on the embedded engine."""
    return Warehouse(f"s3://{bucket}/telecom/warehouse", sail, TABLES, s3=s3.storage)


@pytest.fixture
def cluster_on_s3(s3: S3Server, bucket: str, cluster_engine: SparkEngine) -> Warehouse:
    """The same warehouse on the cluster."""
    return Warehouse(f"s3://{bucket}/telecom/warehouse", cluster_engine, TABLES, s3=s3.storage)
