"""Which storage a home has with which Dagster: the project's own and Dagster's use the same files, and read each other's rows."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from telecom_assets.home import dagster_storage
from telecom_assets.home.instance import open_instance
from telecom_assets.home.settings import Settings
from telecom_assets_tests.dagster_versions import OTHER_VERSION, STORAGES, other_dagster
from telecom_assets_tests.home.test_event_log import described, known, run
from telecom_assets_tests.home.test_first_start import FILES, SWITCHED_OFF
from telecom_assets_tests.typed import type_command

SENTENCE = (
    f"Dagster {OTHER_VERSION} is installed, and what the project adds to it was tested with "
    f"{', '.join(dagster_storage.TESTED_VERSIONS)} only and is left out: "
)


@pytest.fixture(autouse=True)
def _environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command and an instance set variables for what they start: they are to be forgotten with the test."""
    for name in ("DAGSTER_HOME", "DAGSTER_EVENT_BATCH_SIZE", "TELECOM_HOME"):
        monkeypatch.setenv(name, "to be forgotten")
        monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path / "home")


def modules(instance: dg.DagsterInstance) -> set[str]:
    """Packages of the classes that keep what the instance knows."""
    kept = (
        instance.run_storage,
        instance.event_log_storage,
        instance.schedule_storage,
        instance.compute_log_manager,
    )
    return {type(each).__module__.partition(".")[0] for each in kept}


def everything(instance: dg.DagsterInstance) -> dict[str, Any]:
    """What the instance knows of runs, their events, assets, checks and sensors, times left out."""
    runs = {each.run_id: each for each in instance.get_runs()}
    return {
        "runs": {name: (each.status, each.tags, each.job_name) for name, each in runs.items()},
        "events": {name: described(instance, name) for name in runs},
        "assets": known(instance),
        "sensors": instance.all_instigator_state(),
    }


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("writer", "reader"), [("own storage", "Dagster's storage"), ("Dagster's storage", "own storage")]
)
def test_one_storage_reads_what_the_other_wrote(settings: Settings, writer: str, reader: str) -> None:
    """And goes on where it stopped: the first one reads what the second wrote in between."""
    with STORAGES[writer](), open_instance(settings) as instance:
        assert run(instance).success
        instance.add_instigator_state(SWITCHED_OFF)
        written = everything(instance)
    with STORAGES[reader](), open_instance(settings) as instance:
        assert everything(instance) == written
        assert run(instance).success
        both = everything(instance)
    with STORAGES[writer](), open_instance(settings) as instance:
        assert everything(instance) == both
    assert (len(written["runs"]), len(both["runs"])) == (1, 2)
    assert set(written["runs"]) < set(both["runs"])
    assert len(written["sensors"]) == 1
    assert [each["assets"]["check"].count("SUCCEEDED") for each in (written, both)] == [1, 2]


def schema(file: Path) -> tuple[set[tuple[str, str]], list[str]]:
    """Tables and indexes of a database, and the revision that is noted."""
    with closing(sqlite3.connect(file)) as connection:
        objects = set(connection.execute("SELECT type, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return objects, [name for (name,) in connection.execute("SELECT version_num FROM alembic_version")]


@pytest.mark.thorough
@pytest.mark.usefixtures("databases_made_anew")
@pytest.mark.parametrize("name", FILES)
def test_both_make_the_same_tables(tmp_path: Path, name: str) -> None:
    made = []
    for storage, chosen in STORAGES.items():
        settings = Settings.load(home=tmp_path / storage)
        with chosen(), open_instance(settings):
            pass
        made.append(schema(settings.dagster_home / name))
    (own, own_revision), (usual, usual_revision) = made
    assert own == usual
    assert len(own) > 5
    # Dagster 1.13 notes the revision of the event log and does not commit it.
    assert usual_revision in (own_revision, [])
    assert len(own_revision) == 1


def test_the_tested_dagster_has_our_storage(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    assert dagster_storage.untested_version(sqlite=True) is None
    with open_instance(settings) as instance:
        assert modules(instance) == {"telecom_assets"}
    assert "is installed" not in caplog.text


@pytest.mark.thorough
def test_another_dagster_has_its_own_storage_and_the_log_says_so_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), other_dagster(), open_instance(settings) as instance:
        assert modules(instance) == {"dagster"}
        assert run(instance).success
    said = [record.getMessage() for record in caplog.records if "is installed" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith(SENTENCE)
    text = (settings.dagster_home / "dagster.yaml").read_text(encoding="utf-8")
    assert "telecom_assets.home" not in text
    kept = yaml.safe_load(text)["event_log_storage"]
    assert kept["class"] == "ConsolidatedSqliteEventLogStorage"


@pytest.mark.thorough
def test_with_the_tested_dagster_again_our_storage_is_back(settings: Settings) -> None:
    with other_dagster(), open_instance(settings):
        pass
    with open_instance(settings) as instance:
        assert modules(instance) == {"telecom_assets"}


@pytest.mark.parametrize("keeper", ["sqlite", "postgres"])
@pytest.mark.parametrize("storage", STORAGES)
def test_status_says_which_dagster_is_installed(
    storage: str, keeper: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TELECOM_DAGSTER_STORAGE", keeper)
    with STORAGES[storage]():
        done = type_command(monkeypatch, capfd, ("--home", tmp_path / "home", "status"))
    said = [line for line in done.stderr.splitlines() if "Dagster" in line]
    assert [line.startswith(f"warning: {SENTENCE}") for line in said] == [True] * (storage != "own storage")
    for what in said:
        assert ("the same data in the same files, and a month takes some seconds longer" in what) is (
            keeper == "sqlite"
        )
        assert "do not hear of runs of commands" in what


def test_the_tested_version_is_the_pinned_one() -> None:
    """Else every home of a fresh installation would have the slow storage."""
    lock = Path(dagster_storage.__file__).parents[2] / "requirements.lock"
    pinned = [line.split()[0] for line in lock.read_text(encoding="utf-8").splitlines() if line.startswith("dagster==")]
    assert [pin.removeprefix("dagster==") in dagster_storage.TESTED_VERSIONS for pin in pinned] == [True]
