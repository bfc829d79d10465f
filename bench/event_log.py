"""The work of tasks, from Apache Spark's event log: CPU time, shuffled bytes, spilled bytes, bytes sent to the driver.

Belongs here: reading that log. Does not belong here: which stage of the project a task worked for (its moment tells:
`bench.cases.shuffle`).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Work:
    """The work of one or more tasks; times in seconds."""

    tasks: int = 0
    cpu: float = 0.0
    shuffle_written: int = 0
    shuffle_read: int = 0
    spilled: int = 0
    to_driver: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(Work)))


@dataclass(frozen=True)
class Task:
    """One task that has ended, in seconds since the epoch."""

    ended: float
    work: Work


def tasks_of(folder: Path) -> Iterator[Task]:
    """Every task in the logs of a folder."""
    for path in sorted(folder.iterdir()):
        with path.open(encoding="utf-8") as lines:
            yield from _tasks(lines)


def _tasks(lines: Iterable[str]) -> Iterator[Task]:
    for line in lines:
        if not line.startswith('{"Event":"SparkListenerTaskEnd"'):
            continue
        event = json.loads(line)
        if metrics := event.get("Task Metrics"):
            yield Task(event["Task Info"]["Finish Time"] / 1000, _work(metrics))


def _work(metrics: dict[str, Any]) -> Work:
    read, written = metrics["Shuffle Read Metrics"], metrics["Shuffle Write Metrics"]
    return Work(
        tasks=1,
        cpu=metrics["Executor CPU Time"] / 1e9,
        shuffle_written=written["Shuffle Bytes Written"],
        shuffle_read=read["Remote Bytes Read"] + read["Local Bytes Read"],
        spilled=metrics["Disk Bytes Spilled"],
        to_driver=metrics["Result Size"],
    )
