"""Running the steps of a month in this process, through Dagster: the same jobs, assets, checks and instance as the UI.

Belongs here: executing a step and collecting its results. Which steps a month has is in `telecom_assets.runs.plan`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dagster as dg
import pyspark.sql.connect.dataframe  # noqa: F401  (the steps need it: not while the engine starts beside it)

from resources.process_locks import SignOfLife
from telecom_assets.home.code_location import runs_belong_here
from telecom_assets.home.compute_logs import printed_in_the_terminal
from telecom_assets.home.deployment import Deployment
from telecom_assets.home.full_disk import dagster_says_it_once
from telecom_assets.lineage.failures import innermost_message, was_interrupted
from telecom_assets.runs.abandoned_runs import PROCESS_TAG, end_abandoned_runs, sign_of_life
from telecom_assets.runs.facts import Looker
from telecom_assets.runs.month_run import Step, requested
from telecom_assets.runs.plan import Planned, plan
from telecom_assets.runs.stages import STAGES, Stage


class RunFailed(Exception):
    """A step of the sequence failed; what was good before is still in place."""


@dataclass(frozen=True)
class StepResult:
    """One finished run, or a step that had nothing to do: its time, the checks it made and, if it failed, why."""

    step: Step
    run_id: str
    seconds: float
    checks: Sequence[tuple[str, bool, str]] = field(default_factory=list)
    #: Findings of its advisory checks, which are not among `checks`.
    advice: Sequence[str] = field(default_factory=list)
    error: str | None = None
    #: Nothing that the step reads or makes has changed since it was made; it was not run.
    up_to_date: bool = False

    @property
    def failed_checks(self) -> list[str]:
        return [f"{name}: {text}" for name, passed, text in self.checks if not passed]


Listener = Callable[[str, Step, StepResult | None], None]


class MonthRunner:
    """Executes the sequence of a month with some definitions on one instance."""

    def __init__(
        self, definitions: dg.Definitions, instance: dg.DagsterInstance, deployment: Deployment, listen: Listener
    ) -> None:
        self.definitions = definitions
        self.instance = instance
        self.deployment = deployment
        self.listen = listen
        self.results: list[StepResult] = []
        self._alive: SignOfLife | None = None

    def run_month(self, month: str, *, force: bool = False) -> list[StepResult]:
        """Land, mediate stale days, rate, bill and report; `force`: every step, whether anything changed or not.

        Reference data are always read, since only that shows whether they changed. Raises RunFailed at the first step that fails.
        """
        self.deployment.engine.start_early()
        looker = self._looker()
        made: set[str] = set()
        for stage in STAGES:
            # Whether a stage is due is known when the stages before it are done.
            facts = looker.facts(month, [stage], everything=force)
            steps = [planned for planned in plan(month, facts) if planned.stage == stage]
            for planned in steps:
                self.execute(requested(planned))
                made |= {each.name for each in stage.run}
            if stage.name not in made:
                self._skip(stage, month)
        return self.results

    def plan_month(self, month: str, *, force: bool = False) -> list[Planned]:
        """The steps that `run_month` would make, as far as they are known beforehand. Makes no table."""
        return plan(month, self._looker().facts(month, everything=force))

    def _looker(self) -> Looker:
        rules_of = self.definitions.resources["io_manager"].rules_of  # type: ignore[index]
        return Looker(self.definitions, self.instance, self.deployment, rules_of)

    def _skip(self, stage: Stage, month: str) -> None:
        step = requested(Planned(stage, month=month if stage.grain else None))
        self.listen("start", step, None)
        self.results.append(StepResult(step, "", 0.0, up_to_date=True))
        self.listen("end", step, self.results[-1])

    def execute(self, step: Step) -> StepResult:
        """Run one step. Raises RunFailed when it fails or a blocking check does."""
        self.listen("start", step, None)
        if self._alive is None:
            home = self.deployment.settings.dagster_home
            end_abandoned_runs(self.instance, home)
            self._alive = sign_of_life(home)
        started = time.monotonic()
        with runs_belong_here(self.instance, step.job), printed_in_the_terminal(), dagster_says_it_once():
            outcome = self.definitions.resolve_job_def(step.job).execute_in_process(
                instance=self.instance,
                tags={**step.tags, PROCESS_TAG: self._alive.name},
                raise_on_error=False,
                run_config={**step.config, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
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


def _error(outcome: dg.ExecuteInProcessResult) -> str:
    """The first failure's own message."""
    for event in outcome.all_events:
        if event.is_step_failure and (message := innermost_message(event)):
            return message
    return f"run {outcome.run_id} failed"
