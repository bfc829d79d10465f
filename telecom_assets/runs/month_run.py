"""The order of a month: which jobs, over which partitions, one after the other.

One Dagster run cannot hold daily and monthly assets, so a month is a sequence of runs. `telecom run` and the month-end
schedule follow the same sequence; both use the jobs that the UI shows.

Belongs here: the sequence, and what a step needs to be requested. Does not belong here: executing it.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from telecom_assets.lineage.partitions import last_day
from telecom_assets.model.months import contiguous, month_days, shown_days

REFERENCES = "reference_job"
LANDING = "landing_job"
MEDIATION = "mediation_job"
RATING = "rating_job"
BILLING = "billing_job"

#: Run tag for people: the days of a range run. A list of runs shows it; Dagster's own two tags of a range it does not.
DAYS_TAG = "days"


@dataclass(frozen=True)
class Step:
    """One run: a job, and the partitions as Dagster run tags (none for unpartitioned jobs)."""

    job: str
    tags: Mapping[str, str] = field(default_factory=dict)
    label: str = ""


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


def before_mediation() -> list[Step]:
    """What does not depend on the days: reference data, then everything that is on the topic."""
    return [Step(REFERENCES), Step(LANDING)]


def day_steps(job: str, days: Sequence[dt.date]) -> list[Step]:
    """A daily job over some days: one run for each contiguous range."""
    return [day_range(job, first, last) for first, last in contiguous(days)]


def after_mediation(month: str) -> list[Step]:
    """The days of the month rated, then bills and reports."""
    return [*day_steps(RATING, existing_days(month)), one_month(BILLING, month)]


def scheduled_steps(month: str) -> list[Step]:
    """The whole month for the month-end schedule: every day of it is mediated, whether it needs it or not."""
    return [*before_mediation(), *day_steps(MEDIATION, existing_days(month)), *after_mediation(month)]


def existing_days(month: str) -> list[dt.date]:
    """The days of a month that DAILY holds already."""
    return [day for day in month_days(month) if day <= last_day()]
