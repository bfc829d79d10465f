"""Case `shuffle`: the month on Apache Spark with its event log on; bytes shuffled per CDR, and bytes per row of each table.

The needs of a cluster are calculated from these (`docs/scaling.md`). Apache Spark only, one repetition: bytes do not vary.
It restarts Spark with other settings and leaves it stopped, so it comes last.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from bench.bench_run import Bench
from bench.dataset import MONTH, stack_of
from bench.errors import BenchError
from bench.event_log import Task, Work, tasks_of
from bench.stage_names import STAGES
from bench.workplace import EMPTY, Workplace
from telecom_assets.local_stack import SparkShape
from telecom_assets.tables import TABLES


def measure(bench: Bench) -> None:
    """Adds `shuffle`: `stages` with the work of Spark's tasks, `tables` with rows, files and bytes. Raises BenchError."""
    if bench.options.engine != "spark":
        raise BenchError("case shuffle: only Apache Spark shuffles; make bench CASES=shuffle ENGINE=spark")
    place = bench.workplace
    spans: list[tuple[str, float, float]] = []
    cpu: dict[str, float] = {}
    with _with_event_log(place) as folder:
        place.begin_from(EMPTY)
        for what in ("land", "month"):
            report, watched = place.project.report(what, MONTH)
            for span in report["spans"]:
                stage, begin, end = span["stage"], span["begin"], span["end"]
                spans.append((stage, begin, end))
                cpu[stage] = cpu.get(stage, 0.0) + watched.cpu_between(begin, end)
            bench.say_repetition(what, 1, f"{watched.wall:.1f} s")
    bench.results["shuffle"] = {
        "cdrs": place.project.rows(MONTH)["cdrs"],
        "stages": _stages(work_by_stage(spans, tasks_of(folder)), cpu),
        "tables": _tables(place.homes.home / "warehouse"),
    }


def work_by_stage(spans: Sequence[tuple[str, float, float]], tasks: Iterator[Task]) -> dict[str, Work]:
    """The work of tasks by the stage (name, begin, end) in which they ended."""
    found: dict[str, Work] = {}
    for task in tasks:
        for stage, begin, end in spans:
            if begin <= task.ended <= end:
                found[stage] = found.get(stage, Work()) + task.work
                break
    return found


def _stages(found: Mapping[str, Work], cpu: Mapping[str, float]) -> dict[str, Any]:
    return {
        stage: {
            "cpu_sec": round(cpu[stage], 2),
            "tasks": found[stage].tasks,
            "task_cpu_sec": round(found[stage].cpu, 2),
            "shuffle_written_bytes": found[stage].shuffle_written,
            "shuffle_read_bytes": found[stage].shuffle_read,
            "spilled_bytes": found[stage].spilled,
            "to_driver_bytes": found[stage].to_driver,
        }
        for stage in STAGES
        if stage in found
    }


def _tables(warehouse: Path) -> dict[str, Any]:
    tables = {}
    for name in TABLES:
        if DeltaTable.is_deltatable(str(warehouse / name)):
            files = pa.table(DeltaTable(str(warehouse / name)).get_add_actions(flatten=True))
            rows, size = (pc.sum(files[column]).as_py() or 0 for column in ("num_records", "size_bytes"))
            tables[name] = {"rows": rows, "bytes": size, "files": files.num_rows}
    return tables


@contextlib.contextmanager
def _with_event_log(place: Workplace) -> Iterator[Path]:
    """Spark started anew; its event log lies in the folder, and is whole once the block is left."""
    folder = place.dataset.folder / "spark" / "events"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    properties = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": folder.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }
    stack = stack_of(place.dataset.folder, ["spark"], SparkShape(properties=properties))
    stack.down(place.say)
    try:
        stack.up(place.say)
        yield folder
    finally:
        stack.down(place.say)
