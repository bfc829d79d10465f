"""`telecom bill …`: the states of billing periods, and the review of bills.

Belongs here: arguments, printing. The work is in `telecom_assets.closing`, the states are in `telecom_assets.periods`.
"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from telecom_assets.cli.bill_review import review
from telecom_assets.cli.bill_show import show
from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import counted, terminal
from telecom_assets.cli.sources import By, Json, Why
from telecom_assets.model.calendar import check_month

if TYPE_CHECKING:  # imported where it is used, so that `telecom --help` does not wait for the engine's client
    from telecom_assets.periods.states import Change, Periods, Way

Month = Annotated[str, typer.Option(help="Month of the bills, YYYY-MM.")]
MaybeWhy = Annotated[str | None, typer.Option("--why", help="Why; kept with the decision.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add `bill` with its commands to the `telecom` command."""
    bill = typer.Typer(help="Bills of a month: drafts, approved, closed.", no_args_is_help=True)
    app.add_typer(bill, name="bill")
    bill.command()(approve)
    bill.command()(withdraw)
    bill.command()(close)
    bill.command("periods")(list_periods)
    bill.command()(review)
    bill.command()(show)


def approve(ctx: typer.Context, *, month: Month, by: By, why: MaybeWhy = None, as_json: Json = False) -> None:
    """Approve the bills of a month: its rows are frozen, and what lands later is late.

    Months are approved in their order, each when the one before is closed.
    """
    from telecom_assets.closing.approving import Books  # noqa: PLC0415
    from telecom_assets.closing.approving import approve as carry_out  # noqa: PLC0415

    app: AppContext = ctx.obj
    tell(app, carry_out(Books.of(app.deployment), checked(app, month), by=by, why=why), as_json=as_json)


def withdraw(ctx: typer.Context, *, month: Month, by: By, why: Why, as_json: Json = False) -> None:
    """Take the approval of a month back: it is open again, and `telecom run` makes its bills anew."""
    from telecom_assets.closing.approving import withdraw as carry_out  # noqa: PLC0415

    app: AppContext = ctx.obj
    tell(app, carry_out(app.deployment.warehouse, checked(app, month), by=by, why=why), as_json=as_json)


def close(
    ctx: typer.Context,
    *,
    month: Month,
    by: By,
    why: MaybeWhy = None,
    empty: Annotated[
        bool, typer.Option("--empty", help="Close it without bills and documents: all its usage comes late.")
    ] = False,
    as_it_stands: Annotated[
        bool, typer.Option("--as-it-stands", help="Close a month that a former version has billed; its bills stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Close a month whose bills are approved: they become documents with numbers, and nothing changes them any more.

    Months are closed in their order. No way leads back. A close that was interrupted goes on when it is repeated.
    """
    from telecom_assets.closing.approving import Books  # noqa: PLC0415
    from telecom_assets.closing.closing import close as carry_out  # noqa: PLC0415
    from telecom_assets.closing.tables import DOCUMENTS  # noqa: PLC0415
    from telecom_assets.lineage.period_events import documents_event  # noqa: PLC0415

    if empty and as_it_stands:
        raise typer.BadParameter("expected --empty or --as-it-stands, not both")
    app: AppContext = ctx.obj
    way: Way = "empty" if empty else "as_it_stands" if as_it_stands else "bills"
    with counted("documents") as progress:
        closed = carry_out(Books.of(app.deployment), checked(app, month), by=by, why=why, way=way, progress=progress)
    issued = app.deployment.warehouse.pin_period(DOCUMENTS.name, month)
    app.instance.report_runless_asset_event(documents_event(issued, month))
    tell(app, closed, as_json=as_json)
    if not as_json and (holders := not_corrected(closed)):
        terminal().print(
            f"{len(holders):,} bills are not what the lines of their rated events come to, and are never corrected: "
            f"{escape(', '.join(holders[:10]))}{', …' if len(holders) > 10 else ''}",
            soft_wrap=True,
            highlight=False,
        )


def not_corrected(closed: "Change") -> list[str]:
    """The holders of a month whose bills are not corrected, for people: the number, and which holder from the second on."""
    from telecom_assets.periods.closed_with import ClosedWith  # noqa: PLC0415

    kept = ClosedWith.read(closed.closed_with) if closed.closed_with else None
    holders = kept.not_corrected if kept is not None else ()
    return [customer if holder == 1 else f"{customer} (holder {holder})" for customer, holder in holders]


def list_periods(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Months and the states of their bills: since when, by whom, why."""
    from telecom_assets.closing.order import billed_months  # noqa: PLC0415
    from telecom_assets.periods.journal import read_periods  # noqa: PLC0415

    warehouse = ctx.obj.deployment.warehouse
    periods = read_periods(warehouse)
    months = sorted({*billed_months(warehouse), *(change.billing_period for change in periods.changes)})
    if as_json:
        found = [_as_json(month, periods) for month in months]
        typer.echo(json.dumps({"corrects": periods.corrects, "periods": found}))
        return
    table = Table("month", "state", "since", "by", "why", title="Billing periods", title_justify="left")
    for month in months:
        table.add_row(month, *map(escape, _shown(periods.last(month))))
    terminal().print(table)
    if periods.corrects is not None:
        terminal().print(f"What comes late for closed months is billed in {periods.corrects}.", highlight=False)


def checked(app: AppContext, month: str) -> str:
    """The month, if it is one that can be billed. Raises MonthError, and for a home in which nothing can be noted."""

    app.instance  # noqa: B018  (a home that cannot be made is told of before anything is changed)
    return check_month(month, app.settings.partitions_start)


def tell(app: AppContext, change: "Change", *, as_json: bool) -> None:
    """Print a change of state, and show it on the page of the asset."""
    from telecom_assets.lineage.period_events import state_event  # noqa: PLC0415
    from telecom_assets.periods.journal import read_periods  # noqa: PLC0415

    app.instance.report_runless_asset_event(state_event(change))

    if as_json:
        typer.echo(json.dumps(_said(change)))
    else:
        says = read_periods(app.deployment.warehouse).says(change.billing_period)
        terminal().print(f"[green]✓[/] {escape(says)}", highlight=False, soft_wrap=True)


def _shown(change: "Change | None") -> tuple[str, str, str, str]:
    """State, time, name and reason of a month's last change, for people."""
    if change is None:
        return "open", "", "", ""
    way = {"empty": " without bills", "as_it_stands": " as it stands"}.get(change.way or "", "")
    since = f"{change.changed_at:%Y-%m-%d %H:%M}"
    return f"{change.state}{way}", since, change.changed_by or change.system_user, change.why or ""


def _as_json(month: str, periods: "Periods") -> dict[str, Any]:
    changes = [_said(change) for change in periods.changes if change.billing_period == month]
    return {
        "billing_period": month,
        "state": periods.state(month),
        "is_frozen": periods.is_frozen(month),
        "changes": changes,
    }


def _said(change: "Change") -> dict[str, Any]:
    """A change for JSON."""
    return {
        "billing_period": change.billing_period,
        "state": change.state,
        "changed_at": change.changed_at.isoformat(),
        "changed_by": change.changed_by,
        "system_user": change.system_user,
        "why": change.why,
        "way": change.way,
        "issue_date": change.issue_date.isoformat() if change.issue_date else None,
        "digest": json.loads(change.digest) if change.digest else None,
        "closed_with": json.loads(change.closed_with) if change.closed_with else None,
    }
