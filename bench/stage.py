"""What runs in a fresh process: steps of a month through Dagster, as `telecom run` runs them, with their times.

Belongs here: doing the work and recording when each part began and ended. Does not belong here: starting this process
(`bench.project_runs`), watching it (`bench.processes`).

    python -m bench.stage land --month 2025-05 --report land.json       the topic into raw_cdrs, then reference data
    python -m bench.stage month --month 2025-05 --report month.json     mediation to documents, from what is landed
    python -m bench.stage bills …       as `month`, but of billing only the bills
    python -m bench.stage publish …     bills that are made already into PostgreSQL
    python -m bench.stage invoices …    bills that are made already into invoices
    python -m bench.stage ticks …       ticks of the Kafka sensor

The settings come from the environment. `--ends '{"0": 25}'` shows the topic as it was when it ended there.

Times begin after the imports. The instance, the definitions and the engine's start are the stage `start`, up to the first
step, or part of the step that first needs them. A step is cut into stages where Dagster's own events say
that one asset, or one of its checks, ended and the next began; time between two of them belongs to the later one.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

_PROCESS_BEGAN = time.time()

import dagster as dg  # noqa: E402  (imports are timed)

from bench.stage_names import STAGE_OF_JOB, stage_of_asset  # noqa: E402
from resources.kafka import KafkaConnection, TopicState, Watermarks  # noqa: E402
from telecom_assets.definitions import build_defs  # noqa: E402
from telecom_assets.home.deployment import Deployment  # noqa: E402
from telecom_assets.home.instance import open_instance  # noqa: E402
from telecom_assets.home.settings import Settings  # noqa: E402
from telecom_assets.intake.decisions import open_month  # noqa: E402
from telecom_assets.runs.month_run import Step, one_month  # noqa: E402
from telecom_assets.runs.month_runner import MonthRunner, StepResult  # noqa: E402
from telecom_assets.runs.stages import BILLING, LANDING, REFERENCE  # noqa: E402
from telecom_assets.tables import TABLES  # noqa: E402

_IMPORTED = time.time()
_TICKS = 7


@dataclass(frozen=True)
class Span:
    """A stage's part of a step, in seconds since the epoch."""

    stage: str
    begin: float
    end: float


@dataclass
class StageReport:
    """The report of a process. `begin`: when its work began, after the imports."""

    process_began: float
    begin: float
    end: float = 0.0
    spans: list[Span] = field(default_factory=list)
    checks: int = 0
    ticks: list[float] = field(default_factory=list)


@dataclass
class TopicUntil(KafkaConnection):
    """The topic as it was when it ended at these offsets."""

    ends: Mapping[int, int] = field(default_factory=dict)

    def topic_state(self) -> TopicState:
        state = super().topic_state()
        shown = {
            number: Watermarks(marks.earliest, min(marks.latest, self.ends.get(number, marks.latest)))
            for number, marks in state.partitions.items()
        }
        return TopicState(state.topic_id, shown, state.log_append_time)


class BenchDeployment(Deployment):
    """The project's deployment, with the topic as it was at some moment."""

    def __init__(self, settings: Settings, ends: Mapping[int, int] | None) -> None:
        super().__init__(settings, TABLES)
        self._ends = ends

    def kafka(self) -> KafkaConnection:
        now = super().kafka()
        if self._ends is None:
            return now
        return TopicUntil(now.bootstrap_servers, now.topic, now.options, now.timeout_seconds, ends=self._ends)


class Landing(MonthRunner):
    """The steps before mediation; landing first, so that it pays for the engine's start."""

    def run_month(self, month: str, *, force: bool = False) -> list[StepResult]:  # noqa: ARG002
        self.deployment.engine.start_early()
        for stage in (LANDING, REFERENCE):
            self.execute(Step(stage.job))
        return self.results


class FromLanded(MonthRunner):
    """The month's own sequence, without the steps that land."""

    def execute(self, step: Step) -> StepResult:
        if step.job in (LANDING.job, REFERENCE.job):
            return StepResult(step, "", 0.0)
        return super().execute(step)


class Bills(FromLanded):
    """As FromLanded, but of the billing job only the bills."""

    def execute(self, step: Step) -> StepResult:
        return super().execute(replace(step, job=_BILLS) if step.job == BILLING.job else step)


class Publishing(MonthRunner):
    """Publishing of bills that are made already."""

    job = "bench_published_bills"

    def run_month(self, month: str, *, force: bool = False) -> list[StepResult]:  # noqa: ARG002
        self.execute(one_month(self.job, month))
        return self.results


