"""The Kafka sensor: lag → landing; landed → mediation of the touched days, late days included."""

import dagster as dg
from dagster._core.storage.tags import MAX_RETRIES_TAG

from resources.kafka import KafkaUnavailable
from telecom_assets.assets.landing import lag_observation
from telecom_assets.connections import Connections
from telecom_assets.jobs import landing_job, mediation_job
from telecom_assets.landing.land import position
from telecom_assets.landing.plan import LandingError, check_topic, lag
from telecom_assets.month_run import LANDING, days_to_mediate
from telecom_assets.schemas.usage import MEDIATED_DAYS, RAW_CDRS
from telecom_assets.sensors.plan import landing_request, mediation_requests

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
        requests, observations = [], []
        idle = "nothing new on the topic, every landed day is mediated"
        try:
            state = connections.kafka().topic_state()
            here = position(warehouse)
            ends = here.ends_on(state)
            check_topic(connections.settings.kafka_topic, state, here.topic_id, ends)
            landing = landing_request(state, ends, unrecorded=bool(here.missing_ranges))
            if landing is not None:
                observations.append(lag_observation(lag(state, ends)))
                if not _is_active(context.instance, LANDING):
                    requests.append(landing)
        except (KafkaUnavailable, LandingError) as error:
            idle = str(error)
        rows = warehouse.pin(RAW_CDRS.name).rows_by_partition()
        ledger = warehouse.pin(MEDIATED_DAYS.name).arrow().to_pylist()
        stale = days_to_mediate(rows, {row["event_date"]: row["raw_rows"] for row in ledger})
        requests += mediation_requests(stale, rows, {row["event_date"]: row["raw_version"] for row in ledger})
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=request.run_key,
                    job_name=request.step.job,
                    tags={**request.step.tags, MAX_RETRIES_TAG: _RETRIES},
                )
                for request in requests
            ],
            skip_reason=None if requests else dg.SkipReason(idle),
            asset_events=observations,
        )

    return sense


def _is_active(instance: dg.DagsterInstance, job: str) -> bool:
    return bool(instance.get_run_records(dg.RunsFilter(job_name=job, statuses=_ACTIVE), limit=1))
