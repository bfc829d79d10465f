"""The plan of a month: examples by hand, and what holds of every plan. Pure."""

import datetime as dt
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from telecom_assets.runs.plan import ALWAYS_READ, ASKED_FOR, Facts, Planned, plan
from telecom_assets.runs.stages import BILLING, LANDING, MEDIATION, RATING, STAGES

MONTH = "2025-06"
DAYS = [dt.date(2025, 6, number) for number in range(1, 31)]
#: What is known of a month in which nothing is to be done.
QUIET = Facts(DAYS, reference=ALWAYS_READ)


def day(number: int) -> dt.date:
    return dt.date(2025, 6, number)


def shown(steps: list[Planned]) -> list[tuple[str, str, str]]:
    return [(step.stage.name, step.label, step.why) for step in steps]


def test_nothing_to_do_is_to_read_the_reference_data() -> None:
    assert shown(plan(MONTH, QUIET)) == [("reference", "", ALWAYS_READ)]


def test_a_late_record_is_the_work_of_its_day_and_of_what_follows() -> None:
    """Its day is rated in the run that mediates it."""
    facts = replace(QUIET, stale={day(3): "new rows have landed"})
    assert shown(plan(MONTH, facts)) == [
        ("reference", "", ALWAYS_READ),
        ("mediation", "2025-06-03", "new rows have landed"),
        ("billing", "2025-06", "mediation comes before it; rating comes before it"),
    ]


def test_a_stale_day_of_another_month_is_mediated_and_no_more() -> None:
    facts = replace(QUIET, stale={dt.date(2025, 7, 1): "new rows have landed"})
    assert shown(plan(MONTH, facts))[1:] == [("mediation", "2025-07-01", "new rows have landed")]


def test_days_without_gaps_are_one_run_with_the_days_of_each_reason_counted() -> None:
    due = {day(4): "other rules or settings", day(5): "other rules or settings", day(9): "other rules or settings"}
    facts = replace(QUIET, stale={day(5): "new rows have landed"}, due_days={"mediation": due})
    assert shown(plan(MONTH, facts))[1:3] == [
        ("mediation", "2025-06-04 to 2025-06-05", "other rules or settings; new rows have landed (1 of 2 days)"),
        ("mediation", "2025-06-09", "other rules or settings"),
    ]


def test_days_that_are_mediated_are_in_no_rating_of_their_own() -> None:
    due = dict.fromkeys([day(4), day(5), day(6)], "customers has changed")
    facts = replace(QUIET, stale={day(5): "new rows have landed"}, due_days={"rating": due})
    assert shown(plan(MONTH, facts))[1:] == [
        ("mediation", "2025-06-05", "new rows have landed"),
        ("rating", "2025-06-04", "customers has changed"),
        ("rating", "2025-06-06", "customers has changed"),
        ("billing", "2025-06", "mediation comes before it; rating comes before it"),
    ]


def test_landing_says_nothing_of_days_that_it_has_not_touched_yet() -> None:
    steps = plan(MONTH, replace(QUIET, landing="12 messages wait on the topic"))
    assert shown(steps)[1:] == [("landing", "", "12 messages wait on the topic")]


def test_a_document_that_is_gone_is_billing_alone() -> None:
    steps = plan(MONTH, replace(QUIET, due_month={"billing": "documents are not as they were"}))
    assert shown(steps)[1:] == [("billing", "2025-06", "documents are not as they were")]


def test_everything_is_the_whole_month_in_order() -> None:
    steps = plan(MONTH, Facts(DAYS, everything=True))
    assert shown(steps) == [
        ("reference", "", ASKED_FOR),
        ("landing", "", ASKED_FOR),
        ("mediation", "2025-06-01 to 2025-06-30", ASKED_FOR),
        ("billing", "2025-06", ASKED_FOR),
    ]


