"""Our names of Dagster's run tags and run statuses are Dagster's."""

import re
from pathlib import Path

import pytest

# What ours are compared with: Dagster exports no constants for its tags, nor its list of statuses.
from dagster._core.storage import dagster_run, tags

from telecom_assets.model import run_tags
from telecom_assets.runs.abandoned_runs import NOT_FINISHED_STATUSES

NAMES = [name for name in vars(run_tags) if name.isupper()]


@pytest.mark.parametrize("name", NAMES)
def test_a_tag_is_dagsters(name: str) -> None:
    assert getattr(run_tags, name) == getattr(tags, name)


def test_runs_that_are_not_finished_are_dagsters() -> None:
    """MANAGED, which no run has any more, is in neither list of Dagster's."""
    assert {*NOT_FINISHED_STATUSES} == {*dagster_run.NOT_FINISHED_STATUSES, dagster_run.DagsterRunStatus.MANAGED}


def test_private_parts_of_dagster_stand_in_one_file() -> None:
    root = Path(run_tags.__file__).parents[2]
    private = re.compile(r"dagster\._|dagster_shared|\bstep_context\b|from dagster import _")
    found = [
        str(path.relative_to(root))
        for package in ("telecom_assets", "resources")
        for path in (root / package).rglob("*.py")
        if private.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["telecom_assets/home/dagster_storage.py"]
