"""The month's bill without anybody: the schedule starts the sequence, the sensor takes step after step, and ends."""

import datetime as dt
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from telecom_assets.definitions import build_defs
from telecom_assets.home.deployment import Deployment
from telecom_assets.home.settings import Settings
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.periods.states import APPROVED, DRAFTED
from telecom_assets.runs.month_run import scheduled_steps
from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.project import day_tags, month_tag

CASABLANCA = ZoneInfo("Africa/Casablanca")
JUNE_DAYS = day_tags("2025-06-01", "2025-06-30")
SEQUENCE = [
    ("reference_job", {}),
    ("landing_job", {}),
    ("mediation_job", JUNE_DAYS),
    ("billing_job", month_tag("2025-06")),
]
PARTITION_TAGS = {*JUNE_DAYS, *month_tag()}
OWN_TAGS = ("telecom_assets/month_run", "telecom_assets/month_run_step")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """An empty home, in which 2025-05 is approved."""
    made = Deployment(Settings.load(billing_day=5, home=tmp_path_factory.mktemp("home")), TABLES)
    for state in (DRAFTED, APPROVED):
        change_state(made.warehouse, lambda _, to=state: changed_now("2025-05", to, by="Anna"))  # type: ignore[misc]
    return made


@pytest.fixture(scope="module")
def defs(deployment: Deployment) -> dg.Definitions:
    return build_defs(deployment.settings, deployment.resources())


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def month_end_tick(defs: dg.Definitions, moment: dt.datetime) -> Any:
    """What the schedule says at a moment."""
    repository, resources = defs.get_repository_def(), {"warehouse": (defs.resources or {})["warehouse"]}
    context = dg.build_schedule_context(scheduled_execution_time=moment, repository_def=repository, resources=resources)
    return repository.get_schedule_def("month_end").evaluate_tick(context)


def scheduled(defs: dg.Definitions, moment: dt.datetime) -> dg.RunRequest:
    """What the schedule asks for at a moment."""
    requests: list[dg.RunRequest] | None = month_end_tick(defs, moment).run_requests
    assert requests is not None
    assert len(requests) == 1
    return requests[0]


def after_success(defs: dg.Definitions, instance: dg.DagsterInstance, job: str, tags: dict[str, str]) -> object:
    """What the sensor says when a run with these tags has succeeded."""
    repository = defs.get_repository_def()
    run = instance.create_run_for_job(defs.resolve_job_def(job), tags=tags, status=dg.DagsterRunStatus.SUCCESS)
    context = dg.build_run_status_sensor_context(
        sensor_name="month_run_sensor",
        dagster_instance=instance,
        dagster_run=run,
        dagster_event=dg.DagsterEvent("PIPELINE_SUCCESS", job),
        resources={"warehouse": (defs.resources or {})["warehouse"]},
    )
    said: Any = repository.get_sensor_def("month_run_sensor")(context)
    answers: list[object] = list(said)
    assert len(answers) == 1
    return answers[0]


def own(request: dg.RunRequest) -> tuple[str, dict[str, str]]:
    """Job and partitions of a request."""
    return str(request.job_name), {name: value for name, value in request.tags.items() if name in PARTITION_TAGS}


def test_the_schedule_runs_on_the_configured_day_local_time(defs: dg.Definitions) -> None:
    schedule = defs.get_repository_def().get_schedule_def("month_end")
    assert schedule.cron_schedule == "0 6 5 * *"
    assert schedule.execution_timezone == "Africa/Casablanca"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize(
    ("moment", "month"),
    [("2025-07-05T06:00", "2025-06"), ("2026-01-05T06:00", "2025-12"), ("2024-03-05T06:00", "2024-02")],
)
def test_the_schedule_starts_the_previous_month(defs: dg.Definitions, moment: str, month: str) -> None:
    at = dt.datetime.fromisoformat(moment).replace(tzinfo=CASABLANCA)
    request = scheduled(defs, at)
    assert own(request) == ("reference_job", {})
    assert request.tags[OWN_TAGS[0]] == month
    assert request.run_key == scheduled(defs, at).run_key, "a tick that is played again"
    assert request.run_key != scheduled(defs, at + dt.timedelta(days=31)).run_key


@pytest.mark.thorough
def test_the_chain_goes_through_every_step_and_ends(defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
    request: object = scheduled(defs, dt.datetime(2025, 7, 5, 6, tzinfo=CASABLANCA))
    chain, keys = [], []
    while isinstance(request, dg.RunRequest):
        chain.append(own(request))
        keys.append(request.run_key)
        request = after_success(defs, instance, str(request.job_name), dict(request.tags))
    assert chain == SEQUENCE
    assert len(set(keys)) == len(keys)
    assert isinstance(request, dg.SkipReason)
    assert request.skip_message == "2025-06 is billed"


def test_a_month_that_is_approved_is_left_alone(defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
    """By the schedule, and by the chain that had begun before; both say why."""
    said = month_end_tick(defs, dt.datetime(2025, 6, 5, 6, tzinfo=CASABLANCA))
    assert not said.run_requests
    assert said.skip_message.startswith("2025-05 is approved by Anna; `telecom bill close --month 2025-05")
    answer = after_success(defs, instance, "landing_job", {OWN_TAGS[0]: "2025-05", OWN_TAGS[1]: "1"})
    assert isinstance(answer, dg.SkipReason)
    assert answer.skip_message == said.skip_message


def test_every_step_is_a_run_that_dagster_can_make(defs: dg.Definitions) -> None:
    for step in scheduled_steps("2025-06"):
        partitions = defs.resolve_job_def(step.job).partitions_def
        keys = {value for name, value in step.tags.items() if name in PARTITION_TAGS}
        assert (partitions is None) == (keys == set())
        assert partitions is None or all(partitions.has_partition_key(key) for key in keys)


def test_the_same_month_once_more_is_another_chain(defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
    tags = {OWN_TAGS[0]: "2025-06", OWN_TAGS[1]: "1"}
    first, second = (after_success(defs, instance, "landing_job", tags) for _ in range(2))
    assert isinstance(first, dg.RunRequest)
    assert isinstance(second, dg.RunRequest)
    assert own(first) == own(second) == SEQUENCE[2]
    assert first.run_key != second.run_key


@pytest.mark.parametrize("job", [job for job, _ in SEQUENCE])
def test_other_runs_are_nobodys_step(defs: dg.Definitions, instance: dg.DagsterInstance, job: str) -> None:
    answer = after_success(defs, instance, job, {})
    assert isinstance(answer, dg.SkipReason)
    assert answer.skip_message == "not a run of a month's sequence"


def test_the_sensor_may_ask_for_every_job_of_the_sequence(defs: dg.Definitions) -> None:
    sensor = defs.get_repository_def().get_sensor_def("month_run_sensor")
    assert {job.name for job in sensor.jobs} == {job for job, _ in SEQUENCE}
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
