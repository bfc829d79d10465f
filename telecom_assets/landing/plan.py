"""Which offsets to land next: a pure function of the topic's state, the ledger and the table.

Belongs here: where reading starts, when it must stop loudly, how a backlog is cut. No Kafka client, no table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from resources.kafka import TopicState
from resources.kafka_source import OffsetRange


class LandingError(Exception):
    """Landing must not go on: a record would be lost or doubled. The message names the range and what to do."""


def next_offsets(ledger: Sequence[Mapping[str, Any]], landed: Mapping[int, int]) -> dict[int, int]:
    """Next offset to read per partition: after the ledger's end and after everything the table holds.

    ledger: rows of landing_ranges. landed: highest landed offset per partition, of partitions whose end the ledger may
    not know (a crash between the rows and the ledger row).
    """
    ends: dict[int, int] = {}
    for row in ledger:
        partition = row["source_part"]
        ends[partition] = max(ends.get(partition, 0), row["to_position"])
    for partition, offset in landed.items():
        ends[partition] = max(ends.get(partition, 0), offset + 1)
    return ends


def check_topic(topic: str, state: TopicState, ledger_topic_id: str | None, ends: Mapping[int, int]) -> None:
    """Raise LandingError unless the topic continues exactly where the warehouse stopped."""
    if ledger_topic_id is not None and ledger_topic_id != state.topic_id:
        raise LandingError(
            f"topic {topic!r} is not the topic this warehouse was filled from (id {state.topic_id}, expected "
            f"{ledger_topic_id}): it was deleted and made again, or TELECOM_KAFKA_TOPIC changed. Offsets would clash; "
            "use another warehouse (TELECOM_WAREHOUSE) for this topic"
        )
    for partition, end in sorted(ends.items()):
        marks = state.partitions.get(partition)
        if marks is None:
            raise LandingError(f"topic {topic!r} has lost partition {partition}, landed up to offset {end}")
        if end < marks.earliest:
            raise LandingError(
                f"topic {topic!r} partition {partition}: offsets {end} to {marks.earliest - 1} were deleted before they were "
                "landed (retention is too short). They are lost; raise retention.ms and replay the archive of that time"
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
