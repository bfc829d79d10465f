"""`python -m bench`: arguments, the order of the cases, what is printed, the exit status."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench import machine, report
from bench.cases import CASES, DEFAULT_CASES
from bench.compare import TablesDiffer
from bench.context import Bench
from bench.dataset import DataSpec, open_dataset, stack_of
from bench.errors import BenchError
from bench.homes import Homes
from bench.project_runs import Project
from bench.ratios import ratios
from telecom_assets.cli.errors import EXPECTED_ERRORS, USAGE_ERRORS
from telecom_assets.cli.stack import terminate_like_interrupt
from telecom_assets.generator import DEFAULT_SEED, GeneratorSpec, SpecError

RESULTS = Path(__file__).with_name("results")
_SERVICES = {"sail": ("postgres", "kafka"), "spark": ("postgres", "kafka", "spark")}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    cdrs: Annotated[int, typer.Option(min=1, help="CDRs of the month.")] = 1_000_000,
    customers: Annotated[int | None, typer.Option(min=1, help="Customers. Default: one for 100 CDRs.")] = None,
    month: Annotated[str, typer.Option(help="Month of the CDRs, YYYY-MM.")] = "2025-05",
    seed: Annotated[int, typer.Option(help="Seed of the generator.")] = DEFAULT_SEED,
    engine: Annotated[str, typer.Option(envvar="ENGINE", help="sail or spark.")] = "sail",
    repeats: Annotated[int, typer.Option(min=1, help="Fresh processes per stage.")] = 3,
    name: Annotated[str | None, typer.Option(help="Name of the result. Default: <engine>-<cdrs>.")] = None,
    cases: Annotated[str, typer.Option(help=f"Some of {', '.join(CASES)}.")] = ",".join(DEFAULT_CASES),
    memory_limit_gb: Annotated[
        float | None, typer.Option(help="End a run whose processes hold more than this together.")
    ] = None,
    keep_up: Annotated[bool, typer.Option(help="Leave Kafka and PostgreSQL running afterwards.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")] = False,
) -> None:
    """Measure the project beside a hand-written DuckDB script and the raw limits, on the same data and cores.

    Writes bench/results/<name>.json and <name>.md. Data are made once, under .bench (BENCH_HOME).
    """
    chosen = _chosen(cases)
    if engine not in _SERVICES:
        raise typer.BadParameter(f"engine {engine!r}: expected {' or '.join(_SERVICES)}")
    spec = DataSpec(cdrs, customers or max(cdrs // 100, 20), month, seed)
    GeneratorSpec(**dataclasses.asdict(spec))  # raises SpecError before anything is started
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(f"[dim]·[/] {text.replace('[', chr(92) + '[')}", highlight=False)

    with terminate_like_interrupt():
        try:
            dataset = open_dataset(spec, _SERVICES[engine], say)
            limit = None if memory_limit_gb is None else round(memory_limit_gb * 1024**3)
            this = Bench(dataset, Project(Homes(dataset, engine), limit), repeats, machine.cores(), say)
            for case in chosen:
                console.rule(case)
                CASES[case](this)
        finally:
            if not keep_up:
                stack_of(open_folder(spec)).down()
    result = _result(this, engine, name or f"{engine}-{cdrs}", chosen)
    report.write(result, RESULTS)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        report.show(result, Console())


def _chosen(cases: str) -> list[str]:
    """The named cases in the order of CASES: later ones compare with earlier ones."""
    names = [name.strip() for name in cases.split(",") if name.strip()]
    unknown = sorted(set(names) - set(CASES))
    if unknown or not names:
        raise typer.BadParameter(f"cases {cases!r}: expected some of {', '.join(CASES)}")
    return [name for name in CASES if name in names]


def _result(this: Bench, engine: str, name: str, chosen: list[str]) -> dict[str, Any]:
    dataset = this.dataset
    return {
        "name": name,
        **ratios(this.results),
        "engine": engine,
        "data": {**dataclasses.asdict(dataset.spec), "cdr_bytes": dataset.cdr_bytes},
        "repeats": this.repeats,
        "cases": chosen,
        "machine": machine.describe(),
        "results": this.results,
    }


def open_folder(spec: DataSpec) -> Path:
    """Where the data of a spec lie."""
    from bench.dataset import bench_home  # noqa: PLC0415

    return bench_home() / spec.key


def main() -> None:
    """Entry point: expected errors are one message on stderr, never a traceback."""
    try:
        app()
    except (SpecError, *USAGE_ERRORS) as error:
        _fail(error, 2)
    except (BenchError, TablesDiffer, *EXPECTED_ERRORS) as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        _fail("interrupted", 130)


def _fail(error: object, status: int) -> None:
    Console(stderr=True).print(f"[bold red]bench:[/] {str(error).replace('[', chr(92) + '[')}", soft_wrap=True)
    sys.exit(status)