class Invoicing(Publishing):
    """Invoices for bills that are made already."""

    job = "bench_invoices"


_BILLS = "bench_facturation_complete"
#: Parts of the billing job, each with its checks.
_PARTS = {
    _BILLS: ["bill_lines", "facturation_complete"],
    Publishing.job: ["published_bills"],
    Invoicing.job: ["invoices"],
}

RUNNERS: Mapping[str, type[MonthRunner]] = {
    "land": Landing,
    "month": FromLanded,
    "bills": Bills,
    "publish": Publishing,
    "invoices": Invoicing,
}


def definitions_of(settings: Settings, deployment: Deployment) -> dg.Definitions:
    """The project's definitions, with a job for each of `_PARTS`."""
    parts = [dg.define_asset_job(job, dg.AssetSelection.assets(*assets)) for job, assets in _PARTS.items()]
    return dg.Definitions.merge(build_defs(settings, deployment.resources()), dg.Definitions(jobs=parts))


def run_steps(runner_type: type[MonthRunner], month: str, ends: Mapping[int, int] | None) -> StageReport:
    """Run the steps of a month. Raises RunFailed when one fails or a blocking check does."""
    report = StageReport(_PROCESS_BEGAN, _IMPORTED)
    times: list[list[float]] = []

    def listen(phase: str, _step: Step, _result: StepResult | None) -> None:
        if phase == "start":
            times.append([])
        times[-1].append(time.time())

    settings = Settings.load()
    deployment = BenchDeployment(settings, ends)
    instance = open_instance(settings)
    open_month(deployment.warehouse, month, calendar_start=settings.partitions_start, dedupe_days=settings.dedupe_days)
    runner = runner_type(definitions_of(settings, deployment), instance, deployment, listen)
    runner.run_month(month)
    report.end = time.time()
    # Nothing after this line is timed.
    report.spans = [Span("start", report.begin, times[0][0])]
    for result, (begin, end) in zip(runner.results, times, strict=True):
        report.spans += cut(instance, result.run_id, result.step.job, begin, end)
        report.checks += sum(passed for _, passed, _ in result.checks)
    return report


def cut(instance: dg.DagsterInstance, run_id: str, job: str, begin: float, end: float) -> list[Span]:
    """A run in spans, one after the other without gaps, each ending with an op; the last one reaches the run's end."""
    ends: dict[str, float] = {}
    stages: dict[str, str] = {}
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        if event.is_step_success:
            ends[event.step_key] = entry.timestamp
        key = event.asset_key
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            key = event.asset_check_evaluation_data.asset_key
        if key is not None:
            stages.setdefault(event.step_key, stage_of_asset(key.path[-1], job))
    spans: list[Span] = []
    for step_key, moment in sorted(ends.items(), key=lambda item: item[1]):
        spans.append(Span(stages.get(step_key, STAGE_OF_JOB.get(job, "other")), begin, moment))
        begin = moment
    if not spans:
        return [Span(STAGE_OF_JOB.get(job, "other"), begin, end)]
    spans[-1] = Span(spans[-1].stage, spans[-1].begin, end)
    return spans


def run_ticks(ends: Mapping[int, int] | None) -> StageReport:
    """Ticks of the Kafka sensor, one after the other in one process, as the code server evaluates them."""
    report = StageReport(_PROCESS_BEGAN, _IMPORTED)
    settings = Settings.load()
    instance = open_instance(settings)
    deployment = BenchDeployment(settings, ends)
    definitions = build_defs(settings, deployment.resources())
    repository = definitions.get_repository_def()
    resources = deployment.resources()
    sensor = repository.get_sensor_def("cdr_topic_sensor")
    for _ in range(_TICKS):
        begin = time.time()
        with dg.build_sensor_context(instance, repository_def=repository, resources=resources) as context:
            sensor.evaluate_tick(context)
        report.ticks.append(time.time() - begin)
    report.end = time.time()
    return report


def _main() -> None:
    parser = argparse.ArgumentParser(description="One repetition of a stage of the bench.")
    parser.add_argument("what", choices=[*RUNNERS, "ticks"])
    parser.add_argument("--month", required=True)
    parser.add_argument("--ends", type=json.loads, help="Where the topic ends, per partition, as JSON.")
    parser.add_argument("--report", type=Path, required=True)
    given = parser.parse_args()
    ends = None if given.ends is None else {int(number): end for number, end in given.ends.items()}
    report = run_ticks(ends) if given.what == "ticks" else run_steps(RUNNERS[given.what], given.month, ends)
    given.report.write_text(json.dumps(asdict(report)), encoding="utf-8")


if __name__ == "__main__":
    _main()
