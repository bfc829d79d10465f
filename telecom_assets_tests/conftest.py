"""Fixtures of the whole suite: the real servers once, one session per engine, fresh topics, databases and warehouses.

Everything runs in temporary folders; nothing of the user's home, environment or servers is touched.
"""

import gc
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

from resources.engine import SparkEngine
from resources.kafka import KafkaConnection, KafkaUnavailable
from resources.stack_state import StackState
from resources.warehouse import Warehouse
from telecom_assets.home.settings import Settings
from telecom_assets.home.sqlite_databases import Database
from telecom_assets_tests.examples import register_profiles
from telecom_assets_tests.made_once import MadeOnce
from telecom_assets_tests.sample_tables import TABLES
from telecom_assets_tests.stack_fixtures import FOR_LITTLE_DATA, spark_remote, stack, stack_home

__all__ = ["spark_remote", "stack", "stack_home"]

ENGINES = ("sail", "spark")

register_profiles()

# All that is imported and collected stays: to look through it for garbage took a tenth of that time.
gc.disable()

#: Fixtures that start a server; a test that asks for one of them, however far away, needs it too.
SERVERS = frozenset({"stack_home", "new_stack", "s3", "s3_of_faults", "cluster"})
#: Fixtures that start a process which loads the whole project, or a browser.
PROCESSES = frozenset({"holder", "working", "production", "browser"})
#: Values of parameters that name a fixture which is built on one of those, or an engine that is a server.
BUILT_ON_SERVERS = frozenset({"spark", "billed", "again", "late", "sail_on_s3", "cluster_on_s3"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need Kafka, PostgreSQL, Apache Spark or an S3 server, and those that start whole processes.

    `make check` leaves both out. The marks come from the fixtures of a test, so that a new test needs none by hand; a test
    that starts a server or a process without a fixture says so itself (`pytest.mark.servers`, `pytest.mark.processes`).
    """
    for item in items:
        asked = getattr(item, "fixturenames", ())
        if not SERVERS.isdisjoint(asked) or _is_built_on_servers(item):
            item.add_marker("servers")
        if not PROCESSES.isdisjoint(asked):
            item.add_marker("processes")


def _is_built_on_servers(item: pytest.Item) -> bool:
    """Whether a parameter of the test names a fixture of BUILT_ON_SERVERS, which is asked for only when the test runs."""
    callspec = getattr(item, "callspec", None)
    values = callspec.params.values() if callspec is not None else ()
    return any(isinstance(value, str) and value in BUILT_ON_SERVERS for value in values)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Spare the garbage collector all that was imported and collected, which stays: it took a tenth of the time of the tests."""
    gc.collect()
    gc.freeze()
    gc.enable()


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


@pytest.fixture(autouse=True, scope="session")
def _databases_are_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MadeOnce]:
    """A new home of a test gets copies of Dagster's databases: to make them takes it half a second."""
    made_once = MadeOnce(tmp_path_factory.mktemp("databases"), Database.ensure)

    def ensure(database: Database) -> None:
        made_once.ensure(database)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "ensure", ensure)
        yield made_once


@pytest.fixture
def databases_made_anew(_databases_are_made_once: MadeOnce) -> Iterator[None]:
    """For tests of that making: Dagster makes the databases of each home."""
    with _databases_are_made_once.switched_off():
        yield


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> SparkEngine:
    """Each engine in turn: what uses this runs on both. Months that run through Dagster have Apache Spark as users do."""
    if request.param == "sail":
        return SparkEngine(kind="sail")
    return SparkEngine(kind="spark", remote=request.getfixturevalue("spark_remote"), spark_config=FOR_LITTLE_DATA)


@pytest.fixture(scope="session")
def sail() -> SparkEngine:
    """The embedded engine, where the engine does not matter."""
    return SparkEngine(kind="sail")


@pytest.fixture
def warehouse(tmp_path: Path, engine: SparkEngine) -> Warehouse:
    """An empty warehouse on each engine, in a path with a space."""
    return Warehouse(str(tmp_path / "ware house"), engine, TABLES)


@pytest.fixture
def plain(tmp_path: Path, sail: SparkEngine) -> Warehouse:
    """An empty warehouse on the embedded engine."""
    return Warehouse(str(tmp_path / "warehouse"), sail, TABLES)


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
def kafka(new_kafka_topic: Callable[..., KafkaConnection]) -> KafkaConnection:
    """A fresh topic of two partitions, once the broker knows it everywhere."""
    return new_kafka_topic(partitions=2)


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
