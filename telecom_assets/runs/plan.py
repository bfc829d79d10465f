"""The plan of a month: which stages have something to do, over which days, and why. A pure function of facts.

Belongs here: the decision, without Dagster, tables or clocks. `telecom run` carries it out, `telecom run --dry-run` prints it,
the month-end schedule and the Kafka sensor ask for its steps. Does not belong here: finding the facts (`facts`), running a
step (`telecom_assets.runs.month_runner`).
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from telecom_assets.model.months import contiguous
from telecom_assets.runs.stages import LANDING, MEDIATION, REFERENCE, STAGES, Stage

#: Reasons that do not come from a change.
ALWAYS_READ = "always read: that tells whether they changed"
ASKED_FOR = "asked for"
#: The most reasons of a step that are shown; the others are counted.
_SHOWN = 3


@dataclass(frozen=True)
class Facts:
    """The facts that a plan is made from. A reason is a few words; a stage, day or month without a reason is not due."""

    #: The days of the month that exist.
    days: Sequence[dt.date] = ()
    #: Why reference data must be read; why the topic must be landed.
    reference: str | None = None
    landing: str | None = None
    #: Days of any month that must be mediated again.
    stale: Mapping[dt.date, str] = field(default_factory=dict)
    #: Days of the month that a daily stage must make, by its name.
    due_days: Mapping[str, Mapping[dt.date, str]] = field(default_factory=dict)
    #: Why a monthly stage must be made, by its name.
    due_month: Mapping[str, str] = field(default_factory=dict)
    #: Whether every step is due, whatever has changed.
    everything: bool = False


@dataclass(frozen=True)
class Planned:
    """A run of a stage, and of the stages that follow in the same run, over days or a month (None: neither)."""

    stage: Stage
    days: tuple[dt.date, dt.date] | None = None
    month: str | None = None
    reasons: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The days or the month, in words."""
        if self.days is None:
            return self.month or ""
        first, last = self.days
        return f"{first}" if first == last else f"{first} to {last}"

    @property
    def why(self) -> str:
        """The reasons in one line."""
        more = len(self.reasons) - _SHOWN
        return "; ".join(self.reasons[:_SHOWN]) + (f"; {more} more" if more > 0 else "")


def plan(month: str | None, facts: Facts) -> list[Planned]:
    """The steps of a month (yyyy-MM), in their order, each with the reasons for it.

    A stage is due where its facts say so, and where a stage that it reads will be made: for the same days, or for the month of
    those days. Days that the run of an earlier stage makes for it (`Stage.then`) get no step of their own. A monthly stage makes no
    daily stage due: the next facts show whether its rows do. Without a month the plan is for new arrivals of any month: landing,
    and mediation of stale days.
    """
    steps: list[Planned] = []
    # For each due stage its days; no days for a stage that is not daily.
    made: dict[str, set[dt.date]] = {}
    for stage in STAGES:
        if month is None and stage not in (LANDING, MEDIATION):
            continue
        if stage.grain == "day":
            due = _due_days(stage, facts, made)
            along = {day for before in STAGES if stage in before.then for day in made.get(before.name, ())}
            if due or along:
                made[stage.name] = set(due) | along
            steps += _ranges(stage, {day: reasons for day, reasons in due.items() if day not in along})
        elif reasons := _due(stage, facts, made):
            made[stage.name] = set()
            steps.append(Planned(stage, None, month if stage.grain == "month" else None, tuple(reasons)))
    return steps


def _due(stage: Stage, facts: Facts, made: Mapping[str, set[dt.date]]) -> list[str]:
    """Why a stage that is not daily is due."""
    if facts.everything:
        return [ASKED_FOR]
    if stage.grain is None:
        reason = {REFERENCE.name: facts.reference, LANDING.name: facts.landing}[stage.name]
        return [reason] if reason else []
    own = [facts.due_month[stage.name]] if stage.name in facts.due_month else []
    # Only from stages that certainly write: reading the reference data again, or landing, may change nothing.
    follows = [
        f"{before.title} comes before it"
        for before in STAGES
        if before.name in stage.after
        and before.name in made
        and (before.grain == "month" or made[before.name] & set(facts.days))
    ]
    return [*own, *follows]


def _due_days(stage: Stage, facts: Facts, made: Mapping[str, set[dt.date]]) -> dict[dt.date, list[str]]:
    """The due days of a stage, each with its reasons."""
    due: dict[dt.date, list[str]] = {}
    if stage == MEDIATION:
        due = {day: [reason] for day, reason in facts.stale.items()}
    if facts.everything:
        due |= {day: due.get(day, [ASKED_FOR]) for day in facts.days}
    for day, reason in facts.due_days.get(stage.name, {}).items():
        if reason not in due.setdefault(day, []):
            due[day].append(reason)
    for before in STAGES:
        if before.name in stage.after:
            for day in made.get(before.name, set()) & set(facts.days):
                due.setdefault(day, []).append(f"{before.title} comes before it")
    return due


def _ranges(stage: Stage, due: Mapping[dt.date, Sequence[str]]) -> list[Planned]:
    """The fewest runs for the days: one for each contiguous range."""
    steps = []
    for first, last in contiguous(due):
        reasons = _counted(due[day] for day in sorted(due) if first <= day <= last)
        steps.append(Planned(stage, (first, last), None, tuple(reasons)))
    return steps


def _counted(of_days: Iterable[Sequence[str]]) -> list[str]:
    """Each reason once, in order of appearance; with the number of its days unless all days have it."""
    counts: dict[str, int] = {}
    total = 0
    for reasons in of_days:
        total += 1
        for reason in reasons:
            counts[reason] = counts.get(reason, 0) + 1
    return [reason if count == total else f"{reason} ({count} of {total} days)" for reason, count in counts.items()]
