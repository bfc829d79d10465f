"""What is stored with the Dagster instance besides runs and events: months that were opened by name, records of steps.

A month is opened before archives of it are sent or landed; its CDRs are then at home on their own event days, however
old they are. The instance keeps the list, so that every process that lands reads the same one.
"""

import json
from typing import Any

import dagster as dg

from telecom_assets.partitions import all_months

_MONTHS = "telecom_assets/accept_months"
_STEPS = "telecom_assets/went_well"


def accepted_months(instance: dg.DagsterInstance) -> list[str]:
    """The opened months, yyyy-MM, in order."""
    possible = all_months()
    stored = instance.daemon_cursor_storage.get_cursor_values({_MONTHS, *map(_month_key, possible)})
    # Before a month had a key of its own, all were one list.
    listed = json.loads(stored.get(_MONTHS) or "[]")
    return sorted({*listed, *(month for month in possible if stored.get(_month_key(month)))})


def accept_month(instance: dg.DagsterInstance, month: str) -> None:
    """Open a month. Doing it twice changes nothing; several processes may open several."""
    instance.daemon_cursor_storage.set_cursor_values({_month_key(month): json.dumps(True)})


def _month_key(month: str) -> str:
    return f"{_MONTHS}/{month}"


def step_record(instance: dg.DagsterInstance, step: str) -> Any | None:
    """What a step left when it last went well (`telecom_assets.up_to_date`), or None."""
    key = f"{_STEPS}/{step}"
    stored = instance.daemon_cursor_storage.get_cursor_values({key}).get(key)
    return json.loads(stored) if stored else None


def keep_step_record(instance: dg.DagsterInstance, step: str, record: Any | None) -> None:
    """Keep the record of a step in place of the one before; None forgets it."""
    instance.daemon_cursor_storage.set_cursor_values({f"{_STEPS}/{step}": json.dumps(record)})
