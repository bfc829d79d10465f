"""A closed month in the warehouse: what is settled of it, and what is right.

Belongs here: which rows of which tables these are. Does not belong here: the rules (`rules`), for whom they are asked (`looking_back`).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import PinnedTable, Warehouse
from telecom_assets.corrections.inputs import Affected, those_of
from telecom_assets.corrections.rules import Keep, Settled, as_they_are, differences, records, right, with_terms
from telecom_assets.corrections.tables import ACCEPTED_DIFFERENCES, ADJUSTMENTS, GONE
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.rating.rules import ReferenceData
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.tables import CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS

#: Tables of a closed month that stay as they are.
_FROZEN = (RATED_CDRS, SUSPENDED_CDRS, PERIOD_CHARGES)
_MESSAGE = ("source_id", "source_part", "source_position")


@dataclass(frozen=True)
class ClosedMonth:
    """A closed month (original_period), corrected on the bills of `period`. closed: all closed periods, in order."""

    warehouse: Warehouse
    original_period: str
    period: str
    closed_with: ClosedWith
    closed: tuple[str, ...]

    @cached_property
    def cleaned(self) -> PinnedTable:
        """Its cleaned rows as they are now."""
        return self.warehouse.pin_period(CLEANED_CDRS.name, self.original_period)

    @cached_property
    def references(self) -> tuple[PinnedTable, ...]:
        """The reference tables as they are now."""
        return tuple(self.warehouse.pin(contract.name) for contract in (CUSTOMERS, RATE_PLANS, PRODUCT_CATALOG))

    @property
    def reference(self) -> ReferenceData:
        customers, rate_plans, catalogue = (table.all() for table in self.references)
        versions = {table.name: table.version for table in self.references}
        return ReferenceData(customers, rate_plans, catalogue, versions)

    def settled(self, affected: Affected) -> Settled:
        """What is settled of it, for those affected: its frozen rows, and all that closed periods have corrected of it."""
        frozen = (self.warehouse.pin_period(contract.name, self.original_period).df for contract in _FROZEN)
        holds = affected.holds(F.col("customer_id"))
        return Settled(records(*(rows.where(holds) for rows in frozen)), self._adjusted().where(holds))

    def right(
        self, affected: Affected, record_types: RecordTypes = RECORD_TYPES, keep: Keep = as_they_are
    ) -> DataFrame:
        """`records` of those affected as they are right."""
        cleaned = self.cleaned.df.where(affected.holds(F.col("subscriber_id")))
        return right(cleaned, self.reference, self.closed_with, record_types, keep)

    def adjustments(
        self, affected: Affected, record_types: RecordTypes = RECORD_TYPES, keep: Keep = as_they_are
    ) -> DataFrame:
        """Rows of adjustments on the bills of `period`, for those affected. keep: keeps rows that are needed several times."""
        accepted = self.warehouse.pin(ACCEPTED_DIFFERENCES.name).all()
        found = differences(
            self.right(affected, record_types, keep),
            self.settled(affected),
            self.reference,
            accepted.where(F.col("original_period") == self.original_period),
            record_types,
            keep,
        )
        return with_terms(found, self.period, self.original_period, self.closed_with)

    def changed_on(self, days: Sequence[dt.date]) -> Affected:
        """Those of whom a record of these days came, went, or is kept as another copy than the one that is settled."""
        on_days = F.col("event_date").isin(*days)
        now = self.cleaned.df.where(on_days).select(
            "record_id",
            F.col("subscriber_id").alias("now_number"),
            *(F.col(name).alias(f"now_{name}") for name in _MESSAGE),
        )
        frozen = (
            self.warehouse.pin_period(contract.name, self.original_period).df.where(on_days) for contract in _FROZEN
        )
        known = Settled(records(*frozen), self._adjusted()).known.where(on_days & (F.col("outcome") != GONE))
        then = known.select("record_id", F.col("customer_id").alias("number"), *_MESSAGE)
        both = now.join(then, on="record_id", how="full_outer")
        pairs = [("number", "now_number"), *((name, f"now_{name}") for name in _MESSAGE)]
        differs = reduce(or_, (~F.col(one).eqNullSafe(F.col(other)) for one, other in pairs))
        changed = both.where(differs)
        return those_of(changed.select("number").unionAll(changed.select("now_number")))

    def _adjusted(self) -> DataFrame:
        """The adjustments of it in all closed periods."""
        rows = self.warehouse.pin(ADJUSTMENTS.name).all()
        later = [period for period in self.closed if period > self.original_period]
        of_closed = F.col("billing_period").isin(*later) if later else F.lit(False)
        return rows.where(of_closed & (F.col("original_period") == self.original_period))
