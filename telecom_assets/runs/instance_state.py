"""What is stored with the Dagster instance besides runs and events: records of steps that went well, of an outage of Kafka.

An earlier version kept the months that were opened by name here too. The warehouse has them now, so that two homes agree;
`telecom warehouse upgrade` brings them there, and reads them here alone.
"""

import datetime as dt
import json
from typing import Any

import dagster as dg

from telecom_assets.lineage.partitions import all_months

_STEPS = "telecom_assets/went_well"
_OUTAGE = "telecom_assets/kafka_outage"
_MONTHS = "telecom_assets/accept_months"


def step_record(instance: dg.DagsterInstance, step: str) -> Any | None:
    """What a step left when it last went well (`telecom_assets.runs.up_to_date`), or None."""
    key = f"{_STEPS}/{step}"
    stored = instance.daemon_cursor_storage.get_cursor_values({key}).get(key)
    return json.loads(stored) if stored else None


def keep_step_record(instance: dg.DagsterInstance, step: str, record: Any | None) -> None:
    """Keep the record of a step in place of the one before; None forgets it."""
    instance.daemon_cursor_storage.set_cursor_values({f"{_STEPS}/{step}": json.dumps(record)})


def outage_record(instance: dg.DagsterInstance) -> Any | None:
    """What is known of an outage of Kafka that goes on (`telecom_assets.runs.sensors.outages`), or None."""
    stored = instance.daemon_cursor_storage.get_cursor_values({_OUTAGE}).get(_OUTAGE)
    return json.loads(stored) if stored else None


def keep_outage_record(instance: dg.DagsterInstance, record: Any | None) -> None:
    """Keep what is known of an outage, in place of what was known before; None: there is none."""
    instance.daemon_cursor_storage.set_cursor_values({_OUTAGE: json.dumps(record)})


def formerly_opened_months(instance: dg.DagsterInstance, start: dt.date) -> list[str]:
    """The months, yyyy-MM, that an earlier version has opened by name in this home, whose partitions begin at `start`."""
    keys = {f"{_MONTHS}/{month}": month for month in all_months(start)}
    stored = instance.daemon_cursor_storage.get_cursor_values({_MONTHS, *keys})
    # Before a month had a key of its own, all were one list.
    return sorted({*json.loads(stored.get(_MONTHS) or "[]"), *(keys[each] for each in keys if stored.get(each))})
