"""Workers side by side: what stays together, and what becomes of the tests of a worker that dies.

Belongs here: `telecom_assets_tests.scheduling` in a suite of its own, with real workers.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from telecom_assets_tests.scheduling import ByServers

pytestmark = pytest.mark.processes

_ROOT = Path(__file__).parents[1]
_CONFTEST = """
import pytest

@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from telecom_assets_tests.scheduling import ByServers
    return ByServers(config, log)
"""
_TESTS = """
import os, signal, time
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    with open({log!r}, "a") as file:
        file.write(f"{{os.environ['PYTEST_XDIST_WORKER']}} {name} {{number}}\\n")
    time.sleep(0.02)
    if number in {deadly}:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def run_suite(folder: Path, **deadly: tuple[int, ...]) -> tuple[list[tuple[str, str, int]], str]:
    """A suite of graph/test_a.py and test_b.py, other/test_c.py to test_e.py on two workers: (worker, file, number), output."""
    log = folder / "log"
    (folder / "conftest.py").write_text(_CONFTEST, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for name, where in (("a", "graph"), ("b", "graph"), ("c", "other"), ("d", "other"), ("e", "other")):
        (folder / where).mkdir(exist_ok=True)
        text = _TESTS.format(log=str(log), name=name, deadly=deadly.get(name, ()))
        (folder / where / f"test_{name}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    return [(worker, name, int(number)) for worker, name, number in lines], done.stdout


def test_a_folder_stays_with_one_worker(tmp_path: Path) -> None:
    ran, output = run_suite(tmp_path)
    assert "30 passed" in output
    assert len({worker for worker, name, _ in ran if name in "ab"}) == 1
    assert all(len({worker for worker, name, _ in ran if name == file}) == 1 for file in "cde")


@pytest.mark.parametrize("deadly", [{"b": (5,)}, {"c": (4,)}, {"a": (2, 3), "c": (0,)}, {"e": (0,)}], ids=str)
def test_a_test_that_kills_its_worker_fails_once_and_the_others_are_run(
    tmp_path: Path, deadly: dict[str, tuple[int, ...]]
) -> None:
    """Wherever it is: last in its group, last but one, first, and in the third group of its worker."""
    ran, output = run_suite(tmp_path, **deadly)
    killed = sum(map(len, deadly.values()))
    assert f"{killed} failed, {30 - killed} passed" in output
    assert sorted((name, number) for _, name, number in ran) == [(name, n) for name in "abcde" for n in range(6)]


class _Worker:
    """A worker as the scheduler sees it: the tests it was sent, and if it was told that no more will come."""

    def __init__(self) -> None:
        self.gateway = SimpleNamespace(id="worker")
        self.sent: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def test_of_two_new_workers_one_may_be_ready_before_the_other(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both workers die at once; the first successor gets work while the second still collects, then the second does."""
    monkeypatch.setattr(pytestconfig.option, "tx", ["2*popen"])
    monkeypatch.setattr(pytestconfig.option, "loadscopereorder", False, raising=False)
    scheduler = ByServers(pytestconfig)
    tests = [f"{file}.py::test_{n}" for file in "abcdef" for n in range(3)]
    dead, ready, late = [_Worker(), _Worker()], _Worker(), _Worker()
    for worker in dead:
        scheduler.add_node(worker)
        scheduler.add_node_collection(worker, tests)
    scheduler.schedule()
    assert [scheduler.remove_node(worker) for worker in dead] == ["a.py::test_0", "b.py::test_0"]
    scheduler.add_node(ready)
    scheduler.add_node(late)
    scheduler.add_node_collection(ready, tests)
    scheduler.schedule()
    assert ready.sent
    assert not late.sent
    assert not late.shutting_down
    scheduler.add_node_collection(late, tests)
    scheduler.schedule()
    assert late.sent
