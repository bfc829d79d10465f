"""Reading exact offset ranges from a real broker, without an engine: every message of a range, and none besides.

Belongs here: ranges, holes, ends, what is said when a range cannot be read; that what is read is what a plain consumer reads.
Does not belong here: what becomes of the messages (`intake/test_landing`).
"""

import base64
import ctypes
import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)
from pyspark.errors import PySparkException
from pyspark.serializers import CloudPickleSerializer

from resources import kafka_source
from resources.kafka import KafkaConnection
from resources.kafka_source import KafkaRangeError, OffsetRange, range_error, read_range, register

TIMEOUT = 20.0


def produced(kafka: KafkaConnection, *values: bytes | None, partition: int = 0) -> None:
    producer = kafka.producer()
    for value in values:
        producer.produce(kafka.topic, value, partition=partition)
    assert producer.flush(30) == 0


def transactional(kafka: KafkaConnection) -> Producer:
    producer = kafka.producer(**{"transactional.id": kafka.topic})
    producer.init_transactions(30)
    return producer


def read(
    kafka: KafkaConnection, start: int, end: int, partition: int = 0, **options: Any
) -> list[tuple[int, bytes | None]]:
    batches = read_range(
        kafka.plain_config(),
        kafka.topic,
        OffsetRange(partition, start, end),
        **{"timeout": TIMEOUT, "broker_time": True, **options},
    )
    return [(row["kafka_offset"], row["value"]) for batch in batches for row in batch.to_pylist()]


@pytest.fixture
def kafka(new_kafka_topic: Callable[..., KafkaConnection]) -> KafkaConnection:
    return new_kafka_topic(partitions=2)


def test_a_range_is_read_whole_and_alone(kafka: KafkaConnection) -> None:
    """Bytes as they are, NULL and empty told apart, in order; the middle, an end, nothing."""
    values = [b"0", None, b"", b"\xff\x00", b"4", "é".encode()]
    produced(kafka, *values)
    produced(kafka, b"other partition", partition=1)
    everything = list(enumerate(values))
    assert read(kafka, 0, 6) == everything
    assert read(kafka, 1, 4) == everything[1:4]
    assert read(kafka, 5, 6) == everything[5:]
    assert read(kafka, 3, 3) == []
    assert read(kafka, 0, 1, partition=1) == [(0, b"other partition")]


def test_more_than_a_batch(kafka: KafkaConnection) -> None:
    produced(kafka, *(str(number).encode() for number in range(25_000)))
    found = read(kafka, 1, 24_999)
    assert found == [(number, str(number).encode()) for number in range(1, 24_999)]


def test_coordinates_and_times(kafka: KafkaConnection) -> None:
    produced(kafka, b"0")
    [with_time] = read_range(kafka.plain_config(), kafka.topic, OffsetRange(0, 0, 1), timeout=TIMEOUT, broker_time=True)
    [without] = read_range(kafka.plain_config(), kafka.topic, OffsetRange(0, 0, 1), timeout=TIMEOUT, broker_time=False)
    row = with_time.to_pylist()[0]
    assert (row["kafka_topic"], row["kafka_partition"]) == (kafka.topic, 0)
    assert row["broker_ms"] > 1_700_000_000_000
    assert without.to_pylist()[0]["broker_ms"] is None
    assert with_time.schema == without.schema


def test_offsets_without_a_message_are_passed_over(kafka: KafkaConnection) -> None:
    """Aborted records and the marks of transactions take offsets: a range ends all the same, wherever it is cut."""
    producer = transactional(kafka)
    for fate, values in (
        ("commit", [b"0", b"1"]),
        ("abort", [b"3", b"4", b"5"]),
        ("commit", [b"7"]),
        ("abort", [b"9"]),
    ):
        producer.begin_transaction()
        for value in values:
            producer.produce(kafka.topic, value, partition=0)
        producer.flush(30)
        producer.commit_transaction(30) if fate == "commit" else producer.abort_transaction(30)
    # offsets: 0 1 [commit 2] 3 4 5 [abort 6] 7 [commit 8] 9 [abort 10]
    assert kafka.topic_state().partitions[0].latest == 11
    committed = [(0, b"0"), (1, b"1"), (7, b"7")]
    assert read(kafka, 0, 11) == committed
    # begun after the mark of a commit, among aborted records, and where nothing follows; ended at each of those
    for start, end in ((2, 11), (4, 11), (9, 11), (10, 11), (0, 3), (0, 5), (3, 7), (1, 8)):
        assert read(kafka, start, end) == [item for item in committed if start <= item[0] < end]


