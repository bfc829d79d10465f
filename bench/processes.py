"""Fresh processes, watched: wall time, CPU and memory of all processes of a run.

Belongs here: starting a process, sampling it with its descendants (and servers that work for it), stopping it when it
outgrows its limit. Does not belong here: what the process does (`bench.stage`), figures per stage (`bench.figures`).

Memory is the sum of the resident sets of all processes at one moment; pages that they share count in each of them.
CPU is user and system time, ended children included.
"""

import bisect
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from bench.errors import BenchError

_INTERVAL_SEC = 0.05
# Descendants are looked for less often than samples are taken, since that reads the whole process table.
_FAMILY_INTERVAL_SEC = 0.5
_TAIL_LINES = 25


@dataclass(frozen=True)
class Sample:
    """All processes of the run at one moment: CPU seconds so far, resident bytes now."""

    at: float
    cpu: float
    rss: int


@dataclass(frozen=True)
class Watched:
    """A process that has ended, with its samples. Times are seconds since the epoch."""

    begin: float
    end: float
    samples: Sequence[Sample] = field(repr=False)
    stdout: str = field(repr=False)

    @property
    def wall(self) -> float:
        return self.end - self.begin

    @property
    def cpu(self) -> float:
        return self.cpu_between(self.begin, self.end)

    @property
    def peak_rss(self) -> int:
        return self.peak_between(self.begin, self.end)

    def cpu_between(self, begin: float, end: float) -> float:
        """CPU seconds of a span of time, interpolated between the samples."""
        return self._cpu_until(end) - self._cpu_until(begin)

    def peak_between(self, begin: float, end: float) -> int:
        """Largest sum of resident bytes in a span of time, its nearest samples included."""
        moments = [sample.at for sample in self.samples]
        first = max(bisect.bisect_left(moments, begin) - 1, 0)
        return max((sample.rss for sample in self.samples[first : bisect.bisect_right(moments, end) + 1]), default=0)

    def _cpu_until(self, moment: float) -> float:
        moments = [sample.at for sample in self.samples]
        after = bisect.bisect_left(moments, moment)
        if after == 0:
            return self.samples[0].cpu if self.samples else 0.0
        if after == len(moments):
            return self.samples[-1].cpu
        before, later = self.samples[after - 1], self.samples[after]
        share = (moment - before.at) / (later.at - before.at)
        return before.cpu + share * (later.cpu - before.cpu)


class Family:
    """A process, its descendants, and servers that work for it with theirs."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._roots = [psutil.Process(pid) for pid in pids]
        self._known: dict[int, psutil.Process] = {}
        self._servers_cpu = sum(_cpu(process) for process in self._with_children(self._roots[1:]))
        #: When descendants were last looked for.
        self.looked = 0.0

    def sample(self) -> Sample | None:
        """None when the process has ended."""
        now = time.time()
        if now - self.looked >= _FAMILY_INTERVAL_SEC:
            self._known = {process.pid: process for process in self._with_children(self._roots)}
            self.looked = now
        if self._roots[0].pid not in self._known:
            return None
        cpu, rss = 0.0, 0
        for process in [*self._known.values()]:
            try:
                cpu += _cpu(process)
                rss += process.memory_info().rss
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                if process == self._roots[0]:
                    return None
                self.looked = 0.0
        return Sample(now, cpu - self._servers_cpu, rss)

    @staticmethod
    def _with_children(roots: Sequence[psutil.Process]) -> list[psutil.Process]:
        found = []
        for root in roots:
            try:
                found += [root, *root.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
        return found


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    # Only Linux has the times of children that have ended.
    children: float = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    own: float = times.user + times.system
    return own + children


def run_watched(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    servers: Sequence[int] = (),
    memory_limit: int | None = None,
) -> Watched:
    """Run a program to its end. `servers`: pids of processes that work for it and are counted with it.

    Raises BenchError with the program's last words when it fails, or when all its processes together come to hold more
    than `memory_limit` bytes, which ends it.
    """
    samples: list[Sample] = []
    outgrown = threading.Event()
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        given.write(stdin)
        given.seek(0)
        begin = time.time()
        process = subprocess.Popen(argv, env=dict(env or os.environ), stdin=given, stdout=stdout, stderr=stderr)
        family = Family([process.pid, *servers])
        ended = threading.Event()

        def watch() -> None:
            while not ended.is_set() and (sample := family.sample()) is not None:
                samples.append(sample)
                if memory_limit is not None and sample.rss > memory_limit:
                    outgrown.set()
                    process.kill()
                    return
                ended.wait(_INTERVAL_SEC)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            end = time.time()
            ended.set()
            watcher.join()
        words = [_text(stderr), _text(stdout)]
    name = " ".join(str(part) for part in argv[1:4])
    if outgrown.is_set():
        raise BenchError(f"{name}: more than the limit of {memory_limit:,} bytes in all its processes; ended")
    if process.returncode != 0:
        last = "\n".join(f"  | {line}" for text in words for line in text.splitlines()[-_TAIL_LINES:])
        raise BenchError(f"{name}: exit status {process.returncode}\n{last}")
    return Watched(begin, end, samples, words[1])


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
