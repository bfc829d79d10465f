"""Case `duckdb`: the same month by the hand-written script, on the same cores, and the proof that the tables are equal.

The ratio is made with tables that are partitioned as the project's are, in the compression with which the script is faster.
One file a table is measured too.
"""

from typing import Any

from bench.bench_run import Bench
from bench.dataset import MONTH
from bench.duckdb_pipeline import STAGES
from bench.duckdb_runs import REFERENCE_LAYOUT, compare, run_script
from bench.figures import medians, total
from bench.workplace import BILLED

_VARIANTS = ((REFERENCE_LAYOUT, "snappy"), (REFERENCE_LAYOUT, "zstd"), ("flat", "snappy"))


def measure(bench: Bench) -> None:
    """Adds `duckdb`: medians per stage and variant, and what was compared. Raises TablesDiffer."""
    found: dict[str, Any] = {}
    place = bench.workplace
    for layout, compression in _VARIANTS:
        repetitions = []
        for number in bench.repetitions():
            repetitions.append(run_script(place.dataset, MONTH, layout, compression, bench.cores))
            wall = total(repetitions[-1], STAGES).wall
            bench.say_repetition(f"DuckDB, {layout}, {compression}", number, f"{wall:.2f} s")
        middle = medians(repetitions)
        found[f"{layout}, {compression}"] = {
            "total": total(middle, STAGES).as_json(bench.cores),
            "process": middle["process"].as_json(bench.cores),
            "stages": {name: middle[name].as_json(bench.cores) for name in STAGES},
            "repetitions": [
                {name: figures.as_json(bench.cores) for name, figures in item.items()} for item in repetitions
            ],
        }
    place.begin_from(BILLED)
    bench.results["duckdb"] = {
        "reference": min(
            (name for name in found if name.startswith(REFERENCE_LAYOUT)),
            key=lambda name: found[name]["total"]["wall_sec"],
        ),
        "variants": found,
        "compared": compare(place, MONTH, bench.cores),
    }
