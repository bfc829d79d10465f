"""`telecom customers`: fill the customers table in PostgreSQL, and keep the history of customers.

Belongs here: arguments, printing, the exit code. Does not belong here: which rows are good
(`telecom_assets.reference.customer_import`), how they are written (`resources.postgres`), what becomes of the history
(`telecom_assets.reference.history`).
"""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import typer
from rich.markup import escape
from rich.table import Table

from resources.expected_errors import ExpectedError
from resources.postgres import (
    PostgresConnection,
    PostgresError,
    UpsertCounts,
    create_customers_table,
    dated_columns,
    upsert_customers,
)
from telecom_assets.cli.show import RunProgress, terminal
from telecom_assets.cli.stack import terminate_like_interrupt
from telecom_assets.home.full_disk import no_space
from telecom_assets.home.paths import checked
from telecom_assets.model.columns import VALIDITY
from telecom_assets.model.stretches import Stretch
from telecom_assets.reference.csv_files import InputFileError
from telecom_assets.reference.customer_import import (
    ALLOWED_VALUES,
    CUSTOMER_ID_PATTERN,
    OPTIONAL_COLUMNS,
    BadRow,
    read_customer_file,
)
from telecom_assets.reference.tables import CUSTOMER_LIST, CUSTOMERS

if TYPE_CHECKING:
    from resources.warehouse import Warehouse
    from telecom_assets.cli.context import AppContext

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_SHOWN_BAD_ROWS = 50
#: Lists the columns with blanks between them, since the table of arguments cuts long words.
_IMPORT_HELP = (
    "Insert new customers, update changed ones. With a bad row nothing is written, unless --skip-bad.\n\n"
    f"The file's header has these columns, in any order: {', '.join(CUSTOMER_LIST.column_names)}. It may have "
    f"{' and '.join(OPTIONAL_COLUMNS)} too: a row with a day corrects the version of its customer that begins on it, or goes in "
    "between; new_holder (true or false) says that from then on another person has the number. What differs in a row without a day "
    "holds from today, or from --valid-from."
)


@dataclass(frozen=True)
class ImportOutcome:
    """The result of an import. `counts` is None when bad rows kept it from writing anything.

    changed: the days on which other versions of customers are in force than before.
    """

    good_rows: int
    bad_rows: tuple[BadRow, ...]
    counts: UpsertCounts | None
    changed: Sequence[Stretch] = ()

    @property
    def refused(self) -> bool:
        return self.counts is None

    def as_json(self) -> dict[str, Any]:
        counts = self.counts or UpsertCounts(0, 0, 0)
        return {
            "written": not self.refused,
            "good_rows": self.good_rows,
            **asdict(counts),
            "changed_days": [each.as_json() for each in self.changed],
            "bad_rows": [asdict(row) for row in self.bad_rows],
        }


def import_customers(
    postgres: PostgresConnection,
    warehouse: "Warehouse",
    file: Path,
    today: dt.date,
    *,
    valid_from: dt.date | None = None,
    rate_plans: Path | None = None,
    skip_bad: bool = False,
) -> ImportOutcome:
    """Read a customers file, upsert how its customers are now, the table created when it is missing, and change their history.

    today: the local day. valid_from: the first day of rows without one. `rate_plans` is the tariffs file, by default the packaged
    one. With bad rows nothing is written, unless `skip_bad`, which writes the good ones if there are any. Raises InputFileError,
    CustomersRefused, PostgresError and WarehouseError; where the last two came between both writes, the import is made again.
    """
    from telecom_assets.reference.customer_reading import changed_days, imported_history, plans_of  # noqa: PLC0415
    from telecom_assets.reference.history import present  # noqa: PLC0415

    if valid_from and valid_from > today:
        raise InputFileError(f"--valid-from {valid_from} is after today, {today}; import the file on that day")
    plans = plans_of(warehouse, rate_plans)
    found = read_customer_file(file, plans, today, valid_from)
    if found.bad_rows and not (skip_bad and found.rows.num_rows):
        return ImportOutcome(found.rows.num_rows, found.bad_rows, None)
    if dated_columns(postgres, CUSTOMER_LIST, VALIDITY):
        raise PostgresError(
            f"table {CUSTOMER_LIST.name} at {postgres.address} has valid_from and valid_to, so it is the history of its customers "
            "itself; change its rows, then run `telecom customers read`"
        )
    stored = warehouse.pin(CUSTOMERS.name)
    new = imported_history(stored.arrow(), found.rows, plans, today)
    # First how customers are now: where the second write fails, the same import makes it.
    counts = store_customers(postgres, present(found.rows, new))
    if not new.num_rows:
        return ImportOutcome(found.rows.num_rows, found.bad_rows, counts)
    warehouse.overwrite_arrow(CUSTOMERS.name, new, reads={CUSTOMERS.name: stored.version})
    return ImportOutcome(found.rows.num_rows, found.bad_rows, counts, changed_days(stored.arrow(), new))


def store_customers(postgres: PostgresConnection, rows: pa.Table) -> UpsertCounts:
    """Upsert customers that are known to be good (CUSTOMER_LIST rows), the table created when it is missing."""
    create_customers_table(
        postgres, CUSTOMER_LIST, allowed=ALLOWED_VALUES, patterns={"customer_id": CUSTOMER_ID_PATTERN}
    )
    return upsert_customers(postgres, CUSTOMER_LIST, rows)


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
        as_json: Json = False,
    ) -> None:
        from telecom_assets.lineage.partitions import ZONE  # noqa: PLC0415

        app: AppContext = ctx.obj
        try:
            outcome = import_customers(
                app.postgres(),
                app.deployment.warehouse,
                file,
                app.deployment.now().astimezone(ZONE).date(),
                valid_from=valid_from.date() if valid_from else None,
                rate_plans=app.settings.rate_plans,
                skip_bad=skip_bad,
            )
        except ExpectedError as error:
            typer.echo(f"telecom: {error}", err=True)
            raise typer.Exit(1) from None
        if as_json:
            typer.echo(json.dumps(outcome.as_json(), ensure_ascii=False))
        else:
            _show(outcome)
        if outcome.refused:
            raise typer.Exit(1)

    @customers.command("read")
    def _read(ctx: typer.Context, as_json: Json = False) -> None:
        """Read the customers table now, as the night's schedule does: what changed holds from today, who is gone is ended.

        A read that would end more than TELECOM_CUSTOMERS_GONE_SHARE of the active customers is refused.
        """
        error, changed = _run_read(ctx.obj, quiet=as_json)
        if as_json:
            typer.echo(json.dumps({"error": error, "changed_days": [each.as_json() for each in changed]}))
        elif error is None:
            typer.echo(f"Customers are read. {_told(changed)}")
        else:
            typer.echo(f"telecom: {error}", err=True)
        if error is not None:
            raise typer.Exit(1)


def _run_read(app: "AppContext", *, quiet: bool) -> tuple[str | None, Sequence[Stretch]]:
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
            runner.execute(Step(CUSTOMERS_READ.job))
        except RunFailed as failure:
            return no_space(failure, app.settings) or str(failure), ()
    return None, changed_days(before, warehouse.pin(CUSTOMERS.name).arrow())


def _told(changed: Sequence[Stretch]) -> str:
    """The days on which other versions are in force, in words."""
    if not changed:
        return "The same ones are in force as before, on all days."
    return f"Others are in force than before: {', '.join(map(str, changed))}. telecom run rates these days again."


def _show(outcome: ImportOutcome) -> None:
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
        typer.echo(_told(outcome.changed))


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
