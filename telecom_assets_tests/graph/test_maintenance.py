"""The night's maintenance in the graph: what it leaves to whom, and that nobody takes it for new data.

Belongs here: the asset, its schedule, its command. Does not belong here: what is done to a table
(`resources/test_maintenance`).
"""

import json
import os
import time
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from telecom_assets.definitions import ASSETS, build_defs
from telecom_assets.home.settings import Settings
from telecom_assets.model.calendar import local_today
from telecom_assets.runs.maintenance import pools_of_tables, writer_at_work
from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.conftest import customers
from telecom_assets_tests.graph.project import Project, day_tags
from telecom_assets_tests.graph.test_cli_month import Finished, typed
from telecom_assets_tests.graph.test_sensor import asked, carry_out, sms, tick

__all__ = ["typed"]


def maintained(project: Project) -> dict[str, dict[str, Any]]:
    """Run the job; returns what it says of each table."""
    result = project.run("maintenance_job")
    assert result.success
    [event] = result.asset_materializations_for_node("maintenance")
    tables = event.metadata["tables"]
    assert isinstance(tables, dg.TableMetadataValue)
    return {str(record.data["table"]): dict(record.data) for record in tables.records}


def existing(project: Project) -> list[str]:
    return [name for name in TABLES if project.warehouse.exists(name)]


@pytest.fixture(scope="module")
def project(new_project: Callable[..., Project]) -> Project:
    """Today's messages landed in three runs, and mediated."""
    made = new_project(partitions=2)
    made.store_customers(customers())
    assert made.run("reference_job").success
    for number in range(3):
        made.produce([sms(local_today(), f"{number}a"), sms(local_today(), f"{number}b")])
        assert made.run("landing_job").success
    assert made.run("mediation_job", day_tags(f"{local_today()}")).success
    assert asked(made) == []
    return made


def test_a_dry_run_changes_nothing(project: Project, typed: Callable[..., Finished]) -> None:
    before = project.versions(existing(project))
    finished = typed(project, "maintain", "--dry-run", "--json")
    assert (finished.status, finished.stderr) == (0, "")
    report = json.loads(finished.stdout)
    assert (report["dry_run"], report["error"]) == (True, None)
    files = len(project.table("raw_cdrs").file_uris())
    assert files >= 3
    assert {each["table"]: each["files_compacted"] for each in report["tables"]}["raw_cdrs"] == files
    assert project.versions(before) == before


def test_a_table_that_a_run_is_writing_is_left(project: Project) -> None:
    """Told by the pools; the tables of other steps are not."""
    storage = project.instance.event_log_storage
    storage.set_concurrency_slots("landing", 1)
    assert storage.claim_concurrency_slot("landing", "0a1b2c3d-run", "landing").is_claimed
    before = project.version("raw_cdrs")
    try:
        done = maintained(project)
    finally:
        storage.free_concurrency_slots_for_run("0a1b2c3d-run")
    assert done["raw_cdrs"]["note"] == "not compacted: step landing of run 0a1b2c3d has the pool landing"
    assert project.version("raw_cdrs") == before
    assert done["mediated_days"]["note"] == "", "nothing of it was to be done"
    assert {writer_at_work(project.instance, pools_of_tables(ASSETS), name) for name in TABLES} == {None}


def test_maintenance_is_no_news(project: Project, typed: Callable[..., Finished]) -> None:
    """Nothing is asked for because of it, the checks see the same rows, and landing goes on where it stood."""
    rows = {name: project.warehouse.pin(name).rows_by_partition() for name in existing(project)}
    finished = typed(project, "maintain")
    assert finished.status == 0, finished.stderr
    assert "raw_cdrs" in finished.stdout
    assert len(project.table("raw_cdrs").file_uris()) == 1
    assert {name: project.warehouse.pin(name).rows_by_partition() for name in rows} == rows
    assert asked(project) == []
    assert tick(project).skip_message == "nothing new on the topic, every landed day is mediated"
    assert maintained(project)["raw_cdrs"]["files_compacted"] == 0

    project.produce([sms(local_today(), "later")])
    carry_out(project)
    carry_out(project)
    assert asked(project) == []
    assert sorted(row["record_id"] for row in project.rows("cleaned_cdrs")) == [
        "0a",
        "0b",
        "1a",
        "1b",
        "2a",
        "2b",
        "later",
    ]


def test_what_runs_printed_is_kept_as_long_as_a_version(new_project: Callable[..., Project]) -> None:
    """What else Dagster keeps of a run is none of it."""
    project = new_project(short_retention=True, retention_days=2)
    storage = project.settings.dagster_home / "storage"
    for run, age, name in (("old", 2.1, "compute_logs"), ("new", 1.9, "compute_logs"), ("else", 2.1, "another")):
        folder = storage / run / name
        folder.mkdir(parents=True)
        (folder / "abc.out").write_text("printed", encoding="utf-8")
        os.utime(folder, (time.time() - age * 86_400,) * 2)
    result = project.run("maintenance_job")
    assert result.success
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["outputs_removed"].value == 1
    own = storage / result.run_id / "compute_logs"
    assert {each.parent for each in storage.rglob("abc.out")} == {
        storage / "new/compute_logs",
        storage / "else/another",
    }
    assert not (storage / "old").exists()
    assert len(list(own.glob("*.out"))) == 1


def test_a_table_that_cannot_be_maintained_fails_the_run(
    new_project: Callable[..., Project], typed: Callable[..., Finished]
) -> None:
    """With its name, after the others; the command says the same."""
    project = new_project()
    project.warehouse.make_tables(["customers", "rated_cdrs", "suspended_cdrs"])
    log = project.settings.home_path / "warehouse" / "rated_cdrs" / "_delta_log" / f"{0:020d}.json"
    log.write_text("{not JSON", encoding="utf-8")
    result = project.run("maintenance_job")
    assert not result.success
    assert "table rated_cdrs at" in str(result.get_step_failure_events()[0].step_failure_data.error)
    assert (
        project.settings.home_path / "warehouse/suspended_cdrs/_delta_log" / f"{0:020d}.checkpoint.parquet"
    ).exists()
    finished = typed(project, "maintain", "--json")
    assert finished.status == 1
    assert "table rated_cdrs at" in json.loads(finished.stdout)["error"]


def test_who_writes_a_table_is_known_by_its_pool() -> None:
    """Landing's tables by its own, the reference tables by none, all others by the engine's."""
    expected = dict.fromkeys(TABLES, frozenset({"spark"}))
    expected |= dict.fromkeys(
        ("raw_cdrs", "landing_ranges", "landing_decisions", "displaced_days"), frozenset({"landing"})
    )
    reference = ("customers", "rate_plans", "product_catalog", "billing_terms", "reference_changes")
    expected |= dict.fromkeys(reference, frozenset())
    assert pools_of_tables(ASSETS) == expected


def test_the_schedule_runs_every_night_local_time() -> None:
    schedule = (
        build_defs(Settings.load(maintenance_hour=23)).get_repository_def().get_schedule_def("nightly_maintenance")
    )
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 23 * * *", "Africa/Casablanca")
    assert (schedule.job_name, schedule.default_status) == ("maintenance_job", dg.DefaultScheduleStatus.RUNNING)
