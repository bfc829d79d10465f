"""A PySpark data source that reads exact offset ranges of one topic, on either engine, without a JVM connector.

Belongs here: reading [from, to) of a partition into Arrow batches. Does not belong here: which ranges to read, and
what a message means. On a cluster the executors' Python needs `confluent-kafka`; this module is sent to them.
"""

import json
import platform
import re
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
from pyspark import cloudpickle
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

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
_POLL_SECONDS = 0.5


class KafkaRangeError(Exception):
    """A range could not be read whole."""


def register(spark: SparkSession, *, by_value: bool) -> None:
    """Make the source known to a session; by value, executors that lack this package read with what they were sent."""
    module = sys.modules[__name__]
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        spark.dataSource.register(KafkaOffsetRanges)
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)


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
) -> Iterator[pa.RecordBatch]:
    """The messages of [start, end), in order, as Arrow batches; `broker_ms` (append time, ms since 1970)
    is NULL unless `broker_time` says that the topic carries it.

    Offsets without a message (aborted transactions, compaction) are passed over: the end is reached when the consumer
    sees a message at or after it, or the end of the log. Raises KafkaRangeError when nothing arrives for `timeout`
    seconds, or when the broker no longer has the first offset.
    """
    try:
        from confluent_kafka import Consumer, KafkaError, Message, TopicPartition  # noqa: PLC0415  (on the executors)
    except ImportError as missing:
        raise KafkaRangeError(
            f"{topic}[{offsets.partition}]: the Python that reads it, {sys.executable} on {platform.node()}, has no "
            f"confluent-kafka ({missing}); `pip install confluent-kafka` there, or let spark.pyspark.python of the cluster "
            "name a Python that has it (docs/scaling.md)"
        ) from missing
    last_error: list[str] = []
    consumer = Consumer(
        {
            **config,
            "error_cb": lambda error: last_error.append(error.str()),
            "group.id": "telecom_assets",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.message.max.bytes": 8_388_608,
            "queued.max.messages.kbytes": 65_536,
            # The default second of rest after every full queue is half the time of a backlog.
            "fetch.queue.backoff.ms": 1,
        }
    )
    consumer.assign([TopicPartition(topic, offsets.partition, offsets.start)])
    reached, heard = offsets.start, time.monotonic()
    try:
        while reached < offsets.end:
            # No more than are left: at the end of a range there is nothing to wait for.
            messages = consumer.consume(min(_BATCH_MESSAGES, offsets.end - reached), _POLL_SECONDS)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > timeout:
                raise KafkaRangeError(
                    f"{topic}[{offsets.partition}]: nothing arrived for {timeout:g} s at offset {reached}, "
                    f"expected messages up to {offsets.end}" + (f" ({last_error[-1]})" if last_error else "")
                )
            # Whole columns at a time: what is done for each message alone is what reading costs.
            if any(map(Message.error, messages)):
                for message in messages:
                    if (error := message.error()) is None:
                        continue
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise KafkaRangeError(f"{topic}[{offsets.partition}] at offset {reached}: {error.str()}")
                    reached = max(reached, message.offset() or 0)
                messages = [message for message in messages if message.error() is None]
            numbers = cast(list[int], list(map(Message.offset, messages)))
            if not numbers:
                continue
            reached = max(reached, numbers[-1] + 1)
            if reached > offsets.end:
                messages = messages[: bisect_left(numbers, offsets.end)]
                numbers = numbers[: len(messages)]
            if numbers:
                times = [stamp for _, stamp in map(Message.timestamp, messages)] if broker_time else None
                yield _batch(topic, offsets.partition, numbers, times, list(map(Message.value, messages)))
    finally:
        consumer.close()


def _batch(
    topic: str, partition: int, numbers: list[int], times: list[int] | None, values: list[bytes | None]
) -> pa.RecordBatch:
    count = len(numbers)
    return pa.RecordBatch.from_arrays(
        [
            pa.repeat(pa.scalar(topic), count),
            pa.repeat(pa.scalar(partition, pa.int32()), count),
            pa.array(numbers, pa.int64()),
            pa.array(times, pa.int64()) if times is not None else pa.nulls(count, pa.int64()),
            pa.array(values, pa.binary()),
        ],
        schema=_ARROW,
    )
