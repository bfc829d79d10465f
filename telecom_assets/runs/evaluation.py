"""All checks of a month on what is there, without a run of Dagster: nothing is made, stored or reported.

Belongs here: which checks, over which days and months, and what becomes of one that cannot look. Does not belong here: how
the outcomes are shown (`telecom_assets.cli.check`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from resources.side_by_side import side_by_side
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.books.factory import Check, Scope, decide
from telecom_assets.books.shown import differing, differing_not_shown
from telecom_assets.books.verdict import Verdict
from telecom_assets.home.connections import Connections, OnDemand
from telecom_assets.model.months import NothingBilled
from telecom_assets.runs.checks import guards

Status = Literal["passed", "failed", "advice", "error"]


@dataclass(frozen=True)
class Outcome:
    """What one check says: its verdict, or why it could not look (`error`)."""

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
        """Of an advisory check that found something: advice."""
        if self.verdict is None:
            return "error"
        if self.verdict.passed:
            return "passed"
        return "failed" if self.blocking else "advice"

    @property
    def stops(self) -> bool:
        """Whether the month is not as it must be, or nobody can say."""
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


def assert_billed(connections: Connections, month: str) -> None:
    """Raise NothingBilled when the warehouse has no bills of the month. Makes no table."""
    warehouse = connections.warehouse
    name = FACTURATION_COMPLETE.name
    if not warehouse.exists(name) or not warehouse.pin_period(name, month).rows_by_partition():
        raise NothingBilled(
            f"{month}: the table {name} in {warehouse.root} holds no bills of this month, so there is nothing to check; "
            f"bill it with `telecom run --month {month}`"
        )


def check_month(connections: Connections, month: str, cannot_look: tuple[type[Exception], ...]) -> list[Outcome]:
    """Every check, in the order of the stages, on the days and the bills of a month; reference data and landing as a whole.

    The month is billed (`assert_billed`). cannot_look: exceptions of a check that are its outcome: a server that is down, a
    file that is gone.
    """
    everything = Scope(connections.settings, connections.warehouse, OnDemand(connections.postgres), connections.now)
    scope = everything.over(month, month)
    questions = [
        partial(_ask, key.asset_key.path[-1], check, scope, cannot_look)
        for guard in guards(connections.settings.silent_hours)
        for key, check in guard.keyed().items()
    ]
    with connections.warehouse.only_reading():
        return side_by_side(questions)


def _ask(asset: str, check: Check, scope: Scope, cannot_look: Sequence[type[Exception]]) -> Outcome:
    began = time.monotonic()
    verdict, error = None, ""
    try:
        verdict = decide(check, scope)
    except tuple(cannot_look) as failure:
        error = (str(failure).strip().splitlines() or [type(failure).__name__])[0][:500]
    return Outcome(asset, check.name, not check.advisory, time.monotonic() - began, verdict, error)
