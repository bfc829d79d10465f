"""The Kafka sensor: lag → landing; landed → mediation of the touched days, late days included."""

import datetime as dt
import hashlib

import dagster as dg
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX, SENSOR_NAME_TAG

from resources.delta import Warehouse
from resources.kafka import KafkaConnection, KafkaUnavailable
from telecom_assets.home.connections import Clock, OnDemand
from telecom_assets.home.settings import Settings
from telecom_assets.intake.assets import lag_observation
from telecom_assets.intake.landing import LandingError, position
from telecom_assets.intake.plan import lag
from telecom_assets.intake.silence import silence_event
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.runs.abandoned_runs import end_abandoned_runs
from telecom_assets.runs.jobs import landing_job, mediation_job
from telecom_assets.runs.month_run import LANDING
from telecom_assets.runs.sensors.plan import Request, landing_request, mediation_requests
from telecom_assets.runs.sensors.runs import is_active, last_try, why_it_waits
from telecom_assets.runs.sensors.tries import Wait, decide

NAME = "cdr_topic_sensor"
IDLE = "nothing new on the topic, every landed day is mediated"
#: Tag of a run: digest of the reason for which landing refuses.
_REFUSAL_TAG = f"{HIDDEN_TAG_PREFIX}telecom_refusal"
#: How long a broker may take to answer a sensor, at most: a tick keeps a place of the daemon.
LOOK_SECONDS = 3.0


def look(kafka: OnDemand[KafkaConnection]) -> KafkaConnection:
    """The broker, for a look at the topic. Raises KafkaUnavailable when none is configured."""
    broker = kafka.connect()
    broker.timeout_seconds = min(broker.timeout_seconds, LOOK_SECONDS)
    return broker


def cdr_topic_sensor(interval_seconds: int) -> dg.SensorDefinition:
    """Made by a function, because the interval is a setting."""

    @dg.sensor(
        name=NAME,
        jobs=[landing_job, mediation_job],
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Lands what is on the topic, and mediates the days that landing touched, however old they are. A run that fails "
            "is made again after 1, 2, 5, then every 10 minutes, until it goes well; a tick that waits says why. When the "
            "topic does not continue where the warehouse stopped, one landing run says so, and landing goes on when that is "
            "mended."
        ),
    )
    def sense(
        context: dg.SensorEvaluationContext,
        settings: dg.ResourceParam[Settings],
        warehouse: dg.ResourceParam[Warehouse],
        kafka: dg.ResourceParam[OnDemand[KafkaConnection]],
        clock: dg.ResourceParam[Clock],
    ) -> dg.SensorResult:
        instance, now = context.instance, clock()
        end_abandoned_runs(instance, settings.dagster_home)
        runs: list[dg.RunRequest] = []
        waiting: list[str] = []
        events: list[dg.AssetObservation | dg.AssetCheckEvaluation] = []

        def ask(request: Request) -> None:
            decided = _asked(instance, request, now)
            if isinstance(decided, dg.RunRequest):
                runs.append(decided)
            else:
                waiting.append(decided)

        try:
            here, state = position(warehouse, look(kafka))
            ends = here.ends_on(state)
            landing = landing_request(state, ends, unrecorded=bool(here.unsettled))
            if landing is not None:
                events.append(lag_observation(lag(state, ends)))
                if is_active(instance, LANDING):
                    waiting.append("landing is at work")
                else:
                    ask(landing)
        except KafkaUnavailable as error:
            waiting.append(str(error))
        except LandingError as error:
            waiting.append(str(error))
            if (refusal := _refusal(instance, str(error))) is not None:
                runs.append(refusal)
        rows = warehouse.pin(RAW_CDRS.name).rows_by_partition()
        stale = stale_days(warehouse)
        for request in mediation_requests(stale, rows, stale):
            ask(request)
        hours = settings.silent_hours
        if hours is not None and (silent := silence_event(instance, warehouse, hours, now)) is not None:
            events.append(silent)
        if runs and waiting:
            # A tick that asks for runs has no place for the reason.
            context.log.warning("; ".join(waiting))
        skip = None if runs else dg.SkipReason("; ".join(waiting) or IDLE)
        return dg.SensorResult(run_requests=runs, skip_reason=skip, asset_events=events)

    return sense


def _asked(instance: dg.DagsterInstance, request: Request, now: dt.datetime) -> dg.RunRequest | str:
    """The run of a request, or why it is not made now."""
    decision = decide(request.run_key, last_try(instance, request.name), now)
    if isinstance(decision, Wait):
        return why_it_waits(instance, request.label, decision)
    return dg.RunRequest(
        run_key=decision.key(request.run_key),
        job_name=request.step.job,
        tags={**request.step.tags, **decision.tags(request.name)},
    )


def _refusal(instance: dg.DagsterInstance, reason: str) -> dg.RunRequest | None:
    """A landing run that will refuse for the same reason: only a run that failed is reported. No other try helps.

    None when the newest landing run that the sensor asked for is that one, or one is at work.
    """
    digest = hashlib.sha256(reason.encode()).hexdigest()[:16]
    newest = instance.get_runs(dg.RunsFilter(job_name=LANDING, tags={SENSOR_NAME_TAG: NAME}), limit=1)
    if is_active(instance, LANDING) or (newest and newest[0].tags.get(_REFUSAL_TAG) == digest):
        return None
    after = newest[0].run_id[:8] if newest else "first"
    return dg.RunRequest(run_key=f"landing/refused/{digest}/{after}", job_name=LANDING, tags={_REFUSAL_TAG: digest})
