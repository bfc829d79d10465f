"""`telecom customers`: fill the customers table in PostgreSQL.

Belongs here: arguments, printing, the exit code. Does not belong here: which rows are good
(`telecom_assets.reference.customer_import`), how they are written (`resources.postgres`).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer
from rich.markup import escape
from rich.table import Table

from resources.postgres import PostgresConnection, PostgresError, UpsertCounts, create_customers_table, upsert_customers
from telecom_assets.cli.show import terminal
from telecom_assets.home.paths import checked
from telecom_assets.reference.csv_files import InputFileError
from telecom_assets.reference.customer_import import ALLOWED_VALUES, CUSTOMER_ID_PATTERN, BadRow, read_customer_file
from telecom_assets.reference.judging import known_plans
from telecom_assets.reference.tables import CUSTOMERS
from telecom_assets.reference.tariff_files import read_rate_plans

_SHOWN_BAD_ROWS = 50
#: Lists the columns with blanks between them, since the table of arguments cuts long words.
_IMPORT_HELP = (
    "Insert new customers, update changed ones. With a bad row nothing is written, unless --skip-bad.\n\n"
    f"The file's header has these columns, in any order: {', '.join(CUSTOMERS.column_names)}."
)


@dataclass(frozen=True)
class ImportOutcome:
    """The result of an import. `counts` is None when bad rows kept it from writing anything."""

    good_rows: int
    bad_rows: tuple[BadRow, ...]
    counts: UpsertCounts | None

    @property
    def refused(self) -> bool:
        return self.counts is None

    def as_json(self) -> dict[str, Any]:
        counts = self.counts or UpsertCounts(0, 0, 0)
        return {
            "written": not self.refused,
            "good_rows": self.good_rows,
            **asdict(counts),
            "bad_rows": [asdict(row) for row in self.bad_rows],
        }


def import_customers(
    postgres: PostgresConnection, file: Path, *, rate_plans: Path | None = None, skip_bad: bool = False
) -> ImportOutcome:
    """Read a customers file and upsert its rows, the table created when it is missing.

    `rate_plans` is the tariffs file, by default the packaged one. With bad rows nothing is written, unless `skip_bad`,
    which writes the good ones if there are any. Raises InputFileError and PostgresError.
    """
    found = read_customer_file(file, known_plans(read_rate_plans(rate_plans)))
    if found.bad_rows and not (skip_bad and found.rows.num_rows):
        return ImportOutcome(found.rows.num_rows, found.bad_rows, None)
    return ImportOutcome(found.rows.num_rows, found.bad_rows, store_customers(postgres, found.rows))


def store_customers(postgres: PostgresConnection, rows: pa.Table) -> UpsertCounts:
    """Upsert customers that are known to be good (CUSTOMERS rows), the table created when it is missing."""
    create_customers_table(postgres, CUSTOMERS, allowed=ALLOWED_VALUES, patterns={"customer_id": CUSTOMER_ID_PATTERN})
    return upsert_customers(postgres, CUSTOMERS, rows)


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
        skip_bad: Annotated[
            bool, typer.Option("--skip-bad", help="Import the good rows although others are bad.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        try:
            outcome = import_customers(
                ctx.obj.postgres(), file, rate_plans=ctx.obj.settings.rate_plans, skip_bad=skip_bad
            )
        except (InputFileError, PostgresError) as error:
            typer.echo(f"telecom: {error}", err=True)
            raise typer.Exit(1) from None
        if as_json:
            typer.echo(json.dumps(outcome.as_json(), ensure_ascii=False))
        else:
            _show(outcome)
        if outcome.refused:
            raise typer.Exit(1)


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
