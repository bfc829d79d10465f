"""PostgreSQL and Kafka, up: what they offer, to whom, and that neither a crash nor a restart costs data."""

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType

from resources.kafka import KafkaConnection
from resources.stack_state import KafkaState, PostgresState, StackState, read_stack_state
from telecom_assets.local_stack import LocalStack
from telecom_assets.local_stack.processes import ServerProcess


def process_of(home: Path, service: str) -> psutil.Process:
    record = ServerProcess.read(home / "run" / f"{service}.json")
    assert record is not None
    return psutil.Process(record.pid)


def postgres_of(state: StackState) -> PostgresState:
    assert state.postgres is not None
    return state.postgres


def kafka_of(state: StackState) -> KafkaState:
    assert state.kafka is not None
    return state.kafka


def connection(kafka: KafkaState) -> KafkaConnection:
    return KafkaConnection(kafka.bootstrap_servers, "cdr_topic", kafka.options, timeout_seconds=10)


def send(kafka: KafkaState, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, **kafka.options, "message.max.bytes": 4_000_000})
    errors = []
    producer.produce("cdr_topic", value, partition=0, on_delivery=lambda error, _message: errors.append(error))
    assert producer.flush(20) == 0
    assert errors == [None]


def first_message(kafka: KafkaState) -> Any:
    config = {"bootstrap.servers": kafka.bootstrap_servers, **kafka.options, "group.id": "test"}
    consumer = Consumer({**config, "enable.auto.commit": False})
    consumer.assign([TopicPartition("cdr_topic", 0, 0)])
    try:
        return consumer.poll(20)
    finally:
        consumer.close()


def test_state_and_credentials_are_private(stack: StackState, stack_home: Path) -> None:
    assert (stack_home.stat().st_mode & 0o777) == 0o700
    secret_files = [stack_home / "stack.json", stack_home / "services" / "kept.json"]
    secret_files.append(stack_home / "services" / "kafka" / "server.properties")
    assert [oct(path.stat().st_mode & 0o777) for path in secret_files] == ["0o600"] * 3


def test_no_credential_is_in_a_command_line_or_a_log(stack: StackState, stack_home: Path) -> None:
    kept = json.loads((stack_home / "services" / "kept.json").read_text())
    secrets = [value for key, value in kept.items() if "password" in key or "token" in key]
    assert len(secrets) >= 4
    assert postgres_of(stack).password in secrets
    shown = [" ".join(process_of(stack_home, service).cmdline()) for service in ("postgres", "kafka")]
    shown += [log.read_text() for log in (stack_home / "logs").iterdir()]
    assert not [text for text in shown for secret in secrets if secret in text]


