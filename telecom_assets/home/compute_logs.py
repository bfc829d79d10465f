"""What steps print: the tabs `stdout` and `stderr` of a run's page.

Belongs here: whether the output of a process is captured, what the tabs say where it is not, and how long it is kept. A
run of the daemon has a process of its own, whose output is captured. A run of a command shares the terminal of the command,
and with it the progress that is drawn there: that stays where it is, and the tabs say so.
"""

import datetime as dt
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClassData

_ELSEWHERE = """\
Nothing is captured here: a command (telecom run, demo or maintain) executed this run in its own process.
What the steps printed is in the terminal where the command was typed; what they logged is among the run's events.
"""
_in_a_terminal: ContextVar[bool] = ContextVar("in_a_terminal", default=False)


def output_folder(dagster_home: Path) -> Path:
    """Where Dagster keeps captured output, if it is not told otherwise: a folder `compute_logs` for each run."""
    return dagster_home / "storage"


def remove_old_output(dagster_home: Path, before: dt.datetime) -> int:
    """Remove the captured output of runs that were done before an instant; returns of how many."""
    removed = 0
    for folder in output_folder(dagster_home).glob("*/compute_logs"):
        if folder.stat().st_mtime < before.timestamp():
            shutil.rmtree(folder)
            with suppress(OSError):  # what else Dagster keeps of a run stays
                folder.parent.rmdir()
            removed += 1
    return removed


@contextmanager
def printed_in_the_terminal() -> Iterator[None]:
    """What runs print meanwhile is left where it is."""
    token = _in_a_terminal.set(True)
    try:
        yield
    finally:
        _in_a_terminal.reset(token)


class StepOutput(LocalComputeLogManager):
    """Dagster's `LocalComputeLogManager`, for runs that have a process of their own."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "StepOutput":
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        if not _in_a_terminal.get():
            with super().capture_logs(log_key) as context:
                yield context
            return
        for io_type in ComputeIOType:
            with self.open_log_stream(log_key, io_type) as stream:
                assert stream is not None
                stream.write(_ELSEWHERE)
        Path(self.complete_artifact_path(log_key)).touch()
        yield CapturedLogContext(log_key)
