"""Sending: counts are of acknowledged messages, failures are one clear line, the pace is kept.

The broker of these tests is a hand-written fake; that the bytes arrive is tested with a real one in `cli/test_data`.
"""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from resources.kafka import KafkaConnection, KafkaUnavailable
from resources.kafka_producer import MessageProducer


class FakeProducer:
    """librdkafka as MessageProducer sees it: a queue of `room` messages that poll and flush deliver or fail."""

    def __init__(
        self,
        config: dict[str, Any],
        room: int = 10**9,
        fails: Callable[[int], int | None] = lambda number: None,
        clock: "Clock | None" = None,
    ) -> None:
        self.config = config
        self.room = room
        self.fails = fails
        self.clock = clock
        self.queue: list[bytes] = []
        self.delivered: list[bytes] = []
        self.purged = 0

    def __len__(self) -> int:
        return len(self.queue)

    def list_topics(self, topic: str, timeout: float) -> SimpleNamespace:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None)})

    def produce(self, topic: str, message: bytes) -> None:
        if len(self.queue) >= self.room:
            raise BufferError("queue full")
        if (limit := self.config.get("message.max.bytes")) and len(message) > limit:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self.queue.append(message)

    def poll(self, timeout: float) -> None:
        if self.clock is not None:
            self.clock.now += timeout
        self._deliver()

    def flush(self, timeout: float) -> int:
        self._deliver()
        return len(self.queue)

    def purge(self) -> None:
        self.purged += len(self.queue)
        while self.queue:
            self._fail(self.queue.pop(), KafkaError._PURGE_QUEUE)

    def _deliver(self) -> None:
        while self.queue:
            message = self.queue.pop(0)
            error = self.fails(len(self.delivered))
            if error is None:
                self.delivered.append(message)
            else:
                self._fail(message, error)

    def _fail(self, message: bytes, error: int) -> None:
        self.config["on_delivery"](KafkaError(error), SimpleNamespace(value=lambda: message))


class FakeConnection(KafkaConnection):
    made: FakeProducer

    def __init__(self, options: dict[str, Any] | None = None, **fake: Any) -> None:
        super().__init__("fake:9092", "cdr_topic", options or {})
        self.fake = fake
        self.is_used = False

    def producer(self, **extra: Any) -> Any:
        self.is_used = True
        self.made = FakeProducer({**self.options, **extra}, **self.fake)
        return self.made


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_sends_every_message_in_order_and_counts_them() -> None:
    connection = FakeConnection()
    producer = MessageProducer(connection)
    assert producer.send([[b"1", b"2"], [], [b"", b"3"]]) == 4
    assert producer.send([[b"4"]]) == 5
    assert connection.made.delivered == [b"1", b"2", b"", b"3", b"4"]


def test_no_message_is_none_acknowledged() -> None:
    assert MessageProducer(FakeConnection()).send([]) == 0


def test_a_full_queue_waits() -> None:
    connection = FakeConnection(room=3)
    assert MessageProducer(connection).send([[b"x"] * 100]) == 100


def test_progress_ends_with_what_was_acknowledged() -> None:
    seen: list[int] = []
    MessageProducer(FakeConnection()).send([[b"x"] * 7_000, [b"y"] * 10], progress=seen.append)
    assert seen[-1] == 7_010
    assert seen == sorted(seen)


def test_a_failed_delivery_is_one_clear_error_with_the_count() -> None:
    connection = FakeConnection(fails=lambda number: KafkaError._MSG_TIMED_OUT if number == 12 else None)
    with pytest.raises(KafkaUnavailable) as caught:
        MessageProducer(connection).send([[b"x"] * 10, [b"y"] * 10, [b"z"] * 10])
    message = str(caught.value)
    assert message.startswith("Kafka at fake:9092 cannot be used (")
    assert message.endswith("Messages acknowledged: 12")
    assert "\n" not in message
    assert b"z" not in connection.made.delivered


def test_a_failure_at_the_very_end_is_an_error_too() -> None:
    connection = FakeConnection(fails=lambda number: KafkaError._MSG_TIMED_OUT if number == 1 else None)
    with pytest.raises(KafkaUnavailable, match=r"Messages acknowledged: 1$"):
        MessageProducer(connection).send([[b"x", b"y"]])


def test_what_never_arrives_is_not_counted_and_not_sent_later(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = FakeConnection({"message.max.bytes": 5})
    producer = MessageProducer(connection)
    for waiting in ("poll", "flush"):
        monkeypatch.setattr(connection.made, waiting, lambda timeout: len(connection.made.queue))
    with pytest.raises(KafkaUnavailable, match=r"Messages acknowledged: 0$"):
        producer.send([[b"x", b"y", b"too large"]])
    assert connection.made.purged == 2


def test_a_message_that_is_too_large_is_named() -> None:
    connection = FakeConnection({"message.max.bytes": 10})
    with pytest.raises(KafkaUnavailable) as caught:
        MessageProducer(connection).send([[b"fits", b"x" * 1_234, b"never"]])
    assert str(caught.value) == (
        "Kafka topic 'cdr_topic' refuses a message of 1,234 bytes; "
        "raise its max.message.bytes or take the message out. Messages acknowledged: 1"
    )
    assert connection.made.delivered == [b"fits"]


def test_an_error_of_the_source_comes_through_with_an_exact_count() -> None:
    def source() -> Iterator[list[bytes]]:
        yield [b"1", b"2"]
        raise OSError("the disk is gone")

    producer = MessageProducer(FakeConnection())
    with pytest.raises(OSError, match="the disk is gone"):
        producer.send(source())
    assert producer.acknowledged == 2


@pytest.mark.parametrize(("rate", "messages", "seconds"), [(10, 31, 3.0), (1_000, 2_001, 2.0), (1, 4, 3.0)])
def test_rate_spreads_the_messages(rate: int, messages: int, seconds: float) -> None:
    clock = Clock()
    connection = FakeConnection(clock=clock)
    assert MessageProducer(connection, clock).send([[b"x"] * messages], rate) == messages
    # The last piece, a twentieth of a second's messages, goes out when those before it have had their time.
    assert clock.now - 100 == pytest.approx(seconds, abs=0.06)


def test_without_rate_nothing_waits() -> None:
    clock = Clock()
    MessageProducer(FakeConnection(clock=clock), clock).send([[b"x"] * 10_000])
    assert clock.now == 100


def test_options_of_the_configuration_win() -> None:
    connection = FakeConnection({"compression.type": "zstd"})
    MessageProducer(connection)
    assert connection.made.config["compression.type"] == "zstd"
    assert connection.made.config["delivery.report.only.error"] is True


def test_an_unreachable_broker_is_known_at_once() -> None:
    with pytest.raises(KafkaUnavailable, match=r"Kafka at 127\.0\.0\.1:1 cannot be used"):
        MessageProducer(KafkaConnection("127.0.0.1:1", "cdr_topic", timeout_seconds=0.3))


def test_a_missing_topic_is_known_at_once_and_not_created(kafka_connection: KafkaConnection) -> None:
    missing = KafkaConnection(kafka_connection.bootstrap_servers, "no_such_topic", kafka_connection.options)
    for _ in range(2):
        with pytest.raises(KafkaUnavailable, match="Kafka topic 'no_such_topic' does not exist"):
            MessageProducer(missing)
