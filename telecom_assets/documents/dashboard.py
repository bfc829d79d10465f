"""The dashboard of a month: one HTML page that needs nothing else.

Belongs here: what the page says, as plain values for its template. Does not belong here: how charts look
(`dashboard_charts`), markup and colours (`templates/`), where the figures come from (`assets`).

No text from data can become markup or script: the template escapes everything (Jinja2 autoescape), chart data stands
in a JSON block without `<`, `>` or `&`, and the page's own content security policy allows the two scripts that were
put in here (by hash), no other, no evaluation of text, and no network at all.

Every figure stands in a table, exact, as `data-value`, beside the rounded one for people.
"""

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from telecom_assets.documents import dashboard_charts as charts
from telecom_assets.documents.atomic import replaced_file
from telecom_assets.documents.funnel import DUPLICATE_REASONS, Funnel
from telecom_assets.documents.period import period_bounds, period_dates, period_title
from telecom_assets.documents.text import for_people, legible, plain

_CHART_REGIONS = 15
_CHART_PLANS = len(charts.PLAN_COLOURS)

BEFORE_TAX = "before discount and tax"
AFTER_TAX = "after discount, tax included"


@dataclass(frozen=True)
class DashboardData:
    """The figures of one billing period (yyyy-MM), money in `currency`.

    `daily_revenue`: (day, rated revenue before discount and tax). `plan_by_region`: (region, rate plan, amount due).
    `top10`: (customer, billable megabytes, amount due), largest first.
    """

    period: str
    currency: str
    funnel: Funnel
    daily_revenue: Sequence[tuple[dt.date, Decimal]] = ()
    plan_by_region: Sequence[tuple[str, str, Decimal]] = ()
    top10: Sequence[tuple[str, Decimal, Decimal]] = ()


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


def render_dashboard(data: DashboardData) -> str:
    """The page as HTML. The same data gives the same text. Raises ValueError for a period that is not yyyy-MM."""
    first, last = period_bounds(data.period)
    if stray := [day for day, _ in data.daily_revenue if not first <= day <= last]:
        raise ValueError(f"daily revenue of {stray[0]} on the dashboard of {data.period}")
    daily = sorted(data.daily_revenue)
    colours = _plan_colours(data.plan_by_region)
    panels = [_daily_panel(data, daily), _region_panel(data, colours), _top_panel(data)]
    specs = {}
    if daily:
        specs["daily-revenue"] = charts.daily_revenue_chart(daily, last.day, data.currency)
    if data.plan_by_region:
        cells = _for_chart(data.plan_by_region, colours)
        specs["plan-by-region"] = charts.plan_by_region_chart(cells, colours, data.currency)
    if data.top10:
        specs["top-consumers"] = charts.top_consumers_chart(data.top10, data.currency)
    library = charts.drawing_script() if specs else ""
    environment = _environment()
    starter = environment.get_template("dashboard.js").render()
    return environment.get_template("dashboard.html.j2").render(
        title=period_title(data.period),
        period=data.period,
        dates=period_dates(data.period),
        currency=data.currency,
        funnel=data.funnel,
        figures=_headline_figures(data),
        panels=panels,
        stages=_stages(data.funnel),
        rejected=_reasons(data.funnel.rejected),
        not_rated=_not_rated(data.funnel),
        money=_money_steps(data.funnel),
        imbalances=data.funnel.imbalances(),
        before_tax=BEFORE_TAX,
        after_tax=AFTER_TAX,
        specs=_json_for_script(specs),
        library=Markup(library),  # noqa: S704 - our own bundle, see drawing_script
        starter=Markup(starter),  # noqa: S704 - a file of this package
        script_hashes=[_script_hash(text) for text in (library, starter) if text],
    )


