"""What steps print: the tabs `stdout` and `stderr` of a run's page.

Belongs here: whether the output of a process is captured, what the tabs say where it is not, and how long it is kept. A
run of the daemon has a process of its own, whose output is captured. A run of a command shares the terminal of the command,
in which its progress is drawn: its output is not captured, and the tabs say where it is.
"""

import datetime as dt
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

#: What the tabs of a run say whose output is in a terminal.
ELSEWHERE = """\
Nothing is captured here: a command (telecom run, demo or maintain) executed this run in its own process.
What the steps printed is in the terminal where the command was typed; what they logged is among the run's events.
"""
_in_a_terminal: ContextVar[bool] = ContextVar("in_a_terminal", default=False)


def output_folder(dagster_home: Path) -> Path:
    """Where Dagster keeps captured output by default: a folder `compute_logs` for each run."""
    return dagster_home / "storage"


def remove_old_output(dagster_home: Path, before: dt.datetime) -> int:
    """Remove the captured output of runs that ended before an instant; returns the number of those runs."""
    removed = 0
    for folder in output_folder(dagster_home).glob("*/compute_logs"):
        if folder.stat().st_mtime < before.timestamp():
            shutil.rmtree(folder)
            with suppress(OSError):  # not empty: Dagster keeps other files of the run, which stay
                folder.parent.rmdir()
            removed += 1
    return removed


@contextmanager
def printed_in_the_terminal() -> Iterator[None]:
    """While the block runs, the output of runs stays in the terminal and is not captured."""
    token = _in_a_terminal.set(True)
    try:
        yield
    finally:
        _in_a_terminal.reset(token)


def is_in_a_terminal() -> bool:
    """Whether the output of runs stays in the terminal now."""
    return _in_a_terminal.get()
