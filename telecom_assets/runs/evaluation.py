"""All checks of a month on the tables as they are, without a run of Dagster: no table is written, and Dagster stores no result.

Belongs here: which checks are made, over which days and months, and the outcome of a check that cannot read its table. Does not
belong here: how outcomes are shown (`telecom_assets.cli.check`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.books.factory import Check, CheckInputs, verdict_of
from telecom_assets.books.shown import differing, differing_not_shown
from telecom_assets.books.verdict import Verdict, asked
from telecom_assets.home.deployment import Deployment, OnDemand
from telecom_assets.model.months import NothingBilled
from telecom_assets.runs.checks import guards

Status = Literal["passed", "failed", "advice", "error"]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check: its verdict, or the reason why it could not read what it checks (`error`)."""

    asset: str
    check: str
    blocking: bool
    seconds: float
    verdict: Verdict | None
    error: str = ""

    @property
    def name(self) -> str:
        return f"{self.asset}.{self.check}"

    @property
    def status(self) -> Status:
        """passed, failed or error; advice for an advisory check with findings."""
        if self.verdict is None:
            return "error"
        if self.verdict.passed:
            return "passed"
        return "failed" if self.blocking else "advice"

    @property
    def stops(self) -> bool:
        """Whether the check failed, or could not be made: then the command exits with 1."""
        return self.status in ("failed", "error")

    @property
    def summary(self) -> str:
        return self.error if self.verdict is None else self.verdict.summary

    @property
    def differs(self) -> list[dict[str, str | int]]:
        """The first rows of what differs."""
        return [] if self.verdict is None or self.verdict.passed else differing(self.verdict)

    @property
    def differs_not_shown(self) -> int:
        return 0 if self.verdict is None else differing_not_shown(self.verdict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = ("asset", "check", "blocking", "status", "summary", "differs", "differs_not_shown")
        return {**{name: getattr(self, name) for name in names}, "seconds": round(self.seconds, 3)}


def assert_billed(deployment: Deployment, month: str) -> None:
    """Raise NothingBilled when the warehouse has no bills of the month."""
    warehouse = deployment.warehouse
    name = FACTURATION_COMPLETE.name
    if not warehouse.pin_period(name, month).rows_by_partition():
        raise NothingBilled(
            f"{month}: the table {name} in {warehouse.root} holds no bills of this month, so there is nothing to check; "
            f"bill it with `telecom run --month {month}`"
        )


def check_month(
    deployment: Deployment, month: str, cannot_look: tuple[type[Exception], ...], *, full: bool = False
) -> list[Outcome]:
    """Every check in the order of the stages, on the days and bills of a month, and on reference data and landing as a whole.

    The month must be billed (`assert_billed`). cannot_look: exceptions that become the outcome of a check, such as a server
    that is down or a file that is missing. full: the rows of every frozen period are compared with its digest.
    """
    everything = CheckInputs(
        deployment.settings,
        deployment.warehouse,
        OnDemand(deployment.postgres),
        deployment.now,
        deployment.record_types,
        full=full,
    )
    inputs = everything.over(month, month)
    questions = [
        partial(_ask, key.asset_key.path[-1], check, inputs, cannot_look)
        for guard in guards(deployment.settings.silent_hours)
        for key, check in guard.keyed().items()
    ]
    return asked(questions)


def _ask(asset: str, check: Check, inputs: CheckInputs, cannot_look: Sequence[type[Exception]]) -> Outcome:
    began = time.monotonic()
    verdict, error = None, ""
    try:
        verdict = verdict_of(check, inputs)
    except tuple(cannot_look) as failure:
        error = (str(failure).strip().splitlines() or [type(failure).__name__])[0][:500]
    return Outcome(asset, check.name, not check.advisory, time.monotonic() - began, verdict, error)
