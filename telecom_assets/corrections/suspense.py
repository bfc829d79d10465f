"""Suspended usage that is to be worked: how much there is, what it is worth, what of it a person has written off.

Belongs here: the rows with their value and their decision, sums by month and reason, the append-only journal of write-offs. Does not
belong here: rating it again (`telecom_assets.runs.recycling`).

In a closed month the rows of suspended_cdrs stay as they are. An event that an adjustment has charged waits no more.

A decision names each event, so usage that comes later with the same reason is not written off by it. It changes no amount: an event
that gets its price after all is charged, and its write-off counts no more.
"""

import datetime as dt
import getpass
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from resources.expected_errors import ExpectedError, UsageError
from resources.warehouse import Decided, Partitions, PinnedTable, Warehouse, append_decided
from telecom_assets.books.totals import note_totals
from telecom_assets.corrections.tables import ADJUSTMENTS, UNSETTLED
from telecom_assets.periods.journal import read_periods
from telecom_assets.rating.rules import SUSPENSION_REASONS, charge, price_list
from telecom_assets.rating.tables import SUSPENDED_CDRS, SUSPENSE_DECISIONS, UNDO, WRITE_OFF
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.as_of import join_as_of
from telecom_assets.reference.tables import PRODUCT_CATALOG, RATE_PLANS

#: What a write-off is about: with another reason it does not count.
OF_EVENT = ("record_id", "billing_period", "reason")


class SuspenseError(ExpectedError):
    """Suspended usage cannot be worked as asked. Nothing was changed. The message says why, and what to do."""


@dataclass(frozen=True)
class Suspense:
    """Suspended events of a month with one reason: how many, from which days, and the value of those that have a known price.

    amount: before discount and tax; None where no event of them has a price.
    """

    billing_period: str
    reason: str
    written_off: bool
    events: int
    priced_events: int
    amount: Decimal | None
    first_day: dt.date
    last_day: dt.date


def check_reason(reason: str | None) -> str | None:
    """The reason, or UsageError for one that nothing is suspended for."""
    if reason is not None and reason not in SUSPENSION_REASONS:
        raise UsageError(f"reason {reason!r}: expected one of {', '.join(SUSPENSION_REASONS)}")
    return reason


def waiting_rows(
    warehouse: Warehouse, days: Partitions | None = None, reason: str | None = None, until: str | None = None
) -> DataFrame:
    """Rows of suspended_cdrs that are to be worked, of some days (None: all): not what is excluded, deferred, or charged since.

    until: the last period (yyyy-MM) whose adjustments count; None: all do.
    """
    rows = warehouse.pin(SUSPENDED_CDRS.name, days).df.where(_is_meant(reason))
    return rows.join(_charged_since(warehouse, until), on=["record_id", "billing_period"], how="left_anti")


def suspended_rows(
    warehouse: Warehouse,
    days: Partitions | None = None,
    reason: str | None = None,
    record_types: RecordTypes = RECORD_TYPES,
) -> DataFrame:
    """`waiting_rows`, each with `amount`, its charge before discount and tax at the prices as they are now, NULL where none is known;
    and `written_off`, whether a person has written it off for the reason that it has now.
    """
    priced = with_value(warehouse, waiting_rows(warehouse, days, reason), record_types)
    decided = write_offs_in_force(warehouse).select(*OF_EVENT, F.lit(True).alias("written_off"))
    return priced.join(decided, on=list(OF_EVENT), how="left").select(
        *SUSPENDED_CDRS.column_names, "amount", F.coalesce("written_off", F.lit(False)).alias("written_off")
    )


def with_value(warehouse: Warehouse, suspended: DataFrame, record_types: RecordTypes) -> DataFrame:
    """Rows of suspended_cdrs with `amount`: what each would cost by the prices as they are now; NULL without a price."""
    plans, catalogue = (warehouse.pin(each.name).all() for each in (RATE_PLANS, PRODUCT_CATALOG))
    prices = price_list(plans, catalogue, record_types).drop("plan_valid_from", "product_valid_from")
    on = {"rate_plan_id": "price_plan", "product_code": "price_product"}
    return join_as_of(suspended, prices, on, valid_from=None).withColumn("amount", charge())


