"""`telecom accounting …`: the journals of closed months for accounting.

Belongs here: arguments, printing. What the journals hold, and what they must agree with, is in `telecom_assets.accounting`.
"""

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
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
    from telecom_assets.accounting.entries import Entry
    from telecom_assets.accounting.vat import VatJournal

#: Wider than any table.
_ANY_WIDTH = 1_000

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
        head["as_they_stood"] = list(found.as_they_stood)
        typer.echo(json.dumps({**head, "by_rate": _rows(found.by_rate()), "rows": _rows(found.rows), **_file(csv)}))
        return
    show_vat(found)
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
        head = {"billing_period": period, "currency": found.currency, "issue_date": _text(found.issue_date)}
        typer.echo(json.dumps({**head, "entries": _rows(rows), **_file(csv)}))
        return
    show_close(found)
    _say_file(csv, rows.num_rows)


def show_vat(found: "VatJournal") -> None:
    """The sums of a VAT journal by kind and rate, and whose documents are not in it."""
    title, money = f"VAT journal of {found.month}, {found.currency}", ("base", "tax", "amount due")
    wide = Table("kind", "tax", title=title, title_justify="left")
    narrow = _narrow_table("documents", title)
    for name in ("documents", *money):
        wide.add_column(name, justify="right", no_wrap=True)
    for name in money:
        narrow.add_column(name, justify="right", no_wrap=True)
    for row in found.by_rate().to_pylist():
        rate, count = f"{row['tax_category']} {percentage(row['tax_pct'])} %", f"{row['documents']:,}"
        amounts = [plain(row[name]) for name in ("base", "tax", "amount_due")]
        wide.add_row(row["kind"], rate, count, *amounts)
        narrow.add_row(f"{count} {row['kind']}\n{rate}", *amounts)
    sums = [plain(sum(found.rows[name].to_pylist(), Decimal(0))) for name in ("base", "tax", "amount_due")]
    for table, texts in ((wide, ("all", "", f"{found.documents:,}")), (narrow, (f"{found.documents:,} in all",))):
        table.add_section()
        table.add_row(*texts, *sums)
    _print_what_fits(wide, narrow)
    for period in found.as_they_stood:
        text = f"{period} was closed as it stood: its documents are those of a former version, and stand in no VAT journal."
        terminal().print(text, highlight=False, soft_wrap=True)


def show_close(found: "CloseJournal") -> None:
    """With a column for each figure, or, where the terminal is too narrow for that, what an entry counts below its name."""
    _print_what_fits(_wide(found), _narrow(found))


def _print_what_fits(wide: Table, narrow: Table) -> None:
    console = terminal()
    needed = console.measure(wide, options=console.options.update(max_width=_ANY_WIDTH)).maximum
    console.print(wide if needed <= console.width else narrow)


def _narrow_table(first: str, title: str) -> Table:
    """A table that spends no character on lines between its columns."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAVY, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    return table


def _wide(found: "CloseJournal") -> Table:
    table = Table("account", "entry", "of", "month", title=_title(found), title_justify="left")
    for name in ("events", "exact", "debit", "credit"):
        table.add_column(name, justify="right", no_wrap=True)
    for entries, name, sums in _sections(found):
        for each in entries:
            texts = (each.account, each.entry, each.detail or "", each.original_period or "")
            table.add_row(*map(escape, texts), *_counted(each), *_sides(each))
        table.add_row("", f"[bold]{name}[/]", "", "", "", "", *sums, end_section=True)
    return table


def _narrow(found: "CloseJournal") -> Table:
    table = _narrow_table("account", _title(found))
    table.add_column("entry", overflow="fold")
    for name in ("debit", "credit"):
        table.add_column(name, justify="right", no_wrap=True)
    for entries, name, sums in _sections(found):
        for each in entries:
            of = ", ".join(filter(None, (each.detail, each.original_period)))
            text = escape(f"{each.entry}: {of}" if of else each.entry)
            events, exact = _counted(each)
            counted = f"\n[dim]events {events}\nexact {exact}[/]" if exact else ""
            table.add_row(escape(each.account), text + counted, *_sides(each))
        table.add_row("", f"[bold]{name}[/]", *sums, end_section=True)
    return table


def _title(found: "CloseJournal") -> str:
    how = "closed as it stood" if found.issue_date is None else f"issued {found.issue_date}"
    return f"Close journal of {found.period}, {how}, {found.currency}"


def _sections(found: "CloseJournal") -> Iterator[tuple[list["Entry"], str, tuple[str, str]]]:
    """The entries of each section, what it is called, its debits and credits."""
    from telecom_assets.accounting.entries import balance  # noqa: PLC0415

    names = {"ledger": "ledger", "memorandum": "outside: of the month", "balance": "outside: at its end"}
    for section, entries in groupby(found.entries, key=lambda each: each.section):
        debits, credits_ = balance(found.entries, section)
        yield list(entries), names[section], (plain(debits), plain(credits_))


def _counted(entry: "Entry") -> tuple[str, str]:
    """Events and exact amount of an entry; empty where it is no usage."""
    events = "" if entry.events is None else f"{entry.events:,}"
    return events, "" if entry.exact_amount is None else plain(entry.exact_amount)


def _sides(entry: "Entry") -> tuple[str, str]:
    return plain(entry.debit) if entry.debit else "", plain(entry.credit) if entry.credit else ""


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
