"""The figures of the dashboard and its three panels, as the page shows them.

Belongs here: the data of a dashboard, the rows of its tables, the sentence above a chart, and which bars a chart leaves out
when there are too many. Does not belong here: how a chart looks (`dashboard_charts`), the funnel
(`dashboard_funnel`), markup.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from telecom_assets.model.period_titles import day_title, period_title
from telecom_assets.model.text import for_people, legible, money, plain, share
from telecom_assets.reports import dashboard_charts as charts
from telecom_assets.reports.funnel import Funnel, MadeFrom, Malformed, Remedy, imbalances

BEFORE_TAX = "before discount and tax"
AFTER_TAX = "after discount, tax included"

_CHART_REGIONS = 15
_CHART_PLANS = len(charts.PLAN_COLOURS)


@dataclass(frozen=True)
class DashboardData:
    """The figures of one billing period (yyyy-MM), money in `currency`.

    `daily_revenue`: (day, rated revenue before discount and tax). `plan_by_region`: (region, rate plan, amount due).
    `top10`: (customer, billable megabytes, amount due), largest first. `made_from`: None for a month without bills.
    `looked_at`: the identities between tables that were checked when the page was made. `differences`: a sentence for each
    identity that does not hold. `remedy`: what to run when the books do not balance. `state`: what its bills are, draft or closed.
    """

    period: str
    currency: str
    funnel: Funnel
    daily_revenue: Sequence[tuple[dt.date, Decimal]] = ()
    plan_by_region: Sequence[tuple[str, str, Decimal]] = ()
    top10: Sequence[tuple[str, Decimal, Decimal]] = ()
    made_from: MadeFrom | None = None
    malformed: Malformed | None = None
    looked_at: Sequence[str] = ()
    differences: Sequence[str] = ()
    remedy: Remedy | None = None
    state: str = "draft"


@dataclass(frozen=True)
class Cell:
    """A cell of a table: exact value, text for people, and whether it is a number."""

    value: str
    shown: str
    number: bool = True


@dataclass(frozen=True)
class Panel:
    """A chart with its table. `rows` empty: the page says so instead of drawing nothing."""

    name: str
    title: str
    basis: str
    note: str
    empty: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    foot: Sequence[Cell]
    legend: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Balance:
    """Whether the books balance: the identities that were checked, and a sentence for each that does not hold."""

    problems: Sequence[str]
    looked_at: Sequence[str]
    #: Nothing was received and nobody was billed: there are no books.
    empty: bool


def balance(data: DashboardData) -> Balance:
    """The identities of the funnel, of the page's own panels, and those between the tables."""
    identities = [
        *data.funnel.identities(),
        ("daily revenue = rated amount", _sum(data.daily_revenue), data.funnel.charged_amount),
        (
            "revenue by plan and region = amount due",
            _sum(data.plan_by_region),
            data.funnel.amount_due + data.funnel.documents_due,
        ),
    ]
    problems = [*imbalances(identities), *data.differences]
    names = [rule for rule, *_ in identities]
    return Balance(problems, [*names, *data.looked_at], data.funnel.is_empty and not problems)


def _sum(rows: Sequence[tuple[*tuple[Any, ...], Decimal]]) -> Decimal:
    """The sum of the amounts: the last value of each row."""
    return sum((row[-1] for row in rows), Decimal(0))


def headline_figures(data: DashboardData) -> list[dict[str, str]]:
    """The four figures at the top of the page."""
    funnel = data.funnel
    rated = f"{share(funnel.charged, funnel.received)} of them rated" if funnel.received else "none in this period"
    return [
        {
            "name": "amount-due",
            "title": "Amount due",
            "value": plain(funnel.amount_due),
            "shown": money(funnel.amount_due, data.currency),
            "unit": data.currency,
            "note": AFTER_TAX,
        },
        {
            "name": "rated-amount",
            "title": "Rated usage",
            "value": plain(funnel.charged_amount),
            "shown": money(funnel.charged_amount, data.currency),
            "unit": data.currency,
            "note": BEFORE_TAX,
        },
        {
            "name": "billed-customers",
            "title": "Customers billed",
            "value": str(funnel.billed_customers),
            "shown": for_people(funnel.billed_customers),
            "unit": "",
            "note": "bills of the month",
        },
        {
            "name": "cdrs-received",
            "title": "CDRs received",
            "value": str(funnel.received),
            "shown": for_people(funnel.received),
            "unit": "",
            "note": rated,
        },
    ]


def _text(value: str) -> Cell:
    return Cell(legible(value), legible(value), number=False)


def _number(value: Decimal | int, digits: int) -> Cell:
    return Cell(plain(Decimal(value)), for_people(value, digits))