def suspense(
    warehouse: Warehouse,
    days: Partitions | None = None,
    reason: str | None = None,
    record_types: RecordTypes = RECORD_TYPES,
) -> list[Suspense]:
    """The suspended events of some days (None: all) added up by month, reason and whether they are written off."""
    if not any(warehouse.pin(SUSPENDED_CDRS.name, days).rows_by_partition().values()):
        return []
    found = (
        suspended_rows(warehouse, days, reason, record_types)
        .groupBy("billing_period", "reason", "written_off")
        .agg(
            F.count("*").alias("events"),
            F.count("amount").alias("priced_events"),
            F.sum("amount").alias("amount"),
            F.min("event_date").alias("first_day"),
            F.max("event_date").alias("last_day"),
        )
        .orderBy("billing_period", "reason", "written_off")
    )
    return [Suspense(**row.asDict()) for row in found.collect()]


def write_off(
    warehouse: Warehouse,
    months: Collection[str],
    reason: str,
    *,
    by: str,
    why: str,
    undo: bool = False,
    record_types: RecordTypes = RECORD_TYPES,
) -> list[Suspense]:
    """Write off the suspended events of some months with one reason, or undo that; returns what was decided about.

    record_types: those in force, by whose prices the events are valued. Raises PeriodError where a month is frozen, SuspenseError where
    there is nothing to write off or to undo.
    """
    check_reason(reason)
    warehouse.make_tables([SUSPENSE_DECISIONS.name])

    def decide(decisions: PinnedTable) -> Decided[list[Suspense]]:
        periods = read_periods(warehouse)
        for month in sorted(months):
            periods.assert_open(month, f"{'undoing a write-off' if undo else 'writing off'} in {month}")
        events = {
            month: suspended_rows(warehouse, suspended.partitions, reason, record_types)
            .where(F.col("written_off") == undo)
            .select("record_id", "event_date", "amount")
            .toArrow()
            for month in sorted(months)
            if any((suspended := warehouse.pin_period(SUSPENDED_CDRS.name, month)).rows_by_partition().values())
        }
        found = [_added_up(month, reason, undo, rows) for month, rows in events.items() if rows.num_rows]
        if not found:
            where = " and ".join(sorted(months)) or "any open month"
            what = "is written off" if undo else "is to be worked"
            raise SuspenseError(
                f"no usage of {where} with reason {reason} {what}; nothing was changed; `telecom suspense list` shows all"
            )
        said = {
            "decision_no": max(decisions.arrow()["decision_no"].to_pylist(), default=0) + 1,
            "reason": reason,
            "decision": UNDO if undo else WRITE_OFF,
            "decided_at": dt.datetime.now(dt.UTC),
            "decided_by": by,
            "system_user": getpass.getuser(),
            "why": why,
        }
        rows = [
            {**said, "record_id": event["record_id"], "estimate": event["amount"], "billing_period": month}
            for month, suspended_events in events.items()
            for event in suspended_events.to_pylist()
        ]
        return Decided(found, rows)

    found = append_decided(warehouse, SUSPENSE_DECISIONS.name, decide)
    note_totals(warehouse.pin(SUSPENSE_DECISIONS.name))
    return found


def _added_up(month: str, reason: str, written_off: bool, events: pa.Table) -> Suspense:
    """The events of a month. events: their event_date and amount, at least one."""
    days = pc.min_max(events["event_date"]).as_py()
    amount = pc.sum(events["amount"]).as_py()
    priced = events.num_rows - events["amount"].null_count
    return Suspense(month, reason, written_off, events.num_rows, priced, amount, days["min"], days["max"])


def _is_meant(reason: str | None) -> Column:
    suspended = F.col("disposition") == "suspended"
    return suspended if reason is None else suspended & (F.col("reason") == reason)


def _charged_since(warehouse: Warehouse, until: str | None) -> DataFrame:
    """The events of closed months that adjustments charge, those of periods up to one (None: all), with their month."""
    adjustments = warehouse.pin(ADJUSTMENTS.name, None if until is None else Partitions("", until))
    settled = adjustments.df.where(~F.col("disposition").isin(*UNSETTLED))
    sums = settled.groupBy("record_id", F.col("original_period").alias("billing_period")).agg(
        F.sum("events").alias("events")
    )
    return sums.where(F.col("events") > 0).select("record_id", "billing_period")


def write_offs_in_force(warehouse: Warehouse) -> DataFrame:
    """The rows of suspense_decisions that write events off and were not undone: what was decided of each event last."""
    last = Window.partitionBy("record_id", "billing_period").orderBy(F.col("decision_no").desc())
    decided = warehouse.pin(SUSPENSE_DECISIONS.name).all().withColumn("place", F.row_number().over(last))
    return decided.where((F.col("place") == 1) & (F.col("decision") == WRITE_OFF)).drop("place")
