"""The project at work in a fresh process on a restored home, and the figures of that.

Belongs here: starting `bench.stage` and turning its report, the samples and the files into figures.
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from deltalake import DeltaTable

from bench.dataset import Dataset
from bench.figures import Figures, spans_to_stages
from bench.homes import Files, Homes, files_of
from bench.processes import Watched, run_watched
from bench.stage_names import stage_of_file

_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Repetition:
    """One process: figures per stage, the process with its imports, and how many checks passed."""

    stages: Mapping[str, Figures]
    process: Figures
    imports_wall: float
    checks: int

    def as_json(self, cores: int) -> dict[str, Any]:
        return {
            "process": self.process.as_json(cores),
            "imports_sec": round(self.imports_wall, 3),
            "checks_passed": self.checks,
            "stages": {name: figures.as_json(cores) for name, figures in self.stages.items()},
        }


@dataclass(frozen=True)
class Project:
    """Runs of the project on one dataset and engine."""

    homes: Homes
    memory_limit: int | None = None

    @property
    def dataset(self) -> Dataset:
        return self.homes.dataset

    def run(self, what: str, upto: str) -> Repetition:
        """`bench.stage <what>` in the home as it is, with the topic up to one of its parts."""
        before = files_of(self.homes.home)
        report, watched = self.report(what, upto)
        spans = [(span["stage"], span["begin"], span["end"]) for span in report["spans"]]
        stages = spans_to_stages(spans, watched)
        rows = self.rows(upto)
        written = written_files(before, files_of(self.homes.home))
        for stage, figures in stages.items():
            count, size = written.get(stage, (0, 0))
            stages[stage] = replace(figures, rows=rows.get(stage, rows["cdrs"]), files=count, written=size)
        process = Figures(watched.wall, watched.cpu, watched.peak_rss, rows["cdrs"])
        return Repetition(stages, process, report["begin"] - watched.begin, report["checks"])

    def report(self, what: str, upto: str) -> tuple[dict[str, Any], Watched]:
        """The report of `bench.stage <what>`, and the samples of its process."""
        with tempfile.TemporaryDirectory(prefix="telecom-bench-") as folder:
            path = Path(folder) / "report.json"
            ends = json.dumps(self.dataset.ends[upto])
            arguments = [what, "--month", self.dataset.spec.month, "--ends", ends, "--report", str(path)]
            watched = self.python(["-m", "bench.stage", *arguments])
            return json.loads(path.read_text(encoding="utf-8")), watched

    def python(self, arguments: Sequence[str]) -> Watched:
        """The project's Python in the environment of the home, with the bench on its path."""
        environment = self.homes.environment()
        path = [str(_ROOT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        return self.watch([sys.executable, *arguments], environment)

    def telecom(self, *arguments: str) -> Watched:
        """The `telecom` command, as a user types it."""
        return self.watch([Path(sys.executable).with_name("telecom"), *arguments])

    def watch(self, argv: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Watched:
        """Any program in the environment of the home; Apache Spark's processes are counted when they are the engine."""
        return run_watched(
            argv,
            env=environment or self.homes.environment(),
            servers=self._servers(),
            memory_limit=self.memory_limit,
        )

    def rows(self, upto: str) -> dict[str, int]:
        """The rows of each stage whose rows are not CDRs, and `cdrs` for the others."""
        cdrs = sum(self.dataset.ends[upto].values())
        bills = self.bills()
        return {
            "cdrs": cdrs,
            "start": 0,
            "reference": self.dataset.spec.customers,
            "publishing": bills,
            "documents": bills,
        }

    def bills(self) -> int:
        """The number of bills in the home, by the statistics of their files."""
        path = str(self.homes.home / "warehouse" / "facturation_complete")
        if not DeltaTable.is_deltatable(path):
            return 0
        return sum(pa.table(DeltaTable(path).get_add_actions(flatten=True))["num_records"].to_pylist())

    def _servers(self) -> list[int]:
        record = self.dataset.stack_home / "run" / "spark.json"
        if self.homes.engine != "spark" or not record.exists():
            return []
        pid = json.loads(record.read_text(encoding="utf-8"))["pid"]
        return [pid] if psutil.pid_exists(pid) else []


def written_files(before: Files, after: Files) -> dict[str, tuple[int, int]]:
    """Files that are new or changed, by the stage that writes them: how many, and their bytes."""
    found: dict[str, tuple[int, int]] = {}
    for path, (size, changed) in after.items():
        if before.get(path) != (size, changed):
            count, written = found.get(stage_of_file(path), (0, 0))
            found[stage_of_file(path)] = (count + 1, written + size)
    return found
