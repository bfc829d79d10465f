"""What people decide about re-rating closed months: to rate all of one again, and to accept what other rules make.

Belongs here: the append-only journal of it. Does not belong here: what follows (`looking_back`, `rules`), when it may be decided
(`rerating`).
"""

import datetime as dt
import getpass

import pyarrow as pa

from resources.warehouse import Decided, PinnedTable, Warehouse, append_decided
from telecom_assets.corrections.tables import ACCEPTED_DIFFERENCES, RERATE_DECISIONS


def decide(
    warehouse: Warehouse,
    period: str,
    original_period: str,
    decision: str,
    *,
    by: str | None = None,
    why: str | None = None,
) -> int:
    """Note a decision about a closed month for the bills of a period; returns its number."""

    def numbered(noted: PinnedTable) -> Decided[int]:
        number = len(noted.arrow()) + 1
        row = {
            "decision_no": number,
            "billing_period": period,
            "original_period": original_period,
            "decision": decision,
            "decided_at": dt.datetime.now(dt.UTC),
            "decided_by": by,
            "system_user": getpass.getuser(),
            "why": why,
        }
        return Decided(number, [row])

    return append_decided(warehouse, RERATE_DECISIONS.name, numbered)


def accept(warehouse: Warehouse, differences: pa.Table, decision_no: int) -> None:
    """Note the differences that a decision accepts. differences: rows of adjustments that await it."""
    names = [name for name in ACCEPTED_DIFFERENCES.column_names if name != "decision_no"]
    numbered = differences.select(names).append_column(
        "decision_no", pa.array([decision_no] * len(differences), pa.int32())
    )
    warehouse.append_arrow(ACCEPTED_DIFFERENCES.name, numbered)
