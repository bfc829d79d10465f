"""`telecom suspense list | recycle | write-off`: usage that has no price, and what a person does about it.

Belongs here: arguments, printing, running the jobs. What is found is in `telecom_assets.corrections.suspense` and
`telecom_assets.runs.recycling`.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.rerate import correct, execute_steps
from telecom_assets.cli.show import RunProgress, terminal
from telecom_assets.cli.sources import By, Json, Why
from telecom_assets.cli.stack import terminate_like_interrupt
from telecom_assets.model.calendar import check_month, local_today

if TYPE_CHECKING:  # imported where it is used, so that `telecom --help` does not wait for the engine's client
    from telecom_assets.corrections.suspense import Suspense
    from telecom_assets.runs.recycling import Recycled, Recycling

Month = Annotated[
    str | None, typer.Option(help="Month of the usage, YYYY-MM. Default: every month.", show_default=False)
]
Reason = Annotated[
    str | None, typer.Option(help="Reason of suspension, such as no_price. Default: any.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add `suspense` with its commands to the `telecom` command."""
    suspense = typer.Typer(help="Usage that has no price, and decisions about it.", no_args_is_help=True)
    app.add_typer(suspense, name="suspense")
    suspense.command("list")(list_suspense)
    suspense.command()(recycle)
    suspense.command("write-off")(write_off)


def list_suspense(ctx: typer.Context, *, month: Month = None, reason: Reason = None, as_json: Json = False) -> None:
    """Usage that waits for a price: by month and reason how much, since when, and its value where a price is known."""
    from resources.warehouse import of_month  # noqa: PLC0415
    from telecom_assets.corrections.suspense import check_reason, suspense  # noqa: PLC0415
    from telecom_assets.rating.tables import SUSPENDED_CDRS  # noqa: PLC0415

    app: AppContext = ctx.obj
    within = of_month(SUSPENDED_CDRS, month) if (month := checked_month(app, month)) else None
    found = suspense(app.deployment.warehouse, within, check_reason(reason), app.deployment.record_types)
    today = local_today()
    if as_json:
        typer.echo(json.dumps({"suspense": [_said(each, age_days=(today - each.first_day).days) for each in found]}))
        return
    table = Table("month", "reason", "events", "oldest", "days", "with a price", "worth before tax", "")
    for place in (2, 4, 5, 6):
        table.columns[place].justify = "right"
    for each in found:
        table.add_row(
            each.billing_period,
            each.reason,
            f"{each.events:,}",
            str(each.first_day),
            f"{(today - each.first_day).days:,}",
            f"{each.priced_events:,}",
            _worth(each.amount),
            "written off" if each.written_off else "",
        )
    _print(table, found, "No usage is suspended.")


