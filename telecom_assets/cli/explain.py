"""`telecom explain`: what became of a record and why, and a bill down to its events.

Belongs here: arguments. What is told is in `telecom_assets.explain`, how it looks in `telecom_assets.cli.show_explained`.
"""

import datetime as dt
import sys
from typing import Annotated, Any

import typer

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.sources import Json
from telecom_assets.model.calendar import check_month

RecordId = Annotated[
    str | None,
    typer.Argument(
        help="Id of a record, as in the message; of a message without one its place, TOPIC/PARTITION/OFFSET.",
        show_default=False,
    ),
]
Day = Annotated[
    str | None, typer.Option(help="Home day of the record, YYYY-MM-DD: only it is searched.", show_default=False)
]
Customer = Annotated[
    str | None, typer.Option(help="Number of the customer whose bill it is; needs --month.", show_default=False)
]
Month = Annotated[str | None, typer.Option(help="Month of the bill, YYYY-MM.", show_default=False)]
Subscriber = Annotated[str | None, typer.Option(help="Number that used something; needs --at.", show_default=False)]
At = Annotated[
    str | None,
    typer.Option(help="When it began: a day, a minute or a second, e.g. 2026-10-31T10:15, local.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(explain)


def explain(
    ctx: typer.Context,
    record_id: RecordId = None,
    *,
    day: Day = None,
    subscriber: Subscriber = None,
    at: At = None,
    customer: Customer = None,
    month: Month = None,
    as_json: Json = False,
) -> None:
    """Explain a record through every stage: RECORD_ID, or --subscriber N --at TIME; or a bill: --customer ID --month M."""
    if sum(each is not None for each in (record_id, subscriber, customer)) != 1:
        raise typer.BadParameter(
            "expected one of RECORD_ID, --subscriber NUMBER --at TIME, or --customer ID --month YYYY-MM"
        )
    if (customer is None) != (month is None):
        raise typer.BadParameter("--customer and --month go together: --customer ID --month YYYY-MM")
    if (subscriber is None) != (at is None):
        raise typer.BadParameter("--subscriber and --at go together: --subscriber NUMBER --at TIME")
    if day is not None and record_id is None:
        raise typer.BadParameter("--day goes with RECORD_ID")
    if record_id is not None:
        _record(ctx.obj, record_id, day=_day(day), as_json=as_json)
    elif subscriber is not None:
        _usage(ctx.obj, subscriber, str(at), as_json=as_json)
    else:
        _bill(ctx.obj, str(customer), str(month), as_json=as_json)


def _usage(app: AppContext, subscriber: str, at: str, *, as_json: bool) -> None:
    from telecom_assets.cli.show_explained import print_record, print_records  # noqa: PLC0415
    from telecom_assets.explain.usage import TimeError, explain_usage  # noqa: PLC0415

    try:
        found = explain_usage(app.deployment.warehouse, subscriber, at, dedupe_days=app.settings.dedupe_days)
    except TimeError as error:
        raise typer.BadParameter(f"--at: {error}") from None
    if as_json:
        _write({"records": found})
    elif len(found) == 1:
        print_record(found[0])
    else:
        print_records(found)


def _record(app: AppContext, record_id: str, *, day: dt.date | None, as_json: bool) -> None:
    from telecom_assets.cli.show_explained import print_record  # noqa: PLC0415
    from telecom_assets.explain.records import explain_record  # noqa: PLC0415

    found = explain_record(app.deployment.warehouse, record_id, day=day, dedupe_days=app.settings.dedupe_days)
    if as_json:
        _write(found)
    else:
        print_record(found)


def _bill(app: AppContext, customer: str, month: str, *, as_json: bool) -> None:
    from telecom_assets.cli.show_explained_bill import print_bill  # noqa: PLC0415
    from telecom_assets.explain.bills import explain_bill  # noqa: PLC0415
    from telecom_assets.model.party_numbers import normalised  # noqa: PLC0415

    checked = check_month(month, app.settings.partitions_start)
    found = explain_bill(app.deployment.warehouse, normalised(customer), checked)
    if as_json:
        _write(found)
    else:
        print_bill(found)


def _write(found: Any) -> None:
    from telecom_assets.explain.as_json import json_pieces  # noqa: PLC0415

    sys.stdout.writelines(json_pieces(found))
    typer.echo()


def _day(text: str | None) -> dt.date | None:
    """The day that was typed."""
    try:
        return None if text is None else dt.datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise typer.BadParameter(f"--day {text!r}: expected YYYY-MM-DD, e.g. 2026-10-31") from None
