"""The three charts of the dashboard as Vega-Lite specifications, and the script that draws them.

Belongs here: what a chart looks like. Figures become floats here and only here, for bar lengths; every number that a
reader reads is text made from the exact decimal. Does not belong here: the page around the charts (`dashboard`).

Names stand above their bars, not beside them, so that a chart is as readable 300 px wide as it is at 1,200.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import Any

import altair as alt
import vl_convert

from resources.user_cache import cached_text
from telecom_assets.model.period_titles import day_title
from telecom_assets.model.text import for_people, legible, money

INK, MUTED, GRID = "#14202e", "#55606e", "#e3e7ec"
WORKDAY, WEEKEND, CONSUMER = "#2456a6", "#6f95cc", "#0f7c72"
#: Colours of the rate plans, in the order of their revenue: told apart with any colour vision, 3:1 on white or more.
PLAN_COLOURS = ("#2456a6", "#d0741a", "#0f7c72", "#7b4bb3", "#b23a5e", "#5c6b7a", "#857400")
OTHER_COLOUR = "#8a94a0"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_CONFIG = {
    "font": FONT,
    "background": "transparent",
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "labelFontSize": 12,
        "gridColor": GRID,
        "domainColor": "#b8c0c9",
        "tickColor": "#b8c0c9",
        "title": None,
    },
}
_ROW_HEIGHT = 42


def daily_revenue_chart(days: Sequence[tuple[dt.date, Decimal]], last_day: int, currency: str) -> dict[str, Any]:
    """A bar a day of the month; weekends are lighter. Days without usage keep their place."""
    rows = [
        {
            "day": day.day,
            "date": day_title(day),
            "revenue": float(revenue),
            "shown": f"{money(revenue, currency)} {currency}",
            "weekend": day.weekday() >= 5,
        }
        for day, revenue in days
    ]
    chart = (
        alt.Chart(_values(rows), height=240, width="container")
        .mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2)
        .encode(
            x=alt.X(
                "day:O",
                scale=alt.Scale(domain=list(range(1, last_day + 1)), paddingInner=0.25, paddingOuter=0.1),
                axis=alt.Axis(labelAngle=0, labelOverlap="greedy", labelSeparation=5, ticks=False, labelPadding=6),
            ),
            y=alt.Y("revenue:Q", axis=alt.Axis(tickCount=4, format=",.2~f", domain=False, ticks=False, labelPadding=6)),
            color=alt.condition("datum.weekend", alt.value(WEEKEND), alt.value(WORKDAY)),
            tooltip=[alt.Tooltip("date:N", title="Day"), alt.Tooltip("shown:N", title="Revenue")],
        )
    )
    return _spec(chart)


def plan_by_region_chart(
    cells: Sequence[tuple[str, str, Decimal]], colours: Mapping[str, str], currency: str
) -> dict[str, Any]:
    """A bar a region, stacked by rate plan, largest first. `cells`: (region, plan, amount)."""
    totals = totals_by_name((region, amount) for region, _, amount in cells)
    order = sorted(totals, key=lambda region: (-totals[region], region))
    plans = list(colours)
    rows = [
        {
            "place": order.index(region),
            "region": legible(region),
            "plan": legible(plan),
            "order": plans.index(plan),
            "amount": float(amount),
            "shown": f"{money(amount, currency)} {currency}",
        }
        for region, plan, amount in cells
    ]
    labels = [
        {"place": place, "name": legible(region), "shown": f"{money(totals[region], currency)} {currency}"}
        for place, region in enumerate(order)
    ]
    bars = (
        alt.Chart(_values(rows))
        .mark_bar(height=14, yOffset=9)
        .encode(
            y=_rows_axis(len(order)),
            x=alt.X("amount:Q", stack="zero", axis=None),
            color=alt.Color(
                "plan:N",
                scale=alt.Scale(domain=[legible(plan) for plan in plans], range=list(colours.values())),
                legend=None,
            ),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("region:N", title="Region"),
                alt.Tooltip("plan:N", title="Rate plan"),
                alt.Tooltip("shown:N", title="Amount due"),
            ],
        )
    )
    return _spec(_labelled(bars, labels, widest_name=175))


def top_consumers_chart(consumers: Sequence[tuple[str, Decimal, Decimal]], currency: str) -> dict[str, Any]:
    """A bar a customer in the order given: megabytes; the amount due stands beside. (customer, megabytes, amount)."""
    rows = [
        {
            "place": place,
            "name": f"{place + 1}.  {legible(customer)}",
            "megabytes": float(megabytes),
            "shown": f"{for_people(megabytes, 1 if megabytes < 10_000 else 0)} MB · {money(amount, currency)} {currency}",
        }
        for place, (customer, megabytes, amount) in enumerate(consumers)
    ]
    bars = (
        alt.Chart(_values(rows))
        .mark_bar(height=14, yOffset=9, color=CONSUMER, cornerRadiusEnd=2)
        .encode(
            y=_rows_axis(len(rows)),
            x=alt.X("megabytes:Q", axis=None),
            tooltip=[alt.Tooltip("name:N", title="Customer"), alt.Tooltip("shown:N", title="Used, due")],
        )
    )
    return _spec(_labelled(bars, rows, widest_name=124))


def totals_by_name(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """The sum of the amounts of each name."""
    totals: dict[str, Decimal] = {}
    for name, amount in amounts:
        totals[name] = totals.get(name, Decimal(0)) + amount
    return totals


def _rows_axis(count: int) -> alt.Y:
    return alt.Y("place:O", scale=alt.Scale(domain=list(range(count)), paddingInner=0, paddingOuter=0), axis=None)


def _labelled(bars: alt.Chart, labels: Sequence[Mapping[str, Any]], widest_name: int) -> Any:
    """The bars with a name at the left and a figure at the right above each; both fit a chart of 296 pixels."""
    text = alt.Chart(_values(labels)).encode(y=_rows_axis(len(labels)))
    names = text.mark_text(align="left", baseline="middle", yOffset=-8, fontSize=12.5, color=INK, limit=widest_name)
    names = names.encode(x=alt.value(0), text="name:N")
    figures = text.mark_text(align="right", baseline="middle", yOffset=-8, fontSize=12, color=MUTED)
    figures = figures.encode(x=alt.value("width"), text="shown:N")
    return alt.layer(bars, names, figures, height=_ROW_HEIGHT * len(labels), width="container")


def _values(rows: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=[dict(row) for row in rows])


def _spec(chart: Any) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    return {**spec, "autosize": {"type": "fit-x", "contains": "padding"}, "padding": 0, "config": _CONFIG}


@cache
def drawing_script() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that needs no network, made by vl-convert (2 s, then cached).

    It can stand inside `<script>`: nothing in it ends the element or opens a comment.
    """
    return cached_text("vega-by-vl-convert.js", version("vl-convert-python"), _make_drawing_script)


def _make_drawing_script() -> str:
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")
