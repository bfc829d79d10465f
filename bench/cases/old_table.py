"""Case `old-table`: a daily table with 400 days and thousands of commits; how long it takes to plan a read of one day.

The table is made once, through the project's own warehouse, one commit after the other.
"""

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench.bench_run import Bench
from bench.dataset import DataSpec
from bench.old_table import MEASURED
from bench.workplace import EMPTY, Workplace

_FEW = DataSpec(cdrs=1_000, customers=20, month="2025-05", seed=1)


def measure(bench: Bench) -> None:
    """Adds `old-table`: seconds of the first time in a process and of later times, for each part of a read."""
    place, commits = bench.workplaces.at(_FEW), bench.options.commits
    state = f"old-table-{commits}"
    if not place.homes.has(state):
        bench.say(f"making a table with {commits:,} commits")
        place.begin_from(EMPTY)
        place.project.python(["-m", "bench.old_table", "make", "--commits", str(commits)])
        place.homes.save(state)
    place.homes.restore(state)
    repetitions = []
    for number in bench.repetitions():
        repetitions.append(_measure_one(place))
        bench.say_repetition("old table", number, f"planned in {repetitions[-1]['plan'][0]:.3f} s")
    bench.results["old-table"] = {
        "commits": commits,
        "first": {name: round(statistics.median(item[name][0] for item in repetitions), 4) for name in MEASURED},
        "later": {
            name: round(statistics.median(statistics.median(item[name][1:]) for item in repetitions), 4)
            for name in MEASURED
        },
        "repetitions": repetitions,
    }


def _measure_one(place: Workplace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="telecom-bench-") as folder:
        path = Path(folder) / "report.json"
        place.project.python(["-m", "bench.old_table", "measure", "--report", str(path)])
        return dict(json.loads(path.read_text(encoding="utf-8")))
