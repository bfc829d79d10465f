"""When an outage of Kafka begins, is told of and ends, at moments worked out by hand."""

import datetime as dt
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecom_assets.runs.sensors.outages import Outage, after_look

AT = dt.datetime(2026, 11, 29, 2, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
PATIENCE = 5 * MINUTE
DOWN = "Kafka at broker:9092 cannot be used (nothing listens there: Connection refused)"


def looked(before: Outage | None, problem: str | None, minutes: float) -> Outage | None:
    return after_look(before, problem, AT + minutes * MINUTE, longest_gap=PATIENCE)


def test_while_kafka_answers_there_is_nothing_to_know() -> None:
    assert looked(None, None, 0) is None


def test_an_outage_is_long_after_five_minutes() -> None:
    outage = looked(None, DOWN, 0)
    assert outage == Outage(AT, AT, DOWN)
    for minutes, is_long in ((4.9, False), (5, True), (20, True)):
        outage = looked(outage, DOWN, minutes)
        assert outage is not None
        assert outage.is_long(AT + minutes * MINUTE, PATIENCE) is is_long
        outage = replace(outage, seen=AT + minutes * MINUTE, failed=is_long)
    assert outage.since == AT


def test_a_short_one_is_forgotten() -> None:
    assert looked(looked(None, DOWN, 0), None, 4) is None


def test_the_newest_reason_is_told() -> None:
    first = looked(None, DOWN, 0)
    second = looked(first, "it does not answer within 3 s", 1)
    assert second is not None
    assert (second.since, second.reason) == (AT, "it does not answer within 3 s")


def test_a_long_one_ends_once_with_its_length() -> None:
    told = Outage(AT, AT + 19 * MINUTE, DOWN, failed=True, told=True)
    over = looked(told, None, 21.5)
    assert over is not None
    assert over.ended == AT + 21.5 * MINUTE
    assert over.ended_message() == {
        "sensor": "kafka_outage",
        "event": "ended",
        "since": "2026-11-29T02:00:00+00:00",
        "until": "2026-11-29T02:21:30+00:00",
        "minutes": 21,
        "error": DOWN,
    }
    # The webhook did not take it: it is still over at the moment at which it was.
    assert looked(over, None, 30) == over


def test_one_that_comes_back_before_its_end_was_told_goes_on() -> None:
    over = Outage(AT, AT, DOWN, failed=True, told=True, ended=AT + 6 * MINUTE)
    again = looked(over, DOWN, 7)
    assert again is not None
    assert (again.since, again.ended, again.told) == (AT, None, True)


@pytest.mark.parametrize(("gap", "since"), [(5, 0), (5.1, 5.1), (600, 600)])
def test_what_nobody_looked_at_is_no_outage(gap: float, since: float) -> None:
    """The daemon was off: Kafka may have answered meanwhile."""
    outage = looked(looked(None, DOWN, 0), DOWN, gap)
    assert outage is not None
    assert outage.since == AT + since * MINUTE


def test_one_that_was_told_goes_on_however_long_nobody_looked() -> None:
    told = Outage(AT, AT, DOWN, failed=True, told=True)
    outage = looked(told, DOWN, 600)
    assert outage is not None
    assert outage.since == AT


def test_the_words() -> None:
    zone = dt.timezone(dt.timedelta(hours=1))
    outage = Outage(AT, AT, DOWN)
    assert outage.said(AT + 2 * MINUTE, PATIENCE, zone) == (
        f"Kafka has been out of reach since 2026-11-29 03:00, which is told at 03:05: {DOWN}"
    )
    assert outage.said(AT + 21 * MINUTE, PATIENCE, zone) == (
        f"Kafka has been out of reach for 21 minutes, since 2026-11-29 03:00: {DOWN}"
    )
    over = replace(outage, failed=True, ended=AT + 21 * MINUTE)
    assert over.said(AT + 22 * MINUTE, PATIENCE, zone) == (
        "Kafka answers again at 03:21, after 21 minutes (since 2026-11-29 03:00)"
    )


moments = st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC))


@given(st.builds(Outage, moments, moments, st.text(), st.booleans(), st.booleans(), st.none() | moments))
def test_what_is_stored_is_read_again(outage: Outage) -> None:
    assert Outage.read(json.loads(json.dumps(outage.stored()))) == outage


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=60))
def test_every_long_outage_is_told_once_and_ended_once(looks: list[tuple[int, bool]]) -> None:
    """Looks a few minutes apart; expected by counting the minutes since Kafka was first seen down in a row."""
    outage, now, told, ended, expected = None, AT, 0, 0, 0
    down_since, counted = None, False
    for minutes, down in looks:
        now += minutes * MINUTE
        if down and down_since is None:
            down_since, counted = now, False
        if down_since is not None and down and not counted and now - down_since >= PATIENCE:
            expected, counted = expected + 1, True
        if not down:
            down_since = None
        outage = after_look(outage, DOWN if down else None, now, longest_gap=PATIENCE)
        if outage is not None and outage.ended is not None:
            ended, outage = ended + 1, None
        elif outage is not None and outage.is_long(now, PATIENCE) and not outage.failed:
            told, outage = told + 1, replace(outage, failed=True, told=True)
    assert told == expected
    assert ended == told - (outage is not None and outage.failed)
