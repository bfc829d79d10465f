"""`telecom tariff`: store tariffs and catalogue, with the day from which they hold.

Belongs here: arguments, printing, the exit code. Does not belong here: what a file changes (`telecom_assets.reference.tariffs`).
"""

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from telecom_assets.cli.correcting import By, CorrectPast, Why, origin_of, what_follows
from telecom_assets.home.paths import checked

if TYPE_CHECKING:
    from telecom_assets.cli.context import AppContext
    from telecom_assets.reference.tariffs import Reading

_IMPORT_HELP = (
    "Store tariffs and catalogue, judged together; with anything wrong nothing is stored.\n\n"
    "A FILE is a CSV with the columns of rate_plans or of product_catalog. One with the columns valid_from and valid_to (first day, "
    "and first day no more; empty: no bound) is the whole history. One without says what holds from --valid-from on; what is stored "
    "ends that day where it differs. What would change prices of a period that is approved or closed is refused, unless --correct-past."
)


def register(app: typer.Typer) -> None:
    """Add `tariff` with its commands to the `telecom` command."""
    tariff = typer.Typer(help="Tariffs and catalogue, and from which day on they hold.", no_args_is_help=True)
    app.add_typer(tariff, name="tariff")

    @tariff.command("import", help=_IMPORT_HELP)
    def _import(
        ctx: typer.Context,
        files: Annotated[
            list[Path],
            typer.Argument(
                metavar="FILE...", help="CSV files, UTF-8: tariffs, catalogue, or both.", callback=_each_checked
            ),
        ],
        valid_from: Annotated[
            dt.datetime | None,
            typer.Option(
                "--valid-from", formats=["%Y-%m-%d"], metavar="DAY", help="First local day of files without dates."
            ),
        ] = None,
        correct_past: CorrectPast = False,
        by: By = None,
        why: Why = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        from telecom_assets.reference.tariffs import TARIFFS, import_tariffs, is_read_by_runs  # noqa: PLC0415

        settings, warehouse = ctx.obj.settings, ctx.obj.deployment.warehouse
        in_use = {"rate_plans": settings.rate_plans, "product_catalog": settings.product_catalog}
        origin = origin_of(" and ".join(map(str, files)), correct_past=correct_past, by=by, why=why)
        first_day = valid_from.date() if valid_from else None
        stored = import_tariffs(warehouse, files, first_day, in_use, origin=origin)
        unread = [
            contract.name
            for contract in TARIFFS
            if contract.name in stored
            and not is_read_by_runs(contract, stored[contract.name].rows, in_use[contract.name])
        ]
        if as_json:
            typer.echo(json.dumps({name: _as_json(reading) for name, reading in stored.items()}))
        else:
            for name, reading in stored.items():
                typer.echo(_told(ctx.obj, name, reading))
        for name in unread:
            typer.echo(
                f"Runs read {in_use[name]}, which differs from what is stored now, and will refuse it: let TELECOM_{name.upper()} name "
                "the imported file.",
                err=True,
            )


def _each_checked(files: list[Path]) -> list[Path]:
    check = checked("FILE")
    return [check(file) for file in files]


def _told(app: "AppContext", name: str, reading: "Reading") -> str:
    changed = reading.changes
    if not changed:
        return f"{name}: as before, {reading.rows.num_rows:,} rows."
    stored = f"{name}: {reading.rows.num_rows:,} rows stored; others are in force: {', '.join(map(str, changed))}."
    return f"{stored} {what_follows(app, changed)}"


def _as_json(reading: "Reading") -> dict[str, Any]:
    return {"rows": reading.rows.num_rows, "changed_days": [each.as_json() for each in reading.changes]}
