"""`telecom rerate`: what rating a month again changes, and the differences of a closed one on the next bills.

Belongs here: arguments, what is printed. The work is in `telecom_assets.corrections.rerating` and `telecom_assets.runs`.
"""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.month import run_month, went_well
from telecom_assets.cli.show import RunProgress, terminal
from telecom_assets.cli.sources import Json
from telecom_assets.cli.stack import terminate_like_interrupt
from telecom_assets.home.full_disk import no_space
from telecom_assets.model.calendar import check_month

if TYPE_CHECKING:  # imported where it is used, so that `telecom --help` does not wait for the engine's client
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from telecom_assets.corrections.rerating import Difference, Rerating
    from telecom_assets.runs.month_run import Step
    from telecom_assets.runs.month_runner import Listener

#: Rows of each table that are printed; JSON has all.
_SHOWN = 20
#: The tables: what each row is about.
_TABLES = {
    "reason": ("reason", "disposition"),
    "plan": ("rate_plan_id",),
    "customer": ("customer_id", "holder_no"),
}

Month = Annotated[str, typer.Option(help="Month to rate again, YYYY-MM.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would differ, and write nothing.")]
Accept = Annotated[
    bool, typer.Option("--accept", help="Bill the differences that only other rules make; needs --by and --why.")
]
MaybeBy = Annotated[str | None, typer.Option("--by", help="Who decides; kept with the decision.", show_default=False)]
MaybeWhy = Annotated[str | None, typer.Option("--why", help="Why; kept with the decision.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(rerate)


def rerate(
    ctx: typer.Context,
    *,
    month: Month,
    dry_run: DryRun = False,
    accept: Accept = False,
    by: MaybeBy = None,
    why: MaybeWhy = None,
    as_json: Json = False,
) -> None:
    """Rate a month again: an open one is run, of a closed one the differences are noted, which the next bills correct.

    What differs only because the program or a setting is another one is on no bill until somebody accepts it.
    """

    app: AppContext = ctx.obj
    if accept and (dry_run or not (by or "").strip() or not (why or "").strip()):
        raise typer.BadParameter("--accept needs --by NAME and --why REASON, and goes without --dry-run")
    check_month(month, app.settings.partitions_start)
    if dry_run:
        _tell(_what_would_differ(app, month), dry_run=True, as_json=as_json)
    elif _is_open(app, month) and not accept:
        report = run_month(app, month, quiet=as_json)
        if as_json:
            typer.echo(json.dumps(report))
        if not went_well(report):
            raise typer.Exit(1)
    else:
        _tell(correct(app, month, accept=accept, by=by, why=why), dry_run=False, as_json=as_json)


def _is_open(app: AppContext, month: str) -> bool:
    """Whether a month is neither closed nor frozen."""
    from telecom_assets.periods.journal import read_periods  # noqa: PLC0415

    return not read_periods(app.deployment.warehouse).is_frozen(month)


def _what_would_differ(app: AppContext, month: str) -> "Rerating":
    """The figures of rating a month again; nothing is written."""
    from telecom_assets.corrections.rerating import by_settings, corrects, rerating  # noqa: PLC0415

    warehouse, settings = app.deployment.warehouse, app.settings
    period = None if _is_open(app, month) else corrects(warehouse, month, settings.adjustment_months)
    return rerating(warehouse, month, period, by_settings(settings), app.deployment.record_types)


def correct(app: AppContext, month: str, *, accept: bool, by: str | None, why: str | None) -> "Rerating":
    """Note the differences of a closed month on the period that corrects it; with `accept`, bill those by other rules too."""
    from resources.process_locks import turn  # noqa: PLC0415
    from telecom_assets.corrections.rerating import accept_differences, adjusted, ask_for_all, corrects  # noqa: PLC0415
    from telecom_assets.runs.month_run import one_month  # noqa: PLC0415
    from telecom_assets.runs.stages import RERATING  # noqa: PLC0415

    warehouse = app.deployment.warehouse
    period = check_month(corrects(warehouse, month, app.settings.adjustment_months), app.settings.partitions_start)
    app.instance  # noqa: B018  (a home that cannot be made is told of before anything is changed)
    with (
        terminate_like_interrupt(),
        RunProgress(terminal(stderr=True), quiet=True) as progress,
        turn(app.settings.dagster_home, f"month-{period}", progress.wait) as ours,
    ):
        if accept:
            accept_differences(warehouse, month, period, by=str(by), why=str(why))
        else:
            ask_for_all(warehouse, month, period, by=by, why=why)
        execute_steps(app, [one_month(RERATING.job, period)], progress.noting(ours))
    return adjusted(warehouse, month, period)


def execute_steps(app: AppContext, steps: "Iterable[Step]", listen: "Listener") -> None:
    """Run some jobs one after another. A failure is one line, and exit status 1."""
    from telecom_assets.definitions import build_defs  # noqa: PLC0415
    from telecom_assets.runs.month_runner import MonthRunner, RunFailed  # noqa: PLC0415

    definitions = build_defs(app.settings, app.deployment.resources())
    try:
        runner = MonthRunner(definitions, app.instance, app.deployment, listen)
        for step in steps:
            runner.execute(step)
    except RunFailed as failure:
        terminal(stderr=True).print(
            f"[bold red]telecom:[/] {escape(no_space(failure, app.settings) or str(failure))}", soft_wrap=True
        )
        raise typer.Exit(1) from failure


def _tell(found: "Rerating", *, dry_run: bool, as_json: bool) -> None:
    from telecom_assets.corrections.rerating import as_json as told  # noqa: PLC0415

    if as_json:
        typer.echo(json.dumps({**told(found), "dry_run": dry_run}))
        return
    out = terminal()
    figures = f"{found.old:,f} settled, {found.new:,f} right, {found.difference:+,f} before tax"
    out.print(f"{found.month} rated again: {figures}", highlight=False)
    for title, names in _TABLES.items():
        _print_differences(out, title, found.by(*names))
    if found.awaiting:
        out.print(
            f"{found.awaiting:+,f} of it only because of other rules: on no bill until `telecom rerate --month {found.month} --accept "
            "--by NAME --why REASON`",
            highlight=False,
            soft_wrap=True,
        )


def _print_differences(out: "Console", title: str, listed: "Sequence[Difference]") -> None:
    """Print a table of differences, the largest amounts first; none where nothing differs."""
    if not listed:
        return
    table = Table(title, "rows", "events", "amount before tax")
    for column in table.columns[1:]:
        column.justify = "right"
    for each in listed[:_SHOWN]:
        table.add_row(escape(each.key), f"{each.rows:,}", f"{each.events:+,}", f"{each.amount:+,f}")
    out.print(table)
    if len(listed) > _SHOWN:
        out.print(f"and {len(listed) - _SHOWN:,} more; --json lists all", highlight=False)
