"""Case `duckdb`: the same month by the hand-written script, on the same cores, and the proof that the tables are equal.

The script writes its tables partitioned as the project's are; that is what the ratio is made with. One file a table is
measured too, and each kind of compression.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.compare import compare_tables
from bench.context import Bench
from bench.dataset import MONTH
from bench.duckdb_pipeline import STAGES
from bench.figures import Figures, medians, spans_to_stages, total
from bench.homes import BILLED
from bench.processes import run_watched

_DATA = Path(__file__).parents[2] / "telecom_assets" / "data"
#: Layout and compression; the first is the reference of the layout it names.
_VARIANTS = (("partitioned", "snappy"), ("partitioned", "zstd"), ("flat", "snappy"))


def measure(bench: Bench) -> None:
    """Adds `duckdb`: medians per stage and variant, and what was compared. Raises TablesDiffer."""
    found: dict[str, Any] = {}
    for layout, compression in _VARIANTS:
        repetitions = []
        for number in range(1, bench.repeats + 1):
            repetitions.append(run_script(bench, MONTH, layout, compression))
            wall = total(repetitions[-1], STAGES).wall
            bench.say(f"DuckDB, {layout}, {compression}, {number} of {bench.repeats}: {wall:.2f} s")
        middle = medians(repetitions)
        found[f"{layout}, {compression}"] = {
            "total": total(middle, tuple(STAGES)).as_json(bench.cores),
            "process": middle["process"].as_json(bench.cores),
            "stages": {name: middle[name].as_json(bench.cores) for name in STAGES},
            "repetitions": [
                {name: figures.as_json(bench.cores) for name, figures in item.items()} for item in repetitions
            ],
        }
    fastest = min(
        (name for name in found if name.startswith("partitioned")), key=lambda name: found[name]["total"]["wall_sec"]
    )
    bench.results["duckdb"] = {"reference": fastest, "variants": found, "compared": compare(bench, MONTH, BILLED)}


def run_script(bench: Bench, upto: str, layout: str, compression: str) -> dict[str, Figures]:
    """The script in a process of its own: figures per stage, and `process`."""
    dataset, out = bench.dataset, output(bench, layout)
    with tempfile.TemporaryDirectory(prefix="telecom-bench-") as folder:
        path = Path(folder) / "report.json"
        arguments: list[str | Path] = ["--cdrs", *dataset.cdr_files(upto), "--customers", dataset.customers_file]
        arguments += ["--rate-plans", _DATA / "rate_plans.csv", "--product-catalog", _DATA / "product_catalog.csv"]
        arguments += ["--out", out, "--month", dataset.spec.month, "--received-at", dataset.received_at.isoformat()]
        arguments += ["--threads", str(bench.cores), "--layout", layout, "--compression", compression]
        script = Path(__file__).parents[1] / "duckdb_pipeline.py"
        watched = run_watched([sys.executable, script, *arguments, "--report", path])
        report = json.loads(path.read_text(encoding="utf-8"))
    rows = sum(dataset.ends[upto].values())
    spans = [(item["stage"], item["begin"], item["end"]) for item in report["stages"]]
    stages = {
        name: Figures(item.wall, item.cpu, item.peak, rows, *_written(out, STAGES[name]))
        for name, item in spans_to_stages(spans, watched).items()
    }
    return {**stages, "process": Figures(watched.wall, watched.cpu, watched.peak_rss, rows)}


def compare(bench: Bench, upto: str, state: str) -> dict[str, Any]:
    """Every table of a state against the script's, row for row. Raises TablesDiffer."""
    run_script(bench, upto, "partitioned", "snappy")
    bench.begin_from(state)
    warehouse = bench.homes.home / "warehouse"
    compared = compare_tables(warehouse, output(bench, "partitioned"), bench.dataset.spec.month)
    bench.say(f"{sum(item.rows for item in compared.values()):,} rows of {len(compared)} tables are equal")
    return {name: {"rows": item.rows, "columns": len(item.columns)} for name, item in compared.items()}


def output(bench: Bench, layout: str) -> Path:
    """Where the script writes its tables."""
    return bench.dataset.folder / "duckdb" / layout


def _written(out: Path, tables: tuple[str, ...]) -> tuple[int, int]:
    """Bytes and files of tables in either layout."""
    files = [path for table in tables for path in (out / table).rglob("*.parquet")]
    files += [path for table in tables if (path := out / f"{table}.parquet").exists()]
    return sum(path.stat().st_size for path in files), len(files)
