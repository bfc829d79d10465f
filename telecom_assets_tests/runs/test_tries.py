"""When a request is made again: pauses of 1, 2, 5 and then always 10 minutes after the last failed try."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecom_assets.runs.sensors.tries import Ask, Outcome, Try, Wait, ask_or_wait, said

NOW = dt.datetime(2026, 11, 29, 2, 0, tzinfo=dt.UTC)
STATE = "landing/topic/0:5/0:9"


def ended(minutes_ago: float, number: int = 1, outcome: Outcome = Outcome.FAILED, key: str = f"{STATE}/1") -> Try:
    return Try("0123456789", number, key, outcome, NOW - dt.timedelta(minutes=minutes_ago))


def after(attempt: Try, minutes: int) -> dt.datetime:
    """So long after a try ended."""
    assert attempt.ended is not None
    return attempt.ended + dt.timedelta(minutes=minutes)


def test_the_first_try_is_made_at_once() -> None:
    assert ask_or_wait(STATE, None, NOW) == Ask(1)


# By hand: after 1, 2, 3, 4, 5, 50 failed tries.
@pytest.mark.parametrize(("tries", "minutes"), [(1, 1), (2, 2), (3, 5), (4, 10), (5, 10), (50, 10)])
def test_pauses_grow_and_stay(tries: int, minutes: int) -> None:
    waiting = ended(minutes - 0.01, tries)
    assert ask_or_wait(STATE, waiting, NOW) == Wait(tries, waiting, after(waiting, minutes))
    assert ask_or_wait(STATE, ended(minutes, tries), NOW) == Ask(tries + 1, "0123456789")


@pytest.mark.parametrize("tries", [1, 3, 7])
def test_other_messages_on_the_topic_do_not_cut_a_pause_short(tries: int) -> None:
    """What is asked for is the same landing, on a busy topic at every look with another end."""
    assert isinstance(ask_or_wait("landing/topic/0:5/0:10", ended(0.5, tries), NOW), Wait)


def test_a_success_begins_a_new_count() -> None:
    later = "landing/topic/0:5/0:10"
    assert ask_or_wait(later, ended(0, 6, Outcome.WENT_WELL), NOW) == Ask(1, "0123456789")


def test_a_run_that_went_well_and_changed_nothing_is_a_try_that_failed() -> None:
    """Else it would be asked for at every look; and never again by a key of state alone, after a backup was restored."""
    assert isinstance(ask_or_wait(STATE, ended(0.9, 1, Outcome.WENT_WELL), NOW), Wait)
    assert ask_or_wait(STATE, ended(1, 1, Outcome.WENT_WELL), NOW) == Ask(2, "0123456789")


def test_a_state_whose_words_only_begin_alike_is_another() -> None:
    assert ask_or_wait("landing/topic/0:5/0", ended(0, 1, Outcome.WENT_WELL), NOW) == Ask(1, "0123456789")


def test_nothing_is_asked_for_while_its_run_is_at_work() -> None:
    working = Try("0123456789", 2, f"{STATE}/2", Outcome.AT_WORK)
    assert ask_or_wait(STATE, working, NOW) == Wait(2, working, None)


@given(st.integers(1, 40), st.sampled_from([Outcome.FAILED, Outcome.WENT_WELL]), st.floats(0, 60))
def test_every_try_has_a_key_of_its_own_and_is_made_within_ten_minutes(
    number: int, outcome: Outcome, minutes: float
) -> None:
    last = ended(minutes, number, outcome)
    decision = ask_or_wait(STATE, last, NOW)
    if isinstance(decision, Wait):
        assert decision.until is not None
        assert NOW < decision.until <= after(last, 10)
        assert isinstance(ask_or_wait(STATE, last, decision.until), Ask)
    else:
        assert decision.key(STATE) != last.run_key
        assert ask_or_wait(STATE, last, NOW) == decision, "a tick that is played again"


def test_the_key_tells_the_run_that_came_before() -> None:
    """A state that comes back after others (a restored backup) has a first try again, and Dagster has not seen its key."""
    assert Ask(1).key(STATE) == f"{STATE}/1"
    assert Ask(1, "0123456789").key(STATE) == f"{STATE}/1/01234567"
    assert Ask(4, "0123456789").key(STATE) == f"{STATE}/4/01234567"


def test_the_tags_tell_request_try_and_what_came_before() -> None:
    assert Ask(1).tags("landing") == {".dagster/telecom_request": "landing"}
    assert Ask(3, "run").tags("landing") == {
        ".dagster/telecom_request": "landing",
        "telecom_assets/try": "3",
        ".dagster/telecom_tried_before": "run",
    }


def test_a_wait_is_said_with_why_and_until_when() -> None:
    """02:00 UTC less 8 minutes is 02:52 in a zone an hour ahead; ten minutes after that it is tried again."""
    zone = dt.timezone(dt.timedelta(hours=1))
    third = ended(8, 4)
    wait = Wait(4, third, after(third, 10))
    assert said("landing", wait, "no Kafka", zone) == (
        "landing failed 4 times, last at 02:52: no Kafka; tried again at 03:02"
    )
    once = Wait(1, third, after(third, 1))
    assert said("landing", once, "", zone) == "landing failed once, at 02:52; tried again at 02:53"
    useless = replace(wait, last=ended(8, 4, Outcome.WENT_WELL))
    assert said("landing", useless, "", zone) == (
        "landing went well at 02:52 and left as much to do as before; tried again at 03:02"
    )
    assert said("landing", Wait(1, third, None), "", zone) == "landing is at work"
