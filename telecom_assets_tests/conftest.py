"""Fixtures of the whole suite: the real servers once, one session per engine, fresh topics, databases and warehouses.

Everything runs in temporary folders; nothing of the user's home, environment or servers is touched.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka.admin import NewTopic
from psycopg import sql
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from resources.delta import Warehouse
from resources.engine import SparkEngine
from resources.kafka import KafkaConnection, KafkaUnavailable
from resources.stack_state import StackState
from telecom_assets.home.settings import Settings
from telecom_assets_tests.sample_tables import TABLES
from telecom_assets_tests.stack_fixtures import spark_remote, stack, stack_home

__all__ = ["spark_remote", "stack", "stack_home"]

ENGINES = ("sail", "spark")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers side by side (`-n`), each with servers of its own."""
    from telecom_assets_tests.scheduling import ByServers  # noqa: PLC0415  (only where workers are asked for)

    return ByServers(config, log)


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> Iterator[None]:
    """A setting in the developer's environment must not change what a test sees."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith(("TELECOM_", "DAGSTER_", "AWS_")) or name in ("ENGINE", "SPARK_REMOTE"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> SparkEngine:
    """Each engine in turn: what uses this runs on both."""
    if request.param == "sail":
        return SparkEngine(kind="sail")
    return SparkEngine(kind="spark", remote=request.getfixturevalue("spark_remote"))


@pytest.fixture(scope="session")
def sail() -> SparkEngine:
    """The embedded engine, where the engine does not matter."""
    return SparkEngine(kind="sail")


@pytest.fixture
def warehouse(tmp_path: Path, engine: SparkEngine) -> Warehouse:
    """An empty warehouse on each engine, in a path with a space."""
    return Warehouse(str(tmp_path / "ware house"), engine, TABLES)


@pytest.fixture
def new_kafka_topic(stack: StackState) -> Callable[..., KafkaConnection]:
    """Makes a fresh topic on the real broker: new_kafka_topic(partitions=…, config=…)."""
    assert stack.kafka is not None
    local = stack.kafka

    def make(partitions: int = 4, config: dict[str, str] | None = None) -> KafkaConnection:
        connection = KafkaConnection(local.bootstrap_servers, f"cdr-{uuid.uuid4().hex}", local.options)
        settings = {"message.timestamp.type": "LogAppendTime", **(config or {})}
        topic = NewTopic(connection.topic, num_partitions=partitions, replication_factor=1, config=settings)
        admin = connection.admin()  # kept: a client that is collected takes its requests with it
        admin.create_topics([topic], operation_timeout=30)[connection.topic].result(timeout=30)
        wait_for_topic(connection)
        return connection

    return make


@retry(retry=retry_if_exception_type(KafkaUnavailable), stop=stop_after_delay(30), wait=wait_fixed(0.1), reraise=True)
def wait_for_topic(connection: KafkaConnection) -> None:
    """Until every part of the broker knows the topic that was just made."""
    connection.topic_state()


@pytest.fixture
def kafka_connection(new_kafka_topic: Callable[..., KafkaConnection]) -> KafkaConnection:
    """A connection to a fresh topic with LogAppendTime."""
    return new_kafka_topic()


@pytest.fixture
def postgres_dsn(stack: StackState) -> Iterator[str]:
    """The address of a fresh database on the real server."""
    assert stack.postgres is not None
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(stack.postgres.url(), autocommit=True) as session:
        session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield stack.postgres.url(name)
        _drop_database(session, name)


@retry(
    retry=retry_if_exception_type(psycopg.errors.InsufficientPrivilege), stop=stop_after_delay(60), wait=wait_fixed(0.2)
)
def _drop_database(session: psycopg.Connection, name: str) -> None:
    """Again while the server's own vacuum is in the database: only a superuser may end that."""
    session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def settings(tmp_path: Path, stack: StackState, postgres_dsn: str, kafka_connection: KafkaConnection) -> Settings:
    """Settings of a fresh home: own topic, own database, own warehouse; the embedded engine."""
    return Settings.load(
        home=tmp_path / "home",
        kafka_bootstrap_servers=kafka_connection.bootstrap_servers,
        kafka_options=kafka_connection.options,
        kafka_topic=kafka_connection.topic,
        postgres_dsn=postgres_dsn,
    )
