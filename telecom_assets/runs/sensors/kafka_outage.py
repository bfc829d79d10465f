"""The sensor that reports an outage of Kafka: one failed tick and one message when it has lasted a while, one when it is over.

Its state is stored with the instance, since a failed tick cannot move the sensor's cursor.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dagster as dg

from resources.kafka import KafkaConnection, KafkaUnavailable
from telecom_assets.home.deployment import Clock, OnDemand
from telecom_assets.model.calendar import ZONE
from telecom_assets.model.text import counted
from telecom_assets.runs.instance_state import keep_outage_record, outage_record
from telecom_assets.runs.sensors.kafka import look
from telecom_assets.runs.sensors.outages import Outage, after_look
from telecom_assets.runs.sensors.webhook import WebhookError, post


class KafkaOutage(dg.DagsterError):
    """Kafka has been out of reach for TELECOM_OUTAGE_MINUTES. The message says since when, and why.

    A subclass of Dagster's own error: Dagster wraps any other, and the UI would show the wrapper's text first.
    """


def kafka_outage_sensor(interval_seconds: int, minutes: int, webhook: str | None) -> dg.SensorDefinition:
    """The sensor. Interval, minutes until an outage is reported, and the webhook's address are settings."""
    patience = dt.timedelta(minutes=minutes)
    # Ticks that come a few intervals late do not count as a gap.
    longest_gap = patience + dt.timedelta(seconds=4 * interval_seconds)

    @dg.sensor(
        name="kafka_outage",
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Looks whether the topic can be reached, and starts no runs. When it could not be for "
            f"{counted(minutes, 'minute')} (TELECOM_OUTAGE_MINUTES), one tick fails and TELECOM_FAILURE_WEBHOOK is told, once; "
            "and once more when the outage is over, with its length."
        ),
    )
    def watch(
        context: dg.SensorEvaluationContext,
        kafka: dg.ResourceParam[OnDemand[KafkaConnection]],
        clock: dg.ResourceParam[Clock],
    ) -> dg.SkipReason:
        instance, now = context.instance, clock()
        stored = outage_record(instance)
        before = Outage.read(stored) if stored else None
        outage = after_look(before, _problem(kafka), now, longest_gap=longest_gap)
        if outage is None:
            keep_outage_record(instance, None)
            return dg.SkipReason("Kafka answers")
        said = outage.said(now, patience, ZONE)
        if outage.ended is not None:
            untold = _untold(webhook, outage.ended_message())
            keep_outage_record(instance, outage.stored() if untold else None)
            return dg.SkipReason(_joined(said, untold))
        if not outage.is_long(now, patience):
            keep_outage_record(instance, outage.stored())
            return dg.SkipReason(said)
        untold = None if outage.told else _untold(webhook, outage.began_message())
        # Stored before the tick fails: a failed tick keeps nothing.
        keep_outage_record(instance, replace(outage, failed=True, told=untold is None).stored())
        if not outage.failed:
            raise KafkaOutage(_joined(said, untold))
        return dg.SkipReason(_joined(said, untold))

    return watch


def _problem(kafka: OnDemand[KafkaConnection]) -> str | None:
    """Why the topic cannot be reached; None when it can."""
    try:
        look(kafka).topic_state()
    except KafkaUnavailable as error:
        return str(error)
    return None


def _untold(webhook: str | None, message: Mapping[str, Any]) -> str | None:
    """Send the message to the webhook, if one is set. Returns why it could not be sent; the next tick sends it then."""
    if webhook is None:
        return None
    try:
        post(webhook, message, "an outage of Kafka")
    except WebhookError as error:
        return f"{error} and is told at the next look"
    return None


def _joined(said: str, untold: str | None) -> str:
    return f"{said}; {untold}" if untold else said
