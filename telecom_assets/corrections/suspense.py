"""Suspended usage that is to be worked: how much there is, what it is worth, what of it a person has written off.

Belongs here: the rows with their value and their decision, sums by month and reason, the append-only journal of write-offs. Does not
belong here: rating it again (`telecom_assets.runs.recycling`).

In a closed month the rows of suspended_cdrs stay as they are. An event that an adjustment has charged waits no more.

A decision names each event, so usage that comes later with the same reason is not written off by it. It changes no amount: an event
that gets its price after all is charged, and its write-off counts no more.
"""

import datetime as dt
import getpass
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from resources.expected_errors import ExpectedError
from resources.warehouse import Partitions, Refused, Warehouse
from telecom_assets.books.totals import note_totals
from telecom_assets.corrections.tables import ADJUSTMENTS, BILLED, WRITTEN_OFF
from telecom_assets.model.months import month_days
from telecom_assets.periods.journal import read_periods
from telecom_assets.rating.rules import SUSPENSION_REASONS, charge, price_list
from telecom_assets.rating.tables import SUSPENDED_CDRS, SUSPENSE_DECISIONS, UNDO, WRITE_OFF
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.as_of import join_as_of
from telecom_assets.reference.tables import PRODUCT_CATALOG, RATE_PLANS


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
    """The reason, or SuspenseError for one that nothing is suspended for."""
    if reason is not None and reason not in SUSPENSION_REASONS:
        raise SuspenseError(f"reason {reason!r}: expected one of {', '.join(SUSPENSION_REASONS)}")
    return reason


def suspended_rows(
    warehouse: Warehouse,
    days: Partitions | None = None,
    reason: str | None = None,
    record_types: RecordTypes = RECORD_TYPES,
) -> DataFrame:
    """Rows of suspended_cdrs that are to be worked, of some days (None: all): not what is excluded, deferred, or charged since.

    Besides its columns each has `amount`, its charge before discount and tax at the prices as they are now, NULL where none is known;
    and `written_off`, whether a person has written it off for the reason that it has now.
    """
    rows = warehouse.pin(SUSPENDED_CDRS.name, days).df.where(_is_meant(reason))
    rows = rows.join(_charged_since(warehouse), on=["record_id", "billing_period"], how="left_anti")
    priced = with_value(warehouse, rows, record_types)
    decided = _in_force(warehouse).withColumn("written_off", F.lit(True))
    return priced.join(decided, on=["record_id", "billing_period", "reason"], how="left").select(
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
    warehouse: Warehouse, months: Collection[str], reason: str, *, by: str, why: str, undo: bool = False
) -> list[Suspense]:
    """Write off the suspended events of some months with one reason, or undo that; returns what was decided about.

    Raises PeriodError where a month is frozen, SuspenseError where there is nothing to write off or to undo.
    """
    check_reason(reason)
    warehouse.make_tables([SUSPENSE_DECISIONS.name])
    while True:
        periods, decisions = read_periods(warehouse), warehouse.pin(SUSPENSE_DECISIONS.name)
        found = []
        for month in sorted(months):
            periods.assert_open(month, f"{'undoing a write-off' if undo else 'writing off'} in {month}")
            found += [each for each in suspense(warehouse, days_of(month), reason) if each.written_off == undo]
        if not found:
            where = " and ".join(sorted(months)) or "any open month"
            what = "is written off" if undo else "is to be worked"
            raise SuspenseError(
                f"no usage of {where} with reason {reason} {what}; nothing was changed; `telecom suspense list` shows all"
            )
        numbers = decisions.arrow()["decision_no"].to_pylist()
        row = {
            "decision_no": max(numbers, default=0) + 1,
            "decision": UNDO if undo else WRITE_OFF,
            "decided_at": dt.datetime.now(dt.UTC),
            "decided_by": by,
            "system_user": getpass.getuser(),
            "why": why,
        }
        files = warehouse.stage_arrow(SUSPENSE_DECISIONS.name, _decided(warehouse, found, reason, row))
        try:
            warehouse.commit(SUSPENSE_DECISIONS.name, files, decisions.version)
        except Refused:
            warehouse.drop(SUSPENSE_DECISIONS.name, files.folder)
        else:
            note_totals(warehouse.pin(SUSPENSE_DECISIONS.name))
            return found


def _decided(warehouse: Warehouse, found: Sequence[Suspense], reason: str, row: dict[str, object]) -> pa.Table:
    """The rows of a decision: one per event."""
    parts = []
    for each in found:
        rows = suspended_rows(warehouse, days_of(each.billing_period), reason)
        events = (
            rows.where(F.col("written_off") == each.written_off).select("record_id", "amount").toArrow().to_pylist()
        )
        parts += [
            {
                **row,
                "record_id": event["record_id"],
                "reason": reason,
                "estimate": event["amount"],
                "billing_period": each.billing_period,
            }
            for event in events
        ]
    return pa.Table.from_pylist(parts, schema=SUSPENSE_DECISIONS.arrow_schema())


def _is_meant(reason: str | None) -> Column:
    suspended = F.col("disposition") == "suspended"
    return suspended if reason is None else suspended & (F.col("reason") == reason)


def _charged_since(warehouse: Warehouse) -> DataFrame:
    """The events of closed months that adjustments charge, with their month."""
    settled = warehouse.pin(ADJUSTMENTS.name).all().where(F.col("disposition").isin(BILLED, WRITTEN_OFF))
    sums = settled.groupBy("record_id", F.col("original_period").alias("billing_period")).agg(
        F.sum("events").alias("events")
    )
    return sums.where(F.col("events") > 0).select("record_id", "billing_period")


def _in_force(warehouse: Warehouse) -> DataFrame:
    """The events that are written off, with the month and the reason for which they are: what was decided of them last."""
    last = Window.partitionBy("record_id", "billing_period").orderBy(F.col("decision_no").desc())
    decided = warehouse.pin(SUSPENSE_DECISIONS.name).all().withColumn("place", F.row_number().over(last))
    return decided.where((F.col("place") == 1) & (F.col("decision") == WRITE_OFF)).select(
        "record_id", "billing_period", "reason"
    )


def days_of(month: str) -> Partitions:
    """The days of a month."""
    days = month_days(month)
    return Partitions(days[0], days[-1])
