"""Whoever only looks at a warehouse changes no file of it, and makes none in one that is not there yet."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg

from telecom_assets.definitions import build_defs
from telecom_assets.reports.dashboard import render_dashboard
from telecom_assets.reports.month_page import month_page_data
from telecom_assets_tests.graph.project import MONTH, Project
from telecom_assets_tests.graph.test_cli_month import Finished, typed
from telecom_assets_tests.graph.ticks import tick
from telecom_assets_tests.resources.warehouse.conftest import everything_below

__all__ = ["typed"]

_REPORTS = ("facturation_complete", "daily_revenue", "plan_by_region", "top10_consumers")
_SENSORS = ("cdr_topic_sensor", "kafka_outage", "month_run_sensor", "failed_runs_again")


def look_at_everything(project: Project, typed: Callable[..., Finished], *, month: str) -> None:
    """What a user and the daemon do without asking for anything to be made."""
    typed(project, "status", "--json")
    typed(project, "funnel", "--month", month, "--json")
    typed(project, "sources", "list", "--json")
    typed(project, "check", "--month", month, "--json")
    typed(project, "maintain", "--dry-run", "--json")
    defs = build_defs(project.settings, project.deployment.resources())
    dg.Definitions.validate_loadable(defs)
    for sensor in _SENSORS:
        tick(project, sensor)
    page = month_page_data(project.settings, *(project.warehouse.pin_period(name, month) for name in _REPORTS))
    assert month in render_dashboard(page)


def test_a_warehouse_that_is_looked_at_stays_as_it_is(untouched: Project, typed: Callable[..., Finished]) -> None:
    root = Path(untouched.warehouse.root)
    before = everything_below(root)
    assert len(before) > 100
    look_at_everything(untouched, typed, month=MONTH)
    assert everything_below(root) == before


def test_who_looks_before_the_first_landing_makes_nothing(
    new_project: Callable[..., Project], typed: Callable[..., Finished]
) -> None:
    project = new_project()
    look_at_everything(project, typed, month=MONTH)
    assert not Path(project.warehouse.root).exists()