def test_servers_listen_on_loopback_only(stack: StackState, stack_home: Path) -> None:
    for service in ("postgres", "kafka"):
        sockets = process_of(stack_home, service).net_connections(kind="inet")
        listening = {one.laddr.ip.removeprefix("::ffff:") for one in sockets if one.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers change their user")
def test_postgres_of_root_runs_as_somebody_else_without_roots_groups(stack: StackState, stack_home: Path) -> None:
    process = process_of(stack_home, "postgres")
    assert 0 not in (*process.uids(), *process.gids())
    assert "Groups:\t \n" in Path(f"/proc/{process.pid}/status").read_text()


def test_databases_are_utf8_locale_c_and_utc(stack: StackState) -> None:
    postgres = postgres_of(stack)
    for database in (postgres.database, postgres.dagster_database):
        with psycopg.connect(postgres.url(database)) as client:
            row = client.execute(
                "select pg_encoding_to_char(encoding), datcollate, current_setting('timezone'), "
                "current_setting('fsync'), pg_get_userbyid(datdba), current_setting('is_superuser') "
                "from pg_database where datname = current_database()"
            ).fetchone()
        assert row == ("UTF8", "C", "UTC", "on", postgres.user, "off")


def test_commits_of_dagsters_database_alone_do_not_wait_for_the_disk(stack: StackState) -> None:
    postgres = postgres_of(stack)
    found = {}
    for database in (postgres.database, postgres.dagster_database):
        with psycopg.connect(postgres.url(database)) as client:
            found[database] = client.execute("show synchronous_commit").fetchone()
    assert found == {postgres.database: ("on",), postgres.dagster_database: ("off",)}


def test_postgres_asks_for_the_password(stack: StackState) -> None:
    stranger = postgres_of(stack).model_copy(update={"password": "guess"})
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(stranger.url())


def superuser_password(home: Path) -> str:
    kept = json.loads((home / "services" / "kept.json").read_text(encoding="utf-8"))
    return str(kept["postgres_superuser_password"])


def iterations(home: Path, port: int) -> str:
    """What the server keeps of the user's password says how often it was hashed."""
    superuser = superuser_password(home)
    with psycopg.connect(host="127.0.0.1", port=port, user="postgres", password=superuser, dbname="postgres") as client:
        (verifier,) = client.execute("select rolpassword from pg_authid where rolname = 'telecom'").fetchone() or ("",)
    return str(verifier).partition("$")[2].partition(":")[0]


def test_a_generated_password_is_hashed_a_few_times(stack: StackState, stack_home: Path) -> None:
    assert iterations(stack_home, postgres_of(stack).port) == "64"


def test_a_password_that_an_earlier_version_hashed_often_is_hashed_anew(new_stack: Callable[..., LocalStack]) -> None:
    stack = new_stack()
    stack.up()
    home, postgres = stack.layout.home, postgres_of(read_stack_state(stack.layout.state_file))
    server = f"host=127.0.0.1 port={postgres.port} user=postgres password={superuser_password(home)} dbname=postgres"
    with psycopg.connect(server) as client:
        client.execute("set scram_iterations = 4096")
        client.execute(f"alter role telecom password '{postgres.password}'")
        client.execute("alter database dagster reset synchronous_commit")
    assert iterations(home, postgres.port) == "4096"
    stack.down()
    stack.up()
    again = postgres_of(read_stack_state(stack.layout.state_file))
    assert iterations(home, again.port) == "64"
    with psycopg.connect(again.url(again.dagster_database)) as client:
        assert client.execute("show synchronous_commit").fetchone() == ("off",)


def test_topic_has_four_partitions_and_the_brokers_time(stack: StackState) -> None:
    found = connection(kafka_of(stack)).topic_state()
    assert sorted(found.partitions) == [0, 1, 2, 3]
    assert found.log_append_time


def test_topic_keeps_everything(stack: StackState) -> None:
    admin = connection(kafka_of(stack)).admin()
    resource = ConfigResource(ResourceType.TOPIC, "cdr_topic")
    settings = admin.describe_configs([resource])[resource].result(timeout=20)
    assert (settings["retention.ms"].value, settings["retention.bytes"].value) == ("-1", "-1")


def test_message_of_two_megabytes_fits(stack: StackState) -> None:
    send(kafka_of(stack), os.urandom(2 * 1024 * 1024))


def test_kafka_asks_for_the_password_on_both_listeners(stack: StackState, stack_home: Path) -> None:
    kafka = kafka_of(stack)
    errors: list[KafkaError] = []
    guess = {**kafka.options, "sasl.password": "guess", "error_cb": errors.append, "log_level": 0}
    stranger = Producer({"bootstrap.servers": kafka.bootstrap_servers, **guess})
    while not errors:
        assert stranger.poll(20)
    assert errors[0].code() == KafkaError._AUTHENTICATION
    kept = json.loads((stack_home / "services" / "kept.json").read_text())
    controller = f"127.0.0.1:{kept['kafka_controller_port']}"
    # An unauthenticated Kafka request: ApiVersions, whose answer a PLAINTEXT listener would follow with others.
    # A SASL listener closes the connection at the second request.
    api_versions = bytes.fromhex("0012 0000 00000001 0001 78".replace(" ", ""))
    metadata = bytes.fromhex("0003 0001 00000002 0001 78 00000000".replace(" ", ""))
    host, port = controller.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        for request in (api_versions, metadata):
            client.sendall(len(request).to_bytes(4, "big") + request)
        received = b""
        while piece := client.recv(65536):
            received += piece
    assert received[4:8] == (1).to_bytes(4, "big")
    assert len(received) == 4 + int.from_bytes(received[:4], "big")


def test_second_up_changes_nothing(stack: StackState, stack_home: Path) -> None:
    def facts() -> tuple[object, ...]:
        pids = [process_of(stack_home, service).pid for service in ("postgres", "kafka")]
        return (*pids, (stack_home / "stack.json").stat().st_mtime_ns)

    before = facts()
    assert LocalStack(stack_home, ["postgres", "kafka"]).up() == []
    assert facts() == before


def test_status_tells_who_is_up(stack: StackState, stack_home: Path) -> None:
    found = {one.name: one for one in LocalStack(stack_home, ["postgres", "kafka"]).status()}
    assert [one.state for one in found.values()] == ["up", "up"]
    assert found["kafka"].address == kafka_of(stack).bootstrap_servers
    assert found["postgres"].pid == process_of(stack_home, "postgres").pid


def test_killed_stack_comes_up_again_with_its_data(new_stack: Callable[..., LocalStack]) -> None:
    stack = new_stack("postgres", "kafka")
    assert stack.up() == ["postgres", "kafka"]
    home = stack.layout.home
    before = read_stack_state(home / "stack.json")
    with psycopg.connect(postgres_of(before).url()) as client:
        client.execute("create table kept (word text)")
        client.execute("insert into kept values ('row')")
    send(kafka_of(before), b"message")

    for service in ("postgres", "kafka"):
        victim = process_of(home, service)
        victim.send_signal(signal.SIGKILL)
        psutil.wait_procs([victim], timeout=20)
    assert [one.state for one in stack.status()] == ["crashed", "crashed"]

    assert stack.up() == ["postgres", "kafka"]
    after = read_stack_state(home / "stack.json")
    assert after == before  # same ports, same credentials
    with psycopg.connect(postgres_of(after).url()) as client:
        assert client.execute("select word from kept").fetchone() == ("row",)
    message = first_message(kafka_of(after))
    assert message.value() == b"message"
    assert message.timestamp()[0] == 2  # TIMESTAMP_LOG_APPEND_TIME

    assert stack.down() == ["postgres", "kafka"]
    assert read_stack_state(home / "stack.json") == StackState()
