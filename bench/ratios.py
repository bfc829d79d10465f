"""The ratios that sum up a bench, from the results of its cases, and the targets that they are compared with.

`ratio_to_duckdb`: our wall time from the landed table to the reports, engine start, Dagster and all blocking checks
included, over the wall time of the DuckDB script from the file to the same tables, partitioned alike, with its faster
compression. Both are sums of medians over fresh processes, without imports. Work that the script does not do is not in
it: landing, the rows in PostgreSQL, invoices and the dashboard. `ratio_to_duckdb_all` has publishing and documents in it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GB = 1_000_000_000
_MILLION = 1_000_000


@dataclass(frozen=True)
class Target:
    """A target and the measured figure. `limit` is an upper limit, unless `at_least`."""

    name: str
    limit: float
    measured: float
    unit: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def as_json(self) -> dict[str, Any]:
        return {
            "target": self.name,
            "at_least" if self.at_least else "at_most": self.limit,
            "measured": round(self.measured, 4),
            "unit": self.unit,
            "met": self.met,
        }


def ratios(results: Mapping[str, Any]) -> dict[str, float]:
    """The ratios of the measured cases; `ratio_to_duckdb` comes first."""
    found: dict[str, float] = {}
    pipeline, duckdb, limits = (results.get(name) for name in ("pipeline", "duckdb", "limits"))
    changed, skew = results.get("changed-day"), results.get("skew")
    if pipeline and duckdb:
        script, sums = duckdb["variants"][duckdb["reference"]]["total"], pipeline["sums"]
        found["ratio_to_duckdb"] = _ratio(sums["landed to reports"], script)
        found["ratio_to_duckdb_all"] = _ratio(sums["landed to documents"], script)
        found["ratio_to_duckdb_from_topic"] = _ratio(sums["topic to reports"], script)
        found["cpu_ratio_to_duckdb"] = _ratio(sums["landed to reports"], script, "cpu_sec")
        found["memory_ratio_to_duckdb"] = _ratio(sums["landed to reports"], script, "peak_rss_bytes")
    if pipeline and limits:
        landing = pipeline["sums"]["topic to landed table"]
        found["landing_to_bare_consumer"] = _ratio(landing, limits["bare consumer"], "rows_per_sec")
    if changed:
        for kind, name in (
            ("imputes nothing anew", "changed_day_to_month"),
            ("imputes anew", "changed_imputed_to_month"),
        ):
            found[name] = _ratio(changed[kind]["sums"]["landed to reports"], changed["month"])
    if pipeline and skew:
        found["skew_to_even"] = _ratio(skew["sums"]["topic to reports"], pipeline["sums"]["topic to reports"])
    return found


def to_a_tenth(result: Mapping[str, Any], folder: Path) -> float | None:
    """Time from the topic to the reports over that of the newest kept result with a tenth of the CDRs, if there is one."""
    pipeline = result["results"].get("pipeline")
    others = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for other in (json.loads(path.read_text(encoding="utf-8")) for path in others):
        data, with_pipeline = other["data"], other["results"].get("pipeline")
        same = other["engine"] == result["engine"] and data["cdrs"] * 10 == result["data"]["cdrs"]
        if pipeline and with_pipeline and same:
            return _ratio(pipeline["sums"]["topic to reports"], with_pipeline["sums"]["topic to reports"])
    return None


def targets(result: Mapping[str, Any]) -> Iterator[Target]:
    """The targets for this result: those of its cases and of its size."""
    results, cdrs = result["results"], result["data"]["cdrs"]
    if "ratio_to_duckdb" in result:
        limit = 1.5 if cdrs < 10 * _MILLION else 1.0
        yield Target("landed to reports, over the DuckDB script", limit, result["ratio_to_duckdb"])
    if "landing_to_bare_consumer" in result:
        yield Target("landing, of the bare consumer's rate", 0.6, result["landing_to_bare_consumer"], at_least=True)
    if pipeline := results.get("pipeline"):
        yield from _pipeline_targets(pipeline, cdrs)
    if "time_to_a_tenth" in result:
        yield Target("topic to reports, over a tenth of the CDRs", 10.5, result["time_to_a_tenth"])
    if "changed_day_to_month" in result:
        yield Target("a changed day, over the month", 0.125, result["changed_day_to_month"])
    if new := results.get("nothing-new"):
        yield Target("telecom run, nothing new", 8, new["telecom run, nothing new"]["wall_sec"], "s")
    if explained := results.get("explain"):
        for name, figures in explained["commands"].items():
            yield Target(f"telecom explain, {name}", 5 if name == "a record" else 2, figures["wall_sec"], "s")
    if startup := results.get("startup"):
        commands, ticks = startup["commands"], startup["ticks"]
        yield Target("definitions validate", 4, commands["dagster definitions validate"]["wall_sec"], "s")
        yield Target("a sensor tick, the first of a process", 0.5, ticks["first tick of a process"], "s")
    many_bills = (
        ("publish", "publishing", 15, _MILLION), ("invoices", "documents", 60, 100_000), ("close", "close", 360, 10_000)
    )  # fmt: skip
    for case, stage, limit, many in many_bills:
        if case in results and (found := results[case]["stages"][stage])["rows"] >= many:
            yield Target(f"{case}, for {many:,} bills", limit, found["wall_sec"] * many / found["rows"], "s")
    if old := results.get("old-table"):
        yield Target(
            f"planning a day after {old['commits']:,} commits", 1, old["first"]["pin"] + old["first"]["plan"], "s"
        )


def _pipeline_targets(pipeline: Mapping[str, Any], cdrs: int) -> Iterator[Target]:
    sums = pipeline["sums"]
    peak = max(item["peak_rss_bytes"] for item in sums.values()) / _GB
    if cdrs == _MILLION:
        yield Target("topic to reports", 8, sums["topic to reports"]["wall_sec"], "s")
    if 10 * _MILLION <= cdrs < 30 * _MILLION:
        yield Target("peak memory", 4, peak, "GB")
    if cdrs >= 30 * _MILLION:
        yield Target("peak memory", 6, peak, "GB")


def _ratio(one: Mapping[str, Any], other: Mapping[str, Any], figure: str = "wall_sec") -> float:
    return round(one[figure] / other[figure], 3) if other[figure] else 0.0
