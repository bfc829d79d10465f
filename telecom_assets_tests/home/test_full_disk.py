"""What a full disk is told from, and that nothing else is taken for one. The disk itself: `faults/test_disk_full`."""

import errno
import logging
import os
import shutil
import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from telecom_assets.home import full_disk as no_space
from telecom_assets.home.full_disk import dagster_says_it_once
from telecom_assets.home.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(home=tmp_path / "home" / "not made yet")


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says how many bytes are left in and below a folder: left({folder: bytes}); elsewhere plenty."""

    def say(free: dict[Path, int]) -> None:
        def usage(path: Path) -> Any:
            found = [size for folder, size in free.items() if folder in (Path(path), *Path(path).parents)]
            return SimpleNamespace(free=min(found, default=10**12))

        monkeypatch.setattr(shutil, "disk_usage", usage)

    return say


def caused(error: Exception) -> Exception:
    """The error as a library hands it on, twice wrapped."""
    try:
        try:
            raise error
        except Exception as first:
            raise ValueError("the run failed") from first
    except ValueError as second:
        return second


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/some/file"),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        sqlite3.OperationalError("database or disk is full"),
        RuntimeError(
            "Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)"
        ),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_whoever_says_it(settings: Settings, left: Any, error: Exception, wrapped: bool) -> None:
    left({settings.home_path.parents[1]: 40_000})
    said = no_space.no_space(caused(error) if wrapped else error, settings)
    assert said == (
        f"no space left on the disk of {settings.home_path} (0.0 MB free); free some and run it again; what was good before "
        "is in place"
    )


def test_the_disk_with_the_least_space_is_named(tmp_path: Path, left: Any) -> None:
    warehouse = tmp_path / "big" / "warehouse"
    settings = Settings.load(home=tmp_path / "home", warehouse=str(warehouse))
    left({tmp_path / "big": 1_500_000})
    (tmp_path / "big").mkdir()
    said = no_space.no_space(OSError(errno.ENOSPC, "full"), settings)
    assert said is not None and f"the disk of {warehouse} (1.5 MB free)" in said


def test_a_disk_elsewhere_is_not_given_a_folder_of_ours(settings: Settings, left: Any) -> None:
    """PostgreSQL's own, on another machine: here is plenty."""
    left({})
    said = no_space.no_space(
        RuntimeError("PostgreSQL at db:5432: could not extend file: No space left on device\nHINT"), settings
    )
    assert said is not None
    assert said.startswith(
        "no space left on a disk (PostgreSQL at db:5432: could not extend file: No space left on device);"
    )
    assert "\n" not in said


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "Permission denied"),
        OSError(errno.ENOSPC, "inotify watch limit reached"),
        sqlite3.OperationalError("database is locked"),
        ValueError("no space in this name"),
    ],
)
def test_what_is_none_is_none(settings: Settings, left: Any, error: Exception) -> None:
    left({settings.home_path.parents[1]: 0})
    assert no_space.no_space(error, settings) is None


def test_what_sqlite_says_of_both_is_told_by_the_disk(settings: Settings, left: Any) -> None:
    """A broken disk says the same."""
    error = sqlite3.OperationalError("disk I/O error")
    left({settings.home_path.parents[1]: 100_000})
    assert no_space.no_space(error, settings) is not None
    left({settings.home_path.parents[1]: 10**9})
    assert no_space.no_space(error, settings) is None


def test_what_dagster_prints_besides_is_kept_back_and_all_else_is_not(
    capsys: pytest.CaptureFixture[str], caplog: Any
) -> None:
    hook = sys.unraisablehook
    client = logging.getLogger("pyspark.sql.connect.logging")
    with dagster_says_it_once():
        sys.stderr.write("Exception while writing logger call to event log: database or disk is full\n")
        sys.stderr.write("Exception while writing logger call to event log: database is locked\n")
        sys.stderr.write("something else\n")
        client.error("GRPC Error received: No space left on device (os error 28)")
        client.error("GRPC Error received: cancelled")
    assert capsys.readouterr().err.count("database is locked") == 1
    assert [record.getMessage() for record in caplog.records if "GRPC" in record.getMessage()] in (
        ["GRPC Error received: cancelled"],
        [],  # the client's logger hands nothing on to others
    )
    assert sys.unraisablehook is hook
