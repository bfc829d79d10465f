"""Stretches of days: every operation gives the days that the same operation on sets of days gives."""

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telecom_assets.model.stretches import EVERY_DAY, Stretch, span, union, without

JANUARY = dt.date(2026, 1, 1)
#: Twenty days; a stretch without a bound reaches beyond them at that end.
DAYS = [JANUARY + dt.timedelta(days=number) for number in range(20)]
BOUNDS = st.none() | st.sampled_from(DAYS[2:-2])
STRETCHES = st.lists(st.builds(Stretch, BOUNDS, BOUNDS), max_size=5)


def days_of(stretches: list[Stretch]) -> set[dt.date]:
    return {
        day
        for day in DAYS
        for each in stretches
        if (each.first is None or each.first <= day) and (each.end is None or each.end > day)
    }


@settings(deadline=None)
@given(STRETCHES, STRETCHES)
def test_stretches_are_sets_of_days(some: list[Stretch], others: list[Stretch]) -> None:
    assert days_of(union(some)) == days_of(some)
    assert days_of(without(some, others)) == days_of(some) - days_of(others)
    assert all(each.meets(other) == bool(days_of([each]) & days_of([other])) for each in some for other in others)
    assert all(days_of([each.common(other)]) == days_of([each]) & days_of([other]) for each in some for other in others)


@settings(deadline=None)
@given(STRETCHES)
def test_a_union_has_the_fewest_stretches_in_order(some: list[Stretch]) -> None:
    merged = union(some)

    assert not any(each.is_empty for each in merged)
    # A day at least lies between two of them.
    assert all(
        one.end is not None and other.first is not None and one.end < other.first for one, other in pairwise(merged)
    )
    if merged:
        assert span(some).first == merged[0].first
        assert span(some).end == merged[-1].end


@pytest.mark.parametrize(
    ("stretch", "text"),
    [
        (EVERY_DAY, "every day"),
        (Stretch(dt.date(2026, 3, 1), None), "from 2026-03-01 on"),
        (Stretch(None, dt.date(2026, 3, 1)), "until 2026-02-28"),
        (Stretch(dt.date(2026, 2, 1), dt.date(2026, 3, 1)), "2026-02-01 to 2026-02-28"),
        (Stretch(dt.date(2026, 2, 1), dt.date(2026, 2, 2)), "2026-02-01"),
    ],
)
def test_people_read_first_and_last_day(stretch: Stretch, text: str) -> None:
    assert str(stretch) == text
