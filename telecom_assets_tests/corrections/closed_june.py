"""June 2026 in a warehouse of its own: mediated, rated and closed, and what may come later.

Belongs here: writing the tables as the stages do. Does not belong here: expected values.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

import pyarrow as pa

from resources.contract import TableContract
from resources.warehouse import Partitions, Warehouse, notebook
from telecom_assets.corrections.inputs import inputs_of
from telecom_assets.corrections.looking_back import LookBack, look_back
from telecom_assets.corrections.tables import ADJUSTED_MONTHS, ADJUSTMENTS
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS
from telecom_assets.model.months import month_days
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.periods.states import APPROVED, CLOSED, CLOSING, DRAFTED, Change, Periods, State
from telecom_assets.rating.month_rules import impute
from telecom_assets.rating.rules import ReferenceData, price_list, rate
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.reference.tables import CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.stages.chain import contract_table, rows_of

JUNE, JULY, AUGUST = "2026-06", "2026-07", "2026-08"
_TO_CLOSED: Sequence[State] = (DRAFTED, APPROVED, CLOSING, CLOSED)


@dataclass
class Books:
    """The tables of a warehouse around a closed month, written as the stages write them."""

    warehouse: Warehouse
    events: dict[str, Row] = field(default_factory=dict)

    def refer(self, customers: Sequence[Row] = cdrs.CUSTOMERS, rate_plans: Sequence[Row] = cdrs.RATE_PLANS) -> None:
        """Store reference data."""
        for contract, rows in ((CUSTOMERS, customers), (RATE_PLANS, rate_plans), (PRODUCT_CATALOG, cdrs.CATALOGUE)):
            self.warehouse.overwrite_arrow(contract.name, contract_table(contract, rows))

    def mediate(self, events: Iterable[Row] = (), gone: Iterable[str] = ()) -> None:
        """Take events in, and let records go: their days are mediated again."""
        days = {row["event_date"] for row in (*events, *(self.events[name] for name in gone))}
        self.events |= {str(row["record_id"]): row for row in events}
        for name in gone:
            del self.events[name]
        for day in sorted(days):
            rows = [row for row in self.events.values() if row["event_date"] == day]
            self._store(CLEANED_CDRS, rows, day)
            mediated = {
                "raw_rows": len(rows),
                "raw_positions": sum(int(str(row["source_position"])) for row in rows),
                "raw_version": 1,
                "cleaned_version": self.warehouse.version(CLEANED_CDRS.name),
                "rejected_version": 1,
                "product_catalog_version": 1,
                "dedupe_days": 31,
                "event_date": day,
            }
            self._store(MEDIATED_DAYS, [mediated], day)

    def close(self, month: str = JUNE, closed_with: ClosedWith | None = None) -> None:
        """Rate the month, and close it."""
        self._rate(month)
        self.close_empty(month, closed_with)

    def close_empty(self, month: str, closed_with: ClosedWith | None) -> None:
        """Close the month without rating it: none of its usage is settled."""
        text = closed_with.as_json() if closed_with else None
        for state in _TO_CLOSED:
            change_state(self.warehouse, partial(_changed, month, state, text))

    def _rate(self, month: str) -> None:
        cleaned = self.warehouse.pin_period(CLEANED_CDRS.name, month).df
        customers, rate_plans, catalogue = (
            self.warehouse.pin(contract.name).all() for contract in (CUSTOMERS, RATE_PLANS, PRODUCT_CATALOG)
        )
        versions = {"customers": 1, "rate_plans": 1, "product_catalog": 1}
        ratings = rate(
            cleaned, ReferenceData(customers, rate_plans, catalogue, versions), missing_volume="customer_min"
        )
        charged = impute(ratings.rated, ratings.suspended, price_list(rate_plans, catalogue))
        days = Partitions(month_days(month)[0], month_days(month)[-1])
        self.warehouse.overwrite(RATED_CDRS.name, ratings.rated, days)
        self.warehouse.overwrite(SUSPENDED_CDRS.name, ratings.suspended, days)
        self.warehouse.overwrite(PERIOD_CHARGES.name, charged, Partitions(month, month))

    def adjust(self, period: str = JULY) -> list[Row]:
        """Make the adjustments of a period, as its billing does; returns its rows in the order of records and sides."""
        looked = list(look_back(self.warehouse, period, 12))
        with notebook(self.warehouse, ADJUSTMENTS.name) as keep:
            rated = [each for each in looked if not each.affected.is_empty]
            made = [row for each in rated for row in rows_of(each.month.adjustments(each.affected, keep=keep))]
        self.replace_adjustments(made, period)
        noted = pa.Table.from_pylist([each.as_row() for each in looked], schema=ADJUSTED_MONTHS.arrow_schema())
        self.warehouse.overwrite_arrow(ADJUSTED_MONTHS.name, noted, Partitions(period, period))
        return sorted(made, key=lambda row: (row["original_period"], row["record_id"], row["side"]))

    def replace_adjustments(self, rows: Sequence[Row], period: str = JULY) -> None:
        """Store rows of a period in place of those that are there."""
        self._store(ADJUSTMENTS, rows, period)

    def look(self, period: str = JULY) -> LookBack:
        """How a period looks back at June."""
        [found] = [each for each in look_back(self.warehouse, period, 12) if each.month.original_period == JUNE]
        return found

    def _store(self, contract: TableContract, rows: Sequence[Row], partition: dt.date | str) -> None:
        table = contract_table(self.warehouse.contracts[contract.name], rows)
        self.warehouse.overwrite_arrow(contract.name, table, Partitions(partition, partition))


def _changed(month: str, state: State, closed_with: str | None, _: Periods) -> Change:
    return changed_now(month, state, closed_with=closed_with)


def inputs_closed_with(books: Books, month: str = JUNE) -> ClosedWith:
    """What a month is closed with now."""
    return ClosedWith(
        "MAD", Decimal(5), Decimal(20), "S", None, 30, "customer_min", 31, inputs_of(books.warehouse, month)
    )
