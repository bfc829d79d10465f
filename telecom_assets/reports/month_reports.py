"""Reports of a month from the tables as they are pinned.

Belongs here: computing a report once a process, and the currency of its file. The rules are in `telecom_assets.reports.rules`.
"""

from functools import lru_cache

import pyarrow as pa

from resources.warehouse import PinnedTable
from telecom_assets.rating.charges import Charges
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reports.rules import report
from telecom_assets.reports.tables import REPORTS

_BY_NAME = {contract.name: contract for contract in REPORTS}


@lru_cache(maxsize=32)
def month_report(name: str, charges: Charges, bills: PinnedTable, record_types: RecordTypes = RECORD_TYPES) -> pa.Table:
    """The rows that a report must have. Kept by the process, since versions do not change: the check of a report reuses them.

    charges, bills: the charges and facturation_complete, pinned to one month.
    """
    assert bills.partitions is not None
    return report(_BY_NAME[name], charges.df, bills.df, bills.partitions.first, record_types).toArrow()


def currency_of(bills: PinnedTable, default: str) -> str:
    """The currency of a month's bills, which is that of its reports; the default for a month without bills.

    bills: facturation_complete, pinned to the month.
    """
    first = next((batch for batch in bills.batches() if batch.num_rows), None)
    return default if first is None else str(first["currency"][0].as_py())
