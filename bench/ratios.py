"""The few figures that say how good it is, from the results of the cases.

`ratio_to_duckdb`: our wall time from the landed table to the reports, engine start, Dagster and all blocking checks
included, over the wall time of the DuckDB script from the file to the same tables, partitioned alike, with its faster
compression. Both are sums of medians over fresh processes, without imports. What the script does not make is not in
it: landing, the rows in PostgreSQL, invoices and the dashboard. `ratio_to_duckdb_all` has publishing and documents in it.
"""

from collections.abc import Mapping
from typing import Any


def ratios(results: Mapping[str, Any]) -> dict[str, float]:
    """What can be said of the cases that were measured; `ratio_to_duckdb` comes first."""
    found: dict[str, float] = {}
    pipeline, duckdb, limits = (results.get(name) for name in ("pipeline", "duckdb", "limits"))
    if pipeline and duckdb:
        script = duckdb["variants"][duckdb["reference"]]["total"]
        for name, part in (
            ("ratio_to_duckdb", "landed to reports"),
            ("ratio_to_duckdb_all", "landed to documents"),
            ("ratio_to_duckdb_from_topic", "topic to reports"),
        ):
            found[name] = _ratio(pipeline["sums"][part]["wall_sec"], script["wall_sec"])
        found["cpu_ratio_to_duckdb"] = _ratio(pipeline["sums"]["landed to reports"]["cpu_sec"], script["cpu_sec"])
    if pipeline and limits:
        landing = pipeline["sums"]["topic to landed table"]["rows_per_sec"]
        found["landing_to_bare_consumer"] = _ratio(landing, limits["bare consumer"]["rows_per_sec"])
    return found


def _ratio(one: float, other: float) -> float:
    return round(one / other, 3) if other else 0.0
