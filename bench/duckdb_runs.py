"""The DuckDB script in a fresh process, and the comparison of its tables with the project's.

Belongs here: starting `bench.duckdb_pipeline` on the files of a dataset and turning its report into figures.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.compare import compare_tables
from bench.dataset import Dataset
from bench.duckdb_pipeline import STAGES
from bench.figures import Figures, spans_to_stages
from bench.processes import run_watched
from bench.workplace import Workplace

_SCRIPT = Path(__file__).with_name("duckdb_pipeline.py")
_DATA = Path(__file__).parents[1] / "telecom_assets" / "data"
REFERENCE_LAYOUT = "partitioned"


def run_script(dataset: Dataset, upto: str, layout: str, compression: str, cores: int) -> dict[str, Figures]:
    """The script on the topic's parts up to one of them: figures per stage, and `process`."""
    out = _output(dataset, layout)
    with tempfile.TemporaryDirectory(prefix="telecom-bench-") as folder:
        path = Path(folder) / "report.json"
        arguments: list[str | Path] = ["--cdrs", *dataset.cdr_files(upto), "--customers", dataset.customers_file]
        arguments += ["--rate-plans", _DATA / "rate_plans.csv", "--product-catalog", _DATA / "product_catalog.csv"]
        arguments += ["--out", out, "--month", dataset.spec.month, "--received-at", dataset.received_at.isoformat()]
        arguments += ["--threads", str(cores), "--layout", layout, "--compression", compression]
        watched = run_watched([sys.executable, _SCRIPT, *arguments, "--report", path])
        report = json.loads(path.read_text(encoding="utf-8"))
    rows = sum(dataset.ends[upto].values())
    spans = [(item["stage"], item["begin"], item["end"]) for item in report["stages"]]
    stages = {
        name: Figures(item.wall, item.cpu, item.peak, rows, *_written(out, STAGES[name]))
        for name, item in spans_to_stages(spans, watched).items()
    }
    return {**stages, "process": Figures(watched.wall, watched.cpu, watched.peak_rss, rows)}


def compare(place: Workplace, upto: str, cores: int) -> dict[str, Any]:
    """Every table of the home as it is against the script's, row for row. Raises TablesDiffer."""
    run_script(place.dataset, upto, REFERENCE_LAYOUT, "snappy", cores)
    warehouse = place.homes.home / "warehouse"
    compared = compare_tables(warehouse, _output(place.dataset, REFERENCE_LAYOUT), place.dataset.spec.month)
    place.say(f"{sum(item.rows for item in compared.values()):,} rows of {len(compared)} tables equal the script's")
    return {name: {"rows": item.rows, "columns": len(item.columns)} for name, item in compared.items()}


def _output(dataset: Dataset, layout: str) -> Path:
    return dataset.folder / "duckdb" / layout


def _written(out: Path, tables: tuple[str, ...]) -> tuple[int, int]:
    """Bytes and files of tables in either layout."""
    files = [path for table in tables for path in (out / table).rglob("*.parquet")]
    files += [path for table in tables if (path := out / f"{table}.parquet").exists()]
    return sum(path.stat().st_size for path in files), len(files)
