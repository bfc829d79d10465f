"""Running the steps of a month in this process, through Dagster: the same jobs, assets, checks and instance as the UI.

Belongs here: executing a step and collecting what it said. The order of steps is in `telecom_assets.runs.month_run`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
import pyspark.sql.connect.dataframe  # noqa: F401  (the steps need it: not while the engine starts beside it)

from resources.kafka import KafkaUnavailable
from resources.process_locks import SignOfLife
from telecom_assets.home.code_location import runs_belong_here
from telecom_assets.home.compute_logs import printed_in_the_terminal
from telecom_assets.home.connections import Connections
from telecom_assets.home.full_disk import dagster_says_it_once
from telecom_assets.intake.landing import LandingError
from telecom_assets.lineage.failures import innermost_message, was_interrupted
from telecom_assets.runs.abandoned_runs import PROCESS_TAG, end_abandoned_runs, sign_of_life
from telecom_assets.runs.month_run import (
    BILLING,
    LANDING,
    MEDIATION,
    RATING,
    REFERENCES,
    Step,
    day_steps,
    existing_days,
    one_month,
)
from telecom_assets.runs.up_to_date import MonthRecords, Question


class RunFailed(Exception):
    """A step of the sequence failed; what was good before is still in place."""


@dataclass(frozen=True)
class StepResult:
    """One finished run, or a step that had nothing to do: its time, the checks it made and, if it failed, why."""

    step: Step
    run_id: str
    seconds: float
    checks: Sequence[tuple[str, bool, str]] = field(default_factory=list)
    #: What its advisory checks found; those are none of the `checks`.
    advice: Sequence[str] = field(default_factory=list)
    error: str | None = None
    #: Newest version of each table that it wrote.
    versions: Mapping[str, int] = field(default_factory=dict)
    #: Nothing that the step reads or makes has changed since it last went well; it was not run.
    up_to_date: bool = False

    @property
    def failed_checks(self) -> list[str]:
        return [f"{name}: {text}" for name, passed, text in self.checks if not passed]


Listener = Callable[[str, Step, StepResult | None], None]


class MonthRunner:
    """Executes the sequence of a month with some definitions on one instance."""

    def __init__(
        self, definitions: dg.Definitions, instance: dg.DagsterInstance, connections: Connections, listen: Listener
    ) -> None:
        self.definitions = definitions
        self.instance = instance
        self.connections = connections
        self.listen = listen
        self.results: list[StepResult] = []
        self._alive: SignOfLife | None = None

    def run_month(self, month: str, *, force: bool = False) -> list[StepResult]:
        """Land, mediate what needs it, rate, bill and report; `force` does so whether anything changed or not.

        Reference data are always read: that tells whether they changed. Raises RunFailed at the first step that fails.
        """
        self.connections.engine.start_early()
        self.execute(Step(REFERENCES))
        records = MonthRecords(self.instance, self.connections, month, self._checks())
        self._land(records, force=force)
        for job in (MEDIATION, RATING, BILLING):
            question = records.ask(job)
            days = question.days | set(existing_days(month)) if force else question.days
            if days:
                by_day = job in (MEDIATION, RATING)
                steps = day_steps(job, sorted(days)) if by_day else [one_month(job, month)]
                self._work(records, question, steps)
            else:
                self._skip(one_month(job, month))
        return self.results

    def _land(self, records: MonthRecords, *, force: bool) -> None:
        try:
            idle = not force and records.nothing_to_land()
        except (KafkaUnavailable, LandingError):
            idle = False  # the run says what is wrong
        if idle:
            self._skip(Step(LANDING))
        else:
            self._work(records, Question(LANDING, set(), {}), [Step(LANDING)])

    def _work(self, records: MonthRecords, question: Question, steps: Sequence[Step]) -> None:
        """Run the steps of one job; when all went well, remember it."""
        records.begin(question.job)
        results = [self.execute(step) for step in steps]
        if not any(result.failed_checks for result in results):
            records.went_well(question, {name: made for result in results for name, made in result.versions.items()})

    def _skip(self, step: Step) -> None:
        self.listen("start", step, None)
        self.results.append(StepResult(step, "", 0.0, up_to_date=True))
        self.listen("end", step, self.results[-1])

    def _checks(self) -> dict[str, list[dg.AssetCheckKey]]:
        """Keys of the checks that each job makes."""
        jobs = (LANDING, MEDIATION, RATING, BILLING)
        return {
            job: sorted(self.definitions.resolve_job_def(job).asset_layer.asset_graph.asset_check_keys, key=str)
            for job in jobs
        }

    def execute(self, step: Step) -> StepResult:
        """Run one step. Raises RunFailed when it fails or a blocking check does."""
        self.listen("start", step, None)
        if self._alive is None:
            home = self.connections.settings.dagster_home
            end_abandoned_runs(self.instance, home)
            self._alive = sign_of_life(home)
        started = time.monotonic()
        with runs_belong_here(self.instance, step.job), printed_in_the_terminal(), dagster_says_it_once():
            outcome = self.definitions.resolve_job_def(step.job).execute_in_process(
                instance=self.instance,
                tags={**step.tags, PROCESS_TAG: self._alive.name},
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        if any(event.is_step_failure and was_interrupted(event) for event in outcome.all_events):
            raise KeyboardInterrupt
        made = outcome.get_asset_check_evaluations()
        checks = [(_name(item), item.passed, item.description or "") for item in made if not _advises(item)]
        advice = [f"{_name(item)}: {item.description}" for item in made if _advises(item) and not item.passed]
        result = StepResult(
            step,
            outcome.run_id,
            time.monotonic() - started,
            checks,
            advice,
            None if outcome.success else _error(outcome),
            _versions(outcome),
        )
        self.results.append(result)
        self.listen("end", step, result)
        if result.error is not None:
            raise RunFailed("; ".join(result.failed_checks) or result.error)
        return result


def _name(check: dg.AssetCheckEvaluation) -> str:
    return f"{check.asset_key.to_user_string()}.{check.check_name}"


def _advises(check: dg.AssetCheckEvaluation) -> bool:
    return check.severity == dg.AssetCheckSeverity.WARN


def _versions(outcome: dg.ExecuteInProcessResult) -> dict[str, int]:
    """Table versions of the run's materialisations."""
    made = [event.step_materialization_data.materialization for event in outcome.get_asset_materialization_events()]
    return {
        each.asset_key.path[-1]: int(str(each.metadata["table_version"].value))
        for each in made
        if "table_version" in each.metadata
    }


def _error(outcome: dg.ExecuteInProcessResult) -> str:
    """The first failure's own message."""
    for event in outcome.all_events:
        if event.is_step_failure and (message := innermost_message(event)):
            return message
    return f"run {outcome.run_id} failed"
