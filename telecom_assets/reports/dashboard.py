"""The dashboard of a month: one HTML page that needs nothing else.

Belongs here: what the page says, as plain values for its template. Does not belong here: how charts look
(`dashboard_charts`), markup and colours (`templates/`), where the figures come from (`assets`).

No text from data can become markup or script: the template escapes everything (Jinja2 autoescape), chart data stands
in a JSON block without `<`, `>` or `&`, and the page's own content security policy allows the two scripts that were
put in here (by hash), no other, no evaluation of text, and no network at all.

Every figure stands in a table, exact, as `data-value`, beside the rounded one for people.
"""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from resources.atomic_files import replaced_file
from telecom_assets.model.period_titles import period_bounds, period_dates, period_title
from telecom_assets.model.text import for_people, money, plain
from telecom_assets.reports import dashboard_charts as charts
from telecom_assets.reports.dashboard_funnel import (
    money_steps,
    not_rated_reasons,
    not_rated_total,
    nothing_rejected,
    nothing_unrated,
    outcomes_claim,
    rejected_reasons,
    stages,
)
from telecom_assets.reports.dashboard_panels import (
    AFTER_TAX,
    BEFORE_TAX,
    DashboardData,
    balance,
    cells_for_chart,
    daily_panel,
    headline_figures,
    plan_colours,
    region_panel,
    top_panel,
)


def render_dashboard(data: DashboardData, twelve_months: str | None = None) -> str:
    """The page as HTML. The same data gives the same text. Raises ValueError for a period that is not yyyy-MM.

    twelve_months: the file beside it with the page of the twelve months, which it links to.
    """
    first, last = period_bounds(data.period)
    if stray := [day for day, _ in data.daily_revenue if not first <= day <= last]:
        raise ValueError(f"daily revenue of {stray[0]} on the dashboard of {data.period}")
    daily = sorted(data.daily_revenue)
    colours = plan_colours(data.plan_by_region)
    panels = [daily_panel(data, daily), region_panel(data, colours), top_panel(data)]
    specs = {}
    if daily:
        specs["daily-revenue"] = charts.daily_revenue_chart(daily, last.day, data.currency)
    if data.plan_by_region:
        cells = cells_for_chart(data.plan_by_region, colours)
        specs["plan-by-region"] = charts.plan_by_region_chart(cells, colours, data.currency)
    if data.top10:
        specs["top-consumers"] = charts.top_consumers_chart(data.top10, data.currency)
    library = charts.drawing_script() if specs else ""
    pages = environment()
    starter = pages.get_template("dashboard.js").render()
    return pages.get_template("dashboard.html.j2").render(
        title=period_title(data.period),
        period=data.period,
        twelve_months=twelve_months,
        dates=period_dates(data.period),
        currency=data.currency,
        funnel=data.funnel,
        figures=headline_figures(data),
        panels=panels,
        stages=stages(data.funnel),
        rejected=rejected_reasons(data.funnel.rejected),
        not_rated=not_rated_reasons(data.funnel),
        not_rated_total=not_rated_total(data.funnel),
        money=money_steps(data.funnel, data.currency),
        balance=balance(data),
        remedy=data.remedy,
        made_from=data.made_from,
        state=data.state,
        malformed=data.malformed,
        outcomes=outcomes_claim(data.funnel),
        nothing_rejected=nothing_rejected(data.funnel),
        nothing_unrated=nothing_unrated(data.funnel),
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
def environment() -> Environment:
    """The templates of pages, which escape every text."""
    made = Environment(
        loader=PackageLoader("telecom_assets.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["people"] = for_people
    made.filters["money"] = money
    made.filters["plain"] = plain
    made.filters["words"] = lambda reason: str(reason).replace("_", " ")
    return made


def _json_for_script(value: Any) -> Markup:
    """JSON that stays inside its `<script>` whatever the texts hold: ASCII, without `<`, `>` and `&`."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing of HTML is left in it


def _script_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
