"""A PySpark data source that reads exact offset ranges of one topic, on either engine, without a JVM connector.

Belongs here: reading [from, to) of a partition into Arrow batches. Does not belong here: which ranges to read, and
what a message means. On a cluster the executors' Python needs `confluent-kafka`; this module is sent to them by value, so it
imports that package where it is used.
"""

import json
import platform
import re
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark import cloudpickle
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from resources.expected_errors import ExpectedError
from resources.kafka_trouble import Heard, trouble

if TYPE_CHECKING:
    from confluent_kafka import Consumer

FORMAT = "kafka_offset_ranges"
SCHEMA = "kafka_topic string, kafka_partition int, kafka_offset bigint, broker_ms bigint, value binary"
_ARROW = pa.schema(
    [
        ("kafka_topic", pa.string()),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
        ("broker_ms", pa.int64()),
        ("value", pa.binary()),
    ]
)
_BATCH_MESSAGES = 20_000
#: Messages that are Python objects at one time. The garbage collector looks at new objects whenever 700 more live than when
#: it last looked; 500 messages are released before that. Objects for 20,000 at a time make reading take 1.6 times the CPU.
_PIECE_MESSAGES = 500
_BATCH_BYTES = 256 << 20
_POLL_SECONDS = 0.5
_PARTITION_EOF = -191  # confluent_kafka.KafkaError._PARTITION_EOF
_LOG_APPEND_TIME = 2  # confluent_kafka.TIMESTAMP_LOG_APPEND_TIME


class KafkaRangeError(ExpectedError):
    """A range could not be read whole."""


def register(spark: SparkSession, *, by_value: bool) -> None:
    """Make the source known to a session; by value, executors that lack this package read with what they were sent."""
    with ExitStack() as sent:
        for name in (__name__, Heard.__module__, ExpectedError.__module__) if by_value else ():
            cloudpickle.register_pickle_by_value(sys.modules[name])
            sent.callback(cloudpickle.unregister_pickle_by_value, sys.modules[name])
        spark.dataSource.register(KafkaOffsetRanges)


def range_error(error: PySparkException) -> KafkaRangeError | None:
    """What the source said on an executor, out of an engine's long text about it."""
    said = re.search(rf"{KafkaRangeError.__name__}: (.+)", str(error))
    return KafkaRangeError(said[1].strip()) if said else None


@dataclass(frozen=True)
class OffsetRange:
    """Offsets [start, end) of one partition."""

    partition: int
    start: int
    end: int

    @property
    def width(self) -> int:
        return self.end - self.start


class _Split(InputPartition):
    def __init__(self, offsets: OffsetRange) -> None:
        super().__init__(offsets)


class KafkaOffsetRanges(DataSource):
    """`spark.read.format("kafka_offset_ranges")` with options topic, ranges, config (both JSON), timeout, broker_time."""

    @classmethod
    def name(cls) -> str:
        return FORMAT

    def schema(self) -> str:
        return SCHEMA

    def reader(self, schema: StructType) -> DataSourceReader:  # noqa: ARG002  (the schema is fixed)
        return _Reader(dict(self.options))


class _Reader(DataSourceReader):
    def __init__(self, options: dict[str, str]) -> None:
        self.topic = options["topic"]
        self.ranges = [OffsetRange(*item) for item in json.loads(options["ranges"])]
        self.config = json.loads(options["config"])
        self.timeout = float(options["timeout"])
        self.broker_time = options["broker_time"] == "true"

    def partitions(self) -> list[InputPartition]:
        return [_Split(offsets) for offsets in self.ranges]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        yield from read_range(
            self.config, self.topic, partition.value, timeout=self.timeout, broker_time=self.broker_time
        )


def read_range(
    config: dict[str, Any], topic: str, offsets: OffsetRange, *, timeout: float, broker_time: bool
) -> Generator[pa.RecordBatch, None, None]:
    """The messages of [start, end), in order, as Arrow batches; `broker_ms` (append time, ms since 1970)
    is NULL unless `broker_time` says that the topic carries it, and for messages that came before it did.

    Offsets without a message (aborted transactions, compaction) are passed over: the end is reached when the consumer
    sees a message at or after it, or the end of the log. Raises KafkaRangeError when nothing arrives for `timeout`
    seconds, when the broker no longer has the first offset, or when librdkafka refuses the configuration.
    """
    heard = Heard()
    reached, arrived = offsets.start, time.monotonic()
    rows = _Rows(topic, offsets.partition, broker_time)
    with _consumer(config, topic, offsets, heard) as consumer:
        while reached < offsets.end:
            # No more than are left: at the end of a range there is nothing to wait for.
            messages: list[Any] = consumer.consume(min(_PIECE_MESSAGES, offsets.end - reached), _POLL_SECONDS)
            if messages:
                arrived = time.monotonic()
            elif time.monotonic() - arrived > timeout:
                raise KafkaRangeError(
                    f"{topic}[{offsets.partition}]: nothing arrived for {timeout:g} s at offset {reached}, "
                    f"expected messages up to {offsets.end}" + _why(heard, timeout)
                )
            if errors := [message for message in messages if message.error() is not None]:
                for message in errors:
                    if message.error().code() != _PARTITION_EOF:
                        raise KafkaRangeError(
                            f"{topic}[{offsets.partition}] at offset {reached}: {message.error().str()}"
                        )
                    reached = max(reached, message.offset())
                messages = [message for message in messages if message.error() is None]
            if messages:
                reached = max(reached, messages[-1].offset() + 1)
                if reached > offsets.end:
                    messages = [message for message in messages if message.offset() < offsets.end]
                yield from rows.add(messages)
    yield from rows.rest()


