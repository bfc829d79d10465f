"""Running the steps of a month in this process, through Dagster: the same jobs, assets, checks and instance as the UI.

Belongs here: executing a step and collecting what it said. The order of steps is in `telecom_assets.month_run`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dagster as dg

from telecom_assets.connections import Connections
from telecom_assets.failures import innermost_message, was_interrupted
from telecom_assets.month_run import Step, after_mediation, before_mediation, existing_days, mediation_steps, stale_days


class RunFailed(Exception):
    """A step of the sequence failed; what was good before is still in place."""


@dataclass(frozen=True)
class StepResult:
    """One finished run: its time, the checks it made and, if it failed, why."""

    step: Step
    run_id: str
    seconds: float
    checks: Sequence[tuple[str, bool, str]] = field(default_factory=list)
    error: str | None = None

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

    def run_month(self, month: str) -> list[StepResult]:
        """Land, mediate what needs it, rate, bill and report. Raises RunFailed at the first step that fails."""
        for step in before_mediation():
            self.execute(step)
        days = set(existing_days(month)) | stale_days(self.connections.warehouse)
        for step in [*mediation_steps(sorted(days)), *after_mediation(month)]:
            self.execute(step)
        return self.results

    def execute(self, step: Step) -> StepResult:
        """Run one step. Raises RunFailed when it fails or a blocking check does."""
        self.listen("start", step, None)
        started = time.monotonic()
        outcome = self.definitions.resolve_job_def(step.job).execute_in_process(
            instance=self.instance,
            tags=dict(step.tags),
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        if any(event.is_step_failure and was_interrupted(event) for event in outcome.all_events):
            raise KeyboardInterrupt
        checks = [
            (f"{item.asset_key.to_user_string()}.{item.check_name}", item.passed, item.description or "")
            for item in outcome.get_asset_check_evaluations()
        ]
        result = StepResult(
            step, outcome.run_id, time.monotonic() - started, checks, None if outcome.success else _error(outcome)
        )
        self.results.append(result)
        self.listen("end", step, result)
        if result.error is not None:
            raise RunFailed("; ".join(result.failed_checks) or result.error)
        return result


def _error(outcome: dg.ExecuteInProcessResult) -> str:
    """The first failure's own message."""
    for event in outcome.all_events:
        if event.is_step_failure and (message := innermost_message(event)):
            return message
    return f"run {outcome.run_id} failed"
