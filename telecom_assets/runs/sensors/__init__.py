"""Sensors, schedules and automation: runs that start by themselves.

Belongs here: thin shells over pure functions (`plan`, `tries`, `outages`, `telecom_assets.runs.month_run`).

The Kafka sensor starts landing when messages wait on the topic, and mediation of the days that landing touched. An automation
condition starts rating after mediation. Schedules start the month's bill (one run after the other), the nightly maintenance
and, once switched on, the nightly checks. A failed run is reported to the webhook and made again. A topic that cannot be reached
is reported to the webhook.
"""

from telecom_assets.runs.sensors.again import again_sensor
from telecom_assets.runs.sensors.automation import rating_automation
from telecom_assets.runs.sensors.checks import checks_schedule
from telecom_assets.runs.sensors.failures import failure_sensor
from telecom_assets.runs.sensors.kafka import cdr_topic_sensor
from telecom_assets.runs.sensors.kafka_outage import kafka_outage_sensor
from telecom_assets.runs.sensors.maintenance import maintenance_schedule
from telecom_assets.runs.sensors.month_end import month_end_schedule, month_run_sensor

__all__ = [
    "again_sensor",
    "cdr_topic_sensor",
    "checks_schedule",
    "failure_sensor",
    "kafka_outage_sensor",
    "maintenance_schedule",
    "month_end_schedule",
    "month_run_sensor",
    "rating_automation",
]
