"""`telecom sources list | accept | skip`: landed sources, and the decisions that let landing go on after a loss.

Belongs here: arguments, what is printed. The decisions are in `telecom_assets.intake.decisions`.
"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import print_decisions, terminal

if TYPE_CHECKING:  # imported where it is used, so that `telecom --help` does not wait for the engine's client
    from telecom_assets.intake.journal import Decision


def _said(text: str) -> str:
    """Check that a name or a reason is not empty."""
    if not text.strip():
        raise typer.BadParameter("expected a text that is not empty: it is kept with the decision")
    return text.strip()


By = Annotated[str, typer.Option(help="Who decides; kept with the decision.", callback=_said)]
Why = Annotated[str, typer.Option(help="Why; kept with the decision.", callback=_said)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def register(app: typer.Typer) -> None:
    """Add `sources` with its commands to the `telecom` command."""
    sources = typer.Typer(help="Sources of CDRs, and decisions about them.", no_args_is_help=True)
    app.add_typer(sources, name="sources")
    sources.command("list")(list_sources)
    sources.command()(accept)
    sources.command()(skip)


def list_sources(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Every source that was landed, how far, and the decisions about them."""
    from telecom_assets.intake.journal import landed_sources, source_decisions  # noqa: PLC0415

    warehouse = ctx.obj.deployment.warehouse
    sources, decisions = landed_sources(warehouse), source_decisions(warehouse)
    if as_json:
        found = [{**vars(source), "ends": dict(source.ends)} for source in sources]
        typer.echo(json.dumps({"sources": found, "decisions": [decision.said() for decision in decisions]}))
        return
    table = Table(
        "source", "topic", "partition", "landed up to offset", "records", title="Sources", title_justify="left"
    )
    table.columns[0].overflow = "fold"  # identities are wrapped, never cut
    for column in table.columns[2:]:
        column.justify = "right"
    for source in sources:
        name = escape(source.source_id) + ("" if source.current else " (closed)")
        for part, end in sorted(source.ends.items()):
            table.add_row(name, escape(source.topic), str(part), f"{end:,}", f"{source.records.get(part, 0):,}")
    terminal().print(table)
    print_decisions(terminal(), decisions)


def accept(ctx: typer.Context, *, by: By, why: Why, as_json: Json = False) -> None:
    """Go on with the topic as it is now, where the warehouse was filled from another: made again, moved, or renamed.

    The old source is closed as far as it was landed. Copies of its records are found by record id.
    """
    from telecom_assets.intake.decisions import accept_source  # noqa: PLC0415

    app: AppContext = ctx.obj
    _tell(accept_source(app.deployment.warehouse, app.kafka(), by=by, why=why), as_json)


def skip(
    ctx: typer.Context,
    *,
    partition: Annotated[int, typer.Option(help="Partition of the topic.", min=0)],
    to: Annotated[int, typer.Option(help="Offset with which landing goes on; those before it are lost.", min=0)],
    by: By,
    why: Why,
    as_json: Json = False,
) -> None:
    """Give up offsets that retention took before they were landed. What is still on the topic cannot be given up."""
    from telecom_assets.intake.decisions import skip_positions  # noqa: PLC0415

    app: AppContext = ctx.obj
    decision = skip_positions(app.deployment.warehouse, app.kafka(), partition=partition, to=to, by=by, why=why)
    _tell(decision, as_json)


def _tell(decision: "Decision", as_json: bool) -> None:
    said: dict[str, Any] = decision.said()
    if as_json:
        typer.echo(json.dumps(said))
    else:
        terminal().print(f"[green]✓[/] {escape(decision.summary)}; `telecom run` goes on", highlight=False)