def _why(heard: Heard, timeout: float) -> str:
    """What the client heard of its brokers, in brackets; nothing where it heard nothing."""
    if heard.most_telling is None:
        return ""
    found = trouble(heard, timeout)
    return f" ({found.address}: {found.reason})" if found.address else f" ({found.reason})"


@contextmanager
def _consumer(config: dict[str, Any], topic: str, offsets: OffsetRange, heard: Heard) -> "Iterator[Consumer]":
    """A client that reads one partition from an offset on. `heard` keeps what it hears of its brokers.

    Raises KafkaRangeError, also where librdkafka fails later.
    """
    try:
        from confluent_kafka import Consumer, KafkaException, TopicPartition  # noqa: PLC0415
    except ImportError as missing:
        raise KafkaRangeError(
            f"{topic}[{offsets.partition}]: the Python that reads it, {sys.executable} on {platform.node()}, has no "
            f"confluent-kafka ({missing}); `pip install confluent-kafka` there, or let spark.pyspark.python of the cluster "
            "name a Python that has it (docs/scaling.md)"
        ) from missing
    settings = {
        **config,
        "group.id": "telecom_assets",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "fetch.message.max.bytes": 8_388_608,
        "queued.max.messages.kbytes": 65_536,
        # The default second of rest after every full queue is half the time of a backlog.
        "fetch.queue.backoff.ms": 1,
        "error_cb": lambda error: heard.hear(error.code(), error.str()),
    }
    try:
        consumer = Consumer(settings)
        try:
            consumer.assign([TopicPartition(topic, offsets.partition, offsets.start)])
            yield consumer
        finally:
            consumer.close()
    except KafkaException as error:
        raise KafkaRangeError(f"{topic}[{offsets.partition}]: {error.args[0].str()}") from error


@dataclass
class _Rows:
    """Messages of one partition that wait until they are a batch: `_BATCH_MESSAGES`, or values of `_BATCH_BYTES`."""

    topic: str
    partition: int
    broker_time: bool
    offsets: list[int] = field(default_factory=list)
    times: list[int | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    size: int = 0

    def add(self, messages: list[Any]) -> Iterator[pa.RecordBatch]:
        """Take messages in; yields the batches that are full."""
        values = [message.value() for message in messages]
        size = sum(map(len, filter(None, values)))
        if self.size + size > _BATCH_BYTES:
            if len(messages) > 1:
                for message in messages:
                    yield from self.add([message])
                return
            yield from self.rest()
        self.size += size
        self.values += values
        self.offsets += [message.offset() for message in messages]
        self.times += self._times(messages)
        if len(self.values) >= _BATCH_MESSAGES:
            yield from self.rest()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """What waits, as one batch; nothing where nothing does."""
        if not self.values:
            return
        count = len(self.values)
        columns = [
            pa.repeat(pa.scalar(self.topic), count),
            pa.repeat(pa.scalar(self.partition, pa.int32()), count),
            pa.array(self.offsets, pa.int64()),
            pa.array(self.times, pa.int64()),
            pa.array(self.values, pa.binary()),
        ]
        self.offsets, self.times, self.values, self.size = [], [], [], 0
        yield pa.RecordBatch.from_arrays(columns, schema=_ARROW)

    def _times(self, messages: list[Any]) -> list[int | None]:
        """When the broker appended each message, in milliseconds since 1970; None where it did not say so.

        The kind of time is each message's own: one that came before a topic was switched to the broker's time keeps the
        producer's.
        """
        if not self.broker_time:
            return [None] * len(messages)
        stamps = [message.timestamp() for message in messages]
        return [milliseconds if kind == _LOG_APPEND_TIME else None for kind, milliseconds in stamps]
