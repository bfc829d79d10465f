"""What the Kafka sensor asks for: a pure function of what is on the topic and what the tables hold.

Belongs here: requests, and how their run keys begin: with offsets, or the version that was looked at, so that a tick that is
played again asks for nothing twice. Does not belong here: when a request that failed is made again (`tries`).
"""

import datetime as dt
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from resources.kafka import TopicState
from telecom_assets.intake.plan import lag
from telecom_assets.model.run_tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from telecom_assets.runs.month_run import LANDING, MEDIATION, Step, day_steps


@dataclass(frozen=True)
class Request:
    """A step to run.

    `name` is the same for all tries of it, whatever arrives meanwhile: the pauses between them are counted by it. `run_key` is
    how the keys of its runs begin: what there is to do, exactly.
    """

    step: Step
    name: str
    run_key: str

    @property
    def label(self) -> str:
        """In words."""
        return f"{self.step.job.removesuffix('_job')} {self.step.label}".strip()


def landing_request(state: TopicState, ends: Mapping[int, int], *, unrecorded: bool) -> Request | None:
    """A landing run when there is something to land, or rows that the ledger does not know.

    It is another request when the position has moved: then the last one did something.
    """
    behind = {partition: count for partition, count in lag(state, ends).items() if count > 0}
    if not behind and not unrecorded:
        return None
    upto = ",".join(f"{partition}:{marks.latest}" for partition, marks in sorted(state.partitions.items()))
    since = ",".join(f"{partition}:{end}" for partition, end in sorted(ends.items()))
    # With many partitions a position is long, and a name is shown beside every run.
    position = hashlib.sha256(f"{state.topic_id} {since}".encode()).hexdigest()[:12]
    return Request(Step(LANDING), f"landing/{position}", f"landing/{state.topic_id}/{since}/{upto}")


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
        name = f"mediation/{first}/{last}"
        requests.append(Request(step, name, f"{name}/{seen}/{max(known, default=0)}"))
    return requests
