"""What landing asks of a source of messages. `KafkaConnection` is one, and the only one today.

Belongs here: the questions, and what must be true of the answers. Does not belong here: how a source is reached, and what
landing makes of the answers (`landing`, `plan`, `decisions`).
"""

from collections.abc import Sequence
from typing import Protocol

from pyspark.sql import DataFrame, SparkSession

from resources.kafka import TopicState
from resources.kafka_source import OffsetRange


class Source(Protocol):
    """Messages in numbered parts, each message at a position of its part that never changes.

    In the words of Kafka: a source is a topic, a part is a partition, a position is an offset. A source of another kind answers in
    the same words. One that cannot be reached raises an ExpectedError that says what to do.
    """

    @property
    def topic(self) -> str:
        """Its name, for people: column kafka_topic."""
        ...

    def topic_id(self) -> str:
        """Its identity now. One that was made again, so that a position may hold another message, has another identity."""
        ...

    def topic_state(self) -> TopicState:
        """Its identity, and for each part the first position that is left and the one after the last."""
        ...

    def messages(
        self, spark: SparkSession, state: TopicState, ranges: Sequence[OffsetRange], *, by_value: bool
    ) -> DataFrame:
        """The messages of some ranges, each once: what `admission.admit` takes.

        Columns: kafka_topic (string), source_id (string), source_part (int), source_position (bigint), received_at (timestamp; NULL
        for the moment of landing), value (binary). A position without a message has no row. A range that cannot be read whole
        is a KafkaRangeError: here, or of the engine when it reads the rows. by_value: executors of the engine may lack the
        project's code, so what they are to run is sent to them.
        """
        ...

    def positions(self, offsets: OffsetRange) -> set[int]:
        """The positions of a range that have a message now, read without the engine: landing counts the engine's rows by it."""
        ...
