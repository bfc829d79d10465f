"""The Kafka sensor: lag → landing; landed → mediation of the touched days, late days included."""

import hashlib

import dagster as dg
from dagster._core.storage.tags import MAX_RETRIES_TAG, RUN_KEY_TAG

from resources.kafka import KafkaUnavailable
from telecom_assets.abandoned_runs import end_abandoned_runs
from telecom_assets.assets.landing import lag_observation
from telecom_assets.connections import Connections
from telecom_assets.jobs import landing_job, mediation_job
from telecom_assets.landing import LandingError, position
from telecom_assets.landing.plan import lag
from telecom_assets.mediation_state import stale_days
from telecom_assets.month_run import LANDING
from telecom_assets.schemas.usage import RAW_CDRS
from telecom_assets.sensors.plan import Request, landing_request, mediation_requests

#: A run that failed is not asked for again by its key, so the daemon tries it again: the broker may have been restarting.
_RETRIES = "2"
_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def cdr_topic_sensor(interval_seconds: int) -> dg.SensorDefinition:
    """Made by a function, because the interval is a setting."""

    @dg.sensor(
        name="cdr_topic_sensor",
        jobs=[landing_job, mediation_job],
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Lands what is on the topic and mediates the days that landing touched, however old they are.",
    )
    def sense(context: dg.SensorEvaluationContext, connections: dg.ResourceParam[Connections]) -> dg.SensorResult:
        warehouse = connections.warehouse
        end_abandoned_runs(context.instance, connections.settings.dagster_home)
        runs, observations = [], []
        idle = "nothing new on the topic, every landed day is mediated"
        try:
            here, state = position(warehouse, connections.kafka())
            ends = here.ends_on(state)
            landing = landing_request(state, ends, unrecorded=bool(here.unsettled))
            if landing is not None:
                observations.append(lag_observation(lag(state, ends)))
                if not _is_active(context.instance, LANDING):
                    runs.append(_run_request(landing))
        except KafkaUnavailable as error:
            idle = str(error)
        except LandingError as error:
            idle = str(error)
            context.log.warning(idle)
            refusal = _refusal(connections.kafka().topic_id(), idle)
            if not _is_active(context.instance, LANDING) and not _has_run(context.instance, refusal):
                runs.append(refusal)
        rows = warehouse.pin(RAW_CDRS.name).rows_by_partition()
        stale = stale_days(warehouse)
        runs += [_run_request(request) for request in mediation_requests(stale, rows, stale)]
        return dg.SensorResult(
            run_requests=runs, skip_reason=None if runs else dg.SkipReason(idle), asset_events=observations
        )

    return sense


def _run_request(request: Request) -> dg.RunRequest:
    tags = {**request.step.tags, MAX_RETRIES_TAG: _RETRIES}
    return dg.RunRequest(run_key=request.run_key, job_name=request.step.job, tags=tags)


def _refusal(topic_id: str, reason: str) -> dg.RunRequest:
    """A landing run that will refuse for the same reason: only a run that failed is reported. No other try helps."""
    digest = hashlib.sha256(reason.encode()).hexdigest()[:16]
    return dg.RunRequest(run_key=f"landing/{topic_id}/refused/{digest}", job_name=LANDING)


def _has_run(instance: dg.DagsterInstance, request: dg.RunRequest) -> bool:
    return bool(instance.get_run_records(dg.RunsFilter(tags={RUN_KEY_TAG: str(request.run_key)}), limit=1))


def _is_active(instance: dg.DagsterInstance, job: str) -> bool:
    return bool(instance.get_run_records(dg.RunsFilter(job_name=job, statuses=_ACTIVE), limit=1))
