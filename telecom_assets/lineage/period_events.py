"""A change of a billing period's state, as the UI shows it on the page of billing_periods: who, when, why.

Belongs here: the event. Does not belong here: the asset (`telecom_assets.closing.assets`), the states (`telecom_assets.periods`).
"""

import dagster as dg

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
