"""What a period corrects of closed ones, in the warehouse: the rows, people's lines, and the lines of the closed periods.

Belongs here: which tables and partitions these are, so that a month costs nothing more while no period is closed. Does not belong here:
the rules (`adjustment_lines`, `placing`, `write_off`), noting what a person adds (`manual`).
"""

from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import Partitions, PinnedTable, Warehouse
from telecom_assets.billing.adjustment_lines import adjustment_lines
from telecom_assets.billing.manual_rows import as_lines
from telecom_assets.billing.placing import Placing, placed
from telecom_assets.billing.tables import BILL_LINES, MANUAL_LINES
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.billing.write_off import disposed
from telecom_assets.corrections.tables import ADJUSTMENTS, WRITTEN_OFF
from telecom_assets.periods.journal import read_periods


def closed_lines(warehouse: Warehouse, period: str) -> PinnedTable | None:
    """bill_lines of the closed periods before one (yyyy-MM); None where there is none, and so nothing to correct."""
    closed = [month for month in read_periods(warehouse).closed if month < period]
    return warehouse.pin(BILL_LINES.name, Partitions(closed[0], closed[-1])) if closed else None


def history_of(lines: PinnedTable) -> DataFrame | None:
    """The rows of `closed_lines` before the month of some bill_lines; None where nothing was closed before it."""
    assert lines.partitions is not None
    before = closed_lines(lines.warehouse, str(lines.partitions.first))
    return None if before is None else before.df


def make_tables(warehouse: Warehouse) -> None:
    """Make the tables of corrections that are missing, empty, so that a commit can name the versions that it was made from."""
    warehouse.make_tables(name for name in (ADJUSTMENTS.name, MANUAL_LINES.name) if not warehouse.exists(name))


@dataclass(frozen=True)
class Corrections:
    """What the bills of a period hold besides its usage. history: bill_lines of the closed periods; None: nothing is closed."""

    period: str
    rows: PinnedTable
    manual: PinnedTable
    history: PinnedTable | None

    @classmethod
    def pin(cls, warehouse: Warehouse, period: str) -> "Corrections":
        """Those of a period as they are now."""
        rows, manual = (warehouse.pin_period(contract.name, period) for contract in (ADJUSTMENTS, MANUAL_LINES))
        return cls(period, rows, manual, closed_lines(warehouse, period))

    @property
    def read(self) -> tuple[PinnedTable, ...]:
        """The tables that count as read."""
        return self.rows, self.manual

    def lines(self, usage: DataFrame, customers: DataFrame, terms: BillingTerms, how: Placing) -> DataFrame:
        """All lines of the period, rows of bill_lines. usage: its usage lines. customers: rows of CUSTOMERS."""
        if self.history is None:
            return usage
        by_hand = self.manual.arrow()
        own = usage if not by_hand.num_rows else usage.unionByName(_frame(usage, as_lines(by_hand, terms.scale)))
        history = self.history.df
        # Kept: placing looks at them several times, and an engine would work them out each time.
        corrects = self.rows.warehouse.engine.keep(adjustment_lines(self.rows.df, history, self.period, terms.scale))
        return placed(own, corrects, history, customers, self.period, terms.scale, how)


def dispose(warehouse: Warehouse, rows: DataFrame, period: str, threshold: Decimal, scale: int) -> DataFrame:
    """Rows of adjustments of a period with those written off that are too little (`disposed`).

    rows: with the dispositions that they have otherwise. threshold: TELECOM_ADJUSTMENT_THRESHOLD.
    """
    periods = read_periods(warehouse).closed
    history = closed_lines(warehouse, period)
    settled = warehouse.pin(ADJUSTMENTS.name)
    closed = [month for month in periods if month in settled.rows_by_partition()]
    if history is None or (not threshold and not closed):
        return rows
    written_off = settled.all().where(
        F.col("billing_period").isin(*closed) & (F.col("disposition") == WRITTEN_OFF) if closed else F.lit(False)
    )
    return disposed(rows, written_off, history.df, period, threshold, scale, warehouse.engine.keep)


def _frame(like: DataFrame, rows: pa.Table) -> DataFrame:
    return like.sparkSession.createDataFrame(rows)
