"""What a newer version of a reference table changes for the days that read an earlier one.

Belongs here: the question for a day or a month, on pinned versions. Does not belong here: when a row is in force (`as_of`), what
is made again because of it (`telecom_assets.runs`).
"""

from collections.abc import Sequence
from functools import lru_cache

import pyarrow as pa

from resources.warehouse import PinnedTable, WarehouseError
from telecom_assets.model.stretches import EVERY_DAY, Stretch
from telecom_assets.reference.as_of import differing_days, has_dates
from telecom_assets.reference.history import with_ends
from telecom_assets.reference.tables import CUSTOMERS

#: What mediation asks of the catalogue: whether it has a product, on any day, and of which service.
_KNOWN_PRODUCT = ["product_code", "service_type"]


@lru_cache(maxsize=64)
def days_that_differ(then: PinnedTable, now: PinnedTable) -> Sequence[Stretch]:
    """The days on which the rows in force differ between two versions of a reference table.

    Every day where the table has no dates, and where the earlier version cannot be read: it is older than the dates are.
    """
    if then == now:
        return ()
    if not has_dates(now.contract):
        return (EVERY_DAY,)
    try:
        return tuple(differing_days(*(as_asked(table) for table in (then, now))))
    except WarehouseError:
        return (EVERY_DAY,)


def as_asked(table: PinnedTable) -> pa.Table:
    """The rows of a version as whoever reads it asks for them: of customers that they have ended, too."""
    rows = table.arrow()
    return with_ends(rows) if table.name == CUSTOMERS.name else rows


@lru_cache(maxsize=64)
def known_products_differ(then: PinnedTable, now: PinnedTable) -> bool:
    """Whether two versions of the catalogue know other products, or know them under another service."""
    try:
        known = [
            set(map(tuple, (row.values() for row in each.arrow().select(_KNOWN_PRODUCT).to_pylist())))
            for each in (then, now)
        ]
    except WarehouseError:
        return True
    return known[0] != known[1]
