"""What is stored with the Dagster instance besides runs and events: the months that were opened by name.

A month is opened before archives of it are sent or landed; its CDRs are then at home on their own event days, however
old they are. The instance keeps the list, so that every process that lands reads the same one.
"""

import json

import dagster as dg

_KEY = "telecom_assets/accept_months"


def accepted_months(instance: dg.DagsterInstance) -> list[str]:
    """The opened months, yyyy-MM, in order."""
    stored = instance.daemon_cursor_storage.get_cursor_values({_KEY}).get(_KEY)
    return sorted(json.loads(stored)) if stored else []


def accept_month(instance: dg.DagsterInstance, month: str) -> None:
    """Open a month. Doing it twice changes nothing."""
    months = {*accepted_months(instance), month}
    instance.daemon_cursor_storage.set_cursor_values({_KEY: json.dumps(sorted(months))})
