"""A night's trouble ends by itself: what failed is made again with growing pauses, and says why and when."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from resources.process_locks import lock_or_refuse
from telecom_assets.intake import assets as landing
from telecom_assets.model.calendar import ZONE, local_today
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.periods.states import APPROVED, DRAFTED
from telecom_assets.runs import maintenance
from telecom_assets_tests.graph.conftest import customers
from telecom_assets_tests.graph.project import Project, day_tags
from telecom_assets_tests.graph.test_sensor import sms
from telecom_assets_tests.graph.ticks import Clock, carry_out, outcomes, reason_of, requests_of, tick

KAFKA, AGAIN = "cdr_topic_sensor", "failed_runs_again"
BUSY = "landing is under way in process "


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is held is a failure at once: a step would wait for an hour first."""
    for module in (landing, maintenance):
        monkeypatch.setattr(module, "STEP_PATIENCE_SECONDS", 0.0)


@pytest.fixture
def project(new_project: Callable[..., Project], forgetful: dg.DagsterInstance) -> Iterator[Project]:
    """A project of its own, whose runs are kept in memory, with a message on the topic."""
    made = new_project(partitions=1)
    made.store_customers(customers())
    with dg.DagsterInstance.ephemeral() as instance:
        made.instance = instance
        assert made.run("reference_job").success
        made.produce([sms(local_today(), "a")])
        yield made


@pytest.fixture
def clock(project: Project) -> Clock:
    return Clock(project)


def local(moment: dt.datetime) -> str:
    return f"{moment.astimezone(ZONE):%H:%M}"


# -- landing and mediation -----------------------------------------------------------------------------------------------


def test_landing_is_tried_until_the_lock_is_free(project: Project, clock: Clock) -> None:
    """Another process holds the lock through seven tries, more than half an hour, on a topic where nothing new comes."""
    pauses = [1, 2, 5, 10, 10, 10]
    with lock_or_refuse(project.settings.dagster_home, "landing"):
        assert outcomes(carry_out(project, tick(project, KAFKA))) == [("landing_job", False)]
        for tries, minutes in enumerate(pauses, start=1):
            waiting = tick(project, KAFKA)
            assert waiting.run_requests == []
            said = re.fullmatch(
                r"landing failed (.+), (?:last )?at (\d\d:\d\d): (.+); tried again at (\d\d:\d\d)", reason_of(waiting)
            )
            assert said is not None, waiting.skip_message
            assert said[1] == ("once" if tries == 1 else f"{tries} times")
            assert BUSY in said[3]
            clock.passes(minutes=minutes - 0.2)
            assert tick(project, KAFKA).run_requests == [], "the pause is not over"
            clock.passes(minutes=0.2)
            asked = tick(project, KAFKA)
            assert [request.run_key for request in requests_of(asked)] == [
                request.run_key for request in requests_of(tick(project, KAFKA))
            ], "a tick that is played again"
            assert all("dagster/max_retries" not in request.tags for request in requests_of(asked))
            # Runs end when they end: the clock of the instance stands still.
            clock.ahead = dt.timedelta(0)
            assert outcomes(carry_out(project, asked)) == [("landing_job", False)]
    clock.passes(minutes=10)
    assert outcomes(carry_out(project, tick(project, KAFKA))) == [("landing_job", True)]
    assert [row["value"] for row in project.rows("raw_cdrs")] == [sms(local_today(), "a")]


def test_messages_that_arrive_meanwhile_do_not_shorten_the_pause(project: Project, clock: Clock) -> None:
    with lock_or_refuse(project.settings.dagster_home, "landing"):
        carry_out(project, tick(project, KAFKA))
        project.produce([sms(local_today(), "b")])
        assert tick(project, KAFKA).run_requests == []
    clock.passes(minutes=1)
    assert outcomes(carry_out(project, tick(project, KAFKA))) == [("landing_job", True)]
    assert len(project.rows("raw_cdrs")) == 2


def test_after_a_success_landing_is_asked_for_at_once(project: Project, clock: Clock) -> None:
    """Failures of before do not count."""
    with lock_or_refuse(project.settings.dagster_home, "landing"):
        for _ in range(3):
            carry_out(project, tick(project, KAFKA))
            clock.passes(minutes=10)
    assert outcomes(carry_out(project, tick(project, KAFKA))) == [("landing_job", True)]
    project.produce([sms(local_today(), "b")])
    asked = [request for request in requests_of(tick(project, KAFKA)) if request.job_name == "landing_job"]
    assert ["telecom_assets/try" in request.tags for request in asked] == [False]


