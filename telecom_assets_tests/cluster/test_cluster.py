"""The cluster itself: which processes it has, who reads what, who is kept out, and what is said when a part is missing."""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from pyspark import cloudpickle

from resources import kafka_source
from resources.engine import SparkEngine
from resources.kafka import KafkaConnection
from resources.kafka_source import KafkaOffsetRanges, KafkaRangeError
from resources.warehouse import Warehouse
from telecom_assets.local_stack import LocalStack, SparkShape
from telecom_assets.local_stack.layout import Kept
from telecom_assets.local_stack.processes import Command, ServerProcess
from telecom_assets.local_stack.service import NotReady
from telecom_assets.local_stack.spark import Spark
from telecom_assets_tests.cluster.conftest import WORKERS
from telecom_assets_tests.intake.test_landing import landing, produced
from telecom_assets_tests.s3_server import S3Server

PARTITIONS, MESSAGES = 4, 50


@pytest.fixture
def kafka(new_kafka_topic: Callable[..., KafkaConnection]) -> KafkaConnection:
    """A topic with messages on each of its partitions."""
    connection = new_kafka_topic(partitions=PARTITIONS)
    for number in range(PARTITIONS):
        produced(connection, *(b"%d" % value for value in range(MESSAGES)), partition=number)
    return connection


def processes_of(stack: LocalStack) -> dict[str, psutil.Process]:
    """Every process of the cluster by name, executors too."""
    found = {}
    for path in (stack.layout.home / "run").glob("spark*.json"):
        record = ServerProcess.read(path)
        assert record is not None
        found[path.stem] = psutil.Process(record.pid)
    for name in [*found]:
        for child in found[name].children():
            with suppress(psutil.NoSuchProcess):  # a server asks the system for a user's groups, by a shell
                if child.name() == "java":
                    found[f"executor of {name}"] = child
    return found


def test_it_is_a_master_workers_with_an_executor_each_and_a_connect_server(
    cluster: LocalStack, cluster_engine: SparkEngine
) -> None:
    assert cluster_engine.spark_session.range(8, numPartitions=8).count() == 8
    workers = [f"spark-worker-{number}" for number in range(1, WORKERS + 1)]
    executors = [f"executor of {name}" for name in workers]
    assert sorted(processes_of(cluster)) == sorted(["spark", "spark-master", *workers, *executors])
    assert [one.state for one in cluster.status()] == ["up"]
    assert cluster.up() == []


