"""The charges of a month: the events that its days have priced, and those that only the month could price.

Belongs here: adding up both, once for bills, reports, checks and pages.
"""

from dataclasses import dataclass
from decimal import Decimal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import PinnedTable, Warehouse, sum_exactly
from telecom_assets.books.totals import totals_of
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS


@dataclass(frozen=True)
class Charges:
    """rated_cdrs and period_charges of a month, each at one version."""

    rated: PinnedTable
    imputed: PinnedTable

    @property
    def df(self) -> DataFrame:
        """One row per event that is charged, with the columns of rated_cdrs."""
        columns = RATED_CDRS.column_names
        if not sum(self.imputed.rows_by_partition().values()):
            return self.rated.df.select(columns)
        charged = self.imputed.df.where(F.col("amount").isNotNull())
        return self.rated.df.select(columns).unionByName(charged.select(columns))

    def total(self) -> Decimal:
        """The exact sum of all amounts, before discount and tax."""
        of_both = (total for table in (self.rated, self.imputed) for total in totals_of(table))
        return sum_exactly(total.money or Decimal(0) for total in of_both)


def charges_of_month(warehouse: Warehouse, period: str) -> Charges:
    """The charges of a month (yyyy-MM) as they are now."""
    return Charges(*(warehouse.pin_period(contract.name, period) for contract in (RATED_CDRS, PERIOD_CHARGES)))
