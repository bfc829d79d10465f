"""`telecom bill show`: the bill of one customer as PDF."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import terminal
from telecom_assets.cli.sources import Json
from telecom_assets.home.paths import checked


def show(
    ctx: typer.Context,
    *,
    month: Annotated[str, typer.Option(help="Month of the bill, YYYY-MM.")],
    customer: Annotated[str, typer.Option(help="The customer's number, as on the bill.")],
    pdf: Annotated[
        Path,
        typer.Option(
            help="File to write; a separate document is written beside it.",
            dir_okay=False,
            callback=checked("--pdf"),
        ),
    ],
    holder: Annotated[int, typer.Option(min=1, help="Which holder of the number.")] = 1,
    as_json: Json = False,
) -> None:
    """Write the bill of one customer as PDF: a draft until its month is closed. Nothing else is changed."""
    from resources.atomic_files import replaced_file  # noqa: PLC0415
    from telecom_assets.closing.preview import documents_shown  # noqa: PLC0415
    from telecom_assets.invoices.issuer import read_issuer  # noqa: PLC0415
    from telecom_assets.lineage.partitions import check_month  # noqa: PLC0415

    app: AppContext = ctx.obj
    issuer = read_issuer(app.settings.issuer)
    of_month = check_month(month, app.settings.partitions_start)
    written: list[dict[str, str | None]] = []
    for document in documents_shown(app.deployment.warehouse, issuer, of_month, customer, holder):
        path = pdf if not written else pdf.with_name(f"{pdf.stem}.{document.document}{pdf.suffix}")
        with replaced_file(path) as file:
            file.write(document.pdf)
        written.append({"document": document.document, "number": document.number, "file": str(path)})
    if as_json:
        typer.echo(json.dumps(written))
        return
    for each in written:
        terminal().print(
            f"[green]✓[/] {escape(each['number'] or 'draft')}: {escape(str(each['file']))}",
            highlight=False,
            soft_wrap=True,
        )
