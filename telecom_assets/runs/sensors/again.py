"""Runs that failed are made again, with growing pauses: steps of a month, rating after mediation, what the night does.

Belongs here: which failed runs are made again, and as which runs. Does not belong here: landing and mediation, which the Kafka
sensor asks for by the state of the tables (`kafka`); the pauses (`tries`).

Other triggers cannot do this. The automation condition of rating asks for a day once, when its mediation is new, and not again
when that run fails. `month_run_sensor` is called once for each run, and only for runs that succeeded.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from resources.warehouse import Warehouse
from telecom_assets.home.deployment import Clock
from telecom_assets.model.run_tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from telecom_assets.periods.journal import read_periods
from telecom_assets.rating.tables import RATED_CDRS
from telecom_assets.runs.jobs import JOBS, customers_job, maintenance_job
from telecom_assets.runs.month_run import Step, day_range
from telecom_assets.runs.sensors.month_end import MONTH_RUN_STEP_TAG, MONTH_RUN_TAG, step_request
from telecom_assets.runs.sensors.runs import as_try, why_it_waits
from telecom_assets.runs.sensors.tries import AGAIN, REQUEST_TAG, Ask, Try, Wait, ask_or_wait
from telecom_assets.runs.stages import RATING

#: Failed runs that are older than this many days are not made again.
_DAYS = 7
_RUNS = 500
#: From this try on the whole month is made again: the fault may lie in an earlier step, or days have landed meanwhile.
_WHOLE_MONTH = 3
_RANGE = (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)


@dataclass(frozen=True)
class Failed:
    """A request whose newest run failed, and that run."""

    request: str
    run: dg.DagsterRun
    last: Try

    @property
    def is_rating(self) -> bool:
        """Whether the run is a rating that the automation condition started. Such a run belongs to no job of ours."""
        return self.request.startswith(f"{RATING.job}/")

    @property
    def days(self) -> tuple[dt.date, dt.date]:
        """First and last day of a rating run."""
        first, last = _rated_days(self.run)
        return dt.date.fromisoformat(first), dt.date.fromisoformat(last)

    @property
    def label(self) -> str:
        """The request in words."""
        tags = self.run.tags
        period = _step_of_days(*self.days).label if self.is_rating else tags.get(MONTH_RUN_TAG, "")
        return f"{(RATING.job if self.is_rating else self.run.job_name).removesuffix('_job')} {period}".strip()

    def again(self, ask: Ask) -> dg.RunRequest:
        """The run that makes the request again."""
        key, tags = ask.key(self.request), {**AGAIN, **ask.tags(self.request)}
        if (month := self.run.tags.get(MONTH_RUN_TAG)) is not None:
            number = 0 if ask.number >= _WHOLE_MONTH else int(self.run.tags[MONTH_RUN_STEP_TAG])
            step = step_request(month, number, key, ask.number)
            assert step is not None
            return dg.RunRequest(key, job_name=step.job_name, tags={**step.tags, **tags})
        step_tags = _step_of_days(*self.days).tags if self.is_rating else {}
        job = RATING.job if self.is_rating else self.run.job_name
        return dg.RunRequest(key, job_name=job, tags={**step_tags, **tags})


def failed_requests(newest_first: Iterable[dg.RunRecord]) -> list[Failed]:
    """The requests whose newest run failed, the oldest first. Cancelled runs are not made again."""
    newest: dict[str, dg.RunRecord] = {}
    for record in newest_first:
        newest.setdefault(_request(record.dagster_run), record)
    failed = [
        Failed(request, record.dagster_run, as_try(record))
        for request, record in newest.items()
        if record.dagster_run.status is dg.DagsterRunStatus.FAILURE
    ]
    return failed[::-1]


def _request(run: dg.DagsterRun) -> str:
    """The request of a run. For runs of the automation it is made of their days: their tags are the same for all."""
    return run.tags.get(REQUEST_TAG) or "/".join([RATING.job, *_rated_days(run)])


def _rated_days(run: dg.DagsterRun) -> tuple[str, str]:
    first, last = (run.tags.get(name, run.tags.get(PARTITION_NAME_TAG, "")) for name in _RANGE)
    return first, last


def _step_of_days(first: dt.date, last: dt.date) -> Step:
    return day_range(RATING.job, first, last)


def again_sensor(interval_seconds: int) -> dg.SensorDefinition:
    """The sensor, which looks every `interval_seconds` (a setting)."""

    @dg.sensor(
        name="failed_runs_again",
        jobs=[*JOBS, maintenance_job, customers_job],
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Makes failed runs again after 1, 2, 5, then every 10 minutes, until they go well: steps of a month that the "
            "schedule began, rating that followed mediation, the night's maintenance and reading of customers. A tick that waits says "
            "why. Runs that were started by hand, and runs that were cancelled, are left alone."
        ),
    )
    def make_again(
        context: dg.SensorEvaluationContext, warehouse: dg.ResourceParam[Warehouse], clock: dg.ResourceParam[Clock]
    ) -> dg.SensorResult:
        instance, now = context.instance, clock()
        since = dg.RunsFilter(tags=AGAIN, created_after=now - dt.timedelta(days=_DAYS))
        runs, waiting, periods = [], [], read_periods(warehouse)
        for failed in failed_requests(instance.get_run_records(since, limit=_RUNS)):
            if periods.is_frozen(failed.run.tags.get(MONTH_RUN_TAG, "")):
                continue  # it was approved since: no run makes its bills again
            if failed.is_rating and _rated_since(instance, failed):
                continue
            decision = ask_or_wait(failed.request, failed.last, now)
            if isinstance(decision, Wait):
                waiting.append(why_it_waits(instance, failed.label, decision))
            else:
                runs.append(failed.again(decision))
        if runs and waiting:
            context.log.warning("; ".join(waiting))
        skip = None if runs else dg.SkipReason("; ".join(waiting) or "no run waits to be made again")
        return dg.SensorResult(run_requests=runs, skip_reason=skip)

    return make_again


def _rated_since(instance: dg.DagsterInstance, failed: Failed) -> bool:
    """Whether all days of a failed rating were rated since, by any run."""
    log = instance.event_log_storage
    ended = instance.get_records_for_run(failed.last.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    first, last = failed.days
    days = {f"{first + dt.timedelta(number)}" for number in range((last - first).days + 1)}
    rated = log.get_latest_storage_id_by_partition(
        dg.AssetKey(RATED_CDRS.name), dg.DagsterEventType.ASSET_MATERIALIZATION, days
    )
    return bool(ended) and all(rated.get(day, 0) > ended[-1].storage_id for day in days)
