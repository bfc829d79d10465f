"""`python -m bench`: arguments, the order of the cases, what is printed, the exit status."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from bench import machine, report
from bench.bench_run import Bench, Options
from bench.cases import CASES, DEFAULT_CASES
from bench.dataset import DataSpec
from bench.ratios import ratios, targets, to_a_tenth
from bench.workplace import ENGINES, Workplaces
from resources.expected_errors import ExpectedError
from telecom_assets.cli.stack import terminate_like_interrupt
from telecom_assets.generator import DEFAULT_SEED, GeneratorSpec

RESULTS = Path(__file__).with_name("results")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    cdrs: Annotated[int, typer.Option(min=1, help="CDRs of the month.")] = 1_000_000,
    customers: Annotated[int | None, typer.Option(min=1, help="Customers. Default: one for 100 CDRs.")] = None,
    month: Annotated[str, typer.Option(help="Month of the CDRs, YYYY-MM.")] = "2025-05",
    seed: Annotated[int, typer.Option(help="Seed of the generator.")] = DEFAULT_SEED,
    engine: Annotated[str, typer.Option(envvar="ENGINE", help=" or ".join(ENGINES))] = "sail",
    repeats: Annotated[int, typer.Option(min=1, help="Fresh processes for each figure.")] = 3,
    name: Annotated[str | None, typer.Option(help="Name of the result. Default: <engine>-<cdrs>.")] = None,
    cases: Annotated[str, typer.Option(help=f"Some of {', '.join(CASES)}.")] = ",".join(DEFAULT_CASES),
    bills: Annotated[int, typer.Option(min=1, help="Bills of the case publish, at least.")] = 1_000_000,
    invoices: Annotated[
        int, typer.Option(min=1, help="Invoices of the case invoices, at least; of close, 10,000 at most.")
    ] = 100_000,
    commits: Annotated[int, typer.Option(min=1, help="Commits of the case old-table.")] = 2_000,
    memory_limit_gb: Annotated[
        float | None, typer.Option(help="End a run of the project whose processes hold more than this together.")
    ] = None,
    keep_up: Annotated[bool, typer.Option("--keep-up", help="Leave Kafka and PostgreSQL running.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")] = False,
) -> None:
    """Measure the project beside a hand-written DuckDB script and the raw limits, on the same data and cores.

    Writes bench/results/<name>.json and <name>.md. Data are made once and kept under .bench (BENCH_HOME).
    """
    chosen = _chosen(cases)
    if engine not in ENGINES:
        raise typer.BadParameter(f"engine {engine!r}: expected {' or '.join(ENGINES)}")
    spec = DataSpec(cdrs, customers or max(cdrs // 100, 20), month, seed)
    # Validated before anything is started: raises SpecError.
    GeneratorSpec(cdrs=spec.cdrs, customers=spec.customers, month=spec.month, seed=spec.seed)
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(f"[dim]·[/] {escape(text)}", highlight=False, soft_wrap=True)

    options = Options(spec, engine, repeats, machine.cores(), bills, invoices, commits)
    limit = None if memory_limit_gb is None else round(memory_limit_gb * 1_000_000_000)
    with terminate_like_interrupt(), Workplaces(engine, say, limit, keep_up) as workplaces:
        this = Bench(options, workplaces, say)
        for case in chosen:
            console.rule(case)
            CASES[case](this)
    result = result_of(this, name or f"{engine}-{cdrs}", chosen)
    path = report.write(result, RESULTS)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        report.show(result, Console())
    say(f"written: {path.relative_to(RESULTS.parents[1])} and .md")


def _chosen(cases: str) -> list[str]:
    """The named cases in the order of CASES."""
    names = [name.strip() for name in cases.split(",") if name.strip()]
    unknown = sorted(set(names) - set(CASES))
    if unknown or not names:
        raise typer.BadParameter(f"cases {cases!r}: expected some of {', '.join(CASES)}")
    return [name for name in CASES if name in names]


def result_of(this: Bench, name: str, chosen: list[str]) -> dict[str, Any]:
    """The content of the result file: ratios, then options and machine, then the results of the cases."""
    options = this.options
    result: dict[str, Any] = {
        "name": name,
        **ratios(this.results),
        "engine": options.engine,
        "data": dataclasses.asdict(options.spec),
        "repeats": options.repeats,
        "cases": chosen,
        "machine": machine.describe(),
        "targets": [],
        "results": this.results,
    }
    if (ratio := to_a_tenth(result, RESULTS)) is not None:
        result["time_to_a_tenth"] = ratio
    result["targets"] = [target.as_json() for target in targets(result)]
    return result


def main() -> None:
    """Entry point: expected errors are one message on stderr, never a traceback."""
    try:
        app()
    except ExpectedError as error:
        _fail(error, error.exit_status)
    except KeyboardInterrupt:
        _fail("interrupted", 130)


def _fail(error: object, status: int) -> None:
    Console(stderr=True).print(f"[bold red]bench:[/] {escape(str(error))}", soft_wrap=True)
    sys.exit(status)
