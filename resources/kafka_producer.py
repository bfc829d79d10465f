"""Sending messages to the topic: fast, acknowledged, counted.

Belongs here: handing bytes to librdkafka, waiting for acknowledgements, the one clear error when they do not come.
Does not belong here: what a message holds, where it comes from (`telecom_assets.generator`, archived files).
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message

from resources.kafka import KafkaConnection, KafkaUnavailable

#: Retries end after this long without an acknowledgement: enough for a broker that restarts.
DELIVERY_TIMEOUT_SEC = 60
# Throughput with bounded memory: a full queue waits. Any of these can be set in TELECOM_KAFKA_OPTIONS instead.
_TUNING: dict[str, Any] = {
    "linger.ms": 20,
    "batch.size": 1_000_000,
    "compression.type": "lz4",
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 256 * 1024,
    "message.timeout.ms": DELIVERY_TIMEOUT_SEC * 1000,
    # The broker says how large a message may be, not the client.
    "message.max.bytes": 100_000_000,
    # A topic that is not there is an error, not a topic with the broker's defaults.
    "allow.auto.create.topics": False,
}
# Messages between two looks at errors, acknowledgements and pace.
_PIECE = 5_000
_QUEUE_FULL_WAIT_SEC = 0.05
_FLUSH_STEP_SEC = 0.5


class MessageProducer:
    """Sends messages without key to the topic of a connection; librdkafka spreads them over the partitions.

    Making one reaches the topic, so what is wrong with broker or topic is known before anything is sent.
    `acknowledged` is the number of messages that every in-sync replica has. Raises KafkaUnavailable.
    """

    def __init__(self, connection: KafkaConnection, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._handed = 0
        self._failed = 0
        self._first_failure: tuple[KafkaError, int] | None = None
        tuning = {name: value for name, value in _TUNING.items() if name not in connection.options}
        # Only failures call back: at hundreds of thousands a second, a call per success would cost more than sending.
        self._producer = connection.producer(
            **tuning, **{"delivery.report.only.error": True, "on_delivery": self._not_delivered}
        )
        self._reach_topic()

    @property
    def acknowledged(self) -> int:
        """Messages acknowledged so far."""
        return self._handed - self._failed - len(self._producer)

    def send(
        self,
        batches: Iterable[Sequence[bytes]],
        rate: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Send every message of every batch, in order, and wait for all acknowledgements; returns how many came.

        `rate` limits the messages a second; `progress` is called with the number acknowledged so far. Stops at the
        first message that is not delivered and raises KafkaUnavailable, which says how many were acknowledged. When
        `batches` itself raises, what was handed over is still waited for, so that `acknowledged` is exact.
        """
        piece = _PIECE if rate is None else max(1, min(_PIECE, rate // 20))
        begun, before = self._clock(), self._handed
        try:
            for batch in batches:
                for first in range(0, len(batch), piece):
                    if rate is not None:
                        self._wait_until(begun + (self._handed - before) / rate)
                    self._hand_over(batch[first : first + piece])
                    if progress is not None:
                        progress(self.acknowledged)
        except KafkaUnavailable:
            raise
        except Exception:
            self._flush(None)
            raise
        self._flush(progress)
        return self.acknowledged

    def _reach_topic(self) -> None:
        topic = self._connection.topic
        try:
            described = self._producer.list_topics(topic, timeout=self._connection.timeout_seconds).topics[topic]
            if described.error is not None:
                raise KafkaException(described.error)
        except KafkaException as error:
            # librdkafka tells the cause (a wrong password, a wrong certificate) to the error callback, which poll runs.
            self._producer.poll(0)
            raise self._connection.unavailable(error) from None

    def _hand_over(self, messages: Sequence[bytes]) -> None:
        produce, topic = self._producer.produce, self._connection.topic
        for message in messages:
            while True:
                try:
                    produce(topic, message)
                except BufferError:
                    self._producer.poll(_QUEUE_FULL_WAIT_SEC)
                    self._stop_on_failure()
                    continue
                except KafkaException as error:
                    self._first_failure = self._first_failure or (error.args[0], len(message))
                    self._stop_on_failure()
                break
            self._handed += 1
        self._producer.poll(0)
        self._stop_on_failure()

    def _wait_until(self, moment: float) -> None:
        while (wait := moment - self._clock()) > 0:
            self._producer.poll(wait)
            self._stop_on_failure()

    def _flush(self, progress: Callable[[int], None] | None) -> None:
        """Wait for what was handed over: each message is acknowledged or fails within its own timeout."""
        while self._producer.flush(_FLUSH_STEP_SEC):
            self._stop_on_failure()
            if progress is not None:
                progress(self.acknowledged)
        self._stop_on_failure()
        if progress is not None:
            progress(self.acknowledged)

    def _not_delivered(self, error: KafkaError, message: Message) -> None:
        self._failed += 1
        self._first_failure = self._first_failure or (error, len(message.value() or b""))

    def _stop_on_failure(self) -> None:
        if self._first_failure is None:
            return
        error, size = self._first_failure
        # What was handed over before still goes out if it can; then nothing more does, so that the number stays true.
        self._producer.flush(self._connection.timeout_seconds)
        self._producer.purge()
        self._producer.flush(0)
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            reason = (
                f"Kafka topic {self._connection.topic!r} refuses a message of {size:,} bytes; "
                "raise its max.message.bytes or take the message out"
            )
        else:
            reason = str(self._connection.unavailable(KafkaException(error)))
        raise KafkaUnavailable(f"{reason}. Messages acknowledged: {self.acknowledged:,}")
