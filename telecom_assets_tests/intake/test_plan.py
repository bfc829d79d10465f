"""Which offsets are landed next, and when landing must stop: pure functions, no broker."""

import pytest

from resources.kafka import TopicState, Watermarks
from resources.kafka_source import OffsetRange
from telecom_assets.intake.plan import LandingError, check_topic, lag, landing_chunks


def state(*marks: tuple[int, int], topic_id: str = "id-1") -> TopicState:
    """A topic whose partitions, from 0, hold these offsets [earliest, latest)."""
    return TopicState(topic_id, {number: Watermarks(*pair) for number, pair in enumerate(marks)}, log_append_time=True)


def test_lag() -> None:
    assert lag(state((0, 10), (5, 9), (0, 0)), {0: 4}) == {0: 6, 1: 4, 2: 0}


# ------------------------------------------------------------------------------------------------------- when to stop


@pytest.mark.parametrize("ends", [{}, {0: 0}, {0: 4}, {0: 10}, {0: 3, 1: 7}], ids=str)
def test_a_topic_that_goes_on_is_in_order(ends: dict[int, int]) -> None:
    check_topic("cdrs", state((3 if ends.get(0) == 3 else 0, 10), (7, 7)), "id-1", ends)


def test_the_first_landing_knows_no_topic() -> None:
    check_topic("cdrs", state((5, 10)), None, {})


@pytest.mark.parametrize(
    ("topic", "ends", "message"),
    [
        (
            state((0, 10), topic_id="id-2"),
            {0: 4},
            r"'cdrs' is not the topic .* \(id id-2, expected id-1\).*TELECOM_WAREHOUSE",
        ),
        (state((0, 10), topic_id="id-2"), {}, "deleted and made again"),
        (state((0, 10)), {0: 4, 1: 6}, "'cdrs' has lost partition 1, landed up to offset 6"),
        (state((6, 10)), {0: 4}, "'cdrs' partition 0: offsets 4 to 5 were deleted before they were landed"),
        (state((10, 10)), {0: 0}, "offsets 0 to 9 were deleted"),
        (state((0, 10), (0, 3)), {0: 10, 1: 4}, "'cdrs' partition 1 ends at offset 3, but offset 3 was landed"),
    ],
)
def test_landing_stops_and_says_why(topic: TopicState, ends: dict[int, int], message: str) -> None:
    with pytest.raises(LandingError, match=message):
        check_topic("cdrs", topic, "id-1", ends)


# -------------------------------------------------------------------------------------------------------------- chunks


def chunks(topic: TopicState, ends: dict[int, int], rows: int) -> list[list[tuple[int, int, int]]]:
    return [[(item.partition, item.start, item.end) for item in chunk] for chunk in landing_chunks(topic, ends, rows)]


def test_nothing_new_is_no_chunk() -> None:
    assert chunks(state((0, 10), (5, 5)), {0: 10, 1: 5}, 100) == []
    assert chunks(state(), {}, 100) == []


def test_a_backlog_that_fits_is_one_chunk() -> None:
    assert chunks(state((0, 10), (2, 5), (7, 7)), {0: 4}, 9) == [[(0, 4, 10), (1, 2, 5)]]


def test_chunks_take_the_same_share_of_every_partition() -> None:
    """20 offsets in chunks of at most 5 or so: 4 chunks; so that they follow each other in time."""
    assert chunks(state((0, 12), (0, 8)), {}, 5) == [
        [(0, 0, 3), (1, 0, 2)],
        [(0, 3, 6), (1, 2, 4)],
        [(0, 6, 9), (1, 4, 6)],
        [(0, 9, 12), (1, 6, 8)],
    ]


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize("marks", [((0, 1), (0, 100)), ((3, 50), (0, 0), (9, 10)), ((0, 7), (0, 7), (0, 7))])
def test_chunks_hold_every_offset_once_and_in_order(marks: tuple[tuple[int, int], ...], rows: int) -> None:
    topic = state(*marks)
    planned = landing_chunks(topic, {}, rows)
    assert all(offsets.width > 0 for chunk in planned for offsets in chunk)
    for partition, (earliest, latest) in enumerate(marks):
        own = [offsets for chunk in planned for offsets in chunk if offsets.partition == partition]
        assert [offset for item in own for offset in range(item.start, item.end)] == list(range(earliest, latest))
    # "about" the size: each partition is cut to whole offsets
    assert all(sum(item.width for item in chunk) <= rows + len(marks) for chunk in planned)


def test_a_range_is_half_open() -> None:
    assert OffsetRange(0, 4, 4).width == 0