def test_without_a_month_the_plan_is_of_what_has_arrived() -> None:
    facts = Facts(landing="1 messages wait on the topic", stale={day(3): "x", day(4): "x", dt.date(2025, 2, 1): "y"})
    assert shown(plan(None, facts)) == [
        ("landing", "", "1 messages wait on the topic"),
        ("mediation", "2025-02-01", "y"),
        ("mediation", "2025-06-03 to 2025-06-04", "x"),
    ]


def test_many_reasons_are_counted() -> None:
    step = Planned(BILLING, month=MONTH, reasons=("a", "b", "c", "d", "e"))
    assert step.why == "a; b; c; 2 more"


# -- what holds of every plan ------------------------------------------------------------------------------------------

_WORDS = st.sampled_from(["new rows have landed", "other rules or settings", "a check failed"])
_OF_DAYS = st.dictionaries(st.sampled_from(DAYS), _WORDS, max_size=8)
_ANY_DAYS = st.dictionaries(st.dates(dt.date(2025, 5, 20), dt.date(2025, 7, 10)), _WORDS, max_size=8)
FACTS = st.builds(
    Facts,
    st.just(DAYS),
    st.none() | _WORDS,
    st.none() | _WORDS,
    _ANY_DAYS,
    st.fixed_dictionaries({}, optional={"mediation": _OF_DAYS, "rating": _OF_DAYS}),
    st.fixed_dictionaries({}, optional={"billing": _WORDS}),
)


def days_of(steps: list[Planned], stage: object) -> list[dt.date]:
    """All days of a stage's own steps, as often as they are in one."""
    ranges = [step.days for step in steps if step.stage == stage and step.days]
    return [first + dt.timedelta(number) for first, last in ranges for number in range((last - first).days + 1)]


@given(FACTS)
def test_steps_come_in_the_order_of_the_stages_each_day_once_each_with_a_reason(facts: Facts) -> None:
    steps = plan(MONTH, facts)
    order = [STAGES.index(step.stage) for step in steps]
    assert order == sorted(order)
    for stage in STAGES:
        if stage.grain == "day":
            days = days_of(steps, stage)
            assert days == sorted(set(days))
        else:
            assert sum(step.stage == stage for step in steps) <= 1
    assert all(step.reasons for step in steps)


@given(FACTS)
def test_what_has_a_reason_is_planned_and_nothing_is_without_one(facts: Facts) -> None:
    steps = plan(MONTH, facts)
    mediated = set(facts.stale) | set(facts.due_days.get("mediation", {}))
    assert set(days_of(steps, MEDIATION)) == mediated
    due = set(facts.due_days.get("rating", {}))
    assert set(days_of(steps, RATING)) == due - mediated
    planned = {step.stage.name for step in steps}
    assert ("reference" in planned) == (facts.reference is not None)
    assert ("landing" in planned) == (facts.landing is not None)
    assert ("billing" in planned) == ("billing" in facts.due_month or bool(due | mediated & set(DAYS)))


@given(FACTS)
def test_two_runs_of_a_stage_have_a_gap_between_them(facts: Facts) -> None:
    steps = plan(MONTH, facts)
    for stage in (MEDIATION, RATING):
        ranges = [step.days for step in steps if step.stage == stage and step.days]
        assert all(first <= last for first, last in ranges)
        for (_, end), (begin, _) in pairwise(ranges):
            assert begin > end + dt.timedelta(1)


@given(FACTS)
def test_a_plan_of_what_has_arrived_is_a_part_of_that_of_any_month(facts: Facts) -> None:
    steps = plan(None, replace(facts, due_days={}, due_month={}))
    assert {step.stage.name for step in steps} <= {LANDING.name, MEDIATION.name}
    assert set(days_of(steps, MEDIATION)) == set(facts.stale)


@given(FACTS)
def test_everything_leaves_nothing_out(facts: Facts) -> None:
    steps = plan(MONTH, replace(facts, everything=True))
    assert {stage.name for step in steps for stage in step.stage.run} == {stage.name for stage in STAGES}
    assert set(DAYS) <= set(days_of(steps, MEDIATION))
    assert days_of(steps, RATING) == []
