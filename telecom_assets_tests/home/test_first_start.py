"""A home that several processes start at the same moment, and databases that an earlier start left half made.

Belongs here: Dagster's databases and the tables of a home folder, as real processes find and leave them. Does not belong here: what is
stored in them (`home/test_event_log`, `graph/test_instance`).
"""

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import dagster as dg
import pytest

# A row as the UI leaves it that switches a sensor off: Dagster has no public way to write one without a UI.
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus

from resources.engine import SparkEngine
from resources.expected_errors import ExpectedError
from resources.warehouse import Warehouse
from telecom_assets.home.instance import open_instance
from telecom_assets.home.settings import Settings
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.runs.instance_state import keep_outage_record, outage_record
from telecom_assets.tables import TABLES
from telecom_assets_tests.dagster_versions import OTHER_DAGSTER, STORAGES
from telecom_assets_tests.made_once import MadeOnce

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("databases_made_anew")]

#: Where Dagster's storages lie below the instance's folder.
FILES = ("history/runs.db", "history/event_log.db", "schedules/schedules.db")
PROCESSES = 4
ROUNDS = 8

#: A process that is loaded already: for each home on its standard input it opens the instance, and says how that went.
_OPENER = """
import sys
from pathlib import Path
from telecom_assets.home.instance import open_instance
from telecom_assets.home.settings import Settings

print("loaded", flush=True)
for line in sys.stdin:
    try:
        with open_instance(Settings.load(home=Path(line.strip()))) as instance:
            instance.get_runs()
            instance.all_instigator_state()
            instance.event_log_storage.get_concurrency_keys()
            instance.daemon_cursor_storage.set_cursor_values({"key": "value"})
        print("opened", flush=True)
    except Exception as error:
        print(type(error).__name__, " ".join(str(error).split()), flush=True)
"""


@pytest.fixture(scope="module", params=["", OTHER_DAGSTER], ids=[*STORAGES])
def openers(request: pytest.FixtureRequest) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that wait for a home to open, with the project's storage and with Dagster's."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", request.param + _OPENER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for _ in range(PROCESSES)
    ]
    assert [said(process) for process in started] == ["loaded"] * PROCESSES
    yield started
    for process in started:
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def opened_at_once(openers: list[subprocess.Popen[str]], home: Path) -> list[str]:
    """What each process says of a home that all of them open."""
    for process in openers:
        assert process.stdin is not None
        process.stdin.write(f"{home}\n")
        process.stdin.flush()
    return [said(process) for process in openers]


def revisions(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [name for (name,) in connection.execute("SELECT version_num FROM alembic_version")]


def test_a_new_home_may_be_started_by_several_at_once(openers: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    for number in range(ROUNDS):
        home = tmp_path / f"home {number}"
        assert opened_at_once(openers, home) == ["opened"] * PROCESSES
        noted = [len(revisions(home / "dagster" / name)) for name in FILES]
        # Dagster 1.13 does not commit the revision of the event log; the project's storage adds it.
        assert noted in ([1, 1, 1], [1, 0, 1])


# -- databases that an earlier start left -----------------------------------------------------------------------------

#: What two processes note that make one database at once: the newest revision, and the last that Dagster noted before.
OTHER_HEAD = "5771160a95ad"
MONTH = "2025-06"
SWITCHED_OFF = InstigatorState(
    RemoteInstigatorOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "all"), "cdr_topic_sensor"),
    InstigatorType.SENSOR,
    InstigatorStatus.STOPPED,
)


