"""A mediation of one home that is slower than another home's, through the graph: newer rows stay, and are told of.

Belongs here: what two mediations of the same days leave. Does not belong here: the write that is refused
(`resources/warehouse/test_writing`), which days are overtaken (`mediation/test_stale_days`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from telecom_assets.mediation.stale_days import stale_days
from telecom_assets_tests.graph.conftest import (
    customers,
    new_project,  # noqa: F401  (a fixture)
)
from telecom_assets_tests.graph.project import MONTH, Project, Row, cdr, day_tags, open_project
from telecom_assets_tests.intake.test_landing import crash

DAYS = day_tags(f"{MONTH}-03", f"{MONTH}-04")
TABLES = ("cleaned_cdrs", "rejected_cdrs", "mediated_days")


@dataclass
class Homes:
    """Two homes with one warehouse, one topic and one database; two days have landed and are not mediated yet."""

    slow: Project
    quick: Project

    def mediates(self, project: Project) -> Any:
        return project.run("mediation_job", DAYS)


def call(record_id: str, day: int, seconds: int = 60) -> bytes:
    caller = {"caller_id": "212600000001", "callee_id": "212600000002"}
    return cdr("voice", day, record_id, **caller, duration_sec=seconds)


@pytest.fixture
def homes(new_project: Callable[..., Project], tmp_path: Path) -> Homes:  # noqa: F811
    slow = new_project(partitions=2)
    settings = slow.settings
    quick = open_project(settings.replaced(home=tmp_path / "other home", warehouse=settings.warehouse_uri))
    slow.store_customers(customers())
    slow.open_month()
    slow.produce([call("a", 3), call("b", 4), call("b", 4), call("never", 3, 0)])
    for job in ("reference_job", "landing_job"):
        assert slow.run(job).success
    return Homes(slow, quick)


def while_it_writes(project: Project, table: str, meanwhile: Callable[[], None]) -> pytest.MonkeyPatch:
    """Somebody does something when a home has made its rows of a table and is about to commit them."""
    warehouse, patch = project.warehouse, pytest.MonkeyPatch()
    for step in ("stage", "stage_arrow"):
        stage = getattr(warehouse, step)

        def staging(name: str, rows: Any, stage: Callable[..., Any] = stage) -> Any:
            files = stage(name, rows)
            if name == table:
                patch.undo()
                meanwhile()
            return files

        patch.setattr(warehouse, step, staging)
    return patch


def outcomes(rows: list[Row]) -> list[tuple[Any, ...]]:
    names = ("source_part", "source_position", "event_date", "record_id", "reason")
    return sorted(tuple(row.get(name) for name in names) for row in rows)


def assert_as_the_oracle(project: Project) -> None:
    expected = project.expected()
    assert outcomes(project.rows("cleaned_cdrs")) == outcomes(expected.cleaned)
    assert outcomes(project.rows("rejected_cdrs")) == outcomes(expected.rejected)


@pytest.mark.parametrize("table", TABLES)
def test_a_slower_mediation_does_not_take_the_place_of_a_newer_one(homes: Homes, table: str) -> None:
    """Late records land and are mediated by the other home while this one is about to write what it made without them."""

    def meanwhile() -> None:
        homes.quick.produce([call("late", 3), call("a", 4)])
        assert homes.quick.run("landing_job").success
        assert homes.mediates(homes.quick).success

    while_it_writes(homes.slow, table, meanwhile)
    refused = homes.mediates(homes.slow)
    assert not refused.success
    [failure] = refused.get_step_failure_events()
    assert f"table {table}: while these rows were made from" in str(failure.step_failure_data)
    assert {"late"} <= {row["record_id"] for row in homes.slow.rows("cleaned_cdrs")}
    assert_as_the_oracle(homes.slow)
    assert stale_days(homes.slow.warehouse) == {}

    assert homes.mediates(homes.slow).success
    assert_as_the_oracle(homes.slow)
    assert stale_days(homes.quick.warehouse) == {}


def test_two_mediations_of_the_same_rows_agree(homes: Homes) -> None:
    """Nothing has landed meanwhile: the slower one writes all of its rows behind the other's, which are the same."""
    while_it_writes(homes.slow, "cleaned_cdrs", lambda: homes.mediates(homes.quick))
    assert homes.mediates(homes.slow).success
    assert_as_the_oracle(homes.slow)
    for project in (homes.slow, homes.quick):
        assert stale_days(project.warehouse) == {}
        assert project.run("rating_job", DAYS).success


def test_rejected_rows_are_refused_where_their_cleaned_rows_were_replaced(homes: Homes) -> None:
    """They were made beside cleaned rows that the other home has replaced since. The other home's are whole."""
    while_it_writes(homes.slow, "rejected_cdrs", lambda: homes.mediates(homes.quick))
    assert not homes.mediates(homes.slow).success
    assert_as_the_oracle(homes.slow)
    assert stale_days(homes.slow.warehouse) == {}
    assert homes.quick.run("rating_job", DAYS).success


@pytest.mark.parametrize("table", ["rejected_cdrs", "mediated_days"])
def test_a_mediation_that_ended_over_another_is_noticed(homes: Homes, table: str) -> None:
    """What mediated_days says is not what the tables hold: the days are mediated again before anybody bills them.

    rejected_cdrs: it has written cleaned rows behind the other home's, and died. mediated_days: the other home has written
    all three tables between its rows and its ledger, so that its mediation goes well and its rating is refused.
    """

    def mediated_by_the_other() -> None:
        assert homes.mediates(homes.quick).success
        if table == "rejected_cdrs":
            while_it_writes(homes.slow, "rejected_cdrs", crash)

    while_it_writes(homes.slow, "cleaned_cdrs" if table == "rejected_cdrs" else table, mediated_by_the_other)
    refused = homes.mediates(homes.slow)
    assert [event.step_key for event in refused.get_step_failure_events()] == [
        "mediation" if table == "rejected_cdrs" else "rating"
    ]
    assert {f"{day}" for day in stale_days(homes.quick.warehouse)} == {f"{MONTH}-03", f"{MONTH}-04"}
    assert not homes.quick.run("rating_job", DAYS).success
    assert homes.mediates(homes.quick).success
    assert stale_days(homes.quick.warehouse) == {}
    assert homes.quick.run("rating_job", DAYS).success
    assert_as_the_oracle(homes.quick)
