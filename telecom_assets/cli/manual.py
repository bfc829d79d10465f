"""`telecom credit | charge`: an amount that a person adds to the bills of the period that corrects closed ones.

Belongs here: arguments, printing. What may be added is in `telecom_assets.billing.manual`.
"""

import json
from decimal import Decimal
from typing import Annotated

import typer
from rich.markup import escape

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import terminal
from telecom_assets.cli.sources import By, Json, Why
from telecom_assets.model.calendar import check_month
from telecom_assets.model.text import figure, money


def _figure(text: str) -> Decimal:
    try:
        return figure(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None


Customer = Annotated[str, typer.Option(help="Customer, as on the bill.")]
Month = Annotated[str, typer.Option(help="Closed month that it is about, YYYY-MM.")]
Amount = Annotated[Decimal, typer.Option(help="Amount before tax, above 0.", parser=_figure, metavar="AMOUNT")]
TaxPct = Annotated[Decimal, typer.Option("--tax-pct", help="Tax, percent.", parser=_figure, metavar="PERCENT")]
Holder = Annotated[
    int | None,
    typer.Option(min=1, help="Which holder of the number, where several had bills of the month.", show_default=False),
]
OwnDocument = Annotated[bool, typer.Option("--document", help="A document of its own, not a line on the next bill.")]


def register(app: typer.Typer) -> None:
    """Add `credit` and `charge` to the `telecom` command."""
    app.command()(credit)
    app.command()(charge)


def credit(
    ctx: typer.Context,
    *,
    customer: Customer,
    month: Month,
    amount: Amount,
    tax_pct: TaxPct,
    by: By,
    why: Why,
    holder: Holder = None,
    document: OwnDocument = False,
    as_json: Json = False,
) -> None:
    """Give a customer an amount of a closed month back: on the bill of the next open month, or on a document of its own.

    No more than is left of that month at that tax rate.
    """
    _note(ctx.obj, customer, month, (amount, tax_pct), (by, why), holder, (True, document, as_json))


def charge(
    ctx: typer.Context,
    *,
    customer: Customer,
    month: Month,
    amount: Amount,
    tax_pct: TaxPct,
    by: By,
    why: Why,
    holder: Holder = None,
    document: OwnDocument = False,
    as_json: Json = False,
) -> None:
    """Charge a customer an amount for a closed month: on the bill of the next open month, or on a document of its own."""
    _note(ctx.obj, customer, month, (amount, tax_pct), (by, why), holder, (False, document, as_json))


def _note(
    app: AppContext,
    customer: str,
    month: str,
    figures: tuple[Decimal, Decimal],
    said: tuple[str, str],
    holder: int | None,
    how: tuple[bool, bool, bool],
) -> None:
    from telecom_assets.billing.manual import Wanted, note_line  # noqa: PLC0415

    is_credit, own_document, as_json = how
    wanted = Wanted(
        customer.strip(),
        check_month(month, app.settings.partitions_start),
        *figures,
        *said,
        is_credit=is_credit,
        holder_no=holder,
        own_document=own_document,
    )
    row = note_line(app.deployment.warehouse, wanted)
    if as_json:
        typer.echo(json.dumps(row, default=str))
        return
    where = f"the bill of {row['billing_period']}" if row["document"] == "bill" else f"document {row['document']}"
    amount = money(row["amount"], app.settings.currency)
    terminal().print(
        f"[green]✓[/] {amount} for {row['original_period']}, customer {escape(row['customer_id'])}, holder {row['holder_no']}, on "
        f"{where}; `telecom run --month {row['billing_period']}` makes it",
        highlight=False,
        soft_wrap=True,
    )
