"""Which offsets to land next: a pure function of the topic's state, the ledger and the table.

Belongs here: where reading starts, when landing must refuse, how a backlog is cut into chunks. No Kafka client, no table.
"""

from collections.abc import Mapping

from resources.expected_errors import ExpectedError
from resources.kafka import TopicState
from resources.kafka_source import OffsetRange


class LandingError(ExpectedError):
    """Landing must not go on: a record would be lost or doubled. The message names the range and what to do."""


def check_topic(topic: str, state: TopicState, source_id: str | None, ends: Mapping[int, int]) -> None:
    """Raise LandingError unless the topic continues exactly where the warehouse stopped."""
    if source_id is not None and source_id != state.topic_id:
        raise LandingError(
            f"topic {topic!r} is not the topic this warehouse was filled from (id {state.topic_id}, expected "
            f"{source_id}): it was deleted and made again, or TELECOM_KAFKA_TOPIC changed. If it continues the old one, "
            "`telecom sources accept --by NAME --why REASON` closes that and goes on; else use another warehouse "
            "(TELECOM_WAREHOUSE) for this topic"
        )
    for partition, end in sorted(ends.items()):
        marks = state.partitions.get(partition)
        if marks is None:
            raise LandingError(f"topic {topic!r} has lost partition {partition}, landed up to offset {end}")
        if end < marks.earliest:
            raise LandingError(
                f"topic {topic!r} partition {partition}: offsets {end} to {marks.earliest - 1} were deleted before they were "
                "landed (retention is too short). They are lost; raise retention.ms, write the gap down with `telecom sources "
                f"skip --partition {partition} --to {marks.earliest} --by NAME --why REASON`, and replay the archive of "
                "that time"
            )
        if end > marks.latest:
            raise LandingError(
                f"topic {topic!r} partition {partition} ends at offset {marks.latest}, but offset {end - 1} was landed: "
                "the topic lost records it had acknowledged. Check the brokers before landing goes on"
            )


def lag(state: TopicState, ends: Mapping[int, int]) -> dict[int, int]:
    """Offsets not landed yet, per partition."""
    return {
        partition: marks.latest - ends.get(partition, marks.earliest) for partition, marks in state.partitions.items()
    }


def landing_chunks(state: TopicState, ends: Mapping[int, int], chunk_rows: int) -> list[list[OffsetRange]]:
    """The backlog in chunks of about `chunk_rows` offsets; a partition that was never landed starts at its earliest.

    Every chunk takes the same share of every partition, so that chunks follow each other in time.
    """
    starts = {partition: ends.get(partition, marks.earliest) for partition, marks in state.partitions.items()}
    widths = {partition: marks.latest - starts[partition] for partition, marks in state.partitions.items()}
    total = sum(widths.values())
    count = -(-total // chunk_rows)
    chunks = []
    for index in range(count):
        ranges = [
            OffsetRange(
                partition,
                starts[partition] + width * index // count,
                starts[partition] + width * (index + 1) // count,
            )
            for partition, width in sorted(widths.items())
        ]
        chunks.append([offsets for offsets in ranges if offsets.width > 0])
    return [chunk for chunk in chunks if chunk]
