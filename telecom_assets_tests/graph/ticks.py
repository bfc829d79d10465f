"""Ticks of the project's sensors, at moments that a test chooses, and the runs that they ask for.

Belongs here: being the daemon. Does not belong here: what a sensor is to do.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Protocol

import dagster as dg

from telecom_assets.model.run_tags import RUN_KEY_TAG
from telecom_assets_tests.graph.project import Project


class Tick(Protocol):
    """What a sensor says in a tick."""

    @property
    def run_requests(self) -> Sequence[dg.RunRequest] | None: ...
    @property
    def skip_message(self) -> str | None: ...
    @property
    def asset_events(self) -> Sequence[dg.AssetObservation | dg.AssetCheckEvaluation | dg.AssetMaterialization]: ...


class Clock:
    """The moment that sensors decide by: the machine's own, and what was added to it."""

    def __init__(self, project: Project) -> None:
        self.ahead = dt.timedelta(0)
        project.deployment.now = self.now  # type: ignore[method-assign]

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.ahead

    def passes(self, **time: float) -> None:
        self.ahead += dt.timedelta(**time)


def tick(project: Project, sensor: str) -> Tick:
    """One evaluation of a sensor, as the daemon makes it. Raises what the tick fails of."""
    repository = project.defs.get_repository_def()
    resources = project.deployment.resources()
    context = dg.build_sensor_context(project.instance, repository_def=repository, resources=resources)
    return repository.get_sensor_def(sensor).evaluate_tick(context)


def reason_of(asked: Tick) -> str:
    """Why a tick asks for nothing."""
    assert asked.skip_message is not None, asked.run_requests
    return asked.skip_message


def requests_of(asked: Tick) -> list[dg.RunRequest]:
    """The runs that a tick asks for."""
    return list(asked.run_requests or ())


def carry_out(project: Project, asked: Tick) -> list[dg.ExecuteInProcessResult]:
    """Run what a tick asks for, as the daemon does: a key that was asked for before is passed over."""
    done = []
    for request in asked.run_requests or ():
        known = dg.RunsFilter(tags={RUN_KEY_TAG: str(request.run_key)})
        if not project.instance.get_runs(known):
            done.append(project.run(str(request.job_name), {**request.tags, RUN_KEY_TAG: str(request.run_key)}))
    return done


def outcomes(done: Sequence[dg.ExecuteInProcessResult]) -> list[tuple[str, bool]]:
    """Job and success of runs."""
    return [(result.job_def.name, result.success) for result in done]
