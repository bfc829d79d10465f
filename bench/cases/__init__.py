"""The cases of the bench, by name. Each is a function that measures something and adds it to the results."""

from collections.abc import Callable, Mapping

from bench.cases import duckdb_case, limits_case, pipeline
from bench.context import Bench

CASES: Mapping[str, Callable[[Bench], None]] = {
    "pipeline": pipeline.measure,
    "duckdb": duckdb_case.measure,
    "limits": limits_case.measure,
}
#: What `make bench` does when nothing is named. The order is that of CASES: later cases compare with earlier ones.
DEFAULT_CASES = ("pipeline", "duckdb", "limits")

__all__ = ["CASES", "DEFAULT_CASES"]
