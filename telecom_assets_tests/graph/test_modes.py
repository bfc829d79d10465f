"""Who can read what a month leaves behind: modes as a real run makes them, with servers of the user's own.

Belongs here: files that runs, commands and the local Apache Spark write. Does not belong here: the local stack's own
files (`local_stack`).
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from resources.engine import SparkEngine
from resources.warehouse import Warehouse
from telecom_assets.home.private_files import is_open, open_folders, umask_for
from telecom_assets.home.settings import Settings
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.conftest import customers, environment
from telecom_assets_tests.graph.project import MONTH, Project, cdr
from telecom_assets_tests.stages.chain import contract_table

EVERYBODY, GROUP_AND_OTHERS = 0o007, 0o077


@pytest.fixture
def project(new_project: Callable[..., Project]) -> Project:
    made = new_project(partitions=1)
    made.store_customers(customers())
    made.produce([cdr("voice", 3, "call", caller_id="212600000001", callee_id="212700000001", duration_sec=60)])
    return made


def run(project: Project, home: Path, **changes: str) -> None:
    """`telecom run` where files are open to everybody unless the program says otherwise."""
    finished = subprocess.run(
        [Path(sys.executable).with_name("telecom"), "run", "--month", MONTH],
        env=environment(project) | {"TELECOM_HOME": str(home)} | changes,
        umask=0o022,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


def everything_in(folder: Path) -> Iterator[Path]:
    yield folder
    for place, folders, files in os.walk(folder):
        yield from (Path(place, name) for name in (*folders, *files))


def open_for(bits: int, folder: Path) -> list[str]:
    """What in a folder grants some of the bits. The mode of a link means nothing."""
    return [str(path) for path in everything_in(folder) if not path.is_symlink() and path.stat().st_mode & bits]


def test_what_a_month_leaves_is_its_users_alone(project: Project, tmp_path: Path) -> None:
    home, warehouse, output = tmp_path / "new" / "home", tmp_path / "tables", tmp_path / "papers"
    run(project, home, TELECOM_WAREHOUSE=str(warehouse), TELECOM_OUTPUT=str(output))
    made = [path for folder in (home, warehouse, output) for path in everything_in(folder)]
    assert {path.suffix for path in made} >= {".db", ".parquet", ".json", ".csv", ".xml", ".html", ".yaml"}
    assert [open_for(GROUP_AND_OTHERS, folder) for folder in (home.parent, warehouse, output)] == [[], [], []]


def test_a_warehouse_that_a_group_shares_is_shared(project: Project, tmp_path: Path) -> None:
    """The folder was there with its set-group-id bit; the home and the outputs are nobody else's all the same."""
    home, warehouse, output = tmp_path / "home", tmp_path / "tables", tmp_path / "papers"
    warehouse.mkdir()
    warehouse.chmod(0o2770)
    run(project, home, TELECOM_WAREHOUSE=str(warehouse), TELECOM_OUTPUT=str(output))
    made = [path for path in everything_in(warehouse) if not path.is_symlink()]
    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o770}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o660}
    assert [oct(folder.stat().st_mode & 0o777) for folder in (home, output)] == ["0o700", "0o700"]
    assert [open_for(EVERYBODY, folder) for folder in (home, warehouse, output)] == [[], [], []]


def test_apache_spark_writes_for_its_user_alone(spark_remote: str, tmp_path: Path) -> None:
    """Hadoop sets modes itself: the umask of the server is not enough."""
    warehouse = Warehouse(str(tmp_path / "tables"), SparkEngine(kind="spark", remote=spark_remote), TABLES)
    rows = [{"kafka_partition": 0, "kafka_offset": 1, "event_date": date(2025, 6, 3)}]
    raw = contract_table(RAW_CDRS, rows)
    warehouse.append(RAW_CDRS.name, warehouse.engine.spark_session.createDataFrame(raw))
    written = [
        path for path in everything_in(tmp_path / "tables" / RAW_CDRS.name) if path.suffix in (".parquet", ".json")
    ]
    folders = [path for path in everything_in(tmp_path / "tables") if path.name.startswith("event_date=")]
    assert len(folders) == 1
    # The first entry of the log is delta-rs's, in this process.
    by_spark = [path for path in written if path.name != f"{0:020d}.json"]
    assert len(by_spark) == 2
    assert {oct(path.stat().st_mode & 0o777) for path in by_spark} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {"0o700"}


_LOADS = "import os, telecom_assets.definitions; print(oct(os.umask(0)))"


@pytest.mark.processes
@pytest.mark.parametrize(("mode", "umask"), [(0o755, "0o77"), (0o2770, "0o7")])
def test_a_process_that_loads_the_definitions_writes_alike(tmp_path: Path, mode: int, umask: str) -> None:
    """Those of `dagster dev`, however it was started."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables").chmod(mode)
    settings = {"TELECOM_HOME": str(tmp_path / "home"), "TELECOM_WAREHOUSE": str(tmp_path / "tables")}
    loaded = subprocess.run(
        [sys.executable, "-c", _LOADS],
        env=os.environ | settings,
        umask=0o022,
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.split() == [umask]


# -- what is there already ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("modes", "umask"),
    [
        ([], 0o077),
        ([0o755], 0o077),  # as everybody's mkdir makes it
        ([0o777], 0o077),
        ([0o770], 0o077),
        ([0o2770], 0o007),
        ([0o2750], 0o027),
        ([0o2777], 0o007),  # to everybody: never
        ([0o2700], 0o077),
        ([0o755, 0o2750], 0o027),
        ([0o2750, 0o2770], 0o007),
    ],
)
def test_the_umask_follows_a_folder_that_a_group_shares(modes: list[int], umask: int) -> None:
    assert umask_for(modes) == umask


@pytest.mark.parametrize(
    ("modes", "is_open_to_all"),
    [
        ([0o700, 0o755, 0o755], False),
        ([0o755, 0o755, 0o755], True),
        ([0o755, 0o700, 0o755], False),  # nobody gets there
        ([0o750, 0o755], False),
        ([0o704, 0o755], True),
        ([0o701, 0o755], True),  # whoever knows a name
        ([0o755, 0o754], False),
        ([0o755], True),
    ],
)
def test_a_folder_is_open_when_everybody_gets_there(modes: list[int], is_open_to_all: bool) -> None:
    assert is_open(modes) is is_open_to_all


def test_a_folder_that_was_there_is_left_as_it_is_and_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("telecom_assets.home.private_files._modes", lambda folder: [folder.stat().st_mode, 0o755])
    settings = Settings.load(home=tmp_path / "home", warehouse=str(tmp_path / "tables"))
    assert open_folders(settings) == []
    for folder in (settings.home_path, Path(settings.warehouse_uri)):
        folder.mkdir()
        folder.chmod(0o755)
    assert open_folders(settings) == [tmp_path / "home", tmp_path / "tables"]
    settings.home_path.chmod(0o700)
    assert open_folders(settings) == [tmp_path / "tables"]
