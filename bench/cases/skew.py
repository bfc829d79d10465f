"""Case `skew`: the month again, with one customer who has one in twenty of all CDRs."""

from dataclasses import replace

from bench.bench_run import Bench
from bench.cases.pipeline import measure_month
from bench.dataset import MONTH
from bench.duckdb_runs import compare
from bench.workplace import BILLED


def measure(bench: Bench) -> None:
    """Adds `skew`: as `pipeline`, and what was compared with the DuckDB script. Raises TablesDiffer."""
    place = bench.workplaces.at(replace(bench.options.spec, heavy=True))
    found = measure_month(bench, place)
    place.begin_from(BILLED)
    bench.results["skew"] = {**found, "compared": compare(place, MONTH, bench.cores)}
