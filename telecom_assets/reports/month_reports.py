"""Reports of a month from the tables as they are pinned.

Belongs here: computing a report once a process, and the currency of its file. The rules are in `telecom_assets.reports.rules`.
"""

from functools import lru_cache

import pyarrow as pa

from resources.warehouse import PinnedTable
from telecom_assets.billing.corrections import history_of
from telecom_assets.rating.charges import Charges
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reports.rules import BilledMonth, report


@lru_cache(maxsize=32)
def month_report(
    name: str, charges: Charges, lines: PinnedTable, bills: PinnedTable, record_types: RecordTypes = RECORD_TYPES
) -> pa.Table:
    """The rows that a report must have. Kept by the process, since versions do not change: the check of a report reuses them.

    charges, lines, bills: the charges, bill_lines and facturation_complete, pinned to one month.
    """
    assert bills.partitions is not None
    contract, scale = bills.warehouse.contracts[name], bills.contract.column("amount_due").arrow_type.scale
    month = BilledMonth(charges.df, lines.df, bills.df, scale, record_types, history_of(lines))
    return report(contract, month, bills.partitions.first).toArrow()


def currency_of(bills: PinnedTable, default: str) -> str:
    """The currency of a month's bills, which is that of its reports; the default for a month without bills.

    bills: facturation_complete, pinned to the month.
    """
    first = next((batch for batch in bills.batches() if batch.num_rows), None)
    return default if first is None else str(first["currency"][0].as_py())