def test_it_listens_on_loopback_only_and_shows_no_secret(
    cluster: LocalStack, cluster_remote: str, s3: S3Server
) -> None:
    kept = (cluster.layout.kept_file).read_text()
    secrets = [cluster_remote.partition(";token=")[2], str(s3.storage.secret_access_key)]
    assert secrets[0] in kept
    logs = "".join(path.read_text() for path in (cluster.layout.home / "logs").iterdir())
    for process in processes_of(cluster).values():
        sockets = process.net_connections(kind="inet")
        listening = {one.laddr.ip.removeprefix("::ffff:") for one in sockets if one.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        line = " ".join(process.cmdline())
        assert not any(f"={secret}" in line for secret in secrets)
    assert not any(f"={secret}" in logs for secret in secrets)
    properties = cluster.layout.data("spark") / "spark.properties"
    assert properties.stat().st_mode & 0o077 == 0
    assert "secret.key" not in properties.read_text()


class WhereItIsRead(KafkaOffsetRanges):
    """The source of landing; in the place of the topic stands the folder of the executor that read the message."""

    def reader(self, schema: Any) -> Any:
        reader: Any = super().reader(schema)
        read = reader.read

        def read_and_tell(partition: Any) -> Iterator[pa.RecordBatch]:
            for batch in read(partition):
                yield batch.set_column(0, batch.schema.field(0), pa.array([os.getcwd()] * batch.num_rows))  # noqa: PTH109

        reader.read = read_and_tell
        return reader


def test_every_worker_reads_partitions_of_the_topic(
    cluster_engine: SparkEngine, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_source, "KafkaOffsetRanges", WhereItIsRead)
    session = cluster_engine.spark_session
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the workers do not have the tests
    try:
        kafka_source.register(session, by_value=True)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    options = {
        "topic": kafka.topic,
        "ranges": json.dumps([(number, 0, MESSAGES) for number in range(PARTITIONS)]),
        "config": json.dumps(kafka.plain_config()),
        "timeout": "20",
        "broker_time": "true",
    }
    rows = session.read.format(kafka_source.FORMAT).options(**options).load().collect()
    readers: dict[str, set[int]] = {}
    for row in rows:
        worker = next(part for part in Path(row["kafka_topic"]).parts if part.startswith("spark-worker-"))
        readers.setdefault(worker, set()).add(row["kafka_partition"])
    assert len(rows) == MESSAGES * PARTITIONS
    assert sorted(readers) == [f"spark-worker-{number}" for number in range(1, WORKERS + 1)]
    assert set.union(*readers.values()) == set(range(PARTITIONS))


def test_landing_says_in_one_sentence_what_an_executor_said(
    cluster_on_s3: Warehouse, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Executors whose Python lacks confluent-kafka, as these would with another one."""
    monkeypatch.setattr(kafka_source, "KafkaOffsetRanges", WithoutConfluentKafka)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        with pytest.raises(KafkaRangeError) as caught:
            landing(cluster_on_s3, kafka)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    said = str(caught.value)
    assert said.startswith(f"{kafka.topic}[")
    assert f"{sys.executable} on " in said
    assert "has no confluent-kafka" in said
    assert "`pip install confluent-kafka` there" in said
    assert "\n" not in said
    assert cluster_on_s3.pin("raw_cdrs").rows_by_partition() == {}


class WithoutConfluentKafka(KafkaOffsetRanges):
    """The source of landing on an executor that cannot import confluent_kafka."""

    def reader(self, schema: Any) -> Any:
        reader: Any = super().reader(schema)
        read = reader.read

        def read_without(partition: Any) -> Iterator[pa.RecordBatch]:
            known = sys.modules.get("confluent_kafka")
            sys.modules["confluent_kafka"] = None  # type: ignore[assignment]  # what makes an import fail
            try:
                yield from read(partition)
            finally:
                # The process reads for others afterwards.
                sys.modules.pop("confluent_kafka")
                if known is not None:
                    sys.modules["confluent_kafka"] = known

        reader.read = read_without
        return reader


def test_a_part_that_has_ended_is_told_and_what_is_left_is_stopped(tmp_path: Path) -> None:
    """A Connect server that ended, a worker that ended, and one that is still there: stood for by other programs."""
    stack = LocalStack(tmp_path / "home", ["spark"])
    stack.layout.create()
    kept = Kept(stack.layout.kept_file)
    service = Spark(stack.layout, kept, SparkShape(workers=2))
    cancel = threading.Event()
    processes = {}
    for name, program in (("spark", "true"), ("spark-worker-1", "true"), ("spark-worker-2", "cat")):
        command = Command(["sh", "-c", f"exec {program} < /dev/zero > /dev/null"], tmp_path, dict(os.environ))
        record = stack.layout.process_file(name)
        processes[name] = ServerProcess.start(command, stack.layout.log(name), record, cancel)
    for name in ("spark", "spark-worker-1"):
        psutil.wait_procs([psutil.Process(processes[name].pid)] if processes[name].alive() else [], timeout=30)
    with pytest.raises(NotReady, match=r"spark-worker-1 has ended; see .*spark-worker-1\.log"):
        service.ask()
    assert service.processes() == [processes["spark-worker-2"]]
    assert stack.down() == ["spark"]
    assert not processes["spark-worker-2"].alive()
    assert list((stack.layout.home / "run").glob("spark*.json")) == []
