"""Runs whose process was killed: nobody waits for them, and none that lives is taken for one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from resources.process_locks import Busy, lock_or_refuse
from telecom_assets.home.instance import open_instance
from telecom_assets.home.settings import Settings
from telecom_assets.runs.abandoned_runs import PROCESS_TAG, end_abandoned_runs, sign_of_life
from telecom_assets.runs.month_run import Step
from telecom_assets.runs.month_runner import MonthRunner
from telecom_assets_tests.dagster_versions import OTHER_DAGSTER, STORAGES

ROOT = Path(__file__).parents[2]
JOB = "hold_job"


@dg.asset(pool="landing")
def hold() -> None:
    """Says that it has begun, and stays until somebody takes its file away."""
    begun = Path(os.environ["BEGUN"])
    begun.touch()
    while begun.exists() and "STAY" in os.environ:
        time.sleep(0.05)


def runner(settings: Settings, instance: dg.DagsterInstance) -> MonthRunner:
    definitions = dg.Definitions(assets=[hold], jobs=[dg.define_asset_job(JOB, [hold])])
    deployment: Any = SimpleNamespace(settings=settings)
    return MonthRunner(definitions, instance, deployment, lambda *_: None)


def hold_in(home: str) -> None:
    """What the other process does."""
    settings = Settings.load(home=Path(home))
    with open_instance(settings) as instance:
        runner(settings, instance).execute(Step(JOB))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path / "home")


@pytest.fixture
def storage() -> str:
    """Which storage keeps the runs. What frees a run's places asks the storage, and is tried with both."""
    return "own storage"


both_storages = pytest.mark.parametrize("storage", STORAGES)


@pytest.fixture
def instance(settings: Settings, storage: str) -> Iterator[dg.DagsterInstance]:
    with STORAGES[storage](), open_instance(settings) as made:
        yield made


@pytest.fixture
def holder(
    settings: Settings, tmp_path: Path, instance: dg.DagsterInstance, storage: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Another process, inside its step."""
    begun = tmp_path / "begun"
    # As in a terminal: under nohup the tests themselves ignore it, and a child would inherit that.
    program = (
        ("" if storage == "own storage" else OTHER_DAGSTER)
        + "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        f"from telecom_assets_tests.graph.test_abandoned_runs import hold_in; hold_in({str(settings.home_path)!r})"
    )
    environment = {**os.environ, "BEGUN": str(begun), "STAY": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while not begun.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("number", "storage"),
    [
        (signal.SIGKILL, "own storage"),
        (signal.SIGHUP, "own storage"),
        (signal.SIGKILL, "Dagster's storage"),
    ],
)
def test_a_killed_process_holds_nobody_up(
    settings: Settings,
    tmp_path: Path,
    instance: dg.DagsterInstance,
    holder: subprocess.Popen[bytes],
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [run] = instance.get_runs()
    holder.send_signal(number)
    holder.wait(30)
    assert instance.event_log_storage.get_concurrency_info("landing").claimed_slots
    monkeypatch.setenv("BEGUN", str(tmp_path / "again"))
    assert runner(settings, instance).execute(Step(JOB)).error is None
    killed = instance.get_run_by_id(run.run_id)
    assert killed is not None and killed.status is dg.DagsterRunStatus.FAILURE
    assert not instance.event_log_storage.get_concurrency_info("landing").claimed_slots


@both_storages
def test_a_run_of_an_ended_process_is_ended(settings: Settings, instance: dg.DagsterInstance) -> None:
    job = dg.define_asset_job(JOB, [hold]).resolve(asset_graph=_graph())
    life = sign_of_life(settings.dagster_home)
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={PROCESS_TAG: life.name})
    assert end_abandoned_runs(instance, settings.dagster_home) == []
    life.end()
    assert end_abandoned_runs(instance, settings.dagster_home) == [run.run_id]
    [ended] = instance.get_runs()
    assert ended.status is dg.DagsterRunStatus.FAILURE


@pytest.mark.processes
@pytest.mark.usefixtures("holder")
def test_a_run_whose_process_lives_is_left_alone(settings: Settings, instance: dg.DagsterInstance) -> None:
    assert end_abandoned_runs(instance, settings.dagster_home) == []
    [run] = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.STARTED
    assert [slot.run_id for slot in instance.event_log_storage.get_concurrency_info("landing").claimed_slots] == [
        run.run_id
    ]


@pytest.mark.thorough
@both_storages
def test_what_an_ended_run_still_holds_is_freed(settings: Settings, instance: dg.DagsterInstance) -> None:
    """The code server reports the run of a killed worker as failed, and leaves its place taken."""
    run = instance.create_run_for_job(dg.define_asset_job(JOB, [hold]).resolve(asset_graph=_graph()))
    instance.event_log_storage.initialize_concurrency_limit_to_default("landing")
    assert instance.event_log_storage.claim_concurrency_slot("landing", run.run_id, "hold").is_claimed
    assert end_abandoned_runs(instance, settings.dagster_home) == []
    assert instance.event_log_storage.get_concurrency_info("landing").claimed_slots
    instance.report_run_failed(run)
    end_abandoned_runs(instance, settings.dagster_home)
    assert not instance.event_log_storage.get_concurrency_info("landing").claimed_slots


def _graph() -> Any:
    return dg.Definitions(assets=[hold]).resolve_asset_graph()


def test_signs_of_life_do_not_pile_up(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEGUN", str(tmp_path / "begun"))
    for _ in range(3):
        runner(settings, instance).execute(Step(JOB))
    assert len(list((settings.dagster_home / "processes").iterdir())) == 1


def test_one_process_at_a_time(tmp_path: Path) -> None:
    says = rf"landing is under way in process {os.getpid()} \(since .*\), which holds .*landing"
    with (
        lock_or_refuse(tmp_path, "landing"),
        lock_or_refuse(tmp_path, "maintenance"),
        pytest.raises(Busy, match=says),
        lock_or_refuse(tmp_path, "landing"),
    ):
        pass
    with lock_or_refuse(tmp_path, "landing"):
        pass
