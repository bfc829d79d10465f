"""`telecom dev` as a user has it: one UI for a home and a port, and what is said when it ends."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from resources.process_locks import holder
from resources.stack_state import StackState
from telecom_assets_tests.typed import Finished, type_command

pytestmark = pytest.mark.processes

Start = Callable[..., subprocess.Popen[str]]


def command(home: Path, port: int) -> list[str]:
    return [str(Path(sys.executable).with_name("telecom")), "--home", str(home), "dev", "--port", str(port)]


def environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "PYTHONPATH")
    return {"COLUMNS": "200", **{name: os.environ[name] for name in kept if name in os.environ}}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `telecom dev` as a process of its own; ended with the test, and all that it had started."""
    running: list[psutil.Process] = []

    def begin(home: Path, port: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(home, port), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        running.append(psutil.Process(process.pid))
        return process

    yield begin
    for process in running:
        if process.is_running():
            for each in [*process.children(recursive=True), process]:
                each.kill()


@retry(retry=retry_if_exception_type(OSError), stop=stop_after_delay(180), wait=wait_fixed(0.2), reraise=True)
def wait_for_ui(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=10) as answer:
        assert answer.status == 200


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[[Path, object], Finished]:
    """Types `telecom dev` in this process, for a UI that must not start."""
    for name, value in {"COLUMNS": "200", "TELECOM_HOME": "", "DAGSTER_HOME": ""}.items():
        monkeypatch.setenv(name, value)
    return lambda home, port: type_command(monkeypatch, capfd, ("--home", home, "dev", "--port", port))


def one_line(finished: Finished) -> str:
    """What a UI that is not started says."""
    assert (finished.exit_code, finished.stdout, finished.stderr.count("\n")) == (1, "", 1), finished
    return finished.stderr


def test_one_ui_for_a_home_and_a_port(
    stack: StackState, stack_home: Path, start: Start, typed: Callable[[Path, object], Finished], tmp_path: Path
) -> None:
    """The local stack runs: it is named when the UI ends."""
    port = free_port()
    first = start(stack_home, port)
    wait_for_ui(port)
    tree = [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)]

    same_home = one_line(typed(stack_home, free_port()))
    assert f"the UI of {stack_home} is open in process {first.pid} (since " in same_home
    assert f"http://127.0.0.1:{port})" in same_home
    same_port = one_line(typed(tmp_path / "another home", port))
    listener = next(
        each.pid
        for each in psutil.net_connections("tcp")
        if each.laddr and each.laddr.port == port and each.status == "LISTEN"
    )
    assert f"port {port} of 127.0.0.1 is taken by process {listener} (" in same_port
    assert "--port" in same_port

    first.send_signal(signal.SIGINT)
    out, _ = first.communicate(timeout=120)
    assert first.returncode == 0, out
    last = out.strip().splitlines()[-1]
    assert stack.postgres is not None and stack.kafka is not None
    for part in (
        "The UI is closed. Still running: postgres (process ",
        "kafka (process ",
        f"telecom --home '{stack_home}' down",
    ):
        assert part in last
    assert "cli/dev.py" not in out, (
        "no traceback of the command itself; a process of Dagster that was just starting may tell one"
    )
    # A process of Dagster that has closed its output may take a moment more to be gone.
    _, left = psutil.wait_procs(tree, timeout=20)
    assert not [each for each in left if each.status() != psutil.STATUS_ZOMBIE]
    assert holder(stack_home / "dagster", "dev").pid is None


def test_a_ui_whose_command_was_killed_keeps_its_home(
    start: Start, typed: Callable[[Path, object], Finished], tmp_path: Path
) -> None:
    """Its daemon is still at work."""
    home, port = tmp_path / "home", free_port()
    first = start(home, port)
    wait_for_ui(port)
    [dagster] = psutil.Process(first.pid).children()
    others = [dagster, *dagster.children(recursive=True)]
    first.kill()
    first.wait()
    try:
        assert f"the UI of {home} is open in another process of this machine" in one_line(typed(home, free_port()))
    finally:
        dagster.send_signal(signal.SIGINT)
        psutil.wait_procs(others, timeout=60)


def test_without_servers_nothing_goes_on(start: Start, tmp_path: Path) -> None:
    """SIGTERM ends it as well, and the status is Dagster's own."""
    port = free_port()
    first = start(tmp_path / "home", port)
    wait_for_ui(port)
    first.terminate()
    out, _ = first.communicate(timeout=120)
    assert out.strip().splitlines()[-1] == "The UI is closed; no server of the local stack runs."
    assert first.returncode in (0, 143)


@pytest.mark.parametrize("port", ["0", "65536", "abc"])
def test_a_port_that_is_none(tmp_path: Path, typed: Callable[[Path, object], Finished], port: str) -> None:
    finished = typed(tmp_path / "home", port)
    assert finished.exit_code == 2
    assert "--port" in finished.stderr
