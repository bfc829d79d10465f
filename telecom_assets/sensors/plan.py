"""What the Kafka sensor asks for: a pure function of what is on the topic and what the tables hold.

Belongs here: requests and their run keys. A run key is made of offsets or of the version that was looked at, so that a
tick that is played again asks for nothing twice.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from resources.kafka import TopicState
from telecom_assets.landing.plan import lag
from telecom_assets.month_run import LANDING, MEDIATION, Step, day_steps


@dataclass(frozen=True)
class Request:
    """A step to run, once per key."""

    step: Step
    run_key: str


def landing_request(state: TopicState, ends: Mapping[int, int], *, unrecorded: bool) -> Request | None:
    """A landing run when there is something to land, or rows that the ledger does not know."""
    behind = {partition: count for partition, count in lag(state, ends).items() if count > 0}
    if not behind and not unrecorded:
        return None
    upto = ",".join(f"{partition}:{marks.latest}" for partition, marks in sorted(state.partitions.items()))
    since = ",".join(f"{partition}:{end}" for partition, end in sorted(ends.items()))
    return Request(Step(LANDING), f"landing/{state.topic_id}/{since}/{upto}")


def mediation_requests(
    days: Collection[dt.date], rows: Mapping[dt.date, int], versions: Mapping[dt.date, int] | None = None
) -> list[Request]:
    """A mediation run for each contiguous range of days.

    The key tells the rows that were seen, and the newest version that asks for it: a day that is to be mediated again has
    the same rows, and another version.
    """
    requests = []
    for step in day_steps(MEDIATION, sorted(days)):
        first, last = (
            dt.date.fromisoformat(step.tags[end])
            for end in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
        )
        seen = sum(count for day, count in rows.items() if first <= day <= last)
        known = [version for day, version in (versions or {}).items() if first <= day <= last]
        requests.append(Request(step, f"mediation/{first}/{last}/{seen}/{max(known, default=0)}"))
    return requests