def _money(value: Decimal, currency: str) -> Cell:
    return Cell(plain(value), money(value, currency))


def daily_panel(data: DashboardData, daily: Sequence[tuple[dt.date, Decimal]]) -> Panel:
    """Rated revenue by day; `daily` is in the order of days."""
    total = sum((revenue for _, revenue in daily), Decimal(0))
    note = ""
    if daily:
        best_day, best = max(daily, key=lambda item: (item[1], item[0]))
        average = money(total / len(daily), data.currency)
        note = (
            f"{average} {data.currency} on an average day with usage; most on {day_title(best_day)}, "
            f"{money(best, data.currency)} {data.currency}. The bars of weekends are drawn lighter."
        )
    return Panel(
        name="daily-revenue",
        title="Daily revenue",
        basis=BEFORE_TAX,
        note=note,
        empty=f"No usage was rated in {period_title(data.period)}.",
        heads=("Day", f"Revenue, {data.currency}"),
        rows=[
            (Cell(day.isoformat(), day_title(day), number=False), _money(amount, data.currency))
            for day, amount in daily
        ],
        foot=(_text("Total"), _money(total, data.currency)),
    )


def region_panel(data: DashboardData, colours: Mapping[str, str]) -> Panel:
    """Amount due by region and rate plan; `colours` is the legend of its chart."""
    rows = sorted(data.plan_by_region, key=lambda row: (row[0], row[1]))
    total = sum((amount for _, _, amount in rows), Decimal(0))
    regions = charts.totals_by_name((region, amount) for region, _, amount in rows)
    note = ""
    if total > 0:
        largest = max(regions, key=lambda region: (regions[region], region))
        note = f"{legible(largest)} is the largest of {len(regions)}: {share(regions[largest], total)} of the total."
    return Panel(
        name="plan-by-region",
        title="Revenue by plan and region",
        basis=AFTER_TAX,
        note=note,
        empty=f"No customer was billed for {period_title(data.period)}.",
        heads=("Region", "Rate plan", f"Amount due, {data.currency}"),
        rows=[(_text(region), _text(plan), _money(amount, data.currency)) for region, plan, amount in rows],
        foot=(_text("Total"), _text(""), _money(total, data.currency)),
        legend={legible(plan): colour for plan, colour in colours.items()},
    )


def top_panel(data: DashboardData) -> Panel:
    """The customers with most billable data, in the order given."""
    megabytes = sum((volume for _, volume, _ in data.top10), Decimal(0))
    amount = sum((due for _, _, due in data.top10), Decimal(0))
    return Panel(
        name="top-consumers",
        title="Top ten data consumers",
        basis=AFTER_TAX,
        note=f"Together {for_people(megabytes / 1024, 1)} GB billable and {money(amount, data.currency)} {data.currency} due.",
        empty=f"No customer used data in {period_title(data.period)}.",
        heads=("Customer", "Billable MB", f"Amount due, {data.currency}"),
        rows=[
            (_text(customer), _number(volume, 1), _money(due, data.currency)) for customer, volume, due in data.top10
        ],
        foot=(_text("Total"), _number(megabytes, 1), _money(amount, data.currency)),
    )


def plan_colours(cells: Sequence[tuple[str, str, Decimal]]) -> dict[str, str]:
    """A colour for each plan: by name while plans are few. Of many plans the largest by revenue have one, the others share one."""
    totals = charts.totals_by_name((plan, amount) for _, plan, amount in cells)
    largest = sorted(totals, key=lambda plan: (-totals[plan], plan))[:_CHART_PLANS]
    colours = dict(zip(sorted(largest), charts.PLAN_COLOURS, strict=False))
    if len(totals) > len(largest):
        colours[f"{len(totals) - len(largest)} other plans"] = charts.OTHER_COLOUR
    return colours


def cells_for_chart(
    cells: Sequence[tuple[str, str, Decimal]], colours: Mapping[str, str]
) -> list[tuple[str, str, Decimal]]:
    """The cells that are drawn: the largest regions and plans; the others are added up as `others`."""
    totals = charts.totals_by_name((region, amount) for region, _, amount in cells)
    shown = set(sorted(totals, key=lambda region: (-totals[region], region))[:_CHART_REGIONS])
    rest_of_regions = f"{len(totals) - len(shown)} other regions"
    rest_of_plans = list(colours)[-1]
    drawn: dict[tuple[str, str], Decimal] = {}
    for region, plan, amount in cells:
        key = (region if region in shown else rest_of_regions, plan if plan in colours else rest_of_plans)
        drawn[key] = drawn.get(key, Decimal(0)) + amount
    return [(region, plan, amount) for (region, plan), amount in drawn.items()]
