"""`telecom conflicts list | choose`: records that came with other values under one id, and which of the copies is kept.

Belongs here: arguments, printing. What may be chosen is in `telecom_assets.mediation.choosing`.
"""

import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import terminal
from telecom_assets.cli.sources import By, Json, Why
from telecom_assets.cli.suspense import checked_month

Month = Annotated[
    str | None, typer.Option(help="Month of a copy's home day, YYYY-MM. Default: every month.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add `conflicts` with its commands to the `telecom` command."""
    conflicts = typer.Typer(help="Copies with other values under one record id.", no_args_is_help=True)
    app.add_typer(conflicts, name="conflicts")
    conflicts.command("list")(list_conflicts)
    conflicts.command()(choose)


def list_conflicts(ctx: typer.Context, *, month: Month = None, as_json: Json = False) -> None:
    """Every valid copy of the records that came with other values under one id: where it lies, which is kept, its text."""
    from telecom_assets.mediation.choosing import conflicts  # noqa: PLC0415

    app: AppContext = ctx.obj
    found = conflicts(app.deployment.warehouse, app.settings.dedupe_days, checked_month(app, month))
    if as_json:
        rows = [
            {
                "record_id": each.record_id,
                "day": each.day.isoformat(),
                "copy": each.place,
                "outcome": each.outcome,
                "received_at": each.received_at.isoformat(),
                "text": each.text,
                "chosen": each.chosen.said() if each.chosen else None,
            }
            for each in found
        ]
        typer.echo(json.dumps({"copies": rows}, ensure_ascii=False))
        return
    table = Table("record", "day", "copy", "outcome", "text")
    for column in table.columns:
        column.overflow = "fold"  # identities and places are wrapped, never cut
    for each in found:
        chosen = f", chosen by {each.chosen.decided_by}" if each.chosen else ""
        values = (each.record_id, str(each.day), each.place, each.outcome + chosen, each.text)
        table.add_row(*map(escape, values))
    terminal().print(table if found else "No record has copies with other values.")


def choose(
    ctx: typer.Context,
    record_id: Annotated[str, typer.Argument(metavar="RECORD_ID", help="The record, as in record_ID.")],
    *,
    copy: Annotated[
        str,
        typer.Option(help="The copy to keep, as `telecom conflicts list` names it.", metavar="TOPIC/PARTITION/OFFSET"),
    ],
    by: By,
    why: Why,
    as_json: Json = False,
) -> None:
    """Keep another copy of a record than the earliest one. Its days are mediated again by the next run.

    In a closed month the difference goes on the next bills. To go back, choose the other copy.
    """
    from telecom_assets.mediation.choosing import choose as choose_copy  # noqa: PLC0415

    app: AppContext = ctx.obj
    warehouse = app.deployment.warehouse
    chosen, days = choose_copy(warehouse, record_id, copy, dedupe_days=app.settings.dedupe_days, by=by, why=why)
    if as_json:
        told = {"record_id": record_id, "copy": chosen.place, "by": by, "why": why}
        typer.echo(json.dumps({**told, "days": [day.isoformat() for day in days]}))
        return
    shown = ", ".join(map(str, days))
    terminal().print(
        f"[green]✓[/] the copy at {escape(chosen.place)} is kept of record {escape(record_id)}; `telecom run` mediates {shown} again",
        highlight=False,
        soft_wrap=True,
    )
