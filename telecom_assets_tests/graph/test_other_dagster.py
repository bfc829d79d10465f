"""A month with a Dagster of another version: nothing private to Dagster is imported, and the bills are the same."""

import json
import shutil
from collections.abc import Callable

from telecom_assets_tests.dagster_versions import OTHER_VERSION, telecom_with_other_dagster
from telecom_assets_tests.graph.conftest import MonthRun, environment
from telecom_assets_tests.graph.project import MONTH, Project, ordered
from telecom_assets_tests.typed import without_other_users


def test_a_month_in_a_new_instance(billed: MonthRun, copy_of: Callable[..., Project]) -> None:
    """`telecom run` as a user types it, in a home whose instance Dagster's own storage makes: every step, from the start."""
    project = copy_of(billed.project)
    project.instance.dispose()
    shutil.rmtree(project.settings.dagster_home)
    finished = telecom_with_other_dagster(environment(project), "run", "--month", MONTH, "--force", "--json")
    said = without_other_users(finished.stderr)
    assert finished.returncode == 0, said
    assert said.startswith(f"Dagster {OTHER_VERSION} is installed")
    assert said.count("\n") == 1
    report = json.loads(finished.stdout)
    assert report["error"] is None
    assert [step["job"] for step in report["steps"] if step["up_to_date"]] == []
    # The topic may have what other tests have sent: the oracle is asked about what landed.
    expected = project.expected()
    assert expected.bills(MONTH) == ordered(project.rows("facturation_complete"), "customer_id")
    mix = ("region", "record_type")
    assert ordered(expected.reports(MONTH)["mix_by_region"], *mix) == ordered(project.rows("mix_by_region"), *mix)
