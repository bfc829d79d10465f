"""A step of a month as a run of Dagster: its job, and its days or its month as run tags.

One Dagster run cannot hold daily and monthly assets, so a month is a sequence of runs; `telecom run` and the month-end
schedule make the steps of one plan (`telecom_assets.runs.plan`), with the jobs that the UI shows.

Belongs here: job and tags of a step. Does not belong here: which steps a month has, and executing them.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from telecom_assets.model.calendar import last_day
from telecom_assets.model.months import month_days, shown_days
from telecom_assets.model.run_tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from telecom_assets.runs.plan import Facts, Planned, plan

#: Run tag for people: the days of a range run. The list of runs shows it, but not Dagster's own two tags of a range.
DAYS_TAG = "days"


@dataclass(frozen=True)
class Step:
    """One run: a job, and the partitions as Dagster run tags (none for unpartitioned jobs)."""

    job: str
    tags: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    #: Configuration of its run, as Dagster takes it.
    config: Mapping[str, Any] = field(default_factory=dict)


def day_range(job: str, first: dt.date, last: dt.date) -> Step:
    """One run over a contiguous range of days."""
    tags = {
        ASSET_PARTITION_RANGE_START_TAG: first.isoformat(),
        ASSET_PARTITION_RANGE_END_TAG: last.isoformat(),
        DAYS_TAG: shown_days(first, last),
    }
    return Step(job, tags, f"{first}" if first == last else f"{first} to {last}")


def one_month(job: str, month: str) -> Step:
    return Step(job, {PARTITION_NAME_TAG: month}, month)


def requested(planned: Planned) -> Step:
    """A planned step as a run."""
    if planned.days is not None:
        return day_range(planned.stage.job, *planned.days)
    return Step(planned.stage.job) if planned.month is None else one_month(planned.stage.job, planned.month)


def scheduled_steps(month: str) -> list[Step]:
    """All steps of a month for the month-end schedule, whether they have something to do or not."""
    return [requested(planned) for planned in plan(month, Facts(existing_days(month), everything=True))]


def existing_days(month: str) -> list[dt.date]:
    """The days of a month that DAILY holds already."""
    return [day for day in month_days(month) if day <= last_day()]
