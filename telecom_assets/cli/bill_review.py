"""`telecom bill review`: what keeps the bills of a month from being approved, and what a person should have seen.

Belongs here: arguments, printing, the exit code. What is found is in `telecom_assets.closing.review`.
"""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import terminal
from telecom_assets.cli.sources import Json
from telecom_assets.model.calendar import check_month

if TYPE_CHECKING:  # imported where it is used, so that `telecom --help` does not wait for the engine's client
    from telecom_assets.closing.review import Review

Month = Annotated[str, typer.Option(help="Month of the bills, YYYY-MM.")]
Sample = Annotated[
    int,
    typer.Option(min=0, max=10_000, help="How many customers are rated again, besides those of the ten largest bills."),
]


def review(ctx: typer.Context, *, month: Month, sample: Sample = 200, as_json: Json = False) -> None:
    """Look through the bills of a month before they are approved or closed; nothing is written.

    Some customers are rated a second time, by a script in SQL, where DuckDB is installed. Exit code 1 while something blocks.
    """
    from telecom_assets.closing.review import review as look  # noqa: PLC0415
    from telecom_assets.runs.reviewing import customers_read_at  # noqa: PLC0415

    app: AppContext = ctx.obj
    month, deployment = check_month(month, app.settings.partitions_start), app.deployment
    read_at = customers_read_at(app.instance)
    found = look(
        app.settings, deployment.warehouse, deployment.record_types, month, customers_read_at=read_at, sample=sample
    )
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        _show(found)
    if found.blocking:
        raise typer.Exit(1)


def _show(found: "Review") -> None:
    console = terminal()
    for each in found.findings:
        mark = "[bold red]✗ blocks[/]" if each.blocking else "[yellow]! advice[/]"
        console.print(f"{mark} {each.name}: {escape(each.text)}", highlight=False, soft_wrap=True)
    rerated = f"{found.rerated:,} customers" if found.rerated is not None else f"not checked: {found.not_rerated}"
    console.print(f"Rated again: {escape(rerated)}", highlight=False, soft_wrap=True)
    read_at = f"{found.customers_read_at:%Y-%m-%d %H:%M} UTC" if found.customers_read_at else "never by this home"
    console.print(f"Customers read: {read_at}", highlight=False)
    stops = len(found.blocking)
    style, text = ("bold red", f"{stops} block") if stops else ("green", "nothing blocks")
    console.print(f"[{style}]{found.month}: {text}, {len(found.findings) - stops} to look at[/]", highlight=False)
