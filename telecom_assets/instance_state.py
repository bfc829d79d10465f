"""What is stored with the Dagster instance besides runs and events: records of steps that went well."""

import json
from typing import Any

import dagster as dg

_STEPS = "telecom_assets/went_well"


def step_record(instance: dg.DagsterInstance, step: str) -> Any | None:
    """What a step left when it last went well (`telecom_assets.up_to_date`), or None."""
    key = f"{_STEPS}/{step}"
    stored = instance.daemon_cursor_storage.get_cursor_values({key}).get(key)
    return json.loads(stored) if stored else None


def keep_step_record(instance: dg.DagsterInstance, step: str, record: Any | None) -> None:
    """Keep the record of a step in place of the one before; None forgets it."""
    instance.daemon_cursor_storage.set_cursor_values({f"{_STEPS}/{step}": json.dumps(record)})
