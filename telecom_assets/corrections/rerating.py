"""What rating a month again would change: of a closed month, and of one that is open.

Belongs here: the figures, nothing written; when a closed month may be corrected; accepting what other rules make. Does not belong here:
running a month (`telecom_assets.runs`), printing (`telecom_assets.cli`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from resources.warehouse import PinnedTable, Warehouse, notebook, sum_exactly
from telecom_assets.corrections.closed_month import ClosedMonth
from telecom_assets.corrections.decisions import accept, decide
from telecom_assets.corrections.inputs import EVERYBODY
from telecom_assets.corrections.looking_back import ACCEPT, RERATE, Journals, corrected_periods
from telecom_assets.corrections.tables import ADJUSTMENTS, AWAITING
from telecom_assets.home.settings import Settings
from telecom_assets.model.months import months_between
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.states import PeriodError
from telecom_assets.rating.tables import RATED_CDRS
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes

_BY = ("reason", "disposition", "rate_plan_id", "customer_id", "holder_no")


@dataclass(frozen=True)
class Difference:
    """Some differences added up: what they have in common, rows, events, amount before discount and tax."""

    key: str
    rows: int
    events: int
    amount: Decimal


@dataclass(frozen=True)
class Rerating:
    """What rating a month again changes: the charges as they are settled, and the differences to what is right."""

    month: str
    old: Decimal
    rows: pa.Table

    @property
    def difference(self) -> Decimal:
        """What is right minus what is settled, what awaits acceptance included."""
        return self._amount(self.rows)

    @property
    def new(self) -> Decimal:
        return self.old + self.difference

    @property
    def awaiting(self) -> Decimal:
        """The part of the difference that other rules make: on no bill until somebody accepts it."""
        return self._amount(self.rows.filter(pc.equal(self.rows["disposition"], AWAITING)))

    def by(self, *names: str) -> list[Difference]:
        """The differences added up by some columns, the largest amounts first."""
        grouped = self.rows.group_by(list(names)).aggregate([("rows", "sum"), ("events", "sum"), ("amount", "sum")])
        found = [
            Difference(
                " ".join(str(row[name]) for name in names if row[name] is not None) or "nobody",
                row["rows_sum"],
                row["events_sum"],
                row["amount_sum"],
            )
            for row in grouped.to_pylist()
        ]
        return sorted(found, key=lambda each: (-abs(each.amount), each.key))

    def _amount(self, rows: pa.Table) -> Decimal:
        return sum_exactly(rows["amount"].to_pylist())


def corrects(warehouse: Warehouse, month: str, months_back: int) -> str:
    """The period whose bills correct a closed month. Raises PeriodError where nothing can be corrected now."""
    journals = Journals.of(warehouse)
    period = journals.periods.corrects
    if month not in journals.periods.closed or period is None:
        raise PeriodError(f"{journals.periods.says(month)}; expected a closed month")
    if month not in corrected_periods(journals.periods, period, months_back):
        raise PeriodError(
            f"{month} is {len(months_between(month, period)) - 1} months before {period}, whose bills correct closed months; expected "
            f"{months_back} at most (TELECOM_ADJUSTMENT_MONTHS)"
        )
    journals.periods.assert_open(period, f"correction of {month}")
    return period


def by_settings(settings: Settings) -> ClosedWith:
    """What an open month is rated by: the policy of the settings. The terms are in no figure here."""
    of_bills = (settings.currency, settings.discount_pct, settings.tax_pct, "S", None, 0)
    return ClosedWith(*of_bills, settings.missing_volume_policy, settings.dedupe_days)


def rerating(
    warehouse: Warehouse,
    month: str,
    period: str | None,
    settled_by: ClosedWith,
    record_types: RecordTypes = RECORD_TYPES,
) -> Rerating:
    """What rating all of a month again would change; nothing is written.

    period: the one that corrects it; None for an open month, whose charges are rated by `settled_by` again.
    """
    open_one = ClosedMonth(warehouse, month, month, settled_by, ())
    of_month = open_one if period is None else Journals.of(warehouse).month(month, period)
    old = of_month.settled(EVERYBODY).charges.agg(F.sum("amount").alias("amount")).collect()[0]["amount"]
    with notebook(warehouse, RATED_CDRS.name) as keep:
        found = _counted(of_month.adjustments(EVERYBODY, record_types, keep))
    return Rerating(month, old or Decimal(0), found)


def ask_for_all(
    warehouse: Warehouse, month: str, period: str, *, by: str | None = None, why: str | None = None
) -> None:
    """Note that a closed month is rated again as a whole for the bills of a period; asked for once is enough."""
    if not any(row["decision"] == RERATE for row in Journals.of(warehouse).decisions(month, period)):
        decide(warehouse, period, month, RERATE, by=by, why=why)


def adjusted(warehouse: Warehouse, month: str, period: str) -> Rerating:
    """The adjustments of a closed month that are on the table of a period; `old` is what was settled before."""
    old = Journals.of(warehouse).month(month, period).settled(EVERYBODY).charges
    amount = old.agg(F.sum("amount").alias("amount")).collect()[0]["amount"]
    return Rerating(
        month, amount or Decimal(0), _counted(_of_month(warehouse.pin_period(ADJUSTMENTS.name, period), month))
    )


def accept_differences(warehouse: Warehouse, month: str, period: str, *, by: str, why: str) -> int:
    """Accept the differences of a closed month that await it on a period; returns their number.

    Raises PeriodError where none does. What is accepted is each of these differences, as it is: another amount awaits acceptance again.
    """
    rows = _of_month(warehouse.pin_period(ADJUSTMENTS.name, period), month)
    found = rows.where(F.col("disposition") == AWAITING).toArrow()
    if not found.num_rows:
        raise PeriodError(
            f"{month}: no difference awaits acceptance on {period}; expected some: `telecom rerate --month {month}` looks for them"
        )
    accept(warehouse, found, decide(warehouse, period, month, ACCEPT, by=by, why=why))
    return int(found.num_rows)


def as_json(found: Rerating) -> dict[str, Any]:
    """For JSON: amounts are exact texts."""
    parts: Mapping[str, Iterable[str]] = {
        "reasons": ("reason", "disposition"),
        "plans": ("rate_plan_id",),
        "customers": ("customer_id", "holder_no"),
    }
    return {
        "month": found.month,
        **{name: f"{getattr(found, name):f}" for name in ("old", "new", "difference", "awaiting")},
        **{
            name: [{**vars(each), "amount": f"{each.amount:f}"} for each in found.by(*columns)]
            for name, columns in parts.items()
        },
    }


def _of_month(adjustments: PinnedTable, month: str) -> Any:
    return adjustments.df.where(F.col("original_period") == month)


def _counted(rows: Any) -> pa.Table:
    """Differences added up by all that they are shown by: one query."""
    kinds = {"events": "bigint", "amount": "decimal(28,6)"}
    sums = [F.sum(name).cast(kind).alias(name) for name, kind in kinds.items()]
    return rows.groupBy(*_BY).agg(F.count("*").alias("rows"), *sums).toArrow()
