"""An explained bill in a terminal: totals with their formulas, lines, the first events of each. No rule, no sum."""

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from telecom_assets.billing.tables import ADJUSTMENT
from telecom_assets.cli.show import terminal
from telecom_assets.cli.show_explained import shown
from telecom_assets.explain.bills import Bill, Corrections, Document, Line
from telecom_assets.explain.reading import Row
from telecom_assets.model.text import percentage

#: Events of a line that are printed; JSON has all.
_SHOWN = 20


def print_bill(found: Bill) -> None:
    """A customer's documents of a month, and the corrections of it and on it."""
    out = terminal()
    out.print(f"[bold]Bill of {escape(found.customer_id)} for {found.month}[/] ({found.state})", highlight=False)
    for document in found.documents:
        _print_document(out, document)
    _print_corrections(out, f"What {found.month} corrects of months before", found.corrects)
    _print_corrections(out, f"What later months correct of {found.month}", found.corrected)
    _print_written_off(out, found)


def _print_document(out: Console, document: Document) -> None:
    totals, issued = document.totals, document.issued
    number = "no number" if issued is None else f"{issued['number']} of {issued['issue_date']}"
    title = f"{document.name}, holder {totals['holder_no']} of the number: {number}"
    table = Table("figure", "how", totals["currency"], title=escape(title), title_justify="left")
    table.columns[2].justify = "right"
    amounts = " + ".join(f"{line.row['amount']:f}" for line in document.lines[:_SHOWN]) or "no lines"
    more = " + …" if len(document.lines) > _SHOWN else ""
    table.add_row("amount before tax", f"sum of its lines: {amounts}{more}", f"{totals['amount_before_tax']:f}")
    for rate in document.rates:
        named = f"{rate['tax_category']} {percentage(rate['tax_pct'])} %"
        discount, tax = _how(document, rate)
        table.add_row(f"  discount at {named}", discount, f"{-rate['discount']:f}")
        table.add_row(f"  tax at {named}", tax, f"{rate['tax']:f}")
    table.add_row("discount", "sum of the discounts", f"{-totals['discount']:f}")
    table.add_row("after discount", "before tax − discount", f"{totals['after_discount']:f}")
    table.add_row("tax", "sum of the taxes", f"{totals['tax']:f}")
    table.add_row("amount due", "after discount + tax", f"{totals['amount_due']:f}", style="bold")
    table.add_row("rounding difference", "before tax − exact sum of the lines", f"{totals['rounding_difference']:f}")
    out.print(table)
    for line in document.lines:
        _print_line(out, line)


def _how(document: Document, rate: Row) -> tuple[str, str]:
    """How the discount and the tax of a rate come about, in words: corrections bring what their own month changes by."""
    at_rate = ("tax_category", "tax_pct")
    lines = [line.row for line in document.lines if all(line.row[name] == rate[name] for name in at_rate)]
    discounts = " or ".join(sorted({percentage(line["discount_pct"]) for line in lines}))
    tax = percentage(rate["tax_pct"])
    if all(line["kind"] != ADJUSTMENT for line in lines):
        base = rate["amount"] - rate["discount"]
        return f"{rate['amount']:f} × {discounts} %, rounded", f"{base:f} × {tax} %, rounded"
    own = sum((line["amount"] for line in lines if line["kind"] != ADJUSTMENT), Decimal(0))
    corrections = "corrections: that of what remains of their month, less what it was before"
    return f"own lines: {own:f} × {discounts} %; {corrections}", f"own lines after discount × {tax} %; {corrections}"


def _print_line(out: Console, line: Line) -> None:
    row = line.row
    about = f", about {row['original_period']}" if row["original_period"] else ""
    title = (
        f"Line {row['line_no']}: {row['kind']}, {row['service'] or 'by hand'}, {row['rate_plan_id']}, {row['region']}{about}: "
        f"{row['events']:,} events, exact {row['exact_amount']:f}, {row['amount']:f} (rounding {line.rounding:+f})"
    )
    table = Table(
        Column("record", overflow="fold"),
        Column("when", no_wrap=True),
        Column("product", no_wrap=True),
        "how",
        Column("amount", no_wrap=True, justify="right"),
        title=escape(title),
        title_justify="left",
    )
    for each in line.rows[:_SHOWN]:
        when = each.get("event_ts") or each.get("noted_at") or each.get("event_date")
        # The year is that of the month, and all times are local.
        short = shown(when).removesuffix(" local")[5:]
        cells = (
            shown(each.get("record_id")),
            short,
            shown(each.get("product_code")),
            _units_and_price(each),
            f"{each['amount']:f}",
        )
        table.add_row(*(escape(cell) for cell in cells))
    out.print(table)
    if len(line.rows) > _SHOWN:
        out.print(f"and {len(line.rows) - _SHOWN:,} more; --json lists all", highlight=False)
    if line.exact_sum != row["exact_amount"]:
        out.print(
            f"These {len(line.rows):,} rows add up to {line.exact_sum:f}, not to {row['exact_amount']:f}: they have changed since "
            "this draft; telecom run makes it again",
            style="bold",
            highlight=False,
            soft_wrap=True,
        )


def _units_and_price(row: Row) -> str:
    """The units of an event and their price, or the reason of a correction or of a person."""
    why = row.get("reason") or row.get("why")
    if why:
        return str(why)
    free = row.get("free_units_applied")
    units = f"({shown(row.get('billable_units'))} − {shown(free)} free)" if free else shown(row.get("billable_units"))
    price = row.get("unit_price")
    return (
        f"{units} × {shown(price)}{', volume set by policy' if row.get('imputed') else ''}"
        if price is not None
        else units
    )


def _print_corrections(out: Console, title: str, listed: Sequence[Corrections]) -> None:
    """Corrections by month and reason; nothing where there are none."""
    if not listed:
        return
    table = Table("about", "billed in", "reason", "disposition", "records", "amount", title=title, title_justify="left")
    for each in listed:
        figures = (f"{each.records:,}", f"{each.amount:+f}")
        table.add_row(each.original_period, each.billing_period, each.reason, each.disposition, *figures)
    out.print(table)


def _print_written_off(out: Console, found: Bill) -> None:
    """Suspended usage that people have written off; nothing where there is none."""
    if not found.written_off:
        return
    title = f"Usage of {found.month} that is written off, and on no bill"
    table = Table("reason", "when", "by", "why", "records", "would have cost", title=title, title_justify="left")
    for each in found.written_off:
        texts = (
            each.reason,
            shown(each.decided_at),
            each.decided_by,
            each.why,
            f"{each.records:,}",
            shown(each.estimate),
        )
        table.add_row(*map(escape, texts))
    out.print(table)
