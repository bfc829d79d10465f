"""The bills of a month as one CSV file. Belongs here: which rows, in which order. Does not belong here: the format (`csv_files`)."""

from pathlib import Path

from resources.warehouse import PinnedTable, stream_batches
from telecom_assets.billing.tables import HOLDER
from telecom_assets.reports.csv_files import write_csv_rows


def write_bills(bills: PinnedTable, path: Path, *, bom: bool) -> int:
    """Write facturation_complete of a month, ordered by holder; returns the number of bills. bills: pinned to the month."""
    return write_csv_rows(bills.contract.arrow_schema(), stream_batches(bills.df.orderBy(*HOLDER)), path, bom=bom)
