"""A disk without space, for real: a small file system under the home. One line, the last good data, and it goes on when freed."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.conftest import (
    customers,
    environment,
    new_project,  # noqa: F401  (a fixture)
    telecom,
)
from telecom_assets_tests.graph.project import MONTH, Project, cdr

MEGABYTES = 48
BILLS = "SELECT * FROM facturation_complete ORDER BY billing_period, customer_id"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path_factory.mktemp("small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a file system can be mounted by root alone")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def billed(disk: Path, new_project: Callable[..., Project]) -> Project:  # noqa: F811
    """A month of one call, billed, on the small disk."""
    project = new_project(partitions=1, home=disk / "home")
    project.store_customers(customers())
    project.produce([call(1, "first")])
    finished = telecom(project, "run", "--month", MONTH)
    assert finished.returncode == 0, finished.stderr
    return project


def call(day: int, record: str) -> bytes:
    return cdr("voice", day, record, caller_id="212799999999", callee_id="33612345678", duration_sec=61)


def fill(disk: Path, left: int) -> Path:
    """Fill the disk but for some bytes; returns the file that does."""
    space = os.statvfs(disk)
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - left)
    return ballast


@pytest.mark.parametrize("left", [0, 262_144, 786_432])
def test_a_run_without_space_is_one_line_and_goes_on_when_it_is_freed(disk: Path, billed: Project, left: int) -> None:
    """Wherever it is that the space ends: Dagster's databases, a log, rows, documents."""
    project, before = billed, billed.postgres(BILLS)
    there = [name for name in TABLES if project.warehouse.exists(name)]
    assert {"raw_cdrs", "bill_lines", "billing_periods"} <= set(there)
    project.produce([call(2 + day, f"late-{left}-{day}") for day in range(9)])
    ballast = fill(disk, left)
    try:
        finished = telecom(project, "run", "--month", MONTH)
        said = finished.stderr.strip().splitlines()
        assert finished.returncode == 1, finished
        assert f"no space left on the disk of {disk}" in said[-1]
        assert said[-1].startswith(("telecom: ", f"{MONTH} is not billed: "))
        assert "Traceback" not in finished.stdout + finished.stderr, finished.stderr
        assert [line for line in said if not line.startswith(("✓", "✗", "telecom: ", MONTH))] == []
        assert project.postgres(BILLS) == before
    finally:
        ballast.unlink()
    for name in there:
        assert project.table(name).version() >= 0, "every table can be read"
    finished = telecom(project, "run", "--month", MONTH)
    assert finished.returncode == 0, finished.stderr
    offsets = sorted(row["source_position"] for row in project.rows("raw_cdrs"))
    assert offsets == list(range(len(offsets)))
    expected = {row["customer_id"]: row["amount_due"] for row in project.expected().bills(MONTH)}
    published = project.postgres("SELECT customer_id, amount_due FROM facturation_complete")
    assert dict(published) == expected


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--month", MONTH),
        ("generate", "--cdrs", "2000", "--customers", "10"),
        ("maintain",),
        ("up", "postgres"),
        ("replay", "--month", "2025-01", "/dev/null"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_says_it_in_one_line(disk: Path, billed: Project, command: tuple[str, ...]) -> None:
    """In a home that is not made yet."""
    ballast = fill(disk, 0)
    settings = environment(billed) | {"TELECOM_HOME": str(disk / "home of another")}
    try:
        finished = subprocess.run(
            [Path(sys.executable).with_name("telecom"), *command],
            env=settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    finally:
        ballast.unlink()
    assert finished.returncode == 1, finished
    assert "Traceback" not in finished.stderr, finished.stderr
    last = finished.stderr.strip().splitlines()[-1]
    assert f"no space left on the disk of {disk}" in last