def test_an_open_transaction_is_not_read(kafka: KafkaConnection) -> None:
    """The end is the last stable offset: what may still be aborted is not there yet."""
    produced(kafka, b"0")
    producer = transactional(kafka)
    producer.begin_transaction()
    producer.produce(kafka.topic, b"undecided", partition=0)
    producer.flush(30)
    assert kafka.topic_state().partitions[0].latest == 1
    assert read(kafka, 0, 1) == [(0, b"0")]
    producer.commit_transaction(30)
    assert read(kafka, 1, kafka.topic_state().partitions[0].latest) == [(1, b"undecided")]


def test_a_range_whose_beginning_was_deleted_is_an_error(kafka: KafkaConnection) -> None:
    """Never a silent start from what is left."""
    produced(kafka, *(str(number).encode() for number in range(10)))
    admin = kafka.admin()
    [deleted] = admin.delete_records([TopicPartition(kafka.topic, 0, 6)]).values()
    assert deleted.result(30).low_watermark == 6
    with pytest.raises(KafkaRangeError, match=rf"{kafka.topic}\[0\]"):
        read(kafka, 4, 10)
    assert [offset for offset, _ in read(kafka, 6, 10)] == [6, 7, 8, 9]


def test_a_broker_that_does_not_answer_is_an_error(kafka: KafkaConnection) -> None:
    gone = KafkaConnection("127.0.0.1:1", kafka.topic, kafka.options)
    with pytest.raises(KafkaRangeError, match=r"nothing arrived for 0\.2 s at offset 3, expected messages up to 9"):
        read(gone, 3, 9, timeout=0.2)


def test_a_partition_that_is_not_there_is_an_error(kafka: KafkaConnection) -> None:
    with pytest.raises(KafkaRangeError, match=rf"{kafka.topic}\[7\]"):
        read(kafka, 0, 1, partition=7, timeout=2.0)


def test_a_width() -> None:
    assert OffsetRange(0, 3, 10).width == 7


# ------------------------------------------------------------------------------------------- beside confluent-kafka's reader


def broker_ms(message: Message) -> int | None:
    kind, time = message.timestamp()
    return time if kind == TIMESTAMP_LOG_APPEND_TIME else None


def plain(kafka: KafkaConnection, end: int, partition: int = 0) -> pa.Table:
    """The control: a plain Consumer's messages from 0 to `end`, all of which there are."""
    consumer = Consumer({**kafka.client_config(), "group.id": "control", "enable.auto.commit": False})
    consumer.assign([TopicPartition(kafka.topic, partition, 0)])
    messages: list[Message] = []
    while len(messages) < end:
        messages += consumer.consume(end - len(messages), TIMEOUT)
    consumer.close()
    assert not any(map(Message.error, messages))
    columns = {
        "kafka_topic": pa.array([message.topic() for message in messages]),
        "kafka_partition": pa.array([message.partition() for message in messages], pa.int32()),
        "kafka_offset": pa.array([message.offset() for message in messages]),
        "broker_ms": pa.array([broker_ms(message) for message in messages], pa.int64()),
        "value": pa.array([message.value() for message in messages], pa.binary()),
    }
    return pa.table(columns)


def batches(kafka: KafkaConnection, start: int, end: int, partition: int = 0) -> Generator[pa.RecordBatch, None, None]:
    offsets = OffsetRange(partition, start, end)
    return read_range(kafka.plain_config(), kafka.topic, offsets, timeout=TIMEOUT, broker_time=True)


def drawn(seed: int, count: int) -> list[bytes | None]:
    """Values that are NULL, empty, short, long or very long, in no order."""
    draw = random.Random(seed)
    values = [draw.choice([None, b"", draw.randbytes(draw.randrange(41)), b"{}" * 150]) for _ in range(count - 4)]
    values += [draw.randbytes(1_000_000), b"0" * 1_000_000, bytes(13), bytes(12)]
    draw.shuffle(values)
    return values


def sent(
    kafka: KafkaConnection, values: Sequence[bytes | None], partition: int = 0, config: Mapping[str, str] | None = None
) -> None:
    """With keys and headers, which the table has not."""
    producer = kafka.producer(**{"linger.ms": 50, "message.max.bytes": 1_040_000, **(config or {})})
    for number, value in enumerate(values):
        key = [None, b"", b"a key"][number % 3]
        producer.produce(kafka.topic, value, key, partition, headers={"number": str(number)} if number % 2 else None)
    assert producer.flush(60) == 0


