"""How a result is told: a JSON file with everything, a Markdown table beside it, the same on the screen.

Belongs here: words, units, columns. Does not belong here: any figure that is not in the result.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_COLUMNS = ("", "wall", "CPU", "peak memory", "rows/s", "rows/CPU-s", "rows/s/core", "written", "files")
_NOTES = """\
Medians over fresh processes. wall: without imports; the engine's start, Dagster and all blocking checks are in it. CPU:
user and system time of all processes of the run. peak memory: the largest sum of their resident sets, in which pages
that processes share count several times. rows: CDRs; bills for publishing and documents; customers for reference.
rows/CPU-s: rows for each second of CPU. rows/s/core: rows/s over the number of cores. written, files: files that the
stage has written or changed. "process" is a whole process, imports included."""

Section = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def write(result: Mapping[str, Any], folder: Path) -> Path:
    """Write <name>.json and <name>.md; returns the first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['name']}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(result), encoding="utf-8")
    return path


def markdown(result: Mapping[str, Any]) -> str:
    """The result as a Markdown page."""
    parts = [f"# {_title(result)}", _machine(result)]
    for title, header, rows in _sections(result):
        table = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
        parts.append(f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in table))
    return "\n\n".join([*parts, _NOTES]) + "\n"


def show(result: Mapping[str, Any], console: Console) -> None:
    """The same on the screen."""
    console.print(_title(result), style="bold")
    for title, header, rows in _sections(result):
        table = Table(title=title, title_justify="left", title_style="bold")
        table.add_column(header[0])
        for name in header[1:]:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(_NOTES, style="dim")


def _title(result: Mapping[str, Any]) -> str:
    data = result["data"]
    return (
        f"{data['cdrs']:,} CDRs of {data['customers']:,} customers, {data['month']}, engine {result['engine']}, "
        f"{result['repeats']} repetitions"
    )


def _machine(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_bytes'] / 1024**3:.0f} GB, "
        f"{machine['system']}, Python {machine['python']}, {versions}; commit {machine['commit']}."
    )


def _sections(result: Mapping[str, Any]) -> Iterator[Section]:
    ratios = [(name.replace("_", " "), f"{value:.3f}") for name, value in result.items() if isinstance(value, float)]
    if ratios:
        yield "Ratios", ("", "ratio"), ratios
    results = result["results"]
    if pipeline := results.get("pipeline"):
        yield "Stages", _COLUMNS, [_row(name, item) for name, item in pipeline["stages"].items()]
        yield "Sums", _COLUMNS, [_row(name, item) for name, item in pipeline["sums"].items()]
    if duckdb := results.get("duckdb"):
        for name, variant in duckdb["variants"].items():
            reference = " (reference)" if name == duckdb["reference"] else ""
            rows = [*variant["stages"].items(), ("total", variant["total"]), ("process", variant["process"])]
            yield f"DuckDB script, {name}{reference}", _COLUMNS, [_row(stage, item) for stage, item in rows]
        compared = [(table, f"{item['rows']:,}", str(item["columns"])) for table, item in duckdb["compared"].items()]
        yield "Equal row for row", ("table", "rows", "columns"), compared
    if limits := results.get("limits"):
        yield "Raw limits", _COLUMNS, [_row(name, item) for name, item in limits.items()]


def _row(name: str, item: Mapping[str, Any]) -> list[str]:
    return [
        name,
        f"{item['wall_sec']:.2f} s",
        f"{item['cpu_sec']:.2f} s",
        f"{item['peak_rss_bytes'] / 1e6:,.0f} MB",
        f"{item['rows_per_sec']:,}",
        f"{item['rows_per_cpu_sec']:,}",
        f"{item['rows_per_sec_and_core']:,}",
        f"{item['bytes_written'] / 1e6:,.1f} MB",
        f"{item['files_written']:,}",
    ]