def recycle(
    ctx: typer.Context,
    *,
    month: Month = None,
    reason: Reason = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be rated and for how much, and write nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Rate suspended usage again, after its cause is gone. What is written off is left alone.

    Of open months the days that hold it are rated; of closed ones the differences go on the next bills. --dry-run goes by the reference
    data as they were read last.
    """
    from telecom_assets.corrections.suspense import check_reason  # noqa: PLC0415
    from telecom_assets.runs.month_run import Step  # noqa: PLC0415
    from telecom_assets.runs.recycling import has_become, recycling, would_become  # noqa: PLC0415
    from telecom_assets.runs.stages import REFERENCE  # noqa: PLC0415

    app: AppContext = ctx.obj
    month, deployment = checked_month(app, month), app.deployment
    of = (deployment.warehouse, app.settings, deployment.record_types)
    asked = recycling(*of, month, check_reason(reason))
    if dry_run or not asked.rows:
        _tell(would_become(*of, asked), asked, dry_run=dry_run, as_json=as_json)
        return
    with terminate_like_interrupt(), RunProgress(terminal(stderr=True), quiet=True) as progress:
        execute_steps(app, [Step(REFERENCE.job)], progress.listen)
    worth_it = {each.billing_period for each in would_become(*of, asked) if each.left < each.events}
    _rate_again(app, asked, [each for each in asked.rows if each in worth_it and asked.billed_in[each] == each])
    for each in asked.rows:
        if each in worth_it and asked.billed_in[each] != each:
            correct(app, each, accept=False, by=None, why=None)
    _tell(has_become(deployment.warehouse, asked), asked, dry_run=False, as_json=as_json)


def write_off(
    ctx: typer.Context,
    *,
    reason: Annotated[str, typer.Option(help="Reason of suspension, such as unknown_customer.")],
    by: By,
    why: Why,
    month: Month = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take a write-off back, while the month is open.")] = False,
    as_json: Json = False,
) -> None:
    """Write suspended usage off: it stands apart from what is to be worked. No amount changes.

    Without --month, of all months that are open.
    """
    from telecom_assets.corrections import suspense as of_suspense  # noqa: PLC0415
    from telecom_assets.periods.journal import read_periods  # noqa: PLC0415

    app: AppContext = ctx.obj
    month, warehouse = checked_month(app, month), app.deployment.warehouse
    of_suspense.check_reason(reason)
    periods = read_periods(warehouse)
    types = app.deployment.record_types
    listed = of_suspense.suspense(warehouse, None, reason, types) if month is None else []
    months = {month} if month else {each.billing_period for each in listed}
    frozen = {each for each in months if month is None and periods.is_frozen(each)}
    found = of_suspense.write_off(warehouse, months - frozen, reason, by=by, why=why, undo=undo, record_types=types)
    if as_json:
        typer.echo(json.dumps({"undo": undo, "by": by, "why": why, "decided": [_said(each) for each in found]}))
        return
    for each in found:
        verb = "write-off undone for" if undo else "written off:"
        terminal().print(
            f"[green]✓[/] {verb} {each.events:,} events of {each.billing_period}, {each.reason}, worth {_worth(each.amount)}",
            highlight=False,
        )


def _rate_again(app: AppContext, asked: "Recycling", months: Sequence[str]) -> None:
    """Rate the days of open months that hold events that are asked for."""
    from resources.process_locks import turn  # noqa: PLC0415
    from telecom_assets.model.months import contiguous  # noqa: PLC0415
    from telecom_assets.runs.month_run import day_range  # noqa: PLC0415
    from telecom_assets.runs.stages import RATING  # noqa: PLC0415

    for month in months:
        with ExitStack() as stack:
            stack.enter_context(terminate_like_interrupt())
            progress = stack.enter_context(RunProgress(terminal(stderr=True), quiet=True))
            ours = stack.enter_context(turn(app.settings.dagster_home, f"month-{month}", progress.wait))
            steps = [day_range(RATING.job, first, last) for first, last in contiguous(asked.days(month))]
            execute_steps(app, steps, progress.noting(ours))


def _tell(found: "Sequence[Recycled]", asked: "Recycling", *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        rows = [_said(each) for each in found]
        typer.echo(json.dumps({"dry_run": dry_run, "recycled": rows, "left_out": dict(asked.left_out)}))
        return
    rated = "would be rated" if dry_run else "rated"
    table = Table("month", "reason", "events", rated, "amount before tax", "still suspended", "on bills of")
    for column in table.columns[2:6]:
        column.justify = "right"
    for each in found:
        table.add_row(
            each.billing_period,
            each.reason,
            f"{each.events:,}",
            f"{each.rated:,}",
            _worth(each.amount),
            f"{each.left:,}",
            each.billed_in,
        )
    _print(table, found, "No usage is to be rated again.")
    for why in asked.left_out.values():
        terminal().print(f"[yellow]left out:[/] {escape(why)}", highlight=False, soft_wrap=True)
    if not dry_run:
        for period in sorted({each.billed_in for each in found if each.rated}):
            terminal().print(f"`telecom run --month {period}` makes the bills", highlight=False)


def _print(table: Table, found: Sequence[Any], nothing: str) -> None:
    terminal().print(table if found else nothing)


def checked_month(app: AppContext, month: str | None) -> str | None:
    """A month of usage as it was typed, or MonthError; None where none was."""

    return None if month is None else check_month(month, app.settings.partitions_start)


def _said(each: "Suspense | Recycled", **more: Any) -> dict[str, Any]:
    """For JSON: amounts and days are texts."""
    plain = {
        name: value if isinstance(value, int | str) or value is None else f"{value}"
        for name, value in vars(each).items()
    }
    return {**plain, **more}


def _worth(amount: Decimal | None) -> str:
    return "–" if amount is None else f"{amount:,f}"