def changed(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def left_aside(file: Path) -> list[str]:
    return sorted(path.name.split(".half-made-")[0] for path in file.parent.glob("*.half-made-*"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path / "home")


def copied(first: Settings, settings: Settings) -> Path:
    """A home whose databases no connection of this process knows; returns the instance's folder."""
    for name in FILES:
        changed(first.dagster_home / name, "PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(first.home_path, settings.home_path)
    return settings.dagster_home


@pytest.fixture(scope="module")
def first_new(tmp_path_factory: pytest.TempPathFactory, _databases_are_made_once: MadeOnce) -> Iterator[Settings]:
    """A home that was started once, with nothing in it. Not to be changed."""
    first = Settings.load(home=tmp_path_factory.mktemp("new") / "first")
    with _databases_are_made_once.switched_off():
        instance = open_instance(first)
    with instance:
        yield first


@pytest.fixture(scope="module")
def first_used(tmp_path_factory: pytest.TempPathFactory, _databases_are_made_once: MadeOnce) -> Iterator[Settings]:
    """The same with a row in each of its databases. Not to be changed."""
    first = Settings.load(home=tmp_path_factory.mktemp("used") / "first")
    with _databases_are_made_once.switched_off():
        instance = open_instance(first)
        keep_outage_record(instance, [MONTH])
        instance.report_runless_asset_event(dg.AssetMaterialization("calls"))
        instance.add_instigator_state(SWITCHED_OFF)
        instance.get_asset_keys()
    with instance:
        yield first


@pytest.fixture
def new_home(first_new: Settings, settings: Settings) -> Path:
    """The instance's folder of a copy of the home with nothing in it."""
    return copied(first_new, settings)


@pytest.fixture
def used_home(first_used: Settings, settings: Settings) -> Path:
    """The instance's folder of a copy of the home with rows."""
    return copied(first_used, settings)


def kept(settings: Settings) -> tuple[list[str], int, int]:
    """What is still there of the rows of a used home, and that each of its databases can be written to."""
    with open_instance(settings) as instance:
        found = outage_record(instance) or [], len(instance.get_asset_keys()), len(instance.all_instigator_state())
        instance.daemon_cursor_storage.set_cursor_values({"key": "value"})
        instance.report_runless_asset_event(dg.AssetMaterialization("messages"))
        assert len(instance.get_asset_keys()) == found[1] + 1
    assert [len(revisions(settings.dagster_home / name)) for name in FILES] == [1, 1, 1]
    return found


NOTHING: tuple[list[str], int, int] = ([], 0, 0)
EVERYTHING = ([MONTH], 1, 1)

TWO_HEADS = f"INSERT INTO alembic_version VALUES ('{OTHER_HEAD}')"
NO_HEAD = "DELETE FROM alembic_version"
NO_HEADS = "DROP TABLE alembic_version"
HALF_MADE = [[TWO_HEADS], [NO_HEAD], [NO_HEADS], [NO_HEAD, "DROP TABLE secondary_indexes"]]


@pytest.mark.parametrize("statements", HALF_MADE, ids=["two heads", "no head", "no heads", "a table is missing"])
@pytest.mark.parametrize("name", FILES)
def test_a_half_made_database_without_rows_is_made_anew(
    settings: Settings, new_home: Path, name: str, statements: list[str]
) -> None:
    changed(new_home / name, *statements)
    assert kept(settings) == NOTHING
    assert left_aside(new_home / name) == [Path(name).name]


@pytest.mark.parametrize("statements", HALF_MADE, ids=["two heads", "no head", "no heads", "a table is missing"])
@pytest.mark.parametrize("name", FILES)
def test_a_half_made_database_with_rows_is_made_whole(
    settings: Settings, used_home: Path, name: str, statements: list[str]
) -> None:
    head = revisions(used_home / name)
    changed(used_home / name, *statements)
    assert kept(settings) == EVERYTHING
    assert revisions(used_home / name) == head
    assert left_aside(used_home / name) == []


@pytest.mark.parametrize(
    ("statements", "warned"), [([NO_HEAD], False), ([NO_HEAD, "DROP TABLE secondary_indexes"], True)]
)
def test_a_database_that_only_lacks_its_revision_is_not_called_half_made(
    settings: Settings, used_home: Path, caplog: pytest.LogCaptureFixture, statements: list[str], warned: bool
) -> None:
    """The first version of the project left the event log so."""
    changed(used_home / "history/event_log.db", *statements)
    assert kept(settings) == EVERYTHING
    assert any("was half made" in record.getMessage() for record in caplog.records) is warned


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_only_begun_is_made_anew(settings: Settings, new_home: Path, name: str) -> None:
    (new_home / name).write_bytes(b"")
    assert kept(settings) == NOTHING


@pytest.mark.parametrize("damage", ["cut off", "something else", "empty beside its log"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_database_is_one_clear_line_and_stays(
    settings: Settings, used_home: Path, name: str, damage: str
) -> None:
    """It may hold rows that nobody can read any more: whoever begins anew has to know what is lost."""
    file = used_home / name
    whole = file.read_bytes()
    if damage == "empty beside its log":
        file.with_name(f"{file.name}-wal").write_bytes(b"rows")
    content = {"cut off": whole[: len(whole) // 2], "something else": b"no database" * 1_000}.get(damage, b"")
    file.write_bytes(content)
    with pytest.raises(ExpectedError) as caught:
        open_instance(settings)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "move it and what begins with its name away" in message
    assert "\n" not in message
    assert file.read_bytes() == content
    for part in file.parent.glob(f"{file.name}*"):
        part.rename(part.with_name(f"old-{part.name}"))
    assert kept(settings)[0] == ([] if "runs" in name else [MONTH])


def test_a_database_of_another_version_of_dagster_is_left_as_it_is(settings: Settings, used_home: Path) -> None:
    """Dagster itself says how it is brought up to date."""
    file = used_home / "schedules/schedules.db"
    changed(
        file, f"UPDATE alembic_version SET version_num = '{OTHER_HEAD}'", "DROP TABLE asset_daemon_asset_evaluations"
    )
    with open_instance(settings):
        pass
    assert revisions(file) == [OTHER_HEAD]
    assert left_aside(file) == []


def test_rows_in_tables_that_are_not_ours_are_not_touched(settings: Settings, used_home: Path) -> None:
    file = used_home / "history/runs.db"
    changed(file, NO_HEAD, "ALTER TABLE kvs RENAME COLUMN value TO other")
    with pytest.raises(ExpectedError, match=r"runs\.db: was left half made by another version of Dagster .*in kvs"):
        open_instance(settings)
    assert revisions(file) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from telecom_assets.home import sqlite_databases
from telecom_assets.home.instance import open_instance
from telecom_assets.home.settings import Settings
sqlite_databases.Database._put = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
open_instance(Settings.load(home=Path(sys.argv[1])))
"""


def test_a_start_that_is_killed_leaves_nothing_that_stays(settings: Settings) -> None:
    """Killed when the database is made and not yet in its place."""
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(settings.home)], check=False)
    assert killed.returncode == -signal.SIGKILL
    history = settings.dagster_home / "history"
    assert not (history / "runs.db").exists()
    assert kept(settings) == NOTHING
    assert list(history.glob(".new-*")) == []


def test_a_table_may_be_made_by_several_at_once(tmp_path: Path, sail: SparkEngine) -> None:
    """Who comes second has the first one's table."""

    def opened(root: Path, start: Barrier) -> str:
        warehouse = Warehouse(str(root), sail, TABLES)
        start.wait()
        warehouse.make_tables([RAW_CDRS.name])
        return warehouse.pin(RAW_CDRS.name).table_id

    for number in range(40):
        start = Barrier(8)
        with ThreadPoolExecutor(8) as pool:
            root = tmp_path / str(number)
            assert len({*pool.map(lambda _: opened(root, start), range(8))}) == 1  # noqa: B023
