"""How the project reaches Kafka: one connection object, one error type.

Belongs here: client configuration, topic identity and watermarks, clear errors. Does not belong here: what a CDR is,
which offsets to land (`resources.kafka_ranges`, the landing asset), or the local broker (`telecom_assets.local_stack`).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
    Uuid,
)
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random_exponential

log = logging.getLogger(__name__)

#: What librdkafka says of every topic where the broker gives none.
_NO_ID = str(Uuid(0, 0))
_PASSING = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)


class KafkaUnavailable(Exception):
    """Kafka or the topic cannot be used. The message names the address, what was expected and what to do."""


def _is_passing(error: BaseException) -> bool:
    """An answer that a broker gives while a leader changes or a topic is being made; a later try may succeed."""
    kafka_error = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return isinstance(kafka_error, KafkaError) and kafka_error.code() in _PASSING


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
    """One broker address, one topic and every librdkafka option of the configuration."""

    bootstrap_servers: str
    topic: str
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 15.0
    _last_error: str | None = field(default=None, init=False, repr=False, compare=False)

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

    @retry(
        retry=retry_if_exception(_is_passing),
        stop=stop_after_delay(10),
        wait=wait_random_exponential(multiplier=0.1, max=1),
        reraise=True,
    )
    def _topic_state_once(self) -> TopicState:
        admin = self.admin()
        described = admin.describe_topics(TopicCollection([self.topic]), request_timeout=self.timeout_seconds)[
            self.topic
        ].result(timeout=self.timeout_seconds + 5)
        topic_id = str(described.topic_id)
        if topic_id == _NO_ID:
            raise KafkaUnavailable(
                f"Kafka at {self.bootstrap_servers} gives topics no identity (it is older than Kafka 2.8): a topic that is "
                "made again could not be told from this one; use a newer broker"
            )
        partitions = [TopicPartition(self.topic, item.id) for item in described.partitions]
        earliest = self._offsets(admin, partitions, OffsetSpec.earliest())
        latest = self._offsets(admin, partitions, OffsetSpec.latest())
        config = admin.describe_configs(
            [ConfigResource(ResourceType.TOPIC, self.topic)], request_timeout=self.timeout_seconds
        )
        settings = next(iter(config.values())).result(timeout=self.timeout_seconds + 5)
        return TopicState(
            topic_id=topic_id,
            partitions={number: Watermarks(earliest[number], latest[number]) for number in sorted(earliest)},
            log_append_time=settings["message.timestamp.type"].value == "LogAppendTime",
        )

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
        reason = self._last_error or (
            kafka_error.str() if isinstance(kafka_error, KafkaError) else str(error) or "timed out"
        )
        return KafkaUnavailable(
            f"Kafka at {self.bootstrap_servers} cannot be used ({self._redacted(reason)}); "
            "start it (`telecom up` for the local one) or check TELECOM_KAFKA_BOOTSTRAP_SERVERS and TELECOM_KAFKA_OPTIONS"
        )

    def _offsets(self, admin: AdminClient, partitions: list[TopicPartition], spec: OffsetSpec) -> dict[int, int]:
        futures = admin.list_offsets(
            dict.fromkeys(partitions, spec),
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=self.timeout_seconds,
        )
        return {tp.partition: future.result(timeout=self.timeout_seconds + 5).offset for tp, future in futures.items()}

    def _client(self, kind: type, **extra: Any) -> Any:
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
        self._last_error = error.str()
        log.debug("librdkafka: %s", error)
