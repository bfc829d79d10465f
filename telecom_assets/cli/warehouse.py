"""`telecom warehouse upgrade | adopt`: bring a warehouse of an earlier version to this version; make a warehouse that was
restored from a backup the truth.

Belongs here: arguments, printing. The work is in `telecom_assets.upgrade` and `telecom_assets.billing.restored`.
"""

import datetime as dt
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import terminal
from telecom_assets.cli.sources import By, Why
from telecom_assets.cli.stack import terminate_like_interrupt

if TYPE_CHECKING:  # imported where it is used, so that `telecom --help` does not wait for the engine's client
    from telecom_assets.upgrade import Done, Plan

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


def register(app: typer.Typer) -> None:
    """Add `warehouse` with its commands to the `telecom` command."""
    warehouse = typer.Typer(help="The warehouse as a whole.", no_args_is_help=True)
    app.add_typer(warehouse, name="warehouse")
    warehouse.command()(upgrade)
    warehouse.command()(adopt)


def upgrade(ctx: typer.Context, *, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Bring a warehouse of the version before into the shape of this one, with its bills in PostgreSQL.

    Nothing else may work on it meanwhile. Killed at any moment, it goes on when it is run again. Messages that landed twice
    stay once.
    """
    from telecom_assets.upgrade import Done, plan_upgrade  # noqa: PLC0415
    from telecom_assets.upgrade import upgrade as carry_out  # noqa: PLC0415

    app: AppContext = ctx.obj
    settings, warehouse = app.settings, app.deployment.warehouse
    _assert_none_is_opened_again(app)
    plan = plan_upgrade(warehouse, _former_months(app), settings.partitions_start, settings.missing_volume_policy)
    done = Done()
    if not dry_run and not plan.is_empty:
        console = terminal(stderr=True)
        with terminate_like_interrupt(), _alone(app):
            done = carry_out(
                warehouse,
                plan,
                calendar_start=settings.partitions_start,
                dedupe_days=settings.dedupe_days,
                report=lambda line: None if as_json else console.print(escape(line), highlight=False),
            )
    published, note, failed = _published(app, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(_as_json(plan, done, published, note, dry_run=dry_run)))
    else:
        _print(terminal(), plan, done, published, note, dry_run=dry_run)
    if failed:
        raise typer.Exit(1)


def adopt(ctx: typer.Context, *, by: By, why: Why, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Make a warehouse that was restored from a backup the truth: PostgreSQL's ledger of published bills follows it.

    Published bills stay as they are until `telecom run` makes and publishes their months again. The decision is kept in the
    warehouse; `telecom status` and every funnel show it.
    """
    from telecom_assets.billing.restored import adopt as carry_out  # noqa: PLC0415
    from telecom_assets.billing.restored import published_ahead  # noqa: PLC0415

    app: AppContext = ctx.obj
    warehouse, postgres, decision = app.deployment.warehouse, app.postgres(), None
    if dry_run:
        _assert_none_is_opened_again(app)
        ahead = published_ahead(warehouse, postgres)
    else:
        ahead, decision = carry_out(warehouse, postgres, by=by, why=why)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "dry_run": dry_run,
                    "version": ahead.newest,
                    "published": dict(ahead.versions),
                    "decision": decision.said() if decision else None,
                }
            )
        )
        return
    console = terminal()
    if not ahead.versions:
        console.print("PostgreSQL has published no later bills than the warehouse holds; nothing to adopt.")
        return
    would, mark = ("would ", "") if dry_run else ("", "[green]✓[/] ")
    console.print(
        f"{mark}PostgreSQL's ledger {would}follow{'' if dry_run else 's'} facturation_complete at version {ahead.newest}; "
        f"published were {escape(str(ahead))}",
        highlight=False,
        soft_wrap=True,
    )
    for month in ahead.versions:
        console.print(
            f"`telecom run --month {escape(month)}` makes its bills again and publishes them", highlight=False
        )


def _former_months(app: AppContext) -> list[str]:
    """Months that an earlier version has opened in this home, if it has a Dagster instance."""
    from telecom_assets.runs.instance_state import formerly_opened_months  # noqa: PLC0415

    if not (app.settings.dagster_home / "dagster.yaml").exists():
        return []
    return formerly_opened_months(app.instance, app.settings.partitions_start)


def _assert_none_is_opened_again(app: AppContext) -> None:
    """Raise RestoredWarehouse where a closed period would be open. A server that does not answer says so later, or is not needed."""
    from resources.postgres import PostgresUnavailable  # noqa: PLC0415
    from telecom_assets.billing.restored import assert_none_is_opened_again  # noqa: PLC0415

    with suppress(PostgresUnavailable):
        assert_none_is_opened_again(app.deployment.warehouse, app.postgres())


@contextmanager
def _alone(app: AppContext) -> Iterator[None]:
    """Hold the locks of landing and maintenance of this home."""
    from resources.process_locks import lock_or_refuse  # noqa: PLC0415

    with lock_or_refuse(app.settings.dagster_home, "landing"), lock_or_refuse(app.settings.dagster_home, "maintenance"):
        yield


