"""Processes of the local stack: started apart from the caller, recognised later, ended orderly.

Belongs here: everything about pids and signals. A process is identified by its pid and its start time together, so that a pid
which the system has reused is never taken for ours. Does not belong here: which programs are run.
"""

import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from telecom_assets.local_stack.errors import LocalStackError
from telecom_assets.local_stack.layout import write_private

# psutil derives a start time from the boot time, which moves a little when the clock is set.
_SAME_START_SECONDS = 2.0
_LOG_LIMIT_BYTES = 20_000_000
_POLL_SECONDS = 0.05
_TAIL_LINES = 15

# Starts a program as another user by way of a process of its own. Popen's own `user=` forks this process, and then fork handlers
# of libraries run in the child: gRPC's abort it now and then while another thread is in a call to Spark. Without `user=` Popen
# uses vfork, which runs no handlers.
_AS_USER = (
    *("-I", "-S", "-c"),
    "import os, sys\n"
    "user, group, *argv = sys.argv[1:]\n"
    "os.setgroups([])\n"
    "os.setgid(int(group))\n"
    "os.setuid(int(user))\n"
    "try:\n"
    "    os.execv(argv[0], argv)\n"
    "except OSError as error:\n"
    "    sys.exit(f'{argv[0]}: {error.strerror}')",
)

# Children of this process, kept to ask for their exit status: without that, ended ones stay zombies.
_children: dict[int, subprocess.Popen[bytes]] = {}


class Cancelled(Exception):
    """The start was cancelled (Ctrl-C, or another server failed)."""


@dataclass(frozen=True)
class Command:
    """A program with its arguments, folder and environment. user: a uid, for a caller that is root. fds: inherited descriptors.

    umask: 077 (files for the user alone), unless a group shares the folders.
    """

    argv: Sequence[str | Path]
    cwd: Path
    env: Mapping[str, str]
    user: int | None = None
    fds: Sequence[int] = ()
    umask: int = 0o077

    def popen(self, log: Path) -> "subprocess.Popen[bytes]":
        """Start in a session of its own: a Ctrl-C or a closed terminal of the caller does not reach it."""
        argv = self.argv
        if self.user is not None:
            argv = [sys.executable, *_AS_USER, str(self.user), str(_group_of(self.user)), *argv]
        with _open_log(log) as output:
            return subprocess.Popen(
                argv,
                cwd=self.cwd,
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=self.umask,
                pass_fds=self.fds,
            )


@dataclass(frozen=True)
class ServerProcess:
    """One server process that was started from a home folder, perhaps by an earlier command."""

    pid: int
    started: float

    @classmethod
    def start(cls, command: Command, log: Path, record: Path, cancel: threading.Event) -> "ServerProcess":
        """Start a server and write down which process it is. Raises Cancelled when `cancel` is set."""
        if cancel.is_set():
            raise Cancelled
        child = command.popen(log)
        _children[child.pid] = child
        try:
            process = cls(child.pid, psutil.Process(child.pid).create_time())
            write_private(record, json.dumps({"pid": process.pid, "started": process.started}))
        except psutil.NoSuchProcess:
            process = cls(child.pid, time.time())  # it has ended already, which the caller finds out
        except BaseException:
            child.kill()
            raise
        return process

    @classmethod
    def read(cls, record: Path) -> "ServerProcess | None":
        """The process of a record, alive or not; None when there is no record."""
        try:
            entry = json.loads(record.read_text(encoding="utf-8"))
            return cls(int(entry["pid"]), float(entry["started"]))
        except FileNotFoundError:
            return None
        except PermissionError:
            raise LocalStackError(f"{record}: belongs to another user; act as who started the stack") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LocalStackError(
                f"{record}: cannot be read ({error}); end the server it stands for by hand, then delete the file"
            ) from error

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process() is not None

    def stop(self, signals: Sequence[tuple[signal.Signals, float]]) -> None:
        """Send one signal after the other, each with its seconds of grace, until the process has ended.

        Processes that it has started and left behind are ended too. Raises LocalStackError when this user may not end it, or
        it does not end.
        """
        process = self._process()
        if process is None:
            return
        try:
            children = process.children(recursive=True)
            for number, grace in signals:
                process.send_signal(number)
                if self._ended_within(grace):
                    break
            else:
                raise LocalStackError(f"process {self.pid} does not end, not even by {signals[-1][0].name}")
        except psutil.NoSuchProcess:
            children = []
        except psutil.AccessDenied:
            raise LocalStackError(f"process {self.pid} belongs to another user; stop the stack as that user") from None
        _, left = psutil.wait_procs(children, timeout=2)
        for child in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(left, timeout=2)

    def _process(self) -> psutil.Process | None:
        child = _children.get(self.pid)
        if child is not None and child.poll() is not None:
            _children.pop(self.pid, None)
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _SAME_START_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def _ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True


def run_tool(command: Command, log: Path, cancel: threading.Event, seconds: float = 120) -> None:
    """Run a program to its end. Raises LocalStackError when it fails, Cancelled when `cancel` is set meanwhile."""
    before = log_size(log)
    name = Path(command.argv[0]).name
    child = command.popen(log)
    try:
        deadline = time.monotonic() + seconds
        while child.poll() is None:
            if cancel.wait(_POLL_SECONDS):
                raise Cancelled
            if time.monotonic() > deadline:
                raise LocalStackError(f"{name} took more than {seconds:.0f} s; see {log}", tail(log, before))
    finally:
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if child.returncode != 0:
        raise LocalStackError(f"{name} failed with exit code {child.returncode}; see {log}", tail(log, before))


def log_size(log: Path) -> int:
    """Length of a log now, as a mark for `tail`."""
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def tail(log: Path, since: int = 0) -> str:
    """The last lines that were written after the mark."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, log_size(log) - 20_000))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(line[:500] for line in lines[-_TAIL_LINES:])


def roll_log(log: Path) -> None:
    """Put an overlong log aside; one older generation is kept."""
    if log_size(log) > _LOG_LIMIT_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


def _group_of(user: int) -> int:
    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return user


def _open_log(log: Path) -> Any:
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")
