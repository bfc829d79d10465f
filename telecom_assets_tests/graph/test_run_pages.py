"""What the UI's pages show of runs: those of a command beside those of the daemon, their days, what the tabs hold.

The pages are asked through the GraphQL that they ask themselves.
"""

import asyncio
import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType

# The UI's own server without a port: its pages have no other way to be asked.
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget, WorkspaceFileTarget
from dagster_graphql.schema import create_schema

import telecom_assets
from telecom_assets.definitions import build_defs
from telecom_assets.home.deployment import Deployment
from telecom_assets.home.instance import open_instance
from telecom_assets.home.settings import Settings
from telecom_assets.mediation.stale_days import NEW_ROWS, Stale
from telecom_assets.model.months import month_days, shown_days
from telecom_assets.model.run_tags import HIDDEN_TAG_PREFIX
from telecom_assets.runs.month_run import Step, day_range, scheduled_steps
from telecom_assets.runs.month_runner import MonthRunner, RunFailed
from telecom_assets.runs.sensors.month_end import step_request
from telecom_assets.runs.sensors.plan import requests
from telecom_assets.runs.stages import LANDING
from telecom_assets.tables import TABLES
from telecom_assets_tests.dagster_versions import OTHER_DAGSTER, STORAGES

ROOT = Path(telecom_assets.__file__).parents[1]
#: As `telecom dev` starts it: dagster dev -m telecom_assets.definitions.
DEV = ModuleTarget("telecom_assets.definitions", attribute=None, working_directory=None, location_name=None)

PAGES = """
query {
  pipelineOrError(params: {
    repositoryName: "__repository__", repositoryLocationName: "telecom_assets.definitions", pipelineName: "landing_job"
  }) { ... on Pipeline { runs { runId } } }
  runsOrError { ... on Runs { results {
    runId repositoryOrigin { repositoryName repositoryLocationName } tags { key value }
  } } }
}
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DAGSTER_HOME", "replaced by open_instance, then forgotten")
    monkeypatch.setenv("TELECOM_HOME", str(tmp_path / "home"))
    return Settings.load()


@pytest.fixture
def storage() -> str:
    """Which storage keeps the runs."""
    return "own storage"


with_dagsters_storage = pytest.mark.parametrize("storage", ["Dagster's storage"])


@pytest.fixture
def instance(settings: Settings, storage: str) -> Iterator[dg.DagsterInstance]:
    with STORAGES[storage](), open_instance(settings) as made:
        yield made


@pytest.fixture
def failed(settings: Settings, instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run of a command: a landing, which fails for want of a Kafka."""
    deployment = Deployment(settings, TABLES)
    runner = MonthRunner(build_defs(settings, deployment.resources()), instance, deployment, lambda *_: None)
    with pytest.raises(RunFailed):
        runner.execute(Step(LANDING.job))
    [run] = instance.get_runs()
    return run


# -- which runs the pages show -----------------------------------------------------------------------------------------


def asked(instance: dg.DagsterInstance, query: str) -> Any:
    """The answer of the UI's server, which starts a process that loads the code location."""
    with WorkspaceProcessContext(instance, DEV) as workspace:
        context = workspace.create_request_context()
        answer = asyncio.run(create_schema().execute_async(query, context_value=context))
    assert answer.errors is None
    return answer.data


@pytest.mark.processes
def test_the_pages_show_a_run_of_a_command(instance: dg.DagsterInstance, failed: dg.DagsterRun) -> None:
    """Jobs and the job's page ask for runs of the code location, Overview asks each run where it belongs."""
    data = asked(instance, PAGES)
    assert data["pipelineOrError"]["runs"] == [{"runId": failed.run_id}]
    [shown] = data["runsOrError"]["results"]
    assert shown["runId"] == failed.run_id
    assert shown["repositoryOrigin"] == {
        "repositoryName": "__repository__",
        "repositoryLocationName": "telecom_assets.definitions",
    }
    # What the tags hold for our own machinery is nothing that a person reads.
    assert not [tag["key"] for tag in shown["tags"] if "process" in tag["key"]]


@pytest.mark.processes
@with_dagsters_storage
def test_with_another_dagster_a_run_of_a_command_is_in_the_list_and_belongs_to_no_job(
    instance: dg.DagsterInstance, failed: dg.DagsterRun
) -> None:
    data = asked(instance, PAGES)
    [shown] = data["runsOrError"]["results"]
    assert (shown["runId"], shown["repositoryOrigin"]) == (failed.run_id, None)
    assert data["pipelineOrError"]["runs"] == []


def test_both_ways_to_start_the_ui_give_the_code_location_one_name(instance: dg.DagsterInstance) -> None:
    """`telecom dev`, and `dagster dev` in the folder of the project: else each would show the runs of its own alone."""
    file = WorkspaceFileTarget([str(ROOT / "workspace.yaml")])
    names = [origin.location_name for target in (DEV, file) for origin in target.create_origins()]
    assert names == ["telecom_assets.definitions"] * 2


