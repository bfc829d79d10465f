"""The requests of the Kafka sensor: a pure function of the topic's positions and the state of the tables.

Belongs here: the requests for the steps of the plan, and the beginning of their run keys: offsets, or the version that was
seen, so that a repeated tick requests nothing twice. Does not belong here: which steps there are
(`telecom_assets.runs.plan`), when a request that failed is made again (`tries`).
"""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from resources.kafka import TopicState
from telecom_assets.intake.plan import lag
from telecom_assets.mediation.stale_days import Stale
from telecom_assets.runs.month_run import Step, requested
from telecom_assets.runs.plan import Facts, Planned, plan


@dataclass(frozen=True)
class Seen:
    """The topic, the next position of each of its partitions, and whether rows have landed that the ledger does not know."""

    state: TopicState
    ends: Mapping[int, int]
    unrecorded: bool = False

    @property
    def why_land(self) -> str | None:
        """Why landing has something to do, or None."""
        waiting = sum(count for count in lag(self.state, self.ends).values() if count > 0)
        if waiting:
            return f"{waiting:,} messages wait on the topic"
        return "rows have landed that the ledger does not know" if self.unrecorded else None


@dataclass(frozen=True)
class Request:
    """A step to run.

    `name` is the same for all tries of the request, whatever arrives meanwhile: the pauses between tries are counted by it.
    `run_key` is the beginning of the keys of its runs, and says exactly what there is to do.
    """

    step: Step
    name: str
    run_key: str

    @property
    def label(self) -> str:
        """In words."""
        return f"{self.step.job.removesuffix('_job')} {self.step.label}".strip()


def requests(topic: Seen | None, stale: Mapping[dt.date, Stale], rows: Mapping[dt.date, int]) -> list[Request]:
    """A request for each step of the plan of what has arrived: landing, and mediation of stale days, whatever their month.

    topic: None where the topic is out of reach, or landing refuses. rows: number of rows of raw_cdrs, by day.
    """
    facts = Facts(
        landing=topic.why_land if topic is not None else None,
        stale={day: found.reason for day, found in stale.items()},
    )
    found = []
    for planned in plan(None, facts):
        if planned.days is not None:
            found.append(_mediation(planned, planned.days, stale, rows))
        elif topic is not None:
            found.append(_landing(planned, topic))
    return found


def _landing(planned: Planned, topic: Seen) -> Request:
    """The request to land. Once the position has moved it is another request, since the last one has done something."""
    state = topic.state
    upto = ",".join(f"{partition}:{marks.latest}" for partition, marks in sorted(state.partitions.items()))
    since = ",".join(f"{partition}:{end}" for partition, end in sorted(topic.ends.items()))
    # With many partitions a position is long, and a name is shown beside every run.
    position = hashlib.sha256(f"{state.topic_id} {since}".encode()).hexdigest()[:12]
    return Request(requested(planned), f"landing/{position}", f"landing/{state.topic_id}/{since}/{upto}")


def _mediation(
    planned: Planned, days: tuple[dt.date, dt.date], stale: Mapping[dt.date, Stale], rows: Mapping[dt.date, int]
) -> Request:
    """The request to mediate. Its key has the number of rows, and the newest version for which a day is stale: rows may be as many."""
    first, last = days
    seen = sum(count for day, count in rows.items() if first <= day <= last)
    newest = max((found.version for day, found in stale.items() if first <= day <= last), default=0)
    name = f"mediation/{first}/{last}"
    return Request(requested(planned), name, f"{name}/{seen}/{newest}")
