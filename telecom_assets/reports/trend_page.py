"""The page of twelve months: its counts from the control totals, and its HTML.

Belongs here: reading, and plain values for the template. Does not belong here: which days are out of line (`trend`).
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from resources.warehouse import Partitions, PinnedTable, Warehouse
from telecom_assets.books.totals import totals_of
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.tables import CLEANED_CDRS, REJECTED_CDRS
from telecom_assets.model.months import month_days, months_between
from telecom_assets.model.period_titles import day_title, period_title
from telecom_assets.model.text import for_people, legible, money, share
from telecom_assets.rating.rules import DEFERRED
from telecom_assets.rating.tables import RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.reports.dashboard import environment
from telecom_assets.reports.trend import FIGURES, Counts, by_month, out_of_line

_TITLES = {
    "received": "CDRs received",
    "rejected_share": "Rejected CDRs, of the received",
    "suspended_share": "Suspended CDRs, of the cleaned",
}
#: Width of a day and height of a strip, in units of the drawing.
_DAY, _HEIGHT = 3, 90


@dataclass(frozen=True)
class Strip:
    """A figure of all days as bars: (x, height, title, whether it is out of line)."""

    name: str
    title: str
    most: str
    bars: list[tuple[int, str, str, bool]] = field(default_factory=list)


def twelve_months(last: str) -> list[str]:
    """The twelve months that end with one (yyyy-MM)."""
    year, month = int(last[:4]), int(last[5:7])
    first = dt.date(year - 1, month, 28) + dt.timedelta(days=7)
    return months_between(f"{first:%Y-%m}", last)


def counts_by_day(warehouse: Warehouse, months: list[str]) -> dict[dt.date, Counts]:
    """What was received on each day that has records, and what became of it."""
    days = Partitions(month_days(months[0])[0], month_days(months[-1])[-1])

    def pinned(name: str) -> PinnedTable:
        return warehouse.pin(name, days)

    received, cleaned = (pinned(contract.name).rows_by_partition() for contract in (RAW_CDRS, CLEANED_CDRS))
    reasons: Mapping[tuple[dt.date, str], dict[str, int]] = defaultdict(dict)
    for name in (REJECTED_CDRS.name, SUSPENDED_CDRS.name):
        for each in totals_of(pinned(name)):
            found = reasons[each.value, each.outcome]
            found[each.reason] = found.get(each.reason, 0) + each.records
    counts = {
        day: Counts(
            received=received.get(day, 0),
            cleaned=cleaned.get(day, 0),
            deferred=sum(reasons[day, DEFERRED].values()),
            rejected=reasons[day, "rejected"],
            suspended=reasons[day, "suspended"],
            excluded=reasons[day, "excluded"],
        )
        for day in sorted({*received, *cleaned} - {None})
    }
    for each in totals_of(pinned(RATED_CDRS.name)):
        counts[each.value] = counts.get(each.value, Counts()) + Counts(
            rated=each.records, rated_amount=each.money or Counts.rated_amount
        )
    return counts


def render_trend(
    days: Mapping[dt.date, Counts], last: str, currency: str, threshold: float, dashboard: str | None = None
) -> str:
    """The page as HTML. The same counts give the same text. dashboard: the file beside it of the last month, which it links to."""
    months = twelve_months(last)
    of_months = {month: each for month, each in by_month(days, months).items() if each.received}
    flagged = out_of_line(days, threshold)
    everything = sum(of_months.values(), Counts())
    reasons = [
        (
            kind,
            legible(reason),
            [_rate(getattr(each, kind).get(reason, 0), _whole(each, kind)) for each in of_months.values()],
        )
        for kind in ("rejected", "suspended", "excluded")
        for reason, _ in sorted(getattr(everything, kind).items(), key=lambda item: (-item[1], item[0]))
    ]
    return (
        environment()
        .get_template("trend.html.j2")
        .render(
            title=f"{period_title(months[0])} to {period_title(last)}",
            last=last,
            last_title=period_title(last),
            dashboard=dashboard,
            currency=currency,
            threshold=f"{threshold:g}",
            months=[(month, _row(each, currency)) for month, each in of_months.items()],
            reasons=reasons,
            strips=[
                _strip(days, months, name, {each.day for each in flagged if each.figure == name}) for name in FIGURES
            ],
            width=len(_days(months)) * _DAY,
            height=_HEIGHT,
            flagged=[
                (
                    each.day.isoformat(),
                    _weekday(each.day),
                    _TITLES[each.figure],
                    _shown(each.figure, each.value),
                    _shown(each.figure, each.usual),
                    f"{each.score:+.1f}".replace("-", "−"),
                )
                for each in reversed(flagged)
            ],
        )
    )


def _weekday(day: dt.date) -> str:
    return day_title(day).partition(" ")[0]


def _days(months: list[str]) -> list[dt.date]:
    return [day for month in months for day in month_days(month)]


def _strip(days: Mapping[dt.date, Counts], months: list[str], name: str, flagged: set[dt.date]) -> Strip:
    values = {day: FIGURES[name](each) for day, each in days.items() if each.received}
    most = max(values.values(), default=0.0)
    bars = [
        (
            number * _DAY,
            f"{max(values[day] * (_HEIGHT - 2) / most, 1) if most else 1:.1f}",
            f"{_weekday(day)} {day}: {_shown(name, values[day])}",
            day in flagged,
        )
        for number, day in enumerate(_days(months))
        if day in values
    ]
    return Strip(name, _TITLES[name], _shown(name, most), bars)


def _row(counts: Counts, currency: str) -> tuple[str, ...]:
    """Figures of a month, for people."""
    return (
        for_people(counts.received),
        for_people(counts.cleaned),
        _rate(sum(counts.rejected.values()), counts.received),
        for_people(counts.rated),
        _rate(sum(counts.suspended.values()), counts.cleaned),
        _rate(sum(counts.excluded.values()), counts.cleaned),
        for_people(counts.deferred),
        money(counts.rated_amount, currency),
    )


def _whole(counts: Counts, kind: str) -> int:
    return counts.received if kind == "rejected" else counts.cleaned


def _rate(part: int, whole: int) -> str:
    return share(part, whole) if whole else ""


def _shown(figure: str, value: float) -> str:
    return for_people(round(value)) if figure == "received" else f"{value:.1f} %"
