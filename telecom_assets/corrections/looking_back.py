"""Which closed periods the bills of a period correct, and for whom each is rated again.

Belongs here: comparing what a period was settled from with what there is now, from small tables and digests. Does not belong here: the
differences themselves (`rules`, `closed_month`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyspark.sql import functions as F

from resources.warehouse import Partitions, PinnedTable, Warehouse
from telecom_assets.corrections.closed_month import ClosedMonth
from telecom_assets.corrections.inputs import EVERYBODY, NOBODY, Affected, Inputs, month_inputs, one_by_one, those_of
from telecom_assets.corrections.tables import ADJUSTED_MONTHS, ADJUSTMENTS, RERATE_DECISIONS, UNSETTLED
from telecom_assets.model.months import months_between
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import PeriodError, Periods

#: Decisions of a person: all records of a period are rated again; its differences by other rules are accepted.
RERATE, ACCEPT = "rerate", "accept"


def corrected_periods(periods: Periods, period: str, months_back: int) -> list[str]:
    """The closed periods that the bills of a period correct, up to so many months before it: none, unless it is P."""
    if period != periods.corrects:
        return []
    return [closed for closed in periods.closed if len(months_between(closed, period)) - 1 <= months_back]


@dataclass(frozen=True)
class LookBack:
    """How a period P looks back at a closed one: what there is of it now, and for whom it is rated again."""

    month: ClosedMonth
    inputs: str
    decisions: int
    affected: Affected

    def as_row(self) -> dict[str, Any]:
        """Its row of adjusted_months."""
        return {
            "billing_period": self.month.period,
            "original_period": self.month.original_period,
            "inputs": self.inputs,
            "decisions": self.decisions,
            "scope": str(self.affected),
        }


@dataclass(frozen=True)
class Journals:
    """The small tables about closed periods, each read once: states, what was looked at, decisions."""

    warehouse: Warehouse
    periods: Periods

    @classmethod
    def of(cls, warehouse: Warehouse) -> "Journals":
        return cls(warehouse, read_periods(warehouse))

    def closed_with(self, original_period: str) -> ClosedWith:
        """What a closed period was closed with. Raises PeriodError where that is not known."""
        change = self.periods.last(original_period)
        if change is None or change.closed_with is None:
            raise PeriodError(
                f"{original_period}: billing_periods does not say what it was closed with, so it cannot be corrected; expected the "
                "terms in the row of its close"
            )
        return ClosedWith.read(change.closed_with)

    def month(self, original_period: str, period: str) -> ClosedMonth:
        """A closed period as the bills of a later one correct it."""
        closed_with, closed = self.closed_with(original_period), tuple(self.periods.closed)
        return ClosedMonth(self.warehouse, original_period, period, closed_with, closed)

    @cached_property
    def _looked_at(self) -> list[Mapping[str, Any]]:
        return list(self.warehouse.pin(ADJUSTED_MONTHS.name).arrow().to_pylist())

    @cached_property
    def _decided(self) -> list[Mapping[str, Any]]:
        return list(self.warehouse.pin(RERATE_DECISIONS.name).arrow().to_pylist())

    def looked_at(self, period: str) -> dict[str, Mapping[str, Any]]:
        """The rows of adjusted_months of a period, by the period that it looks back at."""
        return {row["original_period"]: row for row in self._looked_at if row["billing_period"] == period}

    def settled_from(self, original_period: str) -> Inputs | None:
        """The digests that a period was settled from last: by the last closed period that looked back at it, else by its own close."""
        rows = (row for row in self._looked_at if row["original_period"] == original_period)
        closed = sorted((row for row in rows if row["billing_period"] in self.periods.closed), key=_period_of)
        return Inputs.read(closed[-1]["inputs"] if closed else self.closed_with(original_period).inputs)

    def decisions(self, original_period: str, period: str | None = None) -> list[Mapping[str, Any]]:
        """The decisions about a period; with `period` those that were made for the bills of that one."""
        of_month = [row for row in self._decided if row["original_period"] == original_period]
        return [row for row in of_month if period is None or row["billing_period"] == period]

    def last_adjustments(self) -> PinnedTable | None:
        """The adjustments of the last closed period; None where it has no rows."""
        if not self.periods.closed:
            return None
        last = self.periods.closed[-1]
        pinned = self.warehouse.pin(ADJUSTMENTS.name, Partitions(last, last))
        return pinned if pinned.rows_by_partition() else None


def _period_of(row: Mapping[str, Any]) -> str:
    return str(row["billing_period"])


def look_back(warehouse: Warehouse, period: str, months_back: int) -> Iterator[LookBack]:
    """How a period (yyyy-MM) looks back at each closed one. Without a closed one nothing is looked up but the states."""
    journals = Journals.of(warehouse)
    for original in corrected_periods(journals.periods, period, months_back):
        yield _looked_back(journals, journals.month(original, period))


def why_due(warehouse: Warehouse, period: str, months_back: int) -> str | None:
    """Why the adjustments of a period have to be made again; None where they are as they would be made now."""
    journals = Journals.of(warehouse)
    corrected = corrected_periods(journals.periods, period, months_back)
    noted = journals.looked_at(period) if corrected or ADJUSTED_MONTHS.name in warehouse.contracts else {}
    if gone := sorted(set(noted) - set(corrected)):
        return f"it corrects {gone[0]} no more"
    for original in corrected:
        row = noted.get(original)
        if row is None:
            return f"{original} is closed"
        if row["decisions"] != len(journals.decisions(original)):
            return f"a decision about re-rating of {original}"
        if Inputs.read(row["inputs"]) != month_inputs(warehouse, original):
            return f"{original}, which is closed, has other usage or reference rows now"
    return None


def _looked_back(journals: Journals, month: ClosedMonth) -> LookBack:
    now, then = month_inputs(journals.warehouse, month.original_period), journals.settled_from(month.original_period)
    decided = journals.decisions(month.original_period, month.period)
    affected = EVERYBODY if any(row["decision"] == RERATE for row in decided) else now.changed_customers(then)
    if affected != EVERYBODY and then is not None:
        affected = one_by_one(journals.warehouse, month.original_period, then, affected)
        if days := now.changed_days(then):
            affected |= month.changed_on(days)
        affected |= _awaiting(journals, month.original_period)
    return LookBack(month, now.as_json(), len(journals.decisions(month.original_period)), affected)


def _awaiting(journals: Journals, original_period: str) -> Affected:
    """Those whose differences settled nothing on the last closed bills, awaiting acceptance: they come again with each period."""
    last = journals.last_adjustments()
    if last is None:
        return NOBODY
    of_month = last.df.where((F.col("original_period") == original_period) & F.col("disposition").isin(*UNSETTLED))
    return those_of(of_month.select("customer_id"))
