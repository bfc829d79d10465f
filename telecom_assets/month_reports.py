"""Reports of a month from the tables as they are pinned.

Belongs here: that a report is worked out once. The rules are in `telecom_assets.transforms.reports`.
"""

from functools import lru_cache

import pyarrow as pa

from resources.delta import PinnedTable
from telecom_assets.schemas import TABLES
from telecom_assets.transforms.reports import report


@lru_cache(maxsize=32)
def month_report(name: str, rated: PinnedTable, bills: PinnedTable) -> pa.Table:
    """The rows that a report is to hold. A version does not change: a process that has made them checks with the same.

    rated, bills: rated_cdrs and facturation_complete, pinned to one month.
    """
    assert bills.partitions is not None
    return report(TABLES[name], rated.df, bills.df, bills.partitions.first).toArrow()
