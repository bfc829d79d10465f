"""The Dagster instance of a home folder: storage on SQLite or PostgreSQL, pools, and what is stored with it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

# The argument of the one question that Dagster answers about how long ticks are kept.
from dagster._core.definitions.run_request import InstigatorType

from resources.stack_state import StackState
from telecom_assets.home.instance import POSTGRES_URL_VARIABLE, instance_config, open_instance, prepare_instance
from telecom_assets.home.settings import Settings, SettingsError
from telecom_assets_tests.graph.conftest import customers
from telecom_assets_tests.graph.project import Project


@pytest.fixture(autouse=True)
def _environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening an instance sets variables for Dagster: they are to be forgotten with the test."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv(POSTGRES_URL_VARIABLE, "to be forgotten")
    monkeypatch.delenv(POSTGRES_URL_VARIABLE)


@pytest.fixture
def postgres_settings(tmp_path: Path, stack_home: Path, stack: StackState) -> Settings:
    """A home that knows the local stack, with Dagster's storage in its PostgreSQL."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(stack_home / "stack.json", home / "stack.json")
    return Settings.load(home=home, dagster_storage="postgres")


def written(settings: Settings) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((settings.dagster_home / "dagster.yaml").read_text(encoding="utf-8"))
    return content


def test_sqlite_in_the_home_folder_is_the_default(tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path / "a home")
    with open_instance(settings) as instance:
        assert Path(instance.root_directory) == tmp_path / "a home" / "dagster"
        assert "Sqlite" in type(instance.run_storage).__name__ + type(instance.event_log_storage).__name__
        assert not instance.telemetry_enabled
    assert written(settings) == instance_config(settings)
    assert "storage" not in written(settings)


@pytest.mark.parametrize("storage", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def test_pools_hold_one_run_each(request: pytest.FixtureRequest, tmp_path: Path, storage: str) -> None:
    settings = (
        request.getfixturevalue("postgres_settings") if storage == "postgres" else Settings.load(home=tmp_path / "home")
    )
    with open_instance(settings) as instance:
        config = instance.get_concurrency_config()
        assert config.pool_config.default_pool_limit == 1
        assert config.pool_config.pool_granularity is not None
        assert config.pool_config.pool_granularity.value == "op"
        assert config.run_queue_config is not None
        assert config.run_queue_config.max_concurrent_runs == 3


def test_a_sensor_that_waits_keeps_no_other_waiting_and_dagster_retries_nothing(tmp_path: Path) -> None:
    with open_instance(Settings.load(home=tmp_path / "home")) as instance:
        assert instance.get_sensor_settings()["use_threads"] is True
        assert instance.get_sensor_settings()["num_workers"] >= 2
        assert not instance.run_retries_enabled


def test_ticks_are_not_kept_for_ever(tmp_path: Path) -> None:
    with open_instance(Settings.load(home=tmp_path / "home")) as instance:
        days = instance.get_tick_retention_settings(InstigatorType.SENSOR)
        assert days
        assert all(0 < number <= 30 for number in days.values())


def test_the_file_follows_the_settings_and_nothing_else(tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path / "home")
    path = prepare_instance(settings) / "dagster.yaml"
    first, written_at = path.read_bytes(), path.stat().st_mtime_ns
    prepare_instance(settings)
    assert path.stat().st_mtime_ns == written_at, "unchanged settings leave the file alone"
    path.write_text("telemetry: {enabled: true}\n", encoding="utf-8")
    prepare_instance(settings)
    assert path.read_bytes() == first
    assert b"docs/configuration.md" in first
    assert [each.name for each in path.parent.iterdir()] == ["dagster.yaml"], "nothing is left lying about"


def test_postgres_keeps_the_runs(
    postgres_settings: Settings, stack: StackState, new_project: Callable[..., Project]
) -> None:
    """The local PostgreSQL's `dagster` database: one job is run, and its run and events are there."""
    assert stack.postgres is not None
    project = new_project()
    project.store_customers(customers())
    with open_instance(postgres_settings) as instance:
        for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
            assert "Postgres" in type(storage).__name__
        project.instance = instance
        result = project.run("reference_job")
        assert result.success
    with psycopg.connect(stack.postgres.url(stack.postgres.dagster_database)) as session:
        run = session.execute("SELECT status FROM runs WHERE run_id = %s", [result.run_id]).fetchall()
        events = session.execute(
            "SELECT count(*) FROM event_logs WHERE run_id = %s AND asset_key = %s", [result.run_id, '["customers"]']
        ).fetchall()
    assert run == [("SUCCESS",)]
    assert events[0][0] > 0
    assert not (postgres_settings.dagster_home / "history").exists(), "no SQLite file beside it"
    with open_instance(postgres_settings) as instance:
        assert instance.has_run(result.run_id)


def test_a_run_keeps_its_connections(
    postgres_settings: Settings, stack: StackState, new_project: Callable[..., Project]
) -> None:
    """Each costs as much as a hundred statements, and Dagster's storage opens one for every question."""
    assert stack.postgres is not None
    project = new_project()
    project.store_customers(customers())

    def sessions() -> int:
        assert stack.postgres is not None
        with psycopg.connect(stack.postgres.url()) as asking:
            found = asking.execute(
                "SELECT sessions FROM pg_stat_database WHERE datname = %s", [stack.postgres.dagster_database]
            ).fetchone()
        return int(found[0]) if found else 0

    with open_instance(postgres_settings) as instance:
        project.instance = instance
        before = sessions()
        assert project.run("reference_job").success
    assert sessions() - before < 20


def test_no_password_in_the_file(postgres_settings: Settings, stack: StackState) -> None:
    assert stack.postgres is not None
    prepare_instance(postgres_settings)
    text = (postgres_settings.dagster_home / "dagster.yaml").read_text(encoding="utf-8")
    assert stack.postgres.password not in text
    assert "postgresql://" not in text
    assert written(postgres_settings)["storage"] == {"postgres": {"postgres_url": {"env": POSTGRES_URL_VARIABLE}}}


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_configured_address_wins(tmp_path: Path, scheme: str) -> None:
    """Dagster's storage speaks through psycopg2, and the URL has to say so."""
    url = f"{scheme}://someone:hunter2@db.example:5432/dagster"
    settings = Settings.load(home=tmp_path / "home", dagster_storage="postgres", dagster_postgres_url=url)
    prepare_instance(settings)
    assert "hunter2" not in (settings.dagster_home / "dagster.yaml").read_text(encoding="utf-8")
    assert os.environ[POSTGRES_URL_VARIABLE] == "postgresql+psycopg2://someone:hunter2@db.example:5432/dagster"


def test_postgres_without_a_database_is_one_clear_line(tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path / "home", dagster_storage="postgres")
    with pytest.raises(SettingsError, match="TELECOM_DAGSTER_POSTGRES_URL") as caught:
        open_instance(settings)
    assert "telecom up" in str(caught.value)
    assert "\n" not in str(caught.value)
