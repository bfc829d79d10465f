"""An explained record in a terminal: one table of figures for each stage. No rule, no sum."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from telecom_assets.cli.show import terminal
from telecom_assets.corrections.tables import AWAITING, REFUSED, WRITTEN_OFF
from telecom_assets.explain.records import Adjustment, Event, Message, OnBill, Record
from telecom_assets.mediation.tables import MESSAGE_KEY
from telecom_assets.model.civil_time import LOCAL_ZONE
from telecom_assets.model.text import plain
from telecom_assets.periods.states import CLOSED
from telecom_assets.rating.tables import WRITE_OFF

#: What an outcome means, for people.
_MEANS = {
    "rated": "charged by its day",
    "imputed": "its volume was missing; the month has set it and charged it",
    "suspended": "not charged: waits until somebody has removed the cause",
    "excluded": "not ours to bill",
    "deferred": "not charged yet: its volume is missing, and the month will set it",
    "late": "came after its month was approved: on that bill it is not; a difference of it goes on a later bill",
    "gone": "was charged, and is no event any more: an earlier copy has taken its place, or it is refused now",
    "not rated": "not charged yet: its day has not been rated since it came",
}
#: What removes the reason why an event is not charged, for people.
_CURES = {
    "unknown_customer": "add the customer who has the number on that day, then run the month again",
    "prepaid_customer": "nothing is to be done; if the customer is postpaid, correct him and run the month again",
    "inactive_customer": "nothing is to be done; if he was active on that day, correct the customer and run the month again",
    "unknown_plan": "add the plan's prices, or correct the customer's plan, then run the month again",
    "no_price": "add a price of the product in the plan for that day, then run the month again",
    "missing_volume": "nothing is to be done where the policy imputes volumes; else the producer sends the volume",
    "amount_out_of_range": "correct the price or the units: an amount of 10^12 or more is on no bill",
}
#: Why a difference stands on no document, for people.
_ON_NONE = {
    WRITTEN_OFF: "no document: too little to be asked for",
    AWAITING: "no document: waits until somebody accepts it",
    REFUSED: "no document: that bill is never corrected",
}
#: Columns that only say where a row came from; the messages show it.
_NOT_SHOWN = {*MESSAGE_KEY, "received_at", "record_id", "billing_period"}


def print_record(found: Record) -> None:
    """All stages of a record, in their order."""
    out = terminal()
    out.print(f"[bold]Record {escape(found.record_id)}[/]", highlight=False, soft_wrap=True)
    for number, message in enumerate(found.messages, 1):
        _print_message(out, message, number, len(found.messages))
    if not found.messages:
        out.print("No message of it has been kept; what follows is from the stages after landing.")
    if found.copies:
        out.print(_kept(found), highlight=False, soft_wrap=True)
    for event in found.events:
        _print_event(out, event)
    if found.messages and not found.events and all(each.outcome == "rejected" for each in found.messages):
        out.print("Rejected: it is no event, costs nothing and is on no bill.", highlight=False)


def print_records(found: Sequence[Record]) -> None:
    """Several records, one line each, and how each is explained."""
    out = terminal()
    table = Table(
        "record", "day", "type", "began", "outcome", "amount", title=f"{len(found)} records", title_justify="left"
    )
    for record in found:
        for event in record.events:
            row, charge = event.cleaned or {}, event.charge or {}
            outcome = f"{event.outcome} ({event.reason})" if event.reason else event.outcome
            values = (
                record.record_id,
                event.day,
                row.get("record_type"),
                row.get("event_ts"),
                outcome,
                charge.get("amount"),
            )
            table.add_row(*(escape(shown(value)) for value in values))
        if not record.events:
            first = record.messages[0]
            reasons = f"{first.outcome} ({first.reason})" if first.reason else first.outcome
            values = (
                record.record_id,
                first.row["event_date"],
                first.row["record_type"],
                first.row["event_ts"],
                reasons,
                None,
            )
            table.add_row(*(escape(shown(value)) for value in values))
    out.print(table)
    out.print("Each in full: telecom explain RECORD --day DAY", highlight=False)


def shown(value: Any) -> str:
    """A value for people: times local, decimals in full without zeros at the end."""
    if value is None:
        return "–"
    if isinstance(value, Decimal):
        text = plain(value)
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, dt.datetime):
        return f"{value.astimezone(ZoneInfo(LOCAL_ZONE)):%Y-%m-%d %H:%M:%S} local"
    return str(value)


def _print(out: Console, title: str, figures: Iterable[tuple[str, Any]]) -> None:
    table = Table(title=escape(title), title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in figures:
        table.add_row(escape(name), escape(shown(value)))
    out.print(table)


def _print_message(out: Console, message: Message, number: int, of: int) -> None:
    row = message.row
    why = [("reason", message.reason), ("found", message.detail)] if message.reason else []
    _print(
        out,
        "Message as it landed" if of == 1 else f"Message {number} of {of} as it landed",
        [
            ("source", f"{row['kafka_topic']}, partition {row['source_part']}, offset {row['source_position']}"),
            ("received", row["received_at"]),
            ("home day", row["event_date"]),
            ("text", message.text),
            ("outcome", message.outcome),
            *why,
            *_correction("corrects", message.corrects),
            *_correction("corrected", message.corrected),
        ],
    )


def _correction(how: str, row: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    """The resubmission that a message was sent for, or that was sent for it; nothing without one."""
    if row is None:
        return []
    by = f", by {row['decided_by']}" if row["decided_by"] else ""
    if how == "corrected":
        return [(how, f"record {row['record_id']} was sent {shown(row['decided_at'])}{by}")]
    place = f"partition {row['source_part']}, offset {row['source_position']} of source {row['source_id']}"
    return [(how, f"{place}, refused for {row['reason']}{by}")]


def _kept(found: Record) -> str:
    place = next((at for at, each in enumerate(found.messages, 1) if each.outcome == "kept"), None)
    kept = "none of them is an event" if place is None else f"message {place} was kept"
    return f"It came {len(found.messages)} times: {kept}; copies of an earlier one: {len(found.copies)}."


def _of_row(row: Mapping[str, Any], *left_out: str) -> list[tuple[str, Any]]:
    """The columns of a row that have a value."""
    return [
        (name.replace("_", " "), value)
        for name, value in row.items()
        if value is not None and name not in _NOT_SHOWN and name not in left_out
    ]


def _print_event(out: Console, event: Event) -> None:
    if event.cleaned is not None:
        _print(out, "Event, every field in its one form", _of_row(event.cleaned))
    reason = f" ({event.reason})" if event.reason else ""
    out.print(
        f"Outcome: [bold]{event.outcome}[/]{escape(reason)}: {_MEANS.get(event.outcome, '')}",
        highlight=False,
        soft_wrap=True,
    )
    _print_write_offs(out, event)
    if event.charge is None and event.written_off is None and event.reason in _CURES:
        out.print(f"What to do: {_CURES[event.reason]}.", highlight=False, soft_wrap=True)
    named = event.charge or event.suspended
    if event.customer is not None and named is not None:
        _print(
            out,
            "Who is charged",
            [
                ("customer", event.customer["customer_id"]),
                ("name", event.customer["customer_name"]),
                ("holder of the number", event.customer["holder_no"]),
                ("subscription", f"{event.customer['subscription_type']}, {event.customer['status']}"),
                ("plan, region", f"{event.customer['rate_plan_id']}, {event.customer['region']}"),
                ("this version holds", _stretch(event.customer)),
                *_corrected(event),
            ],
        )
    if event.charge is not None:
        _print_charge(out, event, event.charge)
    if event.on_bill is not None:
        _print(
            out, f"On the bill of {event.month} ({event.month_state})", _line_figures(event.on_bill, event.month_state)
        )
    elif event.charge is not None:
        out.print(f"On no bill yet: {event.month} is {event.month_state}.", highlight=False)
    _print_adjustments(out, event)


def _print_write_offs(out: Console, event: Event) -> None:
    """What people have decided of a suspended event, and whether it counts."""
    for row in event.write_offs:
        verb = "Written off" if row["decision"] == WRITE_OFF else "Its write-off was undone"
        worth = "" if row["estimate"] is None else f", worth {shown(row['estimate'])} before discount and tax"
        text = f"{verb} {shown(row['decided_at'])} by {row['decided_by']}: {row['why']} ({row['reason']}{worth})."
        out.print(escape(text), highlight=False, soft_wrap=True)
    if event.write_offs and event.write_offs[-1]["decision"] == WRITE_OFF and event.written_off is None:
        out.print(
            "The write-off counts no more: the event is charged since, or suspended for another reason.", soft_wrap=True
        )


def _corrected(event: Event) -> list[tuple[str, str]]:
    """How the customer's row is now, where it is not any more as it was when the event was rated."""
    then, now = event.customer, event.customer_now
    if then is None or then == now:
        return []
    if now is None:
        return [("since then", "the row is not among the customers any more")]
    return [("since then", ", ".join(f"{name}: {shown(now[name])}" for name in now if now[name] != then[name]))]


