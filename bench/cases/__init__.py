"""The cases of the bench, by name. Each is a function that measures something and adds it to the results."""

from collections.abc import Callable, Mapping

from bench.bench_run import Bench
from bench.cases import (
    changed_day,
    documents,
    duckdb_case,
    explain,
    limits_case,
    nothing_new,
    old_table,
    pipeline,
    shuffle,
    skew,
    startup,
)

#: In the order in which they run: later ones begin from states that earlier ones have saved.
CASES: Mapping[str, Callable[[Bench], None]] = {
    "pipeline": pipeline.measure,
    "duckdb": duckdb_case.measure,
    "limits": limits_case.measure,
    "changed-day": changed_day.measure,
    "nothing-new": nothing_new.measure,
    "explain": explain.measure,
    "startup": startup.measure,
    "publish": documents.measure_publishing,
    "invoices": documents.measure_invoices,
    "close": documents.measure_close,
    "skew": skew.measure,
    "old-table": old_table.measure,
    "shuffle": shuffle.measure,
}
#: What `make bench` does when nothing is named.
DEFAULT_CASES = ("pipeline", "duckdb", "limits", "changed-day", "nothing-new", "startup")

__all__ = ["CASES", "DEFAULT_CASES"]
