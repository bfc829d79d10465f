"""Civil time of Morocco and the shape of a month's traffic."""

import datetime as dt

import numpy as np
import pytest

from telecom_assets.generator.spec import random_stream
from telecom_assets.generator.timeline import ZONE, CivilTime, local_midnight, traffic_slots

HOUR = 3600


def test_offsets_are_those_of_the_zone_at_any_instant() -> None:
    first, end = dt.date(2010, 1, 1), dt.date(2026, 1, 1)
    instants = np.random.default_rng(5).integers(local_midnight(first), local_midnight(end), size=5_000)
    offsets = [dt.datetime.fromtimestamp(int(instant), ZONE).utcoffset() for instant in instants]
    expected = [offset.total_seconds() for offset in offsets if offset is not None]
    assert CivilTime(first, end).offset_sec(instants).tolist() == expected
    assert set(expected) == {0, HOUR}


@pytest.mark.parametrize(
    ("local", "offset"),
    [
        # Ramadan 2025: clocks went back an hour on 23 February at 03:00 and forward on 6 April at 02:00.
        ("2025-02-23T01:59:59+01:00", HOUR),
        ("2025-02-23T02:00:00+00:00", 0),
        ("2025-04-06T01:59:59+00:00", 0),
        ("2025-04-06T03:00:00+01:00", HOUR),
    ],
)
def test_clocks_change_to_the_second(local: str, offset: int) -> None:
    instant = np.array([int(dt.datetime.fromisoformat(local).timestamp())])
    assert CivilTime(dt.date(2025, 1, 1), dt.date(2025, 6, 1)).offset_sec(instant).tolist() == [offset]


@pytest.mark.parametrize(
    ("first", "end", "hours"),
    [
        (dt.date(2025, 5, 1), dt.date(2025, 6, 1), 31 * 24),
        (dt.date(2024, 2, 1), dt.date(2024, 3, 1), 29 * 24),
        (dt.date(2025, 2, 1), dt.date(2025, 3, 1), 28 * 24 + 1),
        (dt.date(2025, 4, 1), dt.date(2025, 5, 1), 30 * 24 - 1),
    ],
)
def test_slots_are_the_minutes_of_the_local_days(first: dt.date, end: dt.date, hours: int) -> None:
    civil = CivilTime(first, end)
    starts, shares = traffic_slots(first, end, civil, random_stream(1, "test"))
    local = [dt.datetime.fromtimestamp(int(start), ZONE) for start in (starts[0], starts[-1])]
    assert len(starts) == hours * 60
    assert [f"{moment:%Y-%m-%d %H:%M}" for moment in local] == [
        f"{first} 00:00",
        f"{end - dt.timedelta(days=1)} 23:59",
    ]
    assert shares.sum() == pytest.approx(1)
    assert shares.min() > 0


def test_night_is_quiet_evening_busy_and_weekends_quieter() -> None:
    first, end = dt.date(2025, 5, 1), dt.date(2025, 6, 1)
    starts, shares = traffic_slots(first, end, CivilTime(first, end), random_stream(1, "test"))
    local = [dt.datetime.fromtimestamp(int(start), ZONE) for start in starts]
    hours = np.bincount([moment.hour for moment in local], shares)
    weekdays = np.bincount([moment.weekday() for moment in local], shares) / np.bincount(
        [moment.weekday() for moment in local]
    )
    assert hours.argmin() in (3, 4)
    assert hours.argmax() in (19, 20)
    assert hours.max() > 10 * hours.min()
    assert weekdays[5:].max() < weekdays[:5].min()
