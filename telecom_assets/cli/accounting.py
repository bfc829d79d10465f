"""`telecom accounting …`: the journals of closed months for accounting.

Belongs here: arguments, printing. What the journals hold, and what they must agree with, is in `telecom_assets.accounting`.
"""

import datetime as dt
import json
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import terminal
from telecom_assets.cli.sources import Json
from telecom_assets.home.paths import checked
from telecom_assets.model.calendar import check_month
from telecom_assets.model.text import percentage, plain

if TYPE_CHECKING:  # imported where it is used, so that `telecom --help` does not wait for the engine's client
    import pyarrow as pa

    from telecom_assets.accounting.close_journal import CloseJournal
    from telecom_assets.accounting.vat import VatJournal

Csv = Annotated[
    Path | None,
    typer.Option("--csv", help="CSV file to write, a row an entry.", dir_okay=False, callback=checked("--csv")),
]


def register(app: typer.Typer) -> None:
    """Add `accounting` with its commands to the `telecom` command."""
    accounting = typer.Typer(help="Journals of closed months for accounting.", no_args_is_help=True)
    app.add_typer(accounting, name="accounting")
    accounting.command()(vat)
    accounting.command()(close)


def vat(
    ctx: typer.Context,
    *,
    month: Annotated[str, typer.Option(help="Calendar month in which the documents were issued, YYYY-MM.")],
    csv: Csv = None,
    as_json: Json = False,
) -> None:
    """The VAT journal: base and tax of each document issued in a month, by tax category and rate."""
    from telecom_assets.accounting.vat import vat_journal  # noqa: PLC0415

    app: AppContext = ctx.obj
    checked_month = check_month(month, app.settings.partitions_start)
    found = vat_journal(app.deployment.warehouse, checked_month, app.settings.currency)
    _write(app, found.rows, csv)
    if as_json:
        head = {"month": found.month, "currency": found.currency, "documents": found.documents}
        typer.echo(json.dumps({**head, "by_rate": _rows(found.by_rate()), "rows": _rows(found.rows), **_file(csv)}))
        return
    _show_vat(found)
    _say_file(csv, found.rows.num_rows)


def close(
    ctx: typer.Context,
    *,
    month: Annotated[str, typer.Option(help="Closed month of the bills, YYYY-MM.")],
    csv: Csv = None,
    as_json: Json = False,
) -> None:
    """The close journal of a closed month: its entries with their accounts (TELECOM_ACCOUNTS), debits equal to credits."""
    from telecom_assets.accounting.accounts import read_accounts  # noqa: PLC0415
    from telecom_assets.accounting.close_journal import close_journal  # noqa: PLC0415

    app: AppContext = ctx.obj
    period, deployment = check_month(month, app.settings.partitions_start), app.deployment
    accounts = read_accounts(app.settings.accounts, deployment.record_types.names)
    found = close_journal(deployment.warehouse, period, app.settings.currency, accounts, deployment.record_types)
    rows = found.table()
    _write(app, rows, csv)
    if as_json:
        head = {"billing_period": period, "currency": found.currency, "issue_date": f"{found.issue_date}"}
        typer.echo(json.dumps({**head, "entries": _rows(rows), **_file(csv)}))
        return
    _show_close(found)
    _say_file(csv, rows.num_rows)


def _show_vat(found: "VatJournal") -> None:
    table = Table(title=f"VAT journal of {found.month}, {found.currency}", title_justify="left")
    for name in ("kind", "tax"):
        table.add_column(name, overflow="fold")
    for name in ("documents", "base", "tax", "amount due"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found.by_rate().to_pylist():
        rate = f"{row['tax_category']} {percentage(row['tax_pct'])} %"
        money = (plain(row[name]) for name in ("base", "tax", "amount_due"))
        table.add_row(row["kind"], rate, f"{row['documents']:,}", *money)
    table.add_section()
    sums = (plain(sum(found.rows[name].to_pylist(), Decimal(0))) for name in ("base", "tax", "amount_due"))
    table.add_row("all", "", f"{found.documents:,}", *sums)
    terminal().print(table)


def _show_close(found: "CloseJournal") -> None:
    from telecom_assets.accounting.entries import balance  # noqa: PLC0415

    title = f"Close journal of {found.period}, issued {found.issue_date}, {found.currency}"
    table = Table(title=title, title_justify="left")
    # An amount is never cut: words give way where the terminal is narrow.
    for name in ("account", "entry", "of", "month"):
        table.add_column(name, overflow="fold")
    for name in ("events", "exact", "debit", "credit"):
        table.add_column(name, justify="right", no_wrap=True)
    names = {"ledger": "ledger", "memorandum": "outside: of the month", "balance": "outside: at its end"}
    for section, of_section in groupby(found.entries, key=lambda each: each.section):
        for each in of_section:
            counted = "" if each.events is None else f"{each.events:,}"
            exact = "" if each.exact_amount is None else plain(each.exact_amount)
            sides = (plain(side) if side else "" for side in (each.debit, each.credit))
            texts = (each.account, each.entry, each.detail or "", each.original_period or "")
            table.add_row(*map(escape, texts), counted, exact, *sides)
        sums = map(plain, balance(found.entries, section))
        table.add_row("", f"[bold]{names[section]}[/]", "", "", "", "", *sums, end_section=True)
    terminal().print(table)


def _write(app: AppContext, rows: "pa.Table", csv: Path | None) -> None:
    from telecom_assets.accounting.files import write_journal  # noqa: PLC0415

    if csv is not None:
        write_journal(rows, csv, bom=app.settings.csv_bom)


def _file(csv: Path | None) -> dict[str, str]:
    return {} if csv is None else {"file": str(csv)}


def _say_file(csv: Path | None, rows: int) -> None:
    if csv is not None:
        terminal().print(f"[green]✓[/] {escape(str(csv))}: {rows:,} rows", highlight=False, soft_wrap=True)


def _rows(table: "pa.Table") -> list[dict[str, Any]]:
    """Rows for JSON: decimals and dates as texts."""
    return [{name: _text(value) for name, value in row.items()} for row in table.to_pylist()]


def _text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    return value.isoformat() if isinstance(value, dt.date) else value
