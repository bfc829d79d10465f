"""State of the project that is stored with the Dagster instance, beside runs and events: the record of an outage of Kafka.

An earlier version stored the months that were opened by name here too. They are stored in the warehouse now, so that two homes
agree; `telecom warehouse upgrade` moves them, and nothing else reads them here.
"""

import datetime as dt
import json
from typing import Any

import dagster as dg

from telecom_assets.model.calendar import all_months

_OUTAGE = "telecom_assets/kafka_outage"
_MONTHS = "telecom_assets/accept_months"


def outage_record(instance: dg.DagsterInstance) -> Any | None:
    """The record of an outage of Kafka that is not over (`telecom_assets.runs.sensors.outages`), or None."""
    stored = instance.daemon_cursor_storage.get_cursor_values({_OUTAGE}).get(_OUTAGE)
    return json.loads(stored) if stored else None


def keep_outage_record(instance: dg.DagsterInstance, record: Any | None) -> None:
    """Store the record of an outage in place of the one before; None deletes it: there is no outage."""
    instance.daemon_cursor_storage.set_cursor_values({_OUTAGE: json.dumps(record)})


def formerly_opened_months(instance: dg.DagsterInstance, start: dt.date) -> list[str]:
    """The months, yyyy-MM, that an earlier version has opened by name in this home, whose partitions begin at `start`."""
    keys = {f"{_MONTHS}/{month}": month for month in all_months(start)}
    stored = instance.daemon_cursor_storage.get_cursor_values({_MONTHS, *keys})
    # The oldest versions stored all months in one list, later ones stored each under a key of its own.
    return sorted({*json.loads(stored.get(_MONTHS) or "[]"), *(keys[each] for each in keys if stored.get(each))})
