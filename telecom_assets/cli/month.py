"""`telecom run | funnel`: a month from the topic to the dashboard, and its funnel again.

Belongs here: arguments, progress, what is printed. The work is in `telecom_assets.runs.month_runner` and
`telecom_assets.reports.funnel_counts`.
"""

import json
from typing import Annotated, Any

import typer
from rich.markup import escape

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import RunProgress, print_decisions, print_funnel, print_plan, print_steps, terminal
from telecom_assets.cli.stack import terminate_like_interrupt
from telecom_assets.home.full_disk import no_space
from telecom_assets.model.calendar import check_month

Month = Annotated[str, typer.Option(help="Month to bill, YYYY-MM.")]
Force = Annotated[bool, typer.Option("--force", help="Do every step again, whether anything changed or not.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and why, and change nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(run)
    app.command()(funnel)


def run(
    ctx: typer.Context, *, month: Month, force: Force = False, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Land everything on the topic, mediate, rate, bill and report a month.

    Non-zero when a step or a blocking check fails, or the funnel does not balance.
    """
    if dry_run:
        show_plan(ctx.obj, month, as_json=as_json, force=force)
        return
    report = run_month(ctx.obj, month, quiet=as_json, force=force)
    if as_json:
        typer.echo(json.dumps(report))
    if not went_well(report):
        raise typer.Exit(1)


def show_plan(app: AppContext, month: str, *, as_json: bool, force: bool) -> None:
    """Print what a run of the month would do and why, as far as that can be told before anything is landed or read."""
    from telecom_assets.definitions import build_defs  # noqa: PLC0415
    from telecom_assets.runs.month_runner import MonthRunner  # noqa: PLC0415
    from telecom_assets.runs.stages import LANDING  # noqa: PLC0415

    _assert_open(app, check_month(month, app.settings.partitions_start))
    definitions = build_defs(app.settings, app.deployment.resources())
    runner = MonthRunner(definitions, app.instance, app.deployment, lambda *_: None)
    steps = runner.plan_month(month, force=force)
    if as_json:
        planned = [{"job": step.stage.job, "partitions": step.label, "reasons": list(step.reasons)} for step in steps]
        typer.echo(json.dumps({"month": month, "dry_run": True, "steps": planned}))
        return
    print_plan(terminal(), month, steps)
    if any(step.stage == LANDING for step in steps) and not force:
        terminal().print("What lands makes its days stale: mediation and all that follows have more to do then.")


def went_well(report: dict[str, Any]) -> bool:
    """Whether the month of a `run_month` report is billed, every blocking check passed, and its books balance."""
    failed = any(step["checks_failed"] for step in report["steps"])
    return report["error"] is None and not failed and not report["funnel"]["imbalances"]


def run_month(app: AppContext, month: str, *, quiet: bool, force: bool = False) -> dict[str, Any]:
    """Run a month and print what happened, unless quiet; returns the report as JSON has it."""
    from resources.process_locks import turn  # noqa: PLC0415
    from telecom_assets.billing.restored import assert_nothing_went_back  # noqa: PLC0415
    from telecom_assets.definitions import build_defs  # noqa: PLC0415
    from telecom_assets.home.deployment import OnDemand  # noqa: PLC0415
    from telecom_assets.runs.month_runner import MonthRunner, RunFailed  # noqa: PLC0415

    app.instance  # noqa: B018  (a home that cannot be made is told of first)
    error = None
    with (
        terminate_like_interrupt(),
        RunProgress(terminal(stderr=True), quiet=quiet) as progress,
        # A second run of the month waits until the first has ended; most steps are up to date then.
        turn(
            app.settings.dagster_home, f"month-{check_month(month, app.settings.partitions_start)}", progress.wait
        ) as ours,
    ):
        _assert_open(app, month)
        assert_nothing_went_back(app.deployment.warehouse, OnDemand(app.postgres))
        app.open_month(month)
        definitions = build_defs(app.settings, app.deployment.resources())
        runner = MonthRunner(definitions, app.instance, app.deployment, progress.noting(ours))
        try:
            runner.run_month(month, force=force)
        except RunFailed as failure:
            error = no_space(failure, app.settings) or str(failure)
    report: dict[str, Any] = {
        "month": month,
        "engine": app.deployment.engine.name,
        "error": error,
        "steps": [
            {
                "job": result.step.job,
                "partitions": result.step.label,
                "up_to_date": result.up_to_date,
                "run_id": result.run_id or None,
                "seconds": round(result.seconds, 3),
                "checks_passed": sum(passed for _, passed, _ in result.checks),
                "checks_failed": result.failed_checks,
                "advice": list(result.advice),
            }
            for result in runner.results
        ],
    }
    if error is None:
        report |= count_books(app, month, quiet=quiet)
    if not quiet:
        print_steps(terminal(), runner.results)
        if error is not None:
            terminal(stderr=True).print(f"[bold red]{month} is not billed:[/] {escape(error)}", soft_wrap=True)
    return report


def _assert_open(app: AppContext, month: str) -> None:
    """Raise PeriodError for an approved or closed month: no run makes its bills again."""
    from telecom_assets.periods.journal import read_periods  # noqa: PLC0415

    read_periods(app.deployment.warehouse).assert_open(month, f"run of {month}")


def count_books(app: AppContext, month: str, *, quiet: bool) -> dict[str, Any]:
    """Count the funnel of a month from the tables and print it, unless quiet; returns it as JSON has it."""
    from telecom_assets.intake.journal import source_decisions  # noqa: PLC0415
    from telecom_assets.reports.funnel_counts import malformed_while_open, month_funnel, other_days  # noqa: PLC0415
    from telecom_assets.reports.month_books import remedy, without_records  # noqa: PLC0415

    warehouse = app.deployment.warehouse
    books, elsewhere = month_funnel(warehouse, month), other_days(warehouse, month)
    malformed = malformed_while_open(warehouse, month, app.settings.max_age_days)
    to_do = remedy(warehouse, month, books, books.imbalances())
    nothing = without_records(warehouse, month, books)
    decisions = source_decisions(warehouse)
    if not quiet:
        print_funnel(terminal(), month, app.settings.currency, books, elsewhere, malformed, to_do)
        if nothing:
            terminal().print(f"[bold yellow]{escape(nothing)}[/]", soft_wrap=True)
        print_decisions(terminal(), decisions)
    return {
        "funnel": books.to_dict(),
        "other_days": elsewhere.to_dict(),
        "malformed_while_open": malformed.to_dict(),
        "without_records": nothing,
        "remedy": to_do.to_dict() if to_do else None,
        "source_decisions": [decision.said() for decision in decisions],
    }


def funnel(ctx: typer.Context, *, month: Month, as_json: Json = False) -> None:
    """What became of every record of a month, and of the money: counted from the tables alone."""

    figures = count_books(ctx.obj, check_month(month, ctx.obj.settings.partitions_start), quiet=as_json)
    if as_json:
        typer.echo(json.dumps({"month": month, **figures}))
    if figures["funnel"]["imbalances"]:
        raise typer.Exit(1)