def test_mediation_of_a_range_is_tried_again(project: Project, clock: Clock) -> None:
    """The catalogue is broken while the days wait; mended, the same days are mediated without a hand."""
    carry_out(project, tick(project, KAFKA))
    whole = project.rows("product_catalog")
    project.delete("product_catalog", "product_code = 'SMS_NAT'")
    for tries, minutes in ((1, 1), (2, 2), (3, 5)):
        assert outcomes(carry_out(project, tick(project, KAFKA))) == [("mediation_job", False)]
        waiting = tick(project, KAFKA)
        assert waiting.run_requests == []
        day = local_today()
        assert reason_of(waiting).startswith(f"mediation {day} failed {'once' if tries == 1 else f'{tries} times'}, ")
        assert "SMS_NAT" in reason_of(waiting)
        clock.passes(minutes=minutes)
    project.add("product_catalog", [row for row in whole if row["product_code"] == "SMS_NAT"])
    assert outcomes(carry_out(project, tick(project, KAFKA))) == [("mediation_job", True)]
    assert [row["record_id"] for row in project.rows("cleaned_cdrs")] == ["a"]


def test_a_state_that_comes_back_is_asked_for_again(project: Project, clock: Clock) -> None:
    """The table is as it was before a run that went well (a restored backup): by a key of state alone it would stay so."""
    assert outcomes(carry_out(project, tick(project, KAFKA))) == [("landing_job", True)]
    assert outcomes(carry_out(project, tick(project, KAFKA))) == [("mediation_job", True)]
    project.delete("mediated_days", "true")
    project.delete("cleaned_cdrs", "true")
    assert "mediation" in str(tick(project, KAFKA).skip_message)
    assert "left as much to do as before; tried again at" in reason_of(tick(project, KAFKA))
    clock.passes(minutes=1)
    assert outcomes(carry_out(project, tick(project, KAFKA))) == [("mediation_job", True)]
    assert tick(project, KAFKA).skip_message == "nothing new on the topic, every landed day is mediated"


# -- what other triggers began -------------------------------------------------------------------------------------------


def failing(project: Project, job: str, tags: dict[str, str]) -> dg.DagsterRun:
    """A run of a trigger that fails before it begins."""
    run = project.instance.create_run_for_job(project.defs.resolve_job_def(job), tags=tags)
    project.instance.report_run_failed(run, "the disk was full")
    return run


def test_the_nights_maintenance_is_made_again(project: Project, clock: Clock) -> None:
    schedule = project.defs.get_repository_def().get_schedule_def("nightly_maintenance")
    asked = schedule.evaluate_tick(
        dg.build_schedule_context(scheduled_execution_time=dt.datetime(2026, 11, 29, 4, tzinfo=ZONE))
    )
    assert asked.run_requests
    assert tick(project, AGAIN).skip_message == "no run waits to be made again"
    with lock_or_refuse(project.settings.dagster_home, "maintenance"):
        assert not project.run("maintenance_job", dict(asked.run_requests[0].tags)).success
        waiting = tick(project, AGAIN)
        assert waiting.run_requests == []
        assert re.match(
            r"maintenance failed once, at \d\d:\d\d: maintenance is under way .*; tried again at", reason_of(waiting)
        )
    clock.passes(minutes=1)
    assert outcomes(carry_out(project, tick(project, AGAIN))) == [("maintenance_job", True)]
    assert tick(project, AGAIN).skip_message == "no run waits to be made again"


def month_tags(project: Project, step: int) -> dict[str, str]:
    """Tags of a step of the month, as `month_end` and `month_run_sensor` give them."""
    schedule = project.defs.get_repository_def().get_schedule_def("month_end")
    at = dt.datetime(2025, 7, 3, 6, tzinfo=ZONE)
    context = dg.build_schedule_context(
        scheduled_execution_time=at,
        repository_def=project.defs.get_repository_def(),
        resources={"warehouse": project.warehouse},
    )
    [request] = schedule.evaluate_tick(context).run_requests or ()
    return {**request.tags, "telecom_assets/month_run_step": str(step)}


def test_a_month_that_was_approved_since_is_not_made_again(project: Project, clock: Clock) -> None:
    """Its run would be refused, again and again."""
    tags = month_tags(project, 1)
    with lock_or_refuse(project.settings.dagster_home, "landing"):
        assert not project.run("landing_job", tags).success
    clock.passes(minutes=2)
    assert tick(project, AGAIN).run_requests
    for state in (DRAFTED, APPROVED):
        change_state(project.warehouse, lambda _, to=state: changed_now("2025-06", to, by="Anna"))  # type: ignore[misc]
    assert tick(project, AGAIN).skip_message == "no run waits to be made again"


