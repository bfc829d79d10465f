"""How the project reaches Kafka: one connection object, one error type.

Belongs here: client configuration, topic identity and watermarks, the messages of a range, clear errors. Does not belong here:
what a CDR is, which offsets to land (`telecom_assets.intake`), or the local broker (`telecom_assets.local_stack`).
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition, Uuid
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType
from tenacity import RetryCallState, retry, retry_if_exception, wait_random_exponential

from resources.expected_errors import ExpectedError
from resources.kafka_trouble import Heard, Trouble, trouble

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from resources.kafka_source import OffsetRange

log = logging.getLogger(__name__)

#: What librdkafka says of every topic where the broker gives none.
_NO_ID = str(Uuid(0, 0))
#: What a broker answers while a leader changes, a topic is being made, or it comes back after it was away.
_PASSING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
)
#: How long such an answer is asked again, at most.
_PASSING_SECONDS = 10
#: What librdkafka says of a request that no broker answered.
_UNANSWERED = (
    KafkaError._TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
)
#: librdkafka ends a request in time itself; this long it is waited for beyond that.
_GRACE_SECONDS = 5
#: The most times that a range is read again while retention deletes messages of it.
_RECOUNTS = 3

#: How many seconds are left.
Left = Callable[[], float]

_Client = TypeVar("_Client")


class KafkaUnavailable(ExpectedError):
    """Kafka or the topic cannot be used. The message names the address, what was expected and what to do."""


def _is_passing(error: BaseException) -> bool:
    """An answer that a broker gives while a leader changes or a topic is being made; a later try may succeed."""
    kafka_error = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return isinstance(kafka_error, KafkaError) and kafka_error.code() in _PASSING


def _was_long(state: RetryCallState) -> bool:
    """Whether a question has taken as long as the broker may take, or as a passing answer is worth."""
    return (state.seconds_since_start or 0) >= min(_PASSING_SECONDS, float(state.args[0].timeout_seconds))


_while_passing = retry(
    retry=retry_if_exception(_is_passing),
    stop=_was_long,
    wait=wait_random_exponential(multiplier=0.1, max=1),
    reraise=True,
)


@dataclass(frozen=True)
class Watermarks:
    """Offsets [earliest, latest) that can be read in one partition; latest is the last stable offset."""

    earliest: int
    latest: int


@dataclass(frozen=True)
class TopicState:
    """Identity, partitions and timestamp type of a topic at one moment."""

    topic_id: str
    partitions: Mapping[int, Watermarks]
    log_append_time: bool


@dataclass
class KafkaConnection:
    """One broker address, one topic and every librdkafka option of the configuration.

    `timeout_seconds` is how long the broker may take to answer a question, with all its requests.
    """

    bootstrap_servers: str
    topic: str
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 15.0
    _heard: Heard = field(default_factory=Heard, init=False, repr=False, compare=False)

    def plain_config(self) -> dict[str, Any]:
        """librdkafka configuration that can be sent to another process: the address, then the options."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": "telecom_assets",
            "log_level": 2,
            **self.options,
        }

    def client_config(self, **extra: Any) -> dict[str, Any]:
        """librdkafka configuration of a client in this process."""
        return {**self.plain_config(), "error_cb": self._remember, **extra}

    def producer(self, **extra: Any) -> Producer:
        """An idempotent producer that waits for all replicas."""
        return self._client(Producer, **{"acks": "all", "enable.idempotence": True, **extra})

    def admin(self) -> AdminClient:
        return self._client(AdminClient)

    def topic_state(self) -> TopicState:
        """Identity and watermarks of the topic.

        Raises KafkaUnavailable when broker or topic cannot be reached, or the broker gives topics no identity.
        """
        try:
            return self._topic_state_once()
        except (KafkaException, TimeoutError) as error:
            raise self.unavailable(error) from None

    @_while_passing
    def _topic_state_once(self) -> TopicState:
        with self._asking() as (admin, left):
            topic_id, described = self._described(admin, left)
            partitions = [TopicPartition(self.topic, item.id) for item in described]
            earliest = self._offsets(admin, left, partitions, OffsetSpec.earliest())
            latest = self._offsets(admin, left, partitions, OffsetSpec.latest())
            config = admin.describe_configs([ConfigResource(ResourceType.TOPIC, self.topic)], request_timeout=left())
            settings = next(iter(config.values())).result(timeout=left() + _GRACE_SECONDS)
        return TopicState(
            topic_id=topic_id,
            partitions={number: Watermarks(earliest[number], latest[number]) for number in sorted(earliest)},
            log_append_time=settings["message.timestamp.type"].value == "LogAppendTime",
        )

    def topic_id(self) -> str:
        """Identity of the topic as it is now. Raises KafkaUnavailable."""
        try:
            return self._topic_id_once()
        except (KafkaException, TimeoutError) as error:
            raise self.unavailable(error) from None

    @_while_passing
    def _topic_id_once(self) -> str:
        with self._asking() as (admin, left):
            return self._described(admin, left)[0]

    def messages(
        self, spark: "SparkSession", state: TopicState, ranges: "Sequence[OffsetRange]", *, by_value: bool
    ) -> "DataFrame":
        """The messages of some ranges, each once, read by the engine when it needs them.

        Columns: kafka_topic, source_id, source_part, source_position, received_at (timestamp; NULL unless the broker says when),
        value (binary). by_value: executors may lack this package. A range that cannot be read whole is a KafkaRangeError of
        the engine's.
        """
        from pyspark.sql import functions as F  # noqa: PLC0415  (who only sends needs no engine)

        from resources.kafka_source import FORMAT, register  # noqa: PLC0415

        register(spark, by_value=by_value)
        return (
            spark.read.format(FORMAT)
            .option("topic", self.topic)
            .option("ranges", json.dumps([(item.partition, item.start, item.end) for item in ranges]))
            .option("config", json.dumps(self.plain_config()))
            .option("timeout", str(self.timeout_seconds))
            .option("broker_time", str(state.log_append_time).lower())
            .load()
            .select(
                "kafka_topic",
                F.lit(state.topic_id).alias("source_id"),
                F.col("kafka_partition").alias("source_part"),
                F.col("kafka_offset").alias("source_position"),
                F.timestamp_millis("broker_ms").alias("received_at"),
                "value",
            )
        )

    def positions(self, offsets: "OffsetRange") -> set[int]:
        """The offsets of a range for which the topic has a message now, read by a bare consumer. Raises KafkaRangeError."""
        from resources.kafka_source import KafkaRangeError, OffsetRange, read_range  # noqa: PLC0415

        for attempt in range(_RECOUNTS):
            state = self.topic_state()
            earliest = state.partitions[offsets.partition].earliest
            left = OffsetRange(offsets.partition, min(max(offsets.start, earliest), offsets.end), offsets.end)
            batches = read_range(
                self.plain_config(), self.topic, left, timeout=self.timeout_seconds, broker_time=state.log_append_time
            )
            try:
                return {offset for batch in batches for offset in batch["kafka_offset"].to_pylist()}
            except KafkaRangeError:
                # Retention may have deleted the first offsets between the two requests.
                if attempt == _RECOUNTS - 1:
                    raise
        raise AssertionError("unreachable")

    @contextmanager
    def _asking(self) -> Iterator[tuple[AdminClient, Left]]:
        """A client for the requests of one question, and how many seconds are left for them."""
        admin, until = self.admin(), time.monotonic() + self.timeout_seconds
        try:
            yield admin, lambda: max(0.1, until - time.monotonic())
        except (KafkaException, TimeoutError):
            admin.poll(0)  # only here does a client say what it heard of its brokers
            raise

    def _described(self, admin: AdminClient, left: Left) -> tuple[str, Sequence[Any]]:
        """Identity and partitions of the topic."""
        asked = admin.describe_topics(TopicCollection([self.topic]), request_timeout=left())
        described = asked[self.topic].result(timeout=left() + _GRACE_SECONDS)
        topic_id = str(described.topic_id)
        if topic_id == _NO_ID:
            raise KafkaUnavailable(
                f"Kafka at {self.bootstrap_servers} gives topics no identity (it is older than Kafka 2.8): a topic that is "
                "made again could not be told from this one; use a newer broker"
            )
        return topic_id, described.partitions

    def unavailable(self, error: BaseException) -> KafkaUnavailable:
        """The one clear message for a failure of librdkafka. Never shows an option's value: those can be secrets."""
        kafka_error = error.args[0] if isinstance(error, KafkaException) and error.args else None
        if isinstance(kafka_error, KafkaError) and kafka_error.code() in (
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError._UNKNOWN_TOPIC,
        ):
            return KafkaUnavailable(
                f"Kafka topic {self.topic!r} does not exist at {self.bootstrap_servers}; "
                "create it or set TELECOM_KAFKA_TOPIC to the topic of the CDRs"
            )
        if isinstance(kafka_error, KafkaError) and kafka_error.code() not in _UNANSWERED:
            found = Trouble(kafka_error.str(), "check the broker and TELECOM_KAFKA_OPTIONS")
        else:
            found = trouble(self._heard, self.timeout_seconds)
        return KafkaUnavailable(
            f"Kafka at {self.bootstrap_servers} cannot be used ({self._redacted(found.among(self.bootstrap_servers))}); "
            f"{found.advice}"
        )

    def _offsets(
        self, admin: AdminClient, left: Left, partitions: list[TopicPartition], spec: OffsetSpec
    ) -> dict[int, int]:
        futures = admin.list_offsets(
            dict.fromkeys(partitions, spec), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=left()
        )
        return {tp.partition: each.result(timeout=left() + _GRACE_SECONDS).offset for tp, each in futures.items()}

    def _client(self, kind: Callable[[dict[str, Any]], _Client], **extra: Any) -> _Client:
        self._heard = Heard()  # what an earlier client heard explains nothing of this one
        try:
            return kind(self.client_config(**extra))
        except (KafkaException, TypeError, ValueError) as error:
            reason = error.args[0].str() if error.args and isinstance(error.args[0], KafkaError) else str(error)
            raise KafkaUnavailable(
                f"Kafka options cannot be used ({self._redacted(reason)}); check TELECOM_KAFKA_OPTIONS"
            ) from None

    def _redacted(self, reason: str) -> str:
        """A reason without the options' values: librdkafka quotes one that it cannot use."""
        for value in self.options.values():
            reason = reason.replace(f'"{value}"', '"…"')
        return reason

    def _remember(self, error: KafkaError) -> None:
        """librdkafka says only here that a certificate or a password is wrong."""
        self._heard.hear(error.code(), error.str())
        log.debug("librdkafka: %s", error)
