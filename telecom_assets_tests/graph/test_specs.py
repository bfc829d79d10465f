"""The graph as a reviewed file: what every asset is, and that none lacks what people look for in the UI."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from syrupy.assertion import SnapshotAssertion

import telecom_assets
from telecom_assets.definitions import build_defs
from telecom_assets.home.deployment import Deployment
from telecom_assets.home.settings import Settings
from telecom_assets.tables import TABLES

#: Tables that are not assets: what follows the log of raw_cdrs is landing's own.
NOT_ASSETS = {
    "landing_ranges",
    "landing_decisions",
    "displaced_days",
    "rerate_decisions",
    "accepted_differences",
    "suspense_decisions",
    "resubmissions",
    "control_totals",
}
#: Assets that are no tables.
NOT_TABLES = {"cdr_topic", "landing", "published_bills", "invoices", "bills_csv", "dashboard", "maintenance"}
#: The small tables that are written without the engine.
REFERENCE = {"customers", "rate_plans", "product_catalog", "billing_terms", "reference_changes"}

DEFS = build_defs(Settings())
GRAPH = DEFS.resolve_asset_graph()
NAMES = sorted(key.to_user_string() for key in GRAPH.get_all_asset_keys())


def node(name: str) -> Any:
    return GRAPH.get(dg.AssetKey(name))


def spec(name: str) -> dict[str, Any]:
    """What is reviewed of an asset."""
    asset = node(name)
    mappings = {key.to_user_string(): str(mapping) for key, mapping in asset.partition_mappings.items()}
    deps = {key.to_user_string(): mappings.get(key.to_user_string(), "") for key in asset.parent_keys}
    return {
        "group": asset.group_name,
        "owners": sorted(asset.owners),
        "kinds": sorted(asset.kinds),
        "partitions": str(asset.partitions_def) if asset.partitions_def else "none",
        "backfill": str(asset.backfill_policy) if asset.backfill_policy else "one run a partition",
        "automation": asset.automation_condition.get_label() or "a condition" if asset.automation_condition else "none",
        "made by": "nobody here" if asset.is_external else asset.assets_def.node_def.name,
        "pools": sorted(asset.pools or []),
        "reads": dict(sorted(deps.items())),
        "checks": sorted(f"{key.name}{' (blocking)' * is_blocking(key)}" for key in asset.check_keys),
    }


def is_blocking(key: dg.AssetCheckKey) -> bool:
    return bool(GRAPH.get(key).blocking)


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_is_as_it_was_reviewed(name: str, snapshot: SnapshotAssertion) -> None:
    """A changed graph is a changed file. After a review: pytest --snapshot-update."""
    assert spec(name) == snapshot


def test_the_graph_has_no_asset_more_and_none_less(snapshot: SnapshotAssertion) -> None:
    assert snapshot == NAMES


def test_the_jobs_are_as_they_were_reviewed(snapshot: SnapshotAssertion) -> None:
    repository = DEFS.get_repository_def()
    jobs = {
        job.name: sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
        for job in repository.get_all_jobs()
        if not job.name.startswith("__")
    }
    assert snapshot == {
        "jobs": jobs,
        "schedules": sorted(schedule.name for schedule in repository.schedule_defs),
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_asset_says_what_it_is(name: str) -> None:
    asset = node(name)
    assert asset.group_name not in (None, "default")
    assert asset.owners
    assert asset.kinds
    assert len(asset.description or "") > 30
    assert (asset.description or "").rstrip().endswith((".", ")"))


@pytest.mark.parametrize(
    ("settings", "engine"),
    [
        ({}, "sail"),
        ({"engine": "spark"}, "spark"),
        ({"spark_remote": "sc://cluster:15002"}, "spark"),
    ],
)
def test_an_asset_names_the_engine_that_makes_it(settings: dict[str, str], engine: str) -> None:
    graph = build_defs(Settings.load(**settings)).resolve_asset_graph()
    kinds = {key.to_user_string(): graph.get(key).kinds for key in graph.get_all_asset_keys()}
    made = {"landing", "cleaned_cdrs", "rated_cdrs", "period_charges", "facturation_complete", "daily_revenue"}
    assert {name: kinds[name] & {"sail", "spark", "engine"} for name in made} == {name: {engine} for name in made}
    assert not kinds["customers"] & {"sail", "spark", "engine"}


def test_every_job_sensor_and_schedule_says_in_a_sentence_what_it_does() -> None:
    repository = DEFS.get_repository_def()
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    said = {each.name: each.description or "" for each in (*jobs, *AUTOMATIONS)}
    assert len(said) > 10
    assert [name for name, text in said.items() if len(text) < 30 or not text.endswith(".")] == []
    assert [name for name, text in said.items() if text[:1] != text[:1].upper()] == []


REPOSITORY = DEFS.get_repository_def()
AUTOMATIONS: list[dg.SensorDefinition | dg.ScheduleDefinition] = [*REPOSITORY.sensor_defs, *REPOSITORY.schedule_defs]


@pytest.mark.parametrize("automation", AUTOMATIONS, ids=[each.name for each in AUTOMATIONS])
def test_what_runs_by_itself_says_what_it_does(automation: dg.SensorDefinition | dg.ScheduleDefinition) -> None:
    description = automation.description or ""
    assert len(description) > 60
    assert description.endswith(".")
    readme = Path(telecom_assets.__file__).parents[1] / "README.md"
    assert f"`{automation.name}`" in readme.read_text(encoding="utf-8"), "README lists what runs by itself"


@pytest.mark.parametrize("name", sorted(set(NAMES) - NOT_TABLES))
def test_every_table_asset_shows_its_columns(name: str) -> None:
    schema = node(name).metadata["dagster/column_schema"]
    assert [(column.name, column.type) for column in schema.columns] == [
        (column.name, column.type) for column in TABLES[name].columns
    ]
    assert all(column.description for column in schema.columns)
    required = {column.name for column in schema.columns if not column.constraints.nullable}
    assert required == set(TABLES[name].required_names)


def test_every_table_is_an_asset() -> None:
    assert set(NAMES) - NOT_TABLES == set(TABLES) - NOT_ASSETS


def test_every_check_is_blocking_but_those_that_advise() -> None:
    keys = [key for name in NAMES for key in node(name).check_keys]
    assert len(keys) > 30
    assert sorted(key.to_user_string() for key in keys if not is_blocking(key)) == [
        "bill_lines:nothing_below_zero",
        "billing_terms:terms_have_no_gap",
        "landing:few_are_malformed",
        "rate_plans:prices_are_reached",
        "rate_plans:prices_have_no_gaps",
    ]


def test_every_step_that_writes_a_table_through_the_engine_waits_for_its_turn() -> None:
    """On a local file system one writer at a time; the small reference tables and the states of periods do not use the engine."""
    writers = set(NAMES) - NOT_TABLES - REFERENCE - {"raw_cdrs", "billing_periods", "documents", "manual_lines"}
    assert {name: set(node(name).pools) for name in writers} == {name: {"spark"} for name in writers}
    assert set(node("landing").pools) == {"landing"}


def test_nobody_but_landing_writes_raw_cdrs() -> None:
    assert not node("raw_cdrs").is_materializable
    assert not node("cdr_topic").is_materializable
    assert {key.to_user_string() for key in node("raw_cdrs").parent_keys} == {"landing"}


@pytest.mark.parametrize("name", sorted(name for name in NAMES if "Daily" in str(node(name).partitions_def)))
def test_a_range_of_days_is_one_run(name: str) -> None:
    if node(name).is_materializable:
        assert node(name).backfill_policy == dg.BackfillPolicy.single_run()


@pytest.mark.processes
def test_definitions_load_without_any_server_or_setting(tmp_path: Path) -> None:
    """`dagster definitions validate`, where nothing runs and nothing is set."""
    root = Path(telecom_assets.__file__).parents[1]
    finished = subprocess.run(
        [Path(sys.executable).with_name("dagster"), "definitions", "validate"],
        cwd=root,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TELECOM_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "Validation successful for code location telecom_assets" in finished.stdout + finished.stderr
    assert not (tmp_path / "home").exists(), "loading writes nothing"


def test_stages_and_checks_share_a_warehouse(tmp_path: Path) -> None:
    """Whichever deployment is given: what a stage has worked out of a version, its check need not work out again."""
    deployment = Deployment(Settings.load(home=tmp_path), TABLES)
    for defs in (build_defs(deployment.settings), build_defs(deployment.settings, deployment.resources())):
        resources: Mapping[str, Any] = defs.get_repository_def().get_top_level_resources()
        assert resources["io_manager"].resource_fn(None).warehouse is resources["warehouse"].resource_fn(None)