def write_dashboard(html: str, path: Path) -> None:
    """Put the page at `path`, whole, in one step."""
    with replaced_file(path) as file:
        file.write(html.encode())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("telecom_assets.documents", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["people"] = for_people
    environment.filters["plain"] = plain
    environment.filters["words"] = lambda reason: str(reason).replace("_", " ")
    return environment


def _json_for_script(value: Any) -> Markup:
    """JSON that stays inside its `<script>` whatever the texts hold: ASCII, without `<`, `>` and `&`."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing of HTML is left in it


def _script_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


# --- the three panels


def _text(value: str) -> Cell:
    return Cell(legible(value), legible(value), number=False)


def _number(value: Decimal | int, digits: int) -> Cell:
    return Cell(plain(Decimal(value)), for_people(value, digits))


def _daily_panel(data: DashboardData, daily: Sequence[tuple[dt.date, Decimal]]) -> Panel:
    total = sum((revenue for _, revenue in daily), Decimal(0))
    note = ""
    if daily:
        best_day, best = max(daily, key=lambda item: (item[1], item[0]))
        average = for_people(total / len(daily), 2)
        note = (
            f"{average} {data.currency} on an average day with usage; most on {best_day:%A} {best_day.day}, "
            f"{for_people(best, 2)} {data.currency}. Weekends are lighter."
        )
    return Panel(
        name="daily-revenue",
        title="Daily revenue",
        basis=BEFORE_TAX,
        note=note,
        empty=f"No usage was rated in {period_title(data.period)}.",
        heads=("Day", f"Revenue, {data.currency}"),
        rows=[
            (Cell(day.isoformat(), f"{day:%a} {day.day}", number=False), _number(amount, 2)) for day, amount in daily
        ],
        foot=(_text("Total"), _number(total, 2)),
    )


def _region_panel(data: DashboardData, colours: Mapping[str, str]) -> Panel:
    rows = sorted(data.plan_by_region, key=lambda row: (row[0], row[1]))
    total = sum((amount for _, _, amount in rows), Decimal(0))
    regions: dict[str, Decimal] = {}
    for region, _, amount in rows:
        regions[region] = regions.get(region, Decimal(0)) + amount
    note = ""
    if total > 0:
        largest = max(regions, key=lambda region: (regions[region], region))
        note = f"{legible(largest)} is the largest of {len(regions)}: {_share(regions[largest], total)} of the total."
    return Panel(
        name="plan-by-region",
        title="Revenue by plan and region",
        basis=AFTER_TAX,
        note=note,
        empty=f"No customer was billed for {period_title(data.period)}.",
        heads=("Region", "Rate plan", f"Amount due, {data.currency}"),
        rows=[(_text(region), _text(plan), _number(amount, 2)) for region, plan, amount in rows],
        foot=(_text("Total"), _text(""), _number(total, 2)),
        legend={legible(plan): colour for plan, colour in colours.items()},
    )


def _top_panel(data: DashboardData) -> Panel:
    megabytes = sum((volume for _, volume, _ in data.top10), Decimal(0))
    amount = sum((due for _, _, due in data.top10), Decimal(0))
    return Panel(
        name="top-consumers",
        title="Top ten data consumers",
        basis=f"amount due {AFTER_TAX}",
        note=f"Together {for_people(megabytes / 1024, 1)} GB of billable data." if data.top10 else "",
        empty=f"No customer used data in {period_title(data.period)}.",
        heads=("Customer", "Billable MB", f"Amount due, {data.currency}"),
        rows=[(_text(customer), _number(volume, 1), _number(due, 2)) for customer, volume, due in data.top10],
        foot=(_text("Total"), _number(megabytes, 1), _number(amount, 2)),
    )


def _plan_colours(cells: Sequence[tuple[str, str, Decimal]]) -> dict[str, str]:
    """A colour for each plan, by name while they are few; many plans: the largest by revenue, the others share one."""
    totals: dict[str, Decimal] = {}
    for _, plan, amount in cells:
        totals[plan] = totals.get(plan, Decimal(0)) + amount
    largest = sorted(totals, key=lambda plan: (-totals[plan], plan))[:_CHART_PLANS]
    colours = dict(zip(sorted(largest), charts.PLAN_COLOURS, strict=False))
    if len(totals) > len(largest):
        colours[f"{len(totals) - len(largest)} other plans"] = charts.OTHER_COLOUR
    return colours


def _for_chart(cells: Sequence[tuple[str, str, Decimal]], colours: Mapping[str, str]) -> list[tuple[str, str, Decimal]]:
    """The cells as they are drawn: at most so many regions and plans, what is left of each added up as `others`."""
    totals: dict[str, Decimal] = {}
    for region, _, amount in cells:
        totals[region] = totals.get(region, Decimal(0)) + amount
    shown = set(sorted(totals, key=lambda region: (-totals[region], region))[:_CHART_REGIONS])
    rest_of_regions = f"{len(totals) - len(shown)} other regions"
    rest_of_plans = next(reversed(colours))
    drawn: dict[tuple[str, str], Decimal] = {}
    for region, plan, amount in cells:
        key = (region if region in shown else rest_of_regions, plan if plan in colours else rest_of_plans)
        drawn[key] = drawn.get(key, Decimal(0)) + amount
    return [(region, plan, amount) for (region, plan), amount in drawn.items()]


# --- the funnel


@dataclass(frozen=True)
class Stage:
    """A step of the funnel: what is left, as a part of what was received, and what left before it."""

    name: str
    title: str
    count: int
    width: str
    share: str
    lost: Sequence[tuple[str, str, int, str]] = ()


def _stages(funnel: Funnel) -> list[Stage]:
    whole = funnel.received

    def stage(name: str, title: str, count: int, *lost: tuple[str, str, int]) -> Stage:
        gone = [(kind, label, number, _width(number, whole)) for kind, label, number in lost if number]
        return Stage(name, title, count, _width(count, whole), _share(count, whole) if whole else "", gone)

    return [
        stage("received", "Received", funnel.received),
        stage(
            "cleaned",
            "Cleaned",
            funnel.cleaned,
            ("duplicate", "duplicates", funnel.duplicates_total),
            ("invalid", "rejected", funnel.invalid_total),
        ),
        stage(
            "rated",
            "Rated",
            funnel.rated,
            ("suspended", "suspended", funnel.suspended_total),
            ("excluded", "excluded", funnel.excluded_total),
        ),
    ]


def _headline_figures(data: DashboardData) -> list[dict[str, str]]:
    funnel = data.funnel
    rated = f"{_share(funnel.rated, funnel.received)} of them rated" if funnel.received else "none in this period"
    return [
        {
            "name": "amount-due",
            "title": "Amount due",
            "value": plain(funnel.amount_due),
            "shown": for_people(funnel.amount_due, 2),
            "unit": data.currency,
            "note": AFTER_TAX,
        },
        {
            "name": "rated-amount",
            "title": "Rated usage",
            "value": plain(funnel.rated_amount),
            "shown": for_people(funnel.rated_amount, 2),
            "unit": data.currency,
            "note": BEFORE_TAX,
        },
        {
            "name": "billed-customers",
            "title": "Customers billed",
            "value": str(funnel.billed_customers),
            "shown": for_people(funnel.billed_customers),
            "unit": "",
            "note": "one invoice each",
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


def _reasons(counts: Mapping[str, int]) -> list[tuple[str, str, int, str]]:
    """(reason, kind, count, width of its bar), most frequent first."""
    most = max(counts.values(), default=0)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        (legible(reason), "duplicate" if reason in DUPLICATE_REASONS else "invalid", count, _width(count, most))
        for reason, count in ordered
    ]


def _not_rated(funnel: Funnel) -> list[tuple[str, str, int, str]]:
    """(reason, disposition, count, width of its bar), most frequent first."""
    found = [(reason, "suspended", count) for reason, count in funnel.suspended.items()]
    found += [(reason, "excluded", count) for reason, count in funnel.excluded.items()]
    most = max((count for _, _, count in found), default=0)
    ordered = sorted(found, key=lambda item: (-item[2], item[0]))
    return [(legible(reason), kind, count, _width(count, most)) for reason, kind, count in ordered]


def _money_steps(funnel: Funnel) -> list[dict[str, str]]:
    """From the exact sum of rated usage to what customers owe, as it adds up."""
    steps: tuple[tuple[str, str, Decimal, int, str], ...] = (
        ("rated_amount", "Rated usage, exact", funnel.rated_amount, 6, ""),
        ("rounding_difference", "Rounding of invoice lines", funnel.rounding_difference, 6, "step"),
        ("amount_before_tax", "Amount before tax", funnel.amount_before_tax, 2, "sum"),
        ("discount", "Discount", -funnel.discount, 2, "step"),
        ("after_discount", "After discount", funnel.after_discount, 2, "sum"),
        ("tax", "Tax", funnel.tax, 2, "step"),
        ("amount_due", "Amount due", funnel.amount_due, 2, "total"),
    )
    return [
        {
            "name": name,
            "title": title,
            "value": plain(abs(amount) if name == "discount" else amount),
            "shown": f"+{for_people(amount, digits)}" if kind == "step" and amount > 0 else for_people(amount, digits),
            "kind": kind,
        }
        for name, title, amount, digits, kind in steps
    ]


def _share(part: Decimal | int, whole: Decimal | int) -> str:
    return f"{for_people(Decimal(part) * 100 / Decimal(whole), 1)} %"


def _width(part: int, whole: int) -> str:
    """Width of a bar in percent, for a style attribute. A count that is not 0 can be seen."""
    if not whole or not part:
        return "0"
    return f"{max(part * 100 / whole, 0.4):.2f}"
