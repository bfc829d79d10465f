"""Case `limits`: the topic read by a bare consumer, and its JSON parsed by pyarrow: nothing can be faster than these."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.bench_run import Bench
from bench.dataset import MONTH, Dataset
from bench.figures import Figures, medians
from bench.processes import run_watched

_SCRIPT = Path(__file__).parents[1] / "limits.py"
_WORDS = {"consume": "bare consumer", "parse": "pyarrow.json"}


def measure(bench: Bench) -> None:
    """Adds `limits`: medians of both, with bytes read as `bytes_read`."""
    bench.results["limits"] = {name: _measure_one(bench, what, name) for what, name in _WORDS.items()}


def _measure_one(bench: Bench, what: str, name: str) -> dict[str, Any]:
    repetitions, size = [], 0
    for number in bench.repetitions():
        figures, size = _run(bench.workplace.dataset, what)
        repetitions.append({name: figures})
        bench.say_repetition(name, number, f"{figures.rows_per_sec:,.0f} rows/s")
    return {
        **medians(repetitions)[name].as_json(bench.cores),
        "bytes_read": size,
        "repetitions": [item[name].as_json(bench.cores) for item in repetitions],
    }


def _run(dataset: Dataset, what: str) -> tuple[Figures, int]:
    kafka = dataset.kafka()
    source = {"topic": kafka.topic, "config": kafka.plain_config(), "ends": dataset.ends[MONTH]}
    with tempfile.TemporaryDirectory(prefix="telecom-bench-") as folder:
        path = Path(folder) / "report.json"
        arguments: list[str | Path] = [sys.executable, _SCRIPT, what, "--report", path]
        if what == "parse":
            arguments += ["--cdrs", *dataset.cdr_files()]
        watched = run_watched(arguments, stdin=json.dumps(source).encode() if what == "consume" else b"")
        report = json.loads(path.read_text(encoding="utf-8"))
    begin, end = report["begin"], report["end"]
    cpu, peak = watched.cpu_between(begin, end), watched.peak_between(begin, end)
    return Figures(end - begin, cpu, peak, report["rows"]), report["bytes"]
