"""Earlier runs of a request, read from the Dagster instance.

Belongs here: translating Dagster's run records into the values that `tries` decides by. Does not belong here: the decision.
"""

import datetime as dt

import dagster as dg

from telecom_assets.lineage.failures import why_failed
from telecom_assets.model.calendar import ZONE
from telecom_assets.model.run_tags import RUN_KEY_TAG
from telecom_assets.runs.abandoned_runs import NOT_FINISHED_STATUSES
from telecom_assets.runs.sensors.tries import REQUEST_TAG, TRY_TAG, Outcome, Try, Wait, said


def last_try(instance: dg.DagsterInstance, request: str) -> Try | None:
    """The newest run of a request."""
    records = instance.get_run_records(dg.RunsFilter(tags={REQUEST_TAG: request}), limit=1)
    return as_try(records[0]) if records else None


def as_try(record: dg.RunRecord) -> Try:
    """A run as a try of its request. A cancelled run counts as failed."""
    run = record.dagster_run
    outcome, ended = Outcome.AT_WORK, None
    if run.is_finished:
        outcome = Outcome.WENT_WELL if run.is_success else Outcome.FAILED
        # A run that was never started has no end time.
        ended = dt.datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), dt.UTC)
    number = run.tags.get(TRY_TAG, "1")
    return Try(run.run_id, int(number), run.tags.get(RUN_KEY_TAG, ""), outcome, ended)


def why_it_waits(instance: dg.DagsterInstance, what: str, wait: Wait) -> str:
    """Why a request waits, in words, with the error of its last try; times are local."""
    why = why_failed(instance, wait.last.run_id) if wait.last.outcome is Outcome.FAILED else ""
    return said(what, wait, why, ZONE)


def is_active(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run of a job is going on or queued, whoever started it."""
    active = dg.RunsFilter(job_name=job, statuses=NOT_FINISHED_STATUSES)
    return bool(instance.get_run_records(active, limit=1))