def test_a_step_of_a_month_is_made_again_then_the_whole_month(project: Project, clock: Clock) -> None:
    """The second try is the step alone; from the third on the month begins anew, for what the step needs may be stale."""
    tags = {**month_tags(project, 1)}
    with lock_or_refuse(project.settings.dagster_home, "landing"):
        assert not project.run("landing_job", tags).success
        assert BUSY in reason_of(tick(project, AGAIN))
        assert reason_of(tick(project, AGAIN)).startswith("landing 2025-06 failed once, at ")
        clock.passes(minutes=1)
        [second] = requests_of(tick(project, AGAIN))
        assert (second.job_name, second.tags["telecom_assets/month_run_step"]) == ("landing_job", "1")
        assert outcomes(carry_out(project, tick(project, AGAIN))) == [("landing_job", False)]
    clock.passes(minutes=2)
    [third] = requests_of(tick(project, AGAIN))
    assert (third.job_name, third.tags["telecom_assets/month_run_step"]) == ("reference_job", "0")
    assert third.tags["telecom_assets/month_run"] == "2025-06"
    assert outcomes(carry_out(project, tick(project, AGAIN))) == [("reference_job", True)]
    assert tick(project, AGAIN).skip_message == "no run waits to be made again"


def test_the_steps_that_follow_count_on(project: Project) -> None:
    """`month_run_sensor` gives the number of the try to the next step: a month that fails late does not begin to hurry."""
    run = project.instance.create_run_for_job(
        project.defs.resolve_job_def("reference_job"),
        tags={**month_tags(project, 0), "telecom_assets/try": "4"},
        status=dg.DagsterRunStatus.SUCCESS,
    )
    repository = project.defs.get_repository_def()
    context = dg.build_run_status_sensor_context(
        "month_run_sensor",
        dg.DagsterEvent("PIPELINE_SUCCESS", "reference_job"),
        project.instance,
        run,
        resources={"warehouse": project.warehouse},
    )
    answer: Any = repository.get_sensor_def("month_run_sensor")(context)
    [request] = answer
    assert (request.job_name, request.tags["telecom_assets/try"]) == ("landing_job", "4")
    assert request.tags[".dagster/telecom_request"] == "month/2025-06"


RATED = day_tags("2025-06-03", "2025-06-05")


@pytest.fixture
def rating_failed(project: Project) -> dg.DagsterRun:
    """A run of the automation that failed: three days were to be rated."""
    sensor = project.defs.get_repository_def().get_sensor_def("rating_automation")
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    return failing(project, "rating_job", {**sensor.run_tags, **RATED})


def test_rating_that_followed_mediation_is_made_again(
    project: Project, clock: Clock, rating_failed: dg.DagsterRun
) -> None:
    waiting = tick(project, AGAIN)
    assert waiting.run_requests == []
    assert re.fullmatch(
        r"rating 2025-06-03 to 2025-06-05 failed once, at (..:..): the disk was full; tried again at (..:..)",
        reason_of(waiting),
    )
    clock.passes(minutes=1)
    [request] = requests_of(tick(project, AGAIN))
    assert request.job_name == "rating_job"
    assert {name: request.tags[name] for name in RATED} == RATED
    assert request.tags[".dagster/telecom_tried_before"] == rating_failed.run_id


def test_days_that_were_rated_since_are_left_alone(
    project: Project, clock: Clock, rating_failed: dg.DagsterRun
) -> None:
    """By another run, whoever asked for it."""
    clock.passes(minutes=1)
    for day in ("2025-06-03", "2025-06-04"):
        project.instance.report_runless_asset_event(dg.AssetMaterialization("rated_cdrs", partition=day))
        assert len(requests_of(tick(project, AGAIN))) == 1
    project.instance.report_runless_asset_event(dg.AssetMaterialization("rated_cdrs", partition="2025-06-05"))
    assert tick(project, AGAIN).skip_message == "no run waits to be made again"


def test_runs_of_people_and_runs_that_were_cancelled_are_left_alone(project: Project, clock: Clock) -> None:
    failing(project, "rating_job", RATED)
    run = project.instance.create_run_for_job(
        project.defs.resolve_job_def("landing_job"), tags=month_tags(project, 1), status=dg.DagsterRunStatus.STARTED
    )
    assert tick(project, AGAIN).skip_message == "no run waits to be made again"
    project.instance.report_run_canceled(run)
    clock.passes(hours=1)
    assert tick(project, AGAIN).skip_message == "no run waits to be made again"
