"""The report of a result: a JSON file with everything, a Markdown page beside it, the same tables on the screen.

Belongs here: words, units, columns. Does not belong here: any figure that is not in the result.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_COLUMNS = ("wall", "CPU", "peak", "rows", "rows/s", "rows/CPU-s", "rows/s/core", "written", "files")
_ONLY_ON_THE_PAGE = ("rows", "rows/CPU-s", "rows/s/core", "files")
_NOTES = """\
Medians over fresh processes. **wall**: without imports; the start of the engine, Dagster and all blocking checks are in
it (`start` is Dagster's instance and definitions; the engine starts in the first step that needs it). **CPU**: user and
system time of all processes of the run. **peak**: the largest sum of their resident sets; pages that processes share
count in each of them. **rows**: CDRs; customers for `reference`, bills for `publishing` and `documents`.
**rows/CPU-s**: rows for each second of CPU. **rows/s/core**: rows/s over the number of cores. **written**, **files**:
files that the stage has written or changed and left behind. `process` is a whole process, imports included."""


@dataclass(frozen=True)
class Section:
    """One table of the report."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    of_figures: bool = False


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
    for section in _sections(result):
        lines = [section.header, ["---", *["---:"] * (len(section.header) - 1)], *section.rows]
        parts.append(f"## {section.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join([*parts, _NOTES]) + "\n"


def show(result: Mapping[str, Any], console: Console) -> None:
    """The same tables on the screen, without the columns for which it is too narrow."""
    console.print(_title(result), style="bold")
    for section in _sections(result):
        table = Table(title=section.title, title_justify="left", title_style="bold")
        left_out = _ONLY_ON_THE_PAGE if section.of_figures else ()
        shown = [number for number, name in enumerate(section.header) if name not in left_out]
        for number in shown:
            table.add_column(section.header[number], justify="right" if number else "left", no_wrap=True)
        for row in section.rows:
            table.add_row(*(row[number] for number in shown))
        console.print(table)


def _title(result: Mapping[str, Any]) -> str:
    data, repeats = result["data"], result["repeats"]
    return (
        f"{data['cdrs']:,} CDRs of {data['customers']:,} customers, {data['month']}, engine {result['engine']}, "
        f"{repeats} repetition{'' if repeats == 1 else 's'}"
    )


def _machine(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_bytes'] / 1024**3:.0f} GB, "
        f"{machine['system']}, Python {machine['python']}, {versions}; commit {machine['commit']}."
    )


def _sections(result: Mapping[str, Any]) -> Iterator[Section]:
    if result["targets"]:
        yield Section("Targets", ("", "aim", "measured", "met"), [_target(item) for item in result["targets"]])
    ratios = [(name.replace("_", " "), f"{value:.3f}") for name, value in result.items() if isinstance(value, float)]
    if ratios:
        yield Section("Ratios", ("", "ratio"), ratios)
    tellers = {
        "pipeline": lambda found: _month("", found),
        "duckdb": _duckdb,
        "limits": lambda found: [_figures("Raw limits", found)],
        "changed-day": _changed_day,
        "nothing-new": lambda found: [_figures("Nothing new", _without_repetitions(found))],
        "explain": lambda found: [_figures("telecom explain", found["commands"])],
        "startup": _startup,
        "publish": lambda found: [_figures("Publishing to PostgreSQL", found["stages"])],
        "invoices": lambda found: [_figures("Invoices", found["stages"])],
        "close": lambda found: [_figures("Documents of a close as XML, UBL and PDF", found["stages"])],
        "skew": lambda found: _month("One customer with a twentieth of the CDRs: ", found),
        "old-table": _old_table,
        "shuffle": _shuffle,
    }
    for name, found in result["results"].items():
        yield from tellers[name](found)


def _target(item: Mapping[str, Any]) -> Sequence[str]:
    unit = f" {item['unit']}" if item["unit"] else ""
    aim = f"≥ {item['at_least']:g}{unit}" if "at_least" in item else f"≤ {item['at_most']:g}{unit}"
    return item["target"], aim, f"{item['measured']:.3g}{unit}", "yes" if item["met"] else "no"


def _month(prefix: str, found: Mapping[str, Any]) -> Iterator[Section]:
    yield _figures(f"{prefix}Stages", found["stages"])
    yield _figures(f"{prefix}Sums", found["sums"])
    if "compared" in found:
        yield _compared(f"{prefix}Equal to the DuckDB script row for row", found["compared"])


def _duckdb(found: Mapping[str, Any]) -> Iterator[Section]:
    for name, variant in found["variants"].items():
        rows = {**variant["stages"], "total": variant["total"], "process": variant["process"]}
        yield _figures(f"DuckDB script, {name}{' (reference)' if name == found['reference'] else ''}", rows)
    yield _compared("Equal to the DuckDB script row for row", found["compared"])


def _changed_day(found: Mapping[str, Any]) -> Iterator[Section]:
    for name in ("imputes nothing anew", "imputes anew"):
        kind = found[name]
        title = f"A changed day that {name} ({kind['late_cdrs']:,} late CDRs)"
        yield _figures(title, {**kind["stages"], **kind["sums"], "whole month": found["month"]})


def _startup(found: Mapping[str, Any]) -> Iterator[Section]:
    yield _figures("Starting", found["commands"])
    ticks = [(name, f"{value:.3f} s") for name, value in found["ticks"].items()]
    yield Section("A tick of the Kafka sensor, nothing to do", ("", "wall"), ticks)


def _old_table(found: Mapping[str, Any]) -> Iterator[Section]:
    rows = [(name, f"{found['first'][name]:.3f} s", f"{found['later'][name]:.3f} s") for name in found["first"]]
    title = f"A daily table with {found['commits']:,} commits, one day of it"
    yield Section(title, ("", "first in a process", "later"), rows)


def _shuffle(found: Mapping[str, Any]) -> Iterator[Section]:
    cdrs = found["cdrs"]
    header = ("", "CPU", "CPU a M CDRs", "tasks", "shuffled", "bytes a CDR", "spilled", "to the driver")
    rows = [
        (
            stage,
            f"{item['cpu_sec']:.1f} s",
            f"{item['cpu_sec'] / cdrs * 1e6:.1f} s",
            f"{item['tasks']:,}",
            f"{item['shuffle_written_bytes'] / 1e6:,.1f} MB",
            f"{item['shuffle_written_bytes'] / cdrs:,.1f}",
            f"{item['spilled_bytes'] / 1e6:,.1f} MB",
            f"{item['to_driver_bytes'] / 1e6:,.1f} MB",
        )
        for stage, item in found["stages"].items()
    ]
    yield Section("Work and shuffle on Apache Spark", header, rows)
    tables = [
        (
            name,
            f"{item['rows']:,}",
            f"{item['files']:,}",
            f"{item['bytes'] / 1e6:,.1f} MB",
            _each(item),
            f"{item['bytes'] / cdrs:,.1f}",
        )
        for name, item in found["tables"].items()
    ]
    yield Section("Tables", ("", "rows", "files", "size", "bytes a row", "bytes a CDR"), tables)


def _each(table: Mapping[str, Any]) -> str:
    return f"{table['bytes'] / table['rows']:,.1f}" if table["rows"] else ""


def _compared(title: str, found: Mapping[str, Any]) -> Section:
    rows = [(table, f"{item['rows']:,}", str(item["columns"])) for table, item in found.items()]
    return Section(title, ("table", "rows", "columns"), rows)


def _without_repetitions(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in found.items() if name != "repetitions"}


def _figures(title: str, found: Mapping[str, Mapping[str, Any]]) -> Section:
    """A table of figures without its empty columns."""
    rows = [_row(name, item) for name, item in found.items()]
    filled = [0, *(number for number in range(1, len(_COLUMNS) + 1) if any(row[number] for row in rows))]
    header = ("", *_COLUMNS)
    shown = [[row[number] for number in filled] for row in rows]
    return Section(title, [header[number] for number in filled], shown, of_figures=True)


def _row(name: str, item: Mapping[str, Any]) -> list[str]:
    rows = (item["rows"], item["rows_per_sec"], item["rows_per_cpu_sec"], item["rows_per_sec_and_core"])
    return [
        name,
        f"{item['wall_sec']:.2f} s",
        f"{item['cpu_sec']:.2f} s",
        f"{item['peak_rss_bytes'] / 1e6:,.0f} MB",
        *(_count(value) if item["rows"] else "" for value in rows),
        f"{item['bytes_written'] / 1e6:,.1f} MB" if item["files_written"] else "",
        f"{item['files_written']:,}" if item["files_written"] else "",
    ]


def _count(value: float) -> str:
    """A rate with three digits: 1.47 M, 332 k, 512."""
    for size, letter in ((1_000_000, " M"), (1_000, " k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:,}"
