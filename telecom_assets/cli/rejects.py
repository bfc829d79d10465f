"""`telecom rejects export | resubmit`: refused messages into a file, and their corrections onto the topic.

Belongs here: arguments, the file, printing. What a correction must be is in `telecom_assets.mediation.resubmitting`.
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.rerate import MaybeBy, MaybeWhy
from telecom_assets.cli.show import terminal
from telecom_assets.cli.sources import Json
from telecom_assets.cli.suspense import checked_month
from telecom_assets.home.paths import checked

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="JSON Lines: one refused message a line.", callback=checked("FILE"))
]


def register(app: typer.Typer) -> None:
    """Add `rejects` with its commands to the `telecom` command."""
    rejects = typer.Typer(help="Refused messages: out to be corrected, and back.", no_args_is_help=True)
    app.add_typer(rejects, name="rejects")
    rejects.command()(export)
    rejects.command()(resubmit)


def export(
    ctx: typer.Context,
    file: File,
    *,
    month: Annotated[
        str | None, typer.Option(help="Month of their home days, YYYY-MM. Default: every month.", show_default=False)
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(help="Reason of refusal, such as invalid_subscriber. Default: any.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write refused messages to a file: their text as it came, why they were refused, where they lie in the topic."""
    from resources.atomic_files import replaced_file  # noqa: PLC0415
    from telecom_assets.mediation.resubmitting import RejectsError, check_reason, refused  # noqa: PLC0415

    app: AppContext = ctx.obj
    month = checked_month(app, month)
    check_reason(reason, app.deployment.record_types)
    if file.is_dir():
        raise RejectsError(f"{file}: a folder; expected the name of a file to write")
    found = refused(app.deployment.warehouse, month, reason)
    with replaced_file(file) as out:
        for each in found:
            out.write(json.dumps(each, ensure_ascii=False).encode() + b"\n")
    if as_json:
        typer.echo(json.dumps({"file": str(file), "exported": len(found)}))
        return
    terminal().print(
        f"[green]✓[/] {len(found):,} refused messages in {escape(str(file))}; correct `text`, then `telecom rejects resubmit`",
        highlight=False,
        soft_wrap=True,
    )


def resubmit(
    ctx: typer.Context, file: File, *, by: MaybeBy = None, why: MaybeWhy = None, as_json: Json = False
) -> None:
    """Send the corrected messages of an exported file to the topic, each under the record id of the refused one.

    Lines whose text was not changed are passed over. One bad line, and nothing is sent.
    """
    from resources.kafka_producer import MessageProducer  # noqa: PLC0415
    from telecom_assets.mediation.resubmitting import Acceptance, RejectsError, corrections, note  # noqa: PLC0415

    app: AppContext = ctx.obj
    if not file.is_file():
        raise RejectsError(f"{file}: no such file; expected one that `telecom rejects export` wrote")
    warehouse, settings = app.deployment.warehouse, app.settings
    accepts = Acceptance(settings.max_age_days, settings.partitions_start, app.deployment.record_types)
    found = corrections(warehouse, file.read_bytes().split(b"\n"), accepts)
    producer = MessageProducer(app.kafka())
    note(warehouse, found, by=by, why=why)
    producer.send([[each.value for each in found]])
    if as_json:
        typer.echo(json.dumps({"file": str(file), "resubmitted": len(found), "topic": app.kafka().topic}))
        return
    terminal().print(
        f"[green]✓[/] {len(found):,} corrections sent; `telecom run` takes them in, `telecom explain RECORD_ID` names the originals",
        highlight=False,
        soft_wrap=True,
    )
