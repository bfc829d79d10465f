"""Twelve months side by side: the funnel of each, rates by reason, and the days that are out of line.

Belongs here: pure figures. A day is compared with the other days of its weekday, by a robust z-score: 0.6745 × (value − median) / MAD,
where MAD is the median of the absolute deviations from the median; where that is 0, (value − median) / (1.253314 × their mean). Source:
Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993). Does not belong here: where the counts come from (`trend_page`).
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import mean, median

#: A weekday with fewer days is not judged: their median says little.
LEAST_DAYS = 8


@dataclass(frozen=True)
class Counts:
    """The records of a day, or of several: `rejected`, `suspended` and `excluded` by reason. `rated` is without imputed events."""

    received: int = 0
    cleaned: int = 0
    rated: int = 0
    deferred: int = 0
    rated_amount: Decimal = Decimal(0)
    rejected: Mapping[str, int] = field(default_factory=dict)
    suspended: Mapping[str, int] = field(default_factory=dict)
    excluded: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected_share(self) -> float:
        """Of the received ones, percent."""
        return _percent(sum(self.rejected.values()), self.received)

    @property
    def suspended_share(self) -> float:
        """Of the cleaned ones, percent."""
        return _percent(sum(self.suspended.values()), self.cleaned)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.received + other.received,
            self.cleaned + other.cleaned,
            self.rated + other.rated,
            self.deferred + other.deferred,
            self.rated_amount + other.rated_amount,
            _added(self.rejected, other.rejected),
            _added(self.suspended, other.suspended),
            _added(self.excluded, other.excluded),
        )


@dataclass(frozen=True)
class OutOfLine:
    """A day whose figure is far from that of the other days of its weekday: what it is, what is usual, and the score."""

    day: dt.date
    figure: str
    value: float
    usual: float
    score: float


#: What is judged of each day.
FIGURES: dict[str, Callable[[Counts], float]] = {
    "received": lambda counts: float(counts.received),
    "rejected_share": lambda counts: counts.rejected_share,
    "suspended_share": lambda counts: counts.suspended_share,
}


def by_month(days: Mapping[dt.date, Counts], months: Sequence[str]) -> dict[str, Counts]:
    """The counts of each month."""
    found = dict.fromkeys(months, Counts())
    for day, counts in days.items():
        found[f"{day:%Y-%m}"] += counts
    return found


def out_of_line(days: Mapping[dt.date, Counts], threshold: float) -> list[OutOfLine]:
    """The days with a score of the threshold or more, either way. Days on which nothing was received are not judged."""
    found = []
    for figure, read in FIGURES.items():
        for weekday in range(7):
            values = {day: read(each) for day, each in days.items() if day.weekday() == weekday and each.received}
            if len(values) < LEAST_DAYS:
                continue
            usual = median(values.values())
            for day, score in scores(values).items():
                if abs(score) >= threshold:
                    found.append(OutOfLine(day, figure, values[day], usual, score))
    return sorted(found, key=lambda each: (each.day, each.figure))


def scores(values: Mapping[dt.date, float]) -> dict[dt.date, float]:
    """The robust z-score of each value; 0 for all where all are equal."""
    usual = median(values.values())
    deviations = [abs(value - usual) for value in values.values()]
    scale = median(deviations) / 0.6745 or mean(deviations) * 1.253314
    return {day: (value - usual) / scale if scale else 0.0 for day, value in values.items()}


def _percent(part: int, whole: int) -> float:
    return part * 100 / whole if whole else 0.0


def _added(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {reason: left.get(reason, 0) + right.get(reason, 0) for reason in sorted({*left, *right})}