@pytest.mark.parametrize("codec", ["none", "gzip", "lz4", "snappy", "zstd"])
@pytest.mark.parametrize("stamped", ["LogAppendTime", "CreateTime"])
def test_the_same_as_a_plain_consumer_reads(
    new_kafka_topic: Callable[..., KafkaConnection], codec: str, stamped: str
) -> None:
    """Values, coordinates and times; more messages than a batch holds, however the producer packed them."""
    kafka = new_kafka_topic(partitions=1, config={"message.timestamp.type": stamped})
    values = drawn(len(codec), 21_000)
    sent(kafka, values, config={"compression.type": codec})
    found = pa.Table.from_batches(batches(kafka, 0, len(values)))
    found.validate(full=True)
    assert found["value"].to_pylist() == values
    assert found.equals(plain(kafka, len(values)))


def test_partitions_are_read_at_the_same_time(new_kafka_topic: Callable[..., KafkaConnection]) -> None:
    kafka = new_kafka_topic(partitions=4)
    values = {partition: drawn(partition, 6_000) for partition in range(4)}
    for partition, some in values.items():
        sent(kafka, some, partition)
    with ThreadPoolExecutor(8) as threads:
        tables = threads.map(lambda number: pa.Table.from_batches(batches(kafka, 0, 6_000, number % 4)), range(16))
    for number, table in enumerate(tables):
        assert table["value"].to_pylist() == values[number % 4]
        assert table["kafka_partition"].unique().to_pylist() == [number % 4]


