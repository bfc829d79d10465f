"""`telecom customers`: fill the customers table in PostgreSQL, and keep the history of customers.

Belongs here: arguments, printing, the exit code. Does not belong here: which rows are good
(`telecom_assets.reference.customer_import`), how they are stored (`telecom_assets.reference.customer_storing`).
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from resources.expected_errors import ExpectedError
from telecom_assets.cli.correcting import By, CorrectPast, Why, origin_of, reason_given, what_follows
from telecom_assets.cli.show import RunProgress, terminal
from telecom_assets.cli.stack import terminate_like_interrupt
from telecom_assets.home.full_disk import no_space
from telecom_assets.home.paths import checked
from telecom_assets.model.calendar import ZONE
from telecom_assets.model.stretches import Stretch
from telecom_assets.reference.customer_import import OPTIONAL_COLUMNS, BadRow
from telecom_assets.reference.tables import CUSTOMER_LIST, CUSTOMERS

if TYPE_CHECKING:
    from telecom_assets.cli.context import AppContext
    from telecom_assets.reference.customer_storing import ImportOutcome

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_SHOWN_BAD_ROWS = 50
#: Lists the columns with blanks between them, since the table of arguments cuts long words.
_IMPORT_HELP = (
    "Insert new customers, update changed ones. With a bad row nothing is written, unless --skip-bad.\n\n"
    f"The file's header has these columns, in any order: {', '.join(CUSTOMER_LIST.column_names)}. It may have "
    f"{' and '.join(OPTIONAL_COLUMNS)} too: a row with a day corrects the version of its customer that begins on it, or goes in "
    "between; new_holder (true or false) says that from then on another person has the number. What differs in a row without a day "
    "holds from today, or from --valid-from. What would change who had a number in a period that is approved or closed is refused, "
    "unless --correct-past."
)


def register(app: typer.Typer) -> None:
    """Add `customers` with its commands to the `telecom` command."""
    customers = typer.Typer(help="The customers table in PostgreSQL.", no_args_is_help=True)
    app.add_typer(customers, name="customers")

    @customers.command("import", help=_IMPORT_HELP)
    def _import(
        ctx: typer.Context,
        file: Annotated[
            Path,
            typer.Argument(
                metavar="FILE", help="CSV file, UTF-8, commas between its values.", callback=checked("FILE")
            ),
        ],
        valid_from: Annotated[
            dt.datetime | None,
            typer.Option(
                "--valid-from",
                formats=["%Y-%m-%d"],
                metavar="DAY",
                help="First local day of rows without one, up to today.",
            ),
        ] = None,
        skip_bad: Annotated[
            bool, typer.Option("--skip-bad", help="Import the good rows although others are bad.")
        ] = False,
        correct_past: CorrectPast = False,
        by: By = None,
        why: Why = None,
        as_json: Json = False,
    ) -> None:
        from telecom_assets.reference.customer_storing import import_customers  # noqa: PLC0415

        app: AppContext = ctx.obj
        try:
            outcome = import_customers(
                app.postgres(),
                app.deployment.warehouse,
                file,
                app.deployment.now().astimezone(ZONE).date(),
                origin=origin_of(str(file), correct_past=correct_past, by=by, why=why),
                valid_from=valid_from.date() if valid_from else None,
                rate_plans=app.settings.rate_plans,
                skip_bad=skip_bad,
            )
        except ExpectedError as error:
            typer.echo(f"telecom: {error}", err=True)
            raise typer.Exit(error.exit_status) from None
        if as_json:
            typer.echo(json.dumps(outcome.as_json(), ensure_ascii=False))
        else:
            _show(app, outcome)
        if outcome.refused:
            raise typer.Exit(1)

    @customers.command("read")
    def _read(
        ctx: typer.Context, correct_past: CorrectPast = False, by: By = None, why: Why = None, as_json: Json = False
    ) -> None:
        """Read the customers table now, as the night's schedule does: what changed holds from today, who is gone is ended.

        A read that would end more than TELECOM_CUSTOMERS_GONE_SHARE of the active customers is refused, and one that would change what
        was in force in a period that is approved or closed, unless --correct-past.
        """
        said = reason_given(correct_past=correct_past, by=by, why=why)
        error, changed = _run_read(ctx.obj, said, quiet=as_json)
        if as_json:
            typer.echo(json.dumps({"error": error, "changed_days": [each.as_json() for each in changed]}))
        elif error is None:
            typer.echo(f"Customers are read. {_told(ctx.obj, changed)}")
        else:
            typer.echo(f"telecom: {error}", err=True)
        if error is not None:
            raise typer.Exit(1)


def _run_read(app: "AppContext", said: Mapping[str, Any], *, quiet: bool) -> tuple[str | None, Sequence[Stretch]]:
    """Run the job on the instance. Returns why it failed, if it did, and the days on which other versions are in force now."""
    from telecom_assets.definitions import build_defs  # noqa: PLC0415
    from telecom_assets.reference.customer_reading import changed_days  # noqa: PLC0415
    from telecom_assets.runs.month_run import Step  # noqa: PLC0415
    from telecom_assets.runs.month_runner import MonthRunner, RunFailed  # noqa: PLC0415
    from telecom_assets.runs.stages import CUSTOMERS_READ  # noqa: PLC0415

    warehouse = app.deployment.warehouse
    before = warehouse.pin(CUSTOMERS.name).arrow()
    definitions = build_defs(app.settings, app.deployment.resources())
    with terminate_like_interrupt(), RunProgress(terminal(stderr=True), quiet=quiet) as progress:
        runner = MonthRunner(definitions, app.instance, app.deployment, progress.listen)
        try:
            config = {"ops": {CUSTOMERS.name: {"config": dict(said)}}}
            runner.execute(Step(CUSTOMERS_READ.job, config=config))
        except RunFailed as failure:
            return no_space(failure, app.settings) or str(failure), ()
    return None, changed_days(before, warehouse.pin(CUSTOMERS.name).arrow())


def _told(app: "AppContext", changed: Sequence[Stretch]) -> str:
    """The days on which other versions are in force, and what follows, in words."""
    if not changed:
        return "The same ones are in force as before, on all days."
    return f"Others are in force than before: {', '.join(map(str, changed))}. {what_follows(app, changed)}"


def _show(app: "AppContext", outcome: "ImportOutcome") -> None:
    if outcome.bad_rows:
        _show_bad_rows(outcome.bad_rows)
    if outcome.counts is None:
        remedy = "correct the file" + (", or import the good rows with --skip-bad" if outcome.good_rows else "")
        found = f"{_count(len(outcome.bad_rows), 'bad row')}, {_count(outcome.good_rows, 'good row')}"
        typer.echo(f"Nothing was written: {found}; {remedy}.", err=True)
        return
    counts = outcome.counts
    typer.echo(
        f"{_count(outcome.good_rows, 'customer')} imported: {counts.inserted:,} new, {counts.updated:,} changed, "
        f"{counts.unchanged:,} as before."
        + (f" {_count(len(outcome.bad_rows), 'bad row')} skipped." if outcome.bad_rows else "")
    )
    if outcome.changed:
        typer.echo(_told(app, outcome.changed))


def _show_bad_rows(bad_rows: tuple[BadRow, ...]) -> None:
    table = Table("Line", "Reason")
    table.columns[0].justify = "right"
    for row in bad_rows[:_SHOWN_BAD_ROWS]:
        table.add_row(str(row.line), escape(row.reason))
    console = terminal(stderr=True)
    console.print(table)
    if len(bad_rows) > _SHOWN_BAD_ROWS:
        console.print(f"… and {len(bad_rows) - _SHOWN_BAD_ROWS:,} more; --json lists them all.")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
