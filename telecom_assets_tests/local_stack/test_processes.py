"""Programs of the local stack are started apart from the process that starts them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# What gRPC's fork handlers do in a child now and then while another thread is in a call: it is killed by an abort.
_START = """
import ctypes, subprocess, sys
from pathlib import Path
from telecom_assets.local_stack.processes import Command
libc = ctypes.CDLL(None)
libc.__register_atfork(None, None, ctypes.cast(libc.abort, ctypes.c_void_p), None)
if sys.argv[1] == "forked":
    child = subprocess.Popen(["/bin/true"], user=65534)
else:
    command = Command(sys.argv[3:], Path("/"), {}, user=65534 if sys.argv[1] == "nobody" else None)
    child = command.popen(Path(sys.argv[2]))
print(child.wait())
"""


def started(tmp_path: Path, user: str, *argv: str) -> tuple[str, str]:
    """Exit code and output of a program that a process with a deadly fork handler starts."""
    log = tmp_path / "log"
    done = subprocess.run([sys.executable, "-c", _START, user, log, *argv], capture_output=True, text=True, check=True)
    return done.stdout.strip(), log.read_text() if log.exists() else ""


@pytest.mark.thorough
def test_a_program_runs_no_fork_handlers(tmp_path: Path) -> None:
    assert started(tmp_path, "caller", "/bin/echo", "here") == ("0", "here\n")


@pytest.mark.thorough
@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts programs as another user")
def test_a_program_of_another_user_runs_no_fork_handlers(tmp_path: Path) -> None:
    assert started(tmp_path, "nobody", "/bin/sh", "-c", "id -u; id -G; umask") == ("0", "65534\n65534\n0077\n")
    assert started(tmp_path, "forked")[0] == "-6"


@pytest.mark.thorough
@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts programs as another user")
def test_a_program_that_another_user_cannot_run_says_so(tmp_path: Path) -> None:
    program = tmp_path / "closed"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    assert started(tmp_path, "nobody", str(program)) == ("1", f"{program}: Permission denied\n")
