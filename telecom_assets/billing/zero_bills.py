"""Bills on which nothing but 0 stands, and how many of them a close has skipped.

A line of 0.00 whose exact amount is not 0 counts as something: a later correction of it names the document that it was on.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import Warehouse
from telecom_assets.billing.tables import BILL, BILL_LINES, FACTURATION_COMPLETE, HOLDER
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import read_periods

SKIP = "skip"


def zero_bills(bills: DataFrame, lines: DataFrame) -> DataFrame:
    """The rows of FACTURATION_COMPLETE whose amount due is 0 and that have no line with an amount, exact or rounded.

    lines: those of bill_lines of the same period.
    """
    charged = (F.col("amount") != 0) | (F.col("exact_amount") != 0)
    with_lines = lines.where((F.col("document") == BILL) & charged).select(*HOLDER).distinct()
    return bills.where(F.col("amount_due") == 0).join(with_lines, on=list(HOLDER), how="left_anti")


def skipped_bills(warehouse: Warehouse, month: str) -> int:
    """How many bills of a closed month have no document and no number, since it was closed with TELECOM_ZERO_BILLS=skip."""
    periods = read_periods(warehouse)
    last = periods.last(month)
    if month not in periods.closed or last is None or last.way != "bills" or last.closed_with is None:
        return 0
    if ClosedWith.read(last.closed_with).zero_bills != SKIP:
        return 0
    bills, lines = (warehouse.pin_period(each.name, month).df for each in (FACTURATION_COMPLETE, BILL_LINES))
    return zero_bills(bills, lines).count()