def _published(app: AppContext, *, dry_run: bool) -> tuple[list[str], str | None, bool]:
    """Differences of the published tables; the reason why they are unknown or remain; whether that is a failure.

    A server that is down is no failure: the warehouse is upgraded, and publishing reports columns that a table lacks.
    """
    from resources.postgres import PostgresError, PostgresUnavailable, follow_contract  # noqa: PLC0415
    from telecom_assets.billing.tables import FACTURATION_COMPLETE  # noqa: PLC0415
    from telecom_assets.upgrade import PUBLISHED_BEFORE  # noqa: PLC0415

    bills, again = app.deployment.tables[FACTURATION_COMPLETE.name], "then run `telecom warehouse upgrade` again"
    try:
        return follow_contract(app.postgres(), bills, PUBLISHED_BEFORE, dry_run=dry_run), None, False
    except PostgresUnavailable as error:
        return [], f"published tables were not looked at: {error}; {again}", False
    except PostgresError as error:
        return [], f"published tables are as they were: {error}; mend that, {again}", True


def _as_json(plan: "Plan", done: "Done", published: list[str], note: str | None, *, dry_run: bool) -> dict[str, Any]:
    days = plan.days if dry_run else done.days
    return {
        "dry_run": dry_run,
        "up_to_date": plan.is_empty and not published,
        "tables": [
            {"table": each.name, "rows": each.rows, "files": each.files, "changes": each.changes}
            for each in plan.shapes
        ],
        "doubled_rows": plan.doubled.rows,
        "conflicting_positions": plan.doubled.conflicts,
        "first_conflicts": [
            {"source_part": each.part, "source_position": each.position, "rows": each.rows}
            for each in plan.doubled.first_conflicts
        ],
        "unrecorded": [
            {"source_part": each.part, "from_position": each.start, "to_position": each.end, "records": each.records}
            for each in plan.missing
        ],
        "opened_months": {**plan.months, **done.moved},
        "days_to_mediate": [day.isoformat() for day in sorted(days)],
        "tables_added": list(plan.added),
        "months_to_rate": list(plan.months_to_rate),
        "months_to_bill": list(plan.months_to_bill),
        "imbalances": list(done.findings),
        "postgres": published,
        "postgres_note": note,
    }


def _print(
    console: Console, plan: "Plan", done: "Done", published: list[str], note: str | None, *, dry_run: bool
) -> None:
    def say(line: str, style: str = "") -> None:
        console.print(escape(line), style=style, highlight=False, soft_wrap=True)

    if plan.is_empty and not published:
        say("The warehouse is of this version; nothing to do.")
    if plan.shapes:
        table = Table(title="Would be done" if dry_run else "Upgraded", title_justify="left")
        for name in ("table", "rows", "files", "what changes"):
            table.add_column(name, justify="right" if name in ("rows", "files") else "left")
        for each in plan.shapes:
            table.add_row(each.name, f"{each.rows:,}", f"{each.files:,}", escape("\n".join(each.changes)))
        console.print(table)
    for gap in plan.missing:
        say(
            f"partition {gap.part}: {gap.records:,} records of offsets {gap.start} to {gap.end - 1} get their row in the "
            "ledger: a run died after it had written them"
        )
    if plan.doubled.rows:
        say(f"{plan.doubled.rows:,} rows of equal position and bytes go; the one that was received first stays")
    if plan.doubled.conflicts:
        shown = ", ".join(
            f"partition {each.part} offset {each.position} ({each.rows} rows)" for each in plan.doubled.first_conflicts
        )
        more = plan.doubled.conflicts - len(plan.doubled.first_conflicts)
        say(
            f"{plan.doubled.conflicts:,} positions have rows of other bytes, which are left alone: {shown}"
            + (f" and {more:,} more" if more else "")
            + "; the books do not balance while they are there",
            "yellow",
        )
    for month, rows in {**plan.months, **done.moved}.items():
        say(f"month {month} is opened in the warehouse; {rows:,} rows move to their own days")
    for line in (
        *_to_run(plan, dry_run=dry_run),
        *(f"PostgreSQL, facturation_complete: {each}" for each in published),
    ):
        say(line)
    if note is not None:
        say(note, "yellow")
    if days := plan.days if dry_run else done.days:
        say(f"`telecom run` will mediate again: {_ranges(days)}")
    for finding in done.findings:
        say(f"does not balance: {finding}", "bold red")


def _to_run(plan: "Plan", *, dry_run: bool) -> Iterator[str]:
    for name in plan.added:
        yield f"table {name} is {'to be ' if dry_run else ''}made, without rows"
    for month in plan.months_to_rate:
        yield (
            f"`telecom run --month {month}` will rate the month again: its days have charged volumes that the month charges "
            "now; the figures are the same"
        )
    for month in plan.months_to_bill:
        yield f"`telecom run --month {month}` will bill the month again: its bills get lines; the figures are the same"


def _ranges(days: Collection[dt.date]) -> str:
    from telecom_assets.model.months import contiguous  # noqa: PLC0415

    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in contiguous(days))
