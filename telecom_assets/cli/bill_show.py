"""`telecom bill show`: the bill of one customer as PDF or UBL."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import terminal
from telecom_assets.cli.sources import Json
from telecom_assets.home.paths import checked
from telecom_assets.model.calendar import check_month


def show(
    ctx: typer.Context,
    *,
    month: Annotated[str, typer.Option(help="Month of the bill, YYYY-MM.")],
    customer: Annotated[str, typer.Option(help="The customer's number, as on the bill.")],
    pdf: Annotated[
        Path | None,
        typer.Option(
            help="PDF to write; a separate document is written beside it.", dir_okay=False, callback=checked("--pdf")
        ),
    ] = None,
    ubl: Annotated[
        Path | None,
        typer.Option(
            help="UBL 2.1 (EN 16931) to write, of a closed month; a separate document is written beside it.",
            dir_okay=False,
            callback=checked("--ubl"),
        ),
    ] = None,
    holder: Annotated[int, typer.Option(min=1, help="Which holder of the number.")] = 1,
    as_json: Json = False,
) -> None:
    """Write the bill of one customer: as PDF, a draft until its month is closed, or then as UBL. Nothing else is changed."""
    from telecom_assets.closing.as_ubl import documents_as_ubl  # noqa: PLC0415
    from telecom_assets.closing.preview import documents_shown  # noqa: PLC0415
    from telecom_assets.invoices.issuer import read_issuer  # noqa: PLC0415

    if pdf is None and ubl is None:
        raise typer.BadParameter("expected --pdf FILE, --ubl FILE or both")
    app: AppContext = ctx.obj
    of = (read_issuer(app.settings.issuer), check_month(month, app.settings.partitions_start), customer, holder)
    warehouse = app.deployment.warehouse
    made: list[tuple[Path, str, str | None, bytes, str | None]] = []
    if ubl is not None:
        made += [
            (_file_of(ubl, each.document), each.document, each.number, each.ubl, each.beyond)
            for each in documents_as_ubl(warehouse, *of)
        ]
    if pdf is not None:
        shown = documents_shown(warehouse, *of)
        made += [(_file_of(pdf, each.document), each.document, each.number, each.pdf, None) for each in shown]
    _write(made, as_json=as_json)


def _file_of(path: Path, document: str) -> Path:
    """The file of a document: that of the bill is `path`."""
    from telecom_assets.billing.tables import BILL  # noqa: PLC0415

    return path if document == BILL else path.with_name(f"{path.stem}.{document}{path.suffix}")


def _write(made: list[tuple[Path, str, str | None, bytes, str | None]], *, as_json: bool) -> None:
    """Write (file, document, number, content, why it is not EN 16931) of each, and say so."""
    from resources.atomic_files import replaced_file  # noqa: PLC0415

    for path, _, _, content, _ in made:
        with replaced_file(path) as file:
            file.write(content)
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {
                        "document": document,
                        "number": number,
                        "file": str(path),
                        **({"beyond_en16931": beyond} if beyond else {}),
                    }
                    for path, document, number, _, beyond in made
                ]
            )
        )
        return
    for path, _, number, _, beyond in made:
        terminal().print(
            f"[green]✓[/] {escape(number or 'draft')}: {escape(str(path))}", highlight=False, soft_wrap=True
        )
        if beyond:
            terminal().print(f"  not EN 16931: {escape(beyond)}", highlight=False, soft_wrap=True)
