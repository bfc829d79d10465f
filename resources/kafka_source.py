"""A PySpark data source that reads exact offset ranges of one topic, on either engine, without a JVM connector.

Belongs here: reading [from, to) of a partition into Arrow batches. Does not belong here: which ranges to read, and
what a message means. On a cluster the executors' Python needs `confluent-kafka`; this module is sent to them.
"""

import json
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import cloudpickle
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from resources.expected_errors import ExpectedError
from resources.kafka_trouble import Heard, trouble
from resources.librdkafka import PARTITION_EOF, Consumer, LibrdkafkaError, Messages

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
_BATCH_BYTES = 256 << 20
_POLL_SECONDS = 0.5


class KafkaRangeError(ExpectedError):
    """A range could not be read whole."""


def register(spark: SparkSession, *, by_value: bool) -> None:
    """Make the source known to a session; by value, executors that lack this package read with what they were sent."""
    with ExitStack() as sent:
        for name in (__name__, Consumer.__module__, Heard.__module__) if by_value else ():
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
) -> Iterator[pa.RecordBatch]:
    """The messages of [start, end), in order, as Arrow batches; `broker_ms` (append time, ms since 1970)
    is NULL unless `broker_time` says that the topic carries it, and for messages that came before it did.

    Offsets without a message (aborted transactions, compaction) are passed over: the end is reached when the consumer
    sees a message at or after it, or the end of the log. Raises KafkaRangeError when nothing arrives for `timeout`
    seconds, when the broker no longer has the first offset, or when librdkafka refuses the configuration.
    """
    try:
        yield from _batches(config, topic, offsets, timeout=timeout, broker_time=broker_time)
    except LibrdkafkaError as error:
        raise KafkaRangeError(f"{topic}[{offsets.partition}]: {error}") from error


def _batches(
    config: dict[str, Any], topic: str, offsets: OffsetRange, *, timeout: float, broker_time: bool
) -> Iterator[pa.RecordBatch]:
    reached, heard = offsets.start, time.monotonic()
    with closing(_consumer(config, topic, offsets)) as consumer:
        while reached < offsets.end:
            # No more than are left: at the end of a range there is nothing to wait for.
            messages = consumer.consume(min(_BATCH_MESSAGES, offsets.end - reached), _POLL_SECONDS)
            if len(messages):
                heard = time.monotonic()
            elif time.monotonic() - heard > timeout:
                raise KafkaRangeError(
                    f"{topic}[{offsets.partition}]: nothing arrived for {timeout:g} s at offset {reached}, "
                    f"expected messages up to {offsets.end}" + _why(consumer.heard, timeout)
                )
            if errors := messages.errors():
                for error in errors:
                    if error.code != PARTITION_EOF:
                        raise KafkaRangeError(f"{topic}[{offsets.partition}] at offset {reached}: {error.text}")
                    reached = max(reached, error.offset)
                messages = messages.without_errors()
            if not len(messages):
                continue
            numbers = messages.fields["offset"]
            reached = max(reached, int(numbers[-1]) + 1)
            if reached > offsets.end:
                messages = messages.chosen(slice(int(np.searchsorted(numbers, offsets.end))))
            for part in messages.parts(_BATCH_BYTES):
                yield _batch(topic, offsets.partition, part, broker_time=broker_time)


def _why(heard: Heard, timeout: float) -> str:
    """What the client heard of its brokers, in brackets; nothing where it heard nothing."""
    if heard.most_telling is None:
        return ""
    found = trouble(heard, timeout)
    return f" ({found.address}: {found.reason})" if found.address else f" ({found.reason})"


def _consumer(config: dict[str, Any], topic: str, offsets: OffsetRange) -> Consumer:
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
    }
    try:
        return Consumer(settings, topic, offsets.partition, offsets.start)
    except ImportError as missing:
        raise KafkaRangeError(
            f"{topic}[{offsets.partition}]: the Python that reads it, {sys.executable} on {platform.node()}, has no "
            f"confluent-kafka ({missing}); `pip install confluent-kafka` there, or let spark.pyspark.python of the cluster "
            "name a Python that has it (docs/scaling.md)"
        ) from missing


def _batch(topic: str, partition: int, messages: Messages, *, broker_time: bool) -> pa.RecordBatch:
    count = len(messages)
    return pa.RecordBatch.from_arrays(
        [
            pa.repeat(pa.scalar(topic), count),
            pa.repeat(pa.scalar(partition, pa.int32()), count),
            messages.offsets(),
            messages.timestamps() if broker_time else pa.nulls(count, pa.int64()),
            messages.values(),
        ],
        schema=_ARROW,
    )
