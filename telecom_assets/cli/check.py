"""`telecom check`: every check of a month on the tables as they are, for people, for programs and for CI.

Belongs here: arguments, printing, the report file. The checks are in `telecom_assets.runs.checks`.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.data import WriteError
from telecom_assets.cli.show import terminal
from telecom_assets.model.calendar import check_month as checked_month

if TYPE_CHECKING:  # imported where it is used, so that `telecom --help` does not wait for the engine's client
    from telecom_assets.cli.junit import Case, Result
    from telecom_assets.runs.evaluation import Outcome

Month = Annotated[str, typer.Option(help="Month to check, YYYY-MM. It has been billed.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Full = Annotated[bool, typer.Option("--full", help="Also read the rows of every approved or closed month.")]
Junit = Annotated[
    Path | None, typer.Option(help="Also write a JUnit report there, for CI.", metavar="FILE", show_default=False)
]

#: The JUnit result of each status, and below it how the terminal shows the status.
_KINDS: "Mapping[str, Result]" = {"passed": "passed", "failed": "failure", "advice": "passed", "error": "error"}
_MARKS = {
    "passed": "[green]✓ passed[/]",
    "failed": "[bold red]✗ failed[/]",
    "advice": "[yellow]! advice[/]",
    "error": "[bold red]✗ cannot look[/]",
}


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(check)


def check(ctx: typer.Context, *, month: Month, full: Full = False, as_json: Json = False, junit: Junit = None) -> None:
    """Make every check of a month on what is there, and write nothing but the report that is asked for.

    Non-zero when a blocking check fails or cannot look. What an advisory check finds is shown as advice.
    """
    from telecom_assets.runs.evaluation import assert_billed  # noqa: PLC0415

    app: AppContext = ctx.obj
    month = checked_month(month, app.settings.partitions_start)
    assert_billed(app.deployment, month)
    outcomes = _evaluated(app, month, full) if junit is None else _reported(app, month, full, junit)
    if as_json:
        passed = not any(outcome.stops for outcome in outcomes)
        typer.echo(json.dumps({"month": month, "passed": passed, "checks": [each.to_dict() for each in outcomes]}))
    else:
        _print(terminal(), month, outcomes)
    if any(outcome.stops for outcome in outcomes):
        raise typer.Exit(1)


def _evaluated(app: AppContext, month: str, full: bool) -> "list[Outcome]":
    import pyarrow as pa  # noqa: PLC0415
    from pyspark.errors import PySparkException  # noqa: PLC0415

    from resources.atomic_files import PublishError  # noqa: PLC0415
    from resources.expected_errors import ExpectedError  # noqa: PLC0415
    from telecom_assets.invoices.document import InvoiceError  # noqa: PLC0415
    from telecom_assets.reports.csv_files import ReportFileError  # noqa: PLC0415
    from telecom_assets.runs.evaluation import check_month  # noqa: PLC0415

    of_files = (OSError, pa.ArrowException, InvoiceError, PublishError, ReportFileError)
    return check_month(app.deployment, month, (ExpectedError, *of_files, PySparkException), full=full)


def _reported(app: AppContext, month: str, full: bool, path: Path) -> "list[Outcome]":
    """The outcomes, once they are written to the report. A file that cannot be written is an error before any check is made."""
    from telecom_assets.cli.junit import junit_report  # noqa: PLC0415

    with _new_file(path) as file:
        outcomes = _evaluated(app, month, full)
        cases = [_case(outcome) for outcome in outcomes]
        file.write(junit_report(f"telecom check {month}", cases, dt.datetime.now(dt.UTC)))
    return outcomes


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    from resources.atomic_files import replaced_file  # noqa: PLC0415

    if path.is_dir():
        raise WriteError(f"--junit {path}: cannot be written, it is a folder; expected the path of a file")
    try:
        with replaced_file(path) as file:
            yield file
    except OSError as error:
        raise WriteError(f"--junit {path}: cannot be written ({error.strerror or error})") from error


def _case(outcome: "Outcome") -> "Case":
    from telecom_assets.cli.junit import Case  # noqa: PLC0415

    rows = [_line(row) for row in outcome.differs]
    if outcome.differs_not_shown:
        rows.append(f"and {outcome.differs_not_shown} more")
    message = {"passed": "", "advice": f"advice: {outcome.summary}"}.get(outcome.status, outcome.summary)
    kind = _KINDS[outcome.status]
    return Case(outcome.asset, outcome.check, outcome.seconds, kind, message, "\n".join(rows))


def _line(row: "Mapping[str, str | int]") -> str:
    """A differing row as text; a row with one finding is that sentence."""
    return (
        str(row["finding"]) if set(row) == {"finding"} else ", ".join(f"{name} {value}" for name, value in row.items())
    )


def _print(console: Console, month: str, outcomes: "Sequence[Outcome]") -> None:
    """A line for each check, and below them the differing rows of the checks that did not pass."""
    table = Table("asset", "check", "verdict", title=f"Checks of {month}", title_justify="left")
    table.add_column("time", justify="right")
    for column in table.columns:
        column.overflow = "fold"  # names are wrapped, never cut
    last = ""
    for outcome in outcomes:
        asset, last = ("" if outcome.asset == last else outcome.asset), outcome.asset
        table.add_row(escape(asset), escape(outcome.check), _MARKS[outcome.status], f"{outcome.seconds:.1f} s")
    console.print(table)
    for outcome in outcomes:
        if outcome.status != "passed":
            style = "yellow" if outcome.status == "advice" else "bold red"
            line = f"[{style}]{_MARKS[outcome.status].partition(']')[2][0]}[/] {escape(outcome.name)}: "
            console.print(line + escape(outcome.summary), highlight=False, soft_wrap=True)
            _print_differing(console, outcome)
    stopping = [outcome for outcome in outcomes if outcome.stops]
    blocking = sum(outcome.blocking for outcome in outcomes)
    passed = f"{blocking - len(stopping)} of {blocking} blocking checks passed"
    console.print(f"[bold red]{passed}[/]" if stopping else f"[green]{passed}[/]", highlight=False)


def _print_differing(console: Console, outcome: "Outcome") -> None:
    """Print the first differing rows, unless they are the findings, which the summary shows."""
    rows = outcome.differs
    if not rows or outcome.verdict is None or not outcome.verdict.differs:
        return
    table = Table(*map(escape, rows[0]))
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    console.print(table)
    if outcome.differs_not_shown:
        console.print(f"and {outcome.differs_not_shown} more", highlight=False)
