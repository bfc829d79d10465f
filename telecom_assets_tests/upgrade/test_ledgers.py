"""What two homes have written down twice is said once, and mediated days name the versions that they have now."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecom_assets.upgrade.ledgers import Outcomes, marked_days, mediated_once, ranges_once

A, B, C = (date(2026, 6, number) for number in (1, 2, 3))


def ranges(*given_ranges: tuple[int, int], part: int = 0) -> list[dict[str, Any]]:
    """Rows of the ledger, one landing after the other."""
    return [
        {
            "source_id": "topic-1",
            "source_part": part,
            "from_position": start,
            "to_position": end,
            "records": end - start,
            "raw_version": number,
            "landed_at": datetime(2026, 6, 1, tzinfo=UTC),
        }
        for number, (start, end) in enumerate(given_ranges)
    ]


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ([(0, 0), (0, 10), (10, 20)], [(0, 0, True), (0, 10, True), (10, 20, True)]),
        ([(0, 10), (0, 10)], [(0, 10, True)]),
        ([(0, 10), (0, 15)], [(0, 10, True), (10, 15, False)]),
        ([(0, 15), (0, 10), (10, 20)], [(0, 15, True), (15, 20, False)]),
        ([(0, 5), (10, 15), (3, 12)], [(0, 5, True), (10, 15, True), (5, 10, False)]),
        ([(5, 5), (5, 5), (5, 8)], [(5, 5, True), (5, 8, True)]),
        ([(0, 8), (0, 0)], [(0, 8, True)]),
    ],
    ids=["each once", "both homes", "one went on", "chunks of other sizes", "between", "watched twice", "watched late"],
)
def test_each_position_is_in_one_range(written: list[tuple[int, int]], left: list[tuple[int, int, bool]]) -> None:
    made = ranges_once(ranges(*written))
    assert [(each.row["from_position"], each.row["to_position"], each.known) for each in made] == left


def test_partitions_do_not_cover_each_other() -> None:
    assert len(ranges_once([*ranges((0, 10)), *ranges((0, 10), part=1)])) == 2


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)).map(lambda each: (each[0], sum(each))), max_size=8))
def test_no_position_is_lost_or_said_twice(written: list[tuple[int, int]]) -> None:
    said = [
        position
        for each in ranges_once(ranges(*written))
        for position in range(each.row["from_position"], each.row["to_position"])
    ]
    assert sorted(said) == sorted({position for start, end in written for position in range(start, end)})


def test_mediated_days_name_versions_and_marks_become_counts() -> None:
    """A was mediated; B was marked after it had been, C before it ever was."""
    rows = [
        {"event_date": A, "raw_rows": 7, "raw_version": 3},
        {"event_date": B, "raw_rows": -1, "raw_version": 4},
        {"event_date": C, "raw_rows": -1, "raw_version": 4},
    ]
    assert marked_days(rows) == {B, C}
    made = mediated_once(rows, Outcomes(11, {A: 4, B: 5}), Outcomes(12, {A: 3, B: 1}))
    versions = {"cleaned_version": 11, "rejected_version": 12}
    assert made == [
        {"event_date": A, "raw_rows": 7, "raw_version": 3, **versions},
        {"event_date": B, "raw_rows": 6, "raw_version": 4, **versions},
    ]
