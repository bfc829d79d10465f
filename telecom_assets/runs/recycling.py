"""Suspended usage that is rated again: which of it can be, what would become of it, what has become of it.

Belongs here: the figures, and where each month's events are charged. Does not belong here: running the jobs (`telecom_assets.cli`).

Of an open month the days that hold such events are rated again; of a closed one the differences go on the bills of the period that
corrects it. An approved month is left alone.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import Warehouse, of_month
from telecom_assets.corrections.rerating import corrects
from telecom_assets.corrections.suspense import suspended_rows, suspense
from telecom_assets.corrections.tables import ADJUSTMENTS, BILLED
from telecom_assets.home.settings import Settings
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import PeriodError
from telecom_assets.rating.rules import ReferenceData, rate
from telecom_assets.rating.tables import RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.tables import CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS


@dataclass(frozen=True)
class Recycled:
    """What becomes of the suspended events of a month that had one reason.

    rated, amount: how many are charged, for how much before discount and tax. left: how many are suspended still; others are excluded
    or deferred. billed_in: the period whose bills charge them.
    """

    billing_period: str
    reason: str
    billed_in: str
    events: int
    rated: int
    amount: Decimal
    left: int


@dataclass(frozen=True)
class Recycling:
    """The events that are rated again, by month: rows of suspended_cdrs as they were when this was made.

    billed_in: for each month the period whose bills charge them. left_out: months that cannot be rated again, and why.
    """

    rows: Mapping[str, DataFrame]
    billed_in: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def days(self, month: str) -> list[dt.date]:
        """The days of a month that hold such events."""
        return [row["event_date"] for row in self.rows[month].select("event_date").distinct().collect()]


def recycling(
    warehouse: Warehouse, settings: Settings, record_types: RecordTypes, month: str | None, reason: str | None
) -> Recycling:
    """What can be rated again of a month (None: of all); what is written off is left alone.

    Raises PeriodError for a month that is asked for and cannot be.
    """
    periods = read_periods(warehouse)
    within = None if month is None else of_month(SUSPENDED_CDRS, month)
    found = suspense(warehouse, within, reason, record_types)
    billed_in: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for each in sorted({one.billing_period for one in found if not one.written_off}):
        try:
            if each in periods.closed:
                billed_in[each] = corrects(warehouse, each, settings.adjustment_months)
            else:
                periods.assert_open(each, f"rating suspended usage of {each} again")
                billed_in[each] = each
        except PeriodError as error:
            if month is not None:
                raise
            left_out[each] = str(error)
    rows = {
        each: suspended_rows(warehouse, of_month(SUSPENDED_CDRS, each), reason, record_types).where(
            ~F.col("written_off")
        )
        for each in billed_in
    }
    return Recycling(rows, billed_in, left_out)


def would_become(
    warehouse: Warehouse, settings: Settings, record_types: RecordTypes, asked: Recycling
) -> list[Recycled]:
    """What rating the events again would make of them, by the reference data that are stored now; nothing is written."""
    customers, plans, catalogue = (warehouse.pin(each.name) for each in (CUSTOMERS, RATE_PLANS, PRODUCT_CATALOG))
    versions = {each.name: each.version for each in (customers, plans, catalogue)}
    reference = ReferenceData(customers.all(), plans.all(), catalogue.all(), versions)
    made = []
    for month, rows in asked.rows.items():
        was = rows.select("record_id", F.col("reason").alias("was"))
        cleaned = warehouse.pin_period(CLEANED_CDRS.name, month).df.join(was, on="record_id", how="left_semi")
        policy = _policy(warehouse, settings, month)
        ratings = rate(cleaned, reference, missing_volume=policy, record_types=record_types).rows  # type: ignore[arg-type]
        outcomes = ratings.select(
            "record_id",
            F.when(F.col("reason").isNull(), F.col("amount")).alias("charged"),
            (F.col("reason").isNotNull() & (F.col("disposition") == "suspended")).alias("is_left"),
        )
        made += _counted(month, asked.billed_in[month], was, outcomes)
    return made


def has_become(warehouse: Warehouse, asked: Recycling) -> list[Recycled]:
    """What has become of the events, by the newest tables."""
    made = []
    for month, rows in asked.rows.items():
        period = asked.billed_in[month]
        if period == month:
            charged = warehouse.pin_period(RATED_CDRS.name, month).df.select(
                "record_id", F.col("amount").alias("charged")
            )
            still = warehouse.pin_period(SUSPENDED_CDRS.name, month).df.where(F.col("disposition") == "suspended")
            left = still.select("record_id", F.lit(True).alias("is_left"))
            outcomes = charged.join(left, on="record_id", how="full")
        else:
            billed = (F.col("original_period") == month) & (F.col("disposition") == BILLED) & (F.col("events") > 0)
            outcomes = (
                warehouse.pin_period(ADJUSTMENTS.name, period)
                .df.where(billed)
                .select("record_id", F.col("amount").alias("charged"), F.lit(False).alias("is_left"))
            )
        was = rows.select("record_id", F.col("reason").alias("was"))
        made += _counted(month, period, was, outcomes, is_left=period != month)
    return made


def _counted(month: str, period: str, was: DataFrame, outcomes: DataFrame, *, is_left: bool = False) -> list[Recycled]:
    """Events added up by the reason that they had. is_left: whether one without an outcome is suspended still."""
    joined = was.join(outcomes, on="record_id", how="left")
    sums = joined.groupBy("was").agg(
        F.count("*").alias("events"),
        F.count("charged").alias("rated"),
        F.sum("charged").alias("amount"),
        F.count_if(F.coalesce("is_left", F.lit(is_left))).alias("still"),
    )
    return [
        Recycled(month, row["was"], period, row["events"], row["rated"], row["amount"] or Decimal(0), row["still"])
        for row in sums.orderBy("was").collect()
    ]


def _policy(warehouse: Warehouse, settings: Settings, month: str) -> str:
    """The policy for missing volumes: a closed month keeps the one that it was closed with."""
    periods = read_periods(warehouse)
    change = periods.last(month) if month in periods.closed else None
    if change is None or change.closed_with is None:
        return settings.missing_volume_policy
    return ClosedWith.read(change.closed_with).missing_volume_policy
