"""Holders whose bills of a period are not what its lines come to, for ever: a close as it stood has listed them.

Belongs here: who they are, and how identities leave them aside. Does not belong here: listing them (`telecom_assets.closing`). That
their bills are still those of the close is asked by the period's digest, as of all its rows.
"""

from resources.warehouse import Warehouse
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import CLOSED

Holders = tuple[tuple[str, int], ...]
#: For a month that was not closed as it stood. It is no argument's default: `lru_cache` takes a call that leaves an argument out for
#: another one than a call that passes the default, and the engine would be asked twice.
NO_HOLDERS: Holders = ()


def left_aside(warehouse: Warehouse, period: str) -> Holders:
    """The holders (customer_id, holder_no) that the close of a period (yyyy-MM) has listed; none while it is not closed."""
    last = read_periods(warehouse).last(period)
    kept = last.closed_with if last is not None and last.state == CLOSED else None
    return ClosedWith.read(kept).not_corrected if kept else ()


def without_them(identity: str, aside: Holders) -> str:
    """What an identity says where it leaves holders aside."""
    return f"{identity}; {len(aside):,} holders that the close has listed are left aside" if aside else identity
