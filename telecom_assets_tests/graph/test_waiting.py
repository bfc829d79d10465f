"""Two at once: who waits for whom, what is said meanwhile, and that little is left to do then."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from resources import process_locks
from resources.process_locks import Busy, Holder, holder, lock_or_refuse, turn
from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.conftest import customers, environment
from telecom_assets_tests.graph.project import MONTH, Project, cdr
from telecom_assets_tests.graph.test_cli_month import Finished, typed

__all__ = ["typed"]

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def small(new_project: Callable[..., Project]) -> Project:
    """One call of one customer on a topic."""
    project = new_project(partitions=1)
    project.store_customers(customers())
    project.produce([cdr("voice", 3, "a", caller_id="212799999999", callee_id="33612345678", duration_sec=61)])
    return project


@pytest.fixture
def start(small: Project) -> Iterator[Start]:
    """Starts `telecom run` of the month as a process of its own; ended with the test."""
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        running.append(
            subprocess.Popen(
                [Path(sys.executable).with_name("telecom"), "run", "--month", MONTH, *arguments],
                env=environment(small),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str], begins: str) -> str:
    """The next line of its stderr that begins so."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(begins):
            return line
    raise AssertionError(f"no line begins with {begins!r}")


def worked(finished: str) -> list[str]:
    return [step["job"] for step in json.loads(finished)["steps"] if not step["up_to_date"]]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_second_run_says_whom_it_waits_for(small: Project, start: Start, options: tuple[str, ...]) -> None:
    """And what that is at; then it does what is left."""
    with turn(small.settings.dagster_home, f"month-{MONTH}") as ours:
        ours.note("rating 2025-06-01 to 2025-06-30")
        second = start(*options)
        line = said(second, "waiting for ")
        assert line.startswith(f"waiting for process {os.getpid()} (since 20")
        assert line.endswith(", rating 2025-06-01 to 2025-06-30)\n")
        assert second.poll() is None
    _, err = second.communicate(timeout=300)
    assert second.returncode == 0, err


def test_of_two_runs_one_does_the_work(small: Project, start: Start) -> None:
    """Late records for one of them: the other finds nothing left, and both end well."""
    small.produce([cdr("voice", 4, "b", caller_id="212799999999", callee_id="33612345678", duration_sec=61)])
    outputs = []
    for process in [start("--json"), start("--json")]:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        outputs.append(worked(out))
    one, other = sorted(outputs, key=len)
    assert one == ["reference_job"]
    assert other[:2] == ["reference_job", "landing_job"]
    assert other[-1] == "billing_job"
    positions = [(row["source_part"], row["source_position"]) for row in small.rows("raw_cdrs")]
    assert sorted(positions) == [(0, 0), (0, 1)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_waits_can_be_ended_at_once(small: Project, start: Start, number: signal.Signals) -> None:
    versions = small.versions(name for name in TABLES if small.warehouse.exists(name))
    with turn(small.settings.dagster_home, f"month-{MONTH}"):
        second = start()
        said(second, "waiting for ")
        second.send_signal(number)
        out, err = second.communicate(timeout=60)
    assert (second.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert small.versions(versions) == versions


def test_a_month_that_is_none_locks_nothing(small: Project, typed: Callable[..., Finished]) -> None:
    finished = typed(small, "run", "--month", "../../x")
    assert finished.status == 2
    assert "month '../../x'" in finished.stderr


# -- steps ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("work", ["landing", "maintenance"])
def test_a_step_waits_for_one_that_was_cancelled_by_force(
    small: Project, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has lost its place in the pool and is at work all the same. It failed the step before."""
    waited: list[float] = []
    with ExitStack() as other:
        other.enter_context(lock_or_refuse(small.settings.dagster_home, work))

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            other.close()

        monkeypatch.setattr(time, "sleep", sleep)
        result = small.run(f"{work}_job")
    assert result.success
    assert waited
    logged = [event.user_message for event in small.instance.all_logs(result.run_id)]
    assert [line for line in logged if line.startswith(f"waiting for process {os.getpid()} (since ")]


# -- locks ----------------------------------------------------------------------------------------------------------------


def test_patience_ends(tmp_path: Path) -> None:
    with (
        lock_or_refuse(tmp_path, "work"),
        pytest.raises(Busy, match=rf"work is under way in process {os.getpid()} .*nothing was done"),
        turn(tmp_path, "work", patience=0),
    ):
        pass


def test_a_holder_tells_what_it_is_at(tmp_path: Path) -> None:
    assert holder(tmp_path, "work") == Holder()
    with turn(tmp_path, "work") as ours:
        assert str(holder(tmp_path, "work")).startswith(f"process {os.getpid()} (since 20")
        ours.note("a long line of words")
        ours.note("less")
        assert holder(tmp_path, "work").at == "less"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 4194304, "since": "", "at": ""}', '{"who": 1}']
)
def test_what_an_ended_process_has_left_names_nobody(tmp_path: Path, content: str) -> None:
    """A lock of the version before is empty."""
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "work.lock").write_text(content)
    assert str(holder(tmp_path, "work")) == "another process of this machine"
    with turn(tmp_path, "work"):
        assert holder(tmp_path, "work").pid == os.getpid()


def test_others_are_told_once_each() -> None:
    heard: list[Any] = []
    tell = process_locks.once(heard.append)
    for pid in (1, 1, 2, 1, 2):
        tell(Holder(pid))
    assert [each.pid for each in heard] == [1, 2]
