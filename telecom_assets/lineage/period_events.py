"""What people decide about a billing period, as the UI shows it: who, when, why, and which documents a close made.

Belongs here: the events. Does not belong here: the asset (`telecom_assets.closing.assets`), the states (`telecom_assets.periods`).
"""

import dagster as dg

from resources.io_manager import totals_metadata
from resources.warehouse import PinnedTable
from telecom_assets.lineage.declaring import versions_read
from telecom_assets.periods.states import Change
from telecom_assets.periods.tables import BILLING_PERIODS


def state_event(change: Change) -> dg.AssetMaterialization:
    """The event of a change: a materialisation of the month, whose newest metadata say its state."""
    said = {
        "state": change.state,
        "changed_at": f"{change.changed_at:%Y-%m-%d %H:%M:%S} UTC",
        "changed_by": change.changed_by,
        "system_user": change.system_user,
        "why": change.why,
        "way": change.way,
        "issue_date": change.issue_date.isoformat() if change.issue_date is not None else None,
    }
    return dg.AssetMaterialization(
        BILLING_PERIODS.name,
        partition=change.billing_period,
        metadata={name: value for name, value in said.items() if value is not None},
    )


def documents_event(table: PinnedTable, month: str) -> dg.AssetMaterialization:
    """The event of the documents that the close of a month made. table: documents, pinned to the month."""
    return dg.AssetMaterialization(
        table.name,
        partition=month,
        metadata={
            "dagster/row_count": sum(table.rows_by_partition().values()),
            **totals_metadata(table.totals()),
            **versions_read(table),
        },
    )
