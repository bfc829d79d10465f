"""`telecom maintain`: the nightly maintenance of the tables, now.

Belongs here: arguments, printing. The work is in `resources.warehouse`; it is done in a run that the UI shows.
"""

import datetime as dt
import json
from typing import Annotated, Any

import typer
from rich.markup import escape

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import RunProgress, print_maintenance, terminal
from telecom_assets.cli.stack import terminate_like_interrupt
from telecom_assets.home.full_disk import no_space

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(maintain)


def maintain(ctx: typer.Context, *, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Merge small files, remove versions that are past their retention. Non-zero when a table could not be maintained."""
    app: AppContext = ctx.obj
    tables, error = (_look(app), None) if dry_run else _run(app, quiet=as_json)
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, "error": error, "tables": tables}))
    elif error is None:
        print_maintenance(terminal(), tables, dry_run=dry_run)
    else:
        terminal(stderr=True).print(f"[bold red]not all tables are maintained:[/] {escape(error)}", soft_wrap=True)
    if error is not None:
        raise typer.Exit(1)


def _look(app: AppContext) -> list[dict[str, Any]]:
    from resources.warehouse import maintain as maintain_tables  # noqa: PLC0415

    target, now = app.settings.target_file_bytes, dt.datetime.now(dt.UTC)
    done = maintain_tables(app.deployment.warehouse, target_file_bytes=target, now=now, dry_run=True)
    return [each.to_dict() for each in done]


def _run(app: AppContext, *, quiet: bool) -> tuple[list[dict[str, Any]], str | None]:
    """Run the job on the instance. Returns the tables and, when it failed, the reason."""
    import dagster as dg  # noqa: PLC0415

    from telecom_assets.definitions import build_defs  # noqa: PLC0415
    from telecom_assets.runs.month_run import Step  # noqa: PLC0415
    from telecom_assets.runs.month_runner import MonthRunner, RunFailed  # noqa: PLC0415
    from telecom_assets.runs.stages import MAINTENANCE  # noqa: PLC0415

    definitions = build_defs(app.settings, app.deployment.resources())
    with terminate_like_interrupt(), RunProgress(terminal(stderr=True), quiet=quiet) as progress:
        runner = MonthRunner(definitions, app.instance, app.deployment, progress.listen)
        try:
            runner.execute(Step(MAINTENANCE.job))
        except RunFailed as failure:
            return [], no_space(failure, app.settings) or str(failure)
    newest = app.instance.get_latest_materialization_event(dg.AssetKey("maintenance"))
    assert newest is not None and newest.asset_materialization is not None
    tables = newest.asset_materialization.metadata["tables"]
    assert isinstance(tables, dg.TableMetadataValue)
    return [dict(record.data) for record in tables.records], None