def test_the_sign_of_life_is_kept_and_hidden(failed: dg.DagsterRun) -> None:
    own = [key for key in failed.tags if "telecom" in key and "process" in key]
    assert own and all(key.startswith(HIDDEN_TAG_PREFIX) for key in own)


def test_a_run_that_no_command_makes_is_left_as_it_is(instance: dg.DagsterInstance, failed: dg.DagsterRun) -> None:
    """What the command does to its instance ends with the run."""
    job = dg.define_asset_job("another", [dg.AssetKey("nothing")])

    @dg.asset
    def nothing() -> None: ...

    made = dg.Definitions(assets=[nothing], jobs=[job]).resolve_job_def("another").execute_in_process(instance=instance)
    assert made.dagster_run.remote_job_origin is None


# -- the days of a range run -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [
        ("2026-10-01", "2026-10-31", "2026-10-01…31"),
        ("2026-10-05", "2026-10-06", "2026-10-05…06"),
        ("2026-10-05", "2026-10-05", "2026-10-05"),
        ("2026-10-24", "2026-11-02", "2026-10-24…2026-11-02"),
        ("2025-10-01", "2026-10-31", "2025-10-01…2026-10-31"),
    ],
)
def test_a_range_of_days_as_people_read_it(first: str, last: str, shown: str) -> None:
    assert shown_days(dt.date.fromisoformat(first), dt.date.fromisoformat(last)) == shown


def test_a_range_run_of_anybody_shows_its_days() -> None:
    """Of `telecom run`, of the Kafka sensor, of the schedule."""
    days = month_days("2025-06")
    step = day_range("mediation_job", days[0], days[-1])
    [asked] = requests(None, dict.fromkeys(days, Stale(NEW_ROWS, 0)), {})
    scheduled = [step_request("2025-06", number, "key") for number, _ in enumerate(scheduled_steps("2025-06"))]
    assert step.tags["days"] == "2025-06-01…30"
    assert asked.step.tags["days"] == "2025-06-01…30"
    assert [run.job_name for run in scheduled if run and run.tags.get("days") == "2025-06-01…30"] == ["mediation_job"]


# -- stdout and stderr -------------------------------------------------------------------------------------------------


def tabs(instance: dg.DagsterInstance, run_id: str) -> tuple[bytes | None, bytes | None]:
    """What the tabs show, found as they find it: by the event that names the log."""
    [event] = [
        each.dagster_event
        for each in instance.all_logs(run_id, of_type=DagsterEventType.LOGS_CAPTURED)
        if each.dagster_event
    ]
    data = event.logs_captured_data
    manager = instance.compute_log_manager
    key = manager.build_log_key_for_run(run_id, data.file_key)
    assert manager.is_capture_complete(key)
    shown = manager.get_log_data(key)
    return shown.stdout, shown.stderr


@dg.asset
def talkative() -> None:
    """Prints as a library would: past Python's own streams."""
    os.write(1, b"to stdout\n")
    os.write(2, b"to stderr\n")


TALKATIVE = dg.Definitions(assets=[talkative], jobs=[dg.define_asset_job("talk", [talkative])])


@pytest.mark.processes
@pytest.mark.parametrize("storage", STORAGES)
def test_a_run_of_the_daemon_shows_what_its_process_printed(settings: Settings, storage: str) -> None:
    """A process of its own, as the daemon starts it."""
    program = (
        ("" if storage == "own storage" else OTHER_DAGSTER)
        + "from telecom_assets.home.instance import open_instance; from telecom_assets.home.settings import Settings; "
        "from telecom_assets_tests.graph.test_run_pages import TALKATIVE; instance = open_instance(Settings.load()); "
        "print('run', TALKATIVE.resolve_job_def('talk').execute_in_process(instance=instance).run_id)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    run_id = done.stdout.split("run ")[-1].strip()
    with STORAGES[storage](), open_instance(settings) as instance:
        stdout, stderr = tabs(instance, run_id)
    assert stdout is not None and b"to stdout" in stdout
    assert stderr is not None and b"to stderr" in stderr


def test_a_run_of_a_command_says_where_its_output_is(
    settings: Settings, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    deployment: Any = SimpleNamespace(settings=settings)
    result = MonthRunner(TALKATIVE, instance, deployment, lambda *_: None).execute(Step("talk"))
    for shown in tabs(instance, result.run_id):
        assert shown is not None
        assert "in the terminal where the command was typed" in shown.decode()
        assert b"to std" not in shown
    printed = capfd.readouterr()
    assert "to stdout" in printed.out
    assert "to stderr" in printed.err