def test_a_batch_is_cut_where_its_values_are_too_many_bytes(
    kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [b"x" * 100 for _ in range(1_000)]
    sent(kafka, values)
    monkeypatch.setattr(kafka_source, "_BATCH_BYTES", 1_000)
    found = list(batches(kafka, 0, 995))
    assert max(batch.num_rows for batch in found) == 10
    assert [offset for batch in found for offset in batch["kafka_offset"].to_pylist()] == list(range(995))


def test_a_reader_that_stops_early_gives_everything_back(
    kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """librdkafka waits at its end for every message that is held: this returns, and what was read stays."""
    values = drawn(1, 3_000)
    sent(kafka, values)
    monkeypatch.setattr(kafka_source, "_BATCH_BYTES", 1_000)
    threads = psutil.Process().num_threads()
    for _ in range(5):
        reading = batches(kafka, 0, 3_000)
        first, second = next(reading), next(reading)
        reading.close()
        assert [*first["value"].to_pylist(), *second["value"].to_pylist()] == values[: len(first) + len(second)]
    assert psutil.Process().num_threads() <= threads


class Interrupted(BaseException):
    """What a signal raises, as Ctrl-C does."""


def test_a_signal_at_any_moment_leaves_nothing_behind(kafka: KafkaConnection) -> None:
    """Wherever it comes between a call of librdkafka and the next: else the end of the client would wait for ever."""

    def interrupt(*_: object) -> None:
        raise Interrupted

    values = drawn(2, 20_000)
    sent(kafka, values)
    draw, interrupted = random.Random(3), 0
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(40):
            try:
                signal.setitimer(signal.ITIMER_REAL, draw.uniform(0.001, 0.1))
                found = pa.Table.from_batches(batches(kafka, 0, 20_000))
                signal.setitimer(signal.ITIMER_REAL, 0)
                assert found.num_rows == 20_000
            except Interrupted:
                interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 0
    assert pa.Table.from_batches(batches(kafka, 0, 20_000))["value"].to_pylist() == values


def test_options_that_librdkafka_refuses_are_an_error(kafka: KafkaConnection) -> None:
    refused = KafkaConnection(kafka.bootstrap_servers, kafka.topic, {**kafka.options, "nonsense": True})
    with pytest.raises(KafkaRangeError, match=rf'{kafka.topic}\[0\]: No such configuration property: "nonsense"'):
        read(refused, 0, 1)


@pytest.mark.parametrize(
    ("options", "start", "said"),
    [
        ({"fetch.min.bytes": "many"}, 0, 'Invalid value for configuration property "fetch.min.bytes"'),
        ({"security.protocol": "ssl", "ssl.ca.location": "/not/there"}, 0, "ssl.ca.location failed"),
        (
            {"session.timeout.ms": 2, "max.poll.interval.ms": 1},
            0,
            "`max.poll.interval.ms`must be >= `session.timeout.ms`",
        ),
        ({"client.id": None}, -7, "Invalid argument"),  # a default, which it takes; the offset is refused
    ],
)
def test_what_librdkafka_refuses_is_told_in_its_words(
    options: dict[str, str | int | None], start: int, said: str
) -> None:
    nowhere = KafkaConnection("127.0.0.1:1", "cdrs", {"log_level": 0, **options})
    with pytest.raises(KafkaRangeError, match=r"^cdrs\[0\]: ") as caught:
        read(nowhere, start, 1)
    assert said in str(caught.value)


@pytest.mark.thorough
def test_a_client_without_a_broker_is_closed() -> None:
    before = psutil.Process().num_threads()
    nowhere = KafkaConnection("127.0.0.1:1", "cdrs", {"log_level": 0})
    with pytest.raises(KafkaRangeError, match="127.0.0.1:1: nothing listens there: Connection refused"):
        read(nowhere, 0, 10, timeout=0.3)
    assert psutil.Process().num_threads() <= before


def test_a_wrong_password_is_told(kafka: KafkaConnection) -> None:
    stranger = KafkaConnection(kafka.bootstrap_servers, kafka.topic, {**kafka.options, "sasl.password": "wrong"})
    with pytest.raises(KafkaRangeError, match=r"nothing arrived for 1 s at offset 0.*Invalid username or password"):
        read(stranger, 0, 1, timeout=1.0)


def test_nothing_is_written_to_the_terminal(kafka: KafkaConnection, capfd: pytest.CaptureFixture[str]) -> None:
    produced(kafka, b"0")
    assert read(kafka, 0, 1) == [(0, b"0")]
    gone = KafkaConnection("127.0.0.1:1", kafka.topic, kafka.options)
    with pytest.raises(KafkaRangeError):
        read(gone, 0, 1, timeout=0.2)
    assert capfd.readouterr() == ("", "")


# --------------------------------------------------------------------------------------------------------- rows of a batch


def rows_of(*messages: Message, broker_time: bool = True) -> list[pa.RecordBatch]:
    rows = kafka_source._Rows("cdrs", 3, broker_time)
    return [*rows.add([*messages]), *rows.rest()]


def message(offset: int, value: bytes | None = None, timestamp: tuple[int, int] = (0, 0)) -> Message:
    return Message("cdrs", 3, offset, value=value, timestamp=timestamp)


def test_the_numbers_are_those_of_confluent_kafka() -> None:
    """They are written down, since executors get the module without the package."""
    assert kafka_source._PARTITION_EOF == KafkaError._PARTITION_EOF
    assert kafka_source._LOG_APPEND_TIME == TIMESTAMP_LOG_APPEND_TIME


@pytest.mark.parametrize(
    "kinds",
    [
        [TIMESTAMP_LOG_APPEND_TIME] * 4,
        [TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, TIMESTAMP_NOT_AVAILABLE, TIMESTAMP_LOG_APPEND_TIME],
        [TIMESTAMP_NOT_AVAILABLE, TIMESTAMP_CREATE_TIME, TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE],
    ],
    ids=str,
)
def test_only_the_brokers_time_is_told(kinds: list[int]) -> None:
    """The kind of time is a message's own, not its topic's."""
    messages = [message(number, b"x", (kind, 1000 + number)) for number, kind in enumerate(kinds)]
    expected = [1000 + number if kind == TIMESTAMP_LOG_APPEND_TIME else None for number, kind in enumerate(kinds)]
    [batch] = rows_of(*messages)
    assert batch["broker_ms"].to_pylist() == expected
    [batch] = rows_of(*messages, broker_time=False)
    assert batch["broker_ms"].to_pylist() == [None] * 4


def test_batches_are_bound_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [b"x" * 10, None, b"y" * 10, b"z" * 21, b"", b"w" * 20, b"v"]
    messages = [message(number, value) for number, value in enumerate(values)]
    monkeypatch.setattr(kafka_source, "_BATCH_BYTES", 20)
    found = [batch["value"].to_pylist() for batch in rows_of(*messages)]
    assert found == [values[:3], [values[3]], values[4:6], [values[6]]]
    monkeypatch.setattr(kafka_source, "_BATCH_BYTES", 10**9)
    [whole] = rows_of(*messages)
    assert whole["value"].to_pylist() == values
    assert whole["kafka_offset"].to_pylist() == list(range(len(values)))
    assert rows_of() == []


def test_bytes_of_earlier_messages_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is filled by several reads; none makes it larger than the bound."""
    monkeypatch.setattr(kafka_source, "_BATCH_BYTES", 20)
    rows = kafka_source._Rows("cdrs", 3, True)
    found = [batch for read_at_once in (b"a" * 15, b"b" * 5, b"c") for batch in rows.add([message(0, read_at_once)])]
    assert [batch["value"].to_pylist() for batch in [*found, *rows.rest()]] == [[b"a" * 15, b"b" * 5], [b"c"]]


class ArrowArray(ctypes.Structure):
    """The structure of Arrow's C data interface."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
        *((name, ctypes.c_void_p) for name in ("buffers", "children", "dictionary", "release", "private_data")),
    ]


def is_let_go_without_pythons_lock(make: Callable[[], pa.Array]) -> bool:
    """Whether a thread that is none of Python's can let go of a column while this one holds Python's lock."""
    exported = ArrowArray()
    make()._export_to_c(ctypes.addressof(exported))
    system, thread = ctypes.PyDLL(None), ctypes.c_void_p()
    often = sys.getswitchinterval()
    sys.setswitchinterval(60)  # who waits for the lock does not ask for it meanwhile
    started = system.pthread_create(
        ctypes.byref(thread), None, ctypes.c_void_p(exported.release), ctypes.byref(exported)
    )
    assert started == 0
    system.usleep(300_000)  # with the lock
    released = not exported.release
    sys.setswitchinterval(often)
    ctypes.CDLL(None).pthread_join(thread, None)  # without it
    assert not exported.release
    return released


@pytest.mark.thorough
def test_columns_are_let_go_without_pythons_lock() -> None:
    """Otherwise landing stands still: the embedded engine does so on threads of its own, and holds the lock meanwhile."""
    # More than once: a thread that has waited for the lock since before may still ask for it.
    assert not all(is_let_go_without_pythons_lock(lambda: pa.array(np.arange(1000))) for _ in range(5))
    kinds = (TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME)
    messages = [message(number, [b"a value", None][number % 2], (kinds[number % 2], number)) for number in range(30)]
    for name in kafka_source._ARROW.names:

        def column(name: str = name) -> pa.Array:
            return rows_of(*messages)[0][name]

        assert is_let_go_without_pythons_lock(column), name


# ----------------------------------------------------------------------------------------------- on somebody else's Python

#: An executor: it has what pyspark needs and not this package; the first argument is a module that it lacks besides.
_EXECUTOR = """
import base64, json, sys
sys.modules["resources"] = sys.modules[sys.argv[1]] = None
from pyspark.serializers import CloudPickleSerializer
source, options = CloudPickleSerializer().loads(base64.b64decode(sys.stdin.read()))
reader = source(options).reader(None)
# As Apache Spark does: planned in one process, read in another.
again = CloudPickleSerializer().loads(CloudPickleSerializer().dumps((reader, reader.partitions())))
print(json.dumps([row["kafka_offset"] for part in again[1] for batch in again[0].read(part) for row in batch.to_pylist()]))
"""


class Session:
    """Stands for a session: keeps what would be sent."""

    sent = b""

    def __init__(self, options: dict[str, str]) -> None:
        self.options = options

    @property
    def dataSource(self) -> "Session":
        return self

    def register(self, source: type) -> None:
        self.sent = CloudPickleSerializer().dumps((source, self.options))  # type: ignore[no-untyped-call]  # pyspark's


def on_an_executor(kafka: KafkaConnection, lacks: str) -> subprocess.CompletedProcess[str]:
    options = {"topic": kafka.topic, "ranges": "[[0, 1, 3]]", "config": json.dumps(kafka.plain_config())}
    session: Any = Session({**options, "timeout": str(TIMEOUT), "broker_time": "true"})
    register(session, by_value=True)
    sent = base64.b64encode(session.sent).decode()
    command = [sys.executable, "-c", _EXECUTOR, lacks]
    return subprocess.run(command, input=sent, capture_output=True, text=True, timeout=120, check=False)


def test_an_executor_needs_no_copy_of_this_package(kafka: KafkaConnection) -> None:
    produced(kafka, b"0", b"1", b"2", b"3")
    done = on_an_executor(kafka, "telecom_assets")
    assert (done.stdout, done.stderr) == ("[1, 2]\n", "")


def test_an_executor_without_confluent_kafka_says_what_to_install(kafka: KafkaConnection) -> None:
    done = on_an_executor(kafka, "confluent_kafka")
    said = done.stderr.strip().splitlines()[-1]
    assert f"KafkaRangeError: {kafka.topic}[0]: the Python that reads it, {sys.executable} on " in said
    assert "`pip install confluent-kafka` there" in said


def test_what_was_said_on_an_executor_is_found_in_what_an_engine_makes_of_it() -> None:
    failure = PySparkException(
        "Job aborted: PythonException: Traceback\n  File x\nKafkaRangeError: t[0]: nothing arrived\n at org"
    )
    assert str(range_error(failure)) == "t[0]: nothing arrived"
    assert range_error(PySparkException("something else")) is None
