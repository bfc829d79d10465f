"""Temporary folders: gone with their process, and after a kill with the next command."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.temporary import process_folder, remove_abandoned, temporary_folder

#: A process with the embedded engine, which sorts more than it may hold and reads from a path with a space.
_WORK = """
import os, signal, sys
from pyspark.sql import functions as F
from resources.engine import SparkEngine, readable_path

engine = SparkEngine(kind="sail", memory_mb=96)
readable_path(engine, sys.argv[1])
rows = engine.spark_session.range(2_000_000).select(F.sha2(F.col("id").cast("string"), 256).alias("text"))
rows.orderBy("text").agg(F.max("text")).collect()
engine.keep(engine.spark_session.range(3)).collect()
print("done", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The temporary directory of the commands."""
    made = tmp_path / "tmp"
    made.mkdir()
    return made


@pytest.fixture
def working(tmp_path: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in the middle of its work, on a warehouse with a table."""
    table = tmp_path / "ware house" / "table"
    table.parent.mkdir()
    table.touch()
    process = subprocess.Popen(
        [sys.executable, "-c", _WORK, str(table.parent)],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        yield process
        process.kill()


def next_command(folder: Path) -> None:
    subprocess.run(
        [Path(sys.executable).with_name("telecom"), "--home", folder / "home", "down"],
        env={**os.environ, "TMPDIR": str(folder)},
        check=True,
    )


def test_what_a_killed_run_left_is_removed_by_the_next_command(
    working: subprocess.Popen[str], folder: Path, tmp_path: Path
) -> None:
    """The link to a warehouse, kept rows, what the engine could not hold: and nothing while the run lives."""
    before = sorted(path.name for path in folder.iterdir())
    assert before
    next_command(folder)
    assert sorted(path.name for path in folder.iterdir()) == before
    working.communicate("\n")
    assert working.returncode == -signal.SIGKILL
    next_command(folder)
    assert list(folder.iterdir()) == []
    assert (tmp_path / "ware house" / "table").exists()


def made(folder: Path, name: str, *files: str) -> Path:
    path = folder / name
    path.mkdir(mode=0o700)
    for file in files:
        (path / file).touch()
    return path


def test_folders_of_other_programs_stay(folder: Path) -> None:
    mine = made(folder, "telecom-abcd1234", ".alive", "row")
    begun = made(folder, "telecom-abcd1235")
    others = [
        made(folder, "telecom-abcd1236", "row"),  # no lock: not made by us
        made(folder, "telecom-bench-abcd1234", ".alive"),
        made(folder, "telecom-data", ".alive"),
        made(folder, "telecom-ABCD1234", ".alive"),
    ]
    remove_abandoned(str(folder))
    assert not mine.exists()
    assert not begun.exists()
    assert all(path.exists() for path in others)


def test_no_link_is_followed(folder: Path, tmp_path: Path) -> None:
    elsewhere = made(tmp_path, "telecom-elsewher", ".alive", "row")
    (folder / "telecom-abcd1234").symlink_to(elsewhere, target_is_directory=True)
    locked_by_link = made(folder, "telecom-abcd1235")
    (locked_by_link / ".alive").symlink_to(elsewhere / ".alive")
    with_link = made(folder, "telecom-abcd1236", ".alive")
    (with_link / "warehouse").symlink_to(elsewhere, target_is_directory=True)
    remove_abandoned(str(folder))
    assert sorted(path.name for path in folder.iterdir()) == ["telecom-abcd1234", "telecom-abcd1235"]
    assert sorted(path.name for path in elsewhere.iterdir()) == [".alive", "row"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_folders_of_other_users_stay(folder: Path) -> None:
    path = made(folder, "telecom-abcd1234", ".alive")
    os.chown(path, 65534, -1)
    remove_abandoned(str(folder))
    assert path.exists()


def test_a_folder_is_private_and_gone_at_the_end(folder: Path) -> None:
    with temporary_folder(str(folder)) as path:
        assert Path(path).stat().st_mode & 0o777 == 0o700
        Path(path, "row").touch()
        remove_abandoned(str(folder))
        assert Path(path, "row").exists()
    assert list(folder.iterdir()) == []


_ENDS = "import sys; from resources.temporary import process_folder; print(process_folder(sys.argv[1]))"


def test_a_process_that_ends_takes_its_folder_along(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _ENDS, folder], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{folder}/telecom-")
    assert list(folder.iterdir()) == []


def test_a_temporary_directory_that_cannot_be_read_is_no_error(tmp_path: Path) -> None:
    remove_abandoned(str(tmp_path / "none"))


def test_a_folder_that_is_taken_before_it_has_its_lock_is_made_once_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may look between the two steps."""
    import tempfile  # noqa: PLC0415

    make = tempfile.mkdtemp
    taken: list[str] = []

    def mkdtemp(**options: str) -> str:
        path = make(**options)
        if not taken:
            remove_abandoned(str(folder))
            taken.append(path)
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    kept = process_folder(str(folder))
    assert kept not in taken
    assert [str(path) for path in folder.iterdir()] == [kept]
