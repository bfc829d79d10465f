"""The Kafka sensor: it requests landing when there is a lag, and mediation of the days that have landed, late days included."""

import datetime as dt
import hashlib

import dagster as dg

from resources.kafka import KafkaConnection, KafkaUnavailable
from resources.warehouse import Warehouse
from telecom_assets.home.deployment import Clock, OnDemand
from telecom_assets.home.settings import Settings
from telecom_assets.intake.assets import lag_observation
from telecom_assets.intake.landing import position
from telecom_assets.intake.plan import LandingError, lag
from telecom_assets.intake.silence import silence_event
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.model.run_tags import HIDDEN_TAG_PREFIX, SENSOR_NAME_TAG
from telecom_assets.runs.abandoned_runs import end_abandoned_runs
from telecom_assets.runs.jobs import OF_STAGE
from telecom_assets.runs.sensors.plan import Request, Seen, requests
from telecom_assets.runs.sensors.runs import is_active, last_try, why_it_waits
from telecom_assets.runs.sensors.tries import Wait, ask_or_wait
from telecom_assets.runs.stages import LANDING, MEDIATION

NAME = "cdr_topic_sensor"
IDLE = "nothing new on the topic, every landed day is mediated"
#: Tag of a run: digest of the reason why landing refuses.
_REFUSAL_TAG = f"{HIDDEN_TAG_PREFIX}telecom_refusal"
#: The most seconds that a sensor waits for a broker: its tick occupies a thread of the daemon meanwhile.
LOOK_SECONDS = 3.0


def look(kafka: OnDemand[KafkaConnection]) -> KafkaConnection:
    """A connection with a short timeout, for a look at the topic. Raises KafkaUnavailable when no broker is configured."""
    broker = kafka.connect()
    broker.timeout_seconds = min(broker.timeout_seconds, LOOK_SECONDS)
    return broker


def cdr_topic_sensor(interval_seconds: int) -> dg.SensorDefinition:
    """The sensor, which looks every `interval_seconds` (a setting)."""

    @dg.sensor(
        name=NAME,
        jobs=[OF_STAGE[LANDING.name], OF_STAGE[MEDIATION.name]],
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Lands what is on the topic, and mediates and rates the days that landing touched, however old. A run that fails "
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

        topic = None
        try:
            here, state = position(warehouse, look(kafka))
            topic = Seen(state, here.ends_on(state), unrecorded=bool(here.unsettled))
        except KafkaUnavailable as error:
            waiting.append(str(error))
        except LandingError as error:
            waiting.append(str(error))
            if (refusal := _refusal(instance, str(error))) is not None:
                runs.append(refusal)
        rows = warehouse.pin(RAW_CDRS.name).rows_by_partition()
        for request in requests(topic, stale_days(warehouse), rows):
            if request.step.job != LANDING.job:
                ask(request)
                continue
            assert topic is not None
            events.append(lag_observation(lag(topic.state, topic.ends)))
            if is_active(instance, LANDING.job):
                waiting.append("landing is at work")
            else:
                ask(request)
        hours = settings.silent_hours
        if hours is not None and (silent := silence_event(instance, warehouse, hours, now)) is not None:
            events.append(silent)
        if runs and waiting:
            # Dagster shows a reason only for ticks without runs.
            context.log.warning("; ".join(waiting))
        skip = None if runs else dg.SkipReason("; ".join(waiting) or IDLE)
        return dg.SensorResult(run_requests=runs, skip_reason=skip, asset_events=events)

    return sense


def _asked(instance: dg.DagsterInstance, request: Request, now: dt.datetime) -> dg.RunRequest | str:
    """The run of a request, or the reason why it is not made now."""
    decision = ask_or_wait(request.run_key, last_try(instance, request.name), now)
    if isinstance(decision, Wait):
        return why_it_waits(instance, request.label, decision)
    return dg.RunRequest(
        run_key=decision.key(request.run_key),
        job_name=request.step.job,
        tags={**request.step.tags, **decision.tags(request.name)},
    )


def _refusal(instance: dg.DagsterInstance, reason: str) -> dg.RunRequest | None:
    """A landing run that will refuse for the same reason, so that the refusal is reported: only failed runs are. It is made once.

    None when the sensor's newest landing run has refused for this reason, or when a landing run is going on.
    """
    digest = hashlib.sha256(reason.encode()).hexdigest()[:16]
    newest = instance.get_runs(dg.RunsFilter(job_name=LANDING.job, tags={SENSOR_NAME_TAG: NAME}), limit=1)
    if is_active(instance, LANDING.job) or (newest and newest[0].tags.get(_REFUSAL_TAG) == digest):
        return None
    after = newest[0].run_id[:8] if newest else "first"
    return dg.RunRequest(run_key=f"landing/refused/{digest}/{after}", job_name=LANDING.job, tags={_REFUSAL_TAG: digest})