def _stretch(row: Mapping[str, Any]) -> str:
    begins, ends = row["valid_from"], row["valid_to"]
    return f"{'from the beginning' if begins is None else f'from {begins}'}{'' if ends is None else f' until before {ends}'}"


def _print_charge(out: Console, event: Event, charge: Mapping[str, Any]) -> None:
    price, product = event.price, event.product
    unit = "units" if product is None else product["unit"]
    tier = (
        [("tier", f"from {shown(charge['tier_threshold'])} {unit} on at {shown(charge['tier_price'])}")]
        if charge["tier_threshold"] is not None
        else []
    )
    _print(
        out,
        "What it costs",
        [
            ("product", charge["product_code"] + ("" if product is None else f": {product['description']}")),
            ("plan", charge["rate_plan_id"]),
            ("price row holds", "the row is not in the tariff any more" if price is None else _stretch(price)),
            ("price of a unit", f"{shown(charge['unit_price'])} per {unit}"),
            *tier,
            (
                "billable units",
                f"{shown(charge['billable_units'])} {unit}" + (", set by policy" if charge["imputed"] else ""),
            ),
            ("of them free", charge["free_units_applied"]),
            ("amount before tax", event.formula or "10^12 or more: on no bill"),
        ],
    )


def _line_figures(on: OnBill, month_state: str) -> list[tuple[str, Any]]:
    line, document = on.line, on.document
    if document is not None:
        issued = f"{document['number']} of {document['issue_date']}"
    elif month_state == CLOSED:
        issued = "none: the month was closed without one for this bill"
    else:
        issued = "none issued: a bill has a number once its month is closed"
    return [
        (
            "line",
            f"{line['line_no']} of {line['document']}: {line['service']}, {line['rate_plan_id']}, {line['region']}",
        ),
        ("events on the line", line["events"]),
        ("exact sum of the line", f"{line['exact_amount']:f}"),
        ("amount of the line", f"{line['amount']:f} (rounded once: {on.rounding:+f})"),
        ("document", issued),
        *(
            [("but", "the record was rated after this draft: the line may be without it until the month is run again")]
            if on.outdated
            else []
        ),
    ]


def _print_adjustments(out: Console, event: Event) -> None:
    if event.adjustments:
        table = Table(
            Column("billed in", no_wrap=True),
            "what",
            Column("units", no_wrap=True, justify="right"),
            Column("amount", no_wrap=True, justify="right"),
            "stands on",
            title="Later adjustments",
            title_justify="left",
        )
        for each in event.adjustments:
            table.add_row(*map(escape, _adjustment(each)))
        out.print(table)
    elif event.outcome in ("late", "gone"):
        out.print(
            "No adjustment of it has been made yet: the next run of the month that corrects makes it.", highlight=False
        )


def _adjustment(each: Adjustment) -> list[str]:
    row, on = each.row, each.on_bill
    none = _ON_NONE.get(row["disposition"], "no document yet")
    stands_on = none if on is None else f"line {on.line['line_no']} of {on.line['document']}"
    number = "" if on is None or on.document is None else f", {on.document['number']}"
    return [
        row["billing_period"],
        f"{row['side']}, {row['reason']}: {row['disposition']}",
        f"{shown(row['units'])}",
        f"{row['amount']:+f}",
        f"{stands_on}{number}",
    ]
