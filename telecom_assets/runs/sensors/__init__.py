"""Sensors, schedules and automation: runs that start by themselves.

Belongs here: thin shells over pure functions (`plan`, `tries`, `outages`, `telecom_assets.runs.plan`). What triggers what:
the topic → landing → mediation and rating of the days that landing touched (Kafka sensor); mediation without rating →
rating (automation condition on the rating assets); the calendar → the month (schedule, then one run after the other), and
every night the customers, the maintenance of the tables and, once it is switched on, the checks of all there is; a failed run →
the webhook, and the same run again; a topic out of reach → the webhook.
"""

from telecom_assets.runs.sensors.again import again_sensor
from telecom_assets.runs.sensors.automation import on_open_days, rating_automation
from telecom_assets.runs.sensors.checks import checks_schedule
from telecom_assets.runs.sensors.customers import customers_schedule
from telecom_assets.runs.sensors.failures import failure_sensor
from telecom_assets.runs.sensors.kafka import cdr_topic_sensor
from telecom_assets.runs.sensors.kafka_outage import kafka_outage_sensor
from telecom_assets.runs.sensors.maintenance import maintenance_schedule
from telecom_assets.runs.sensors.month_end import month_end_schedule, month_run_sensor

__all__ = [
    "again_sensor",
    "cdr_topic_sensor",
    "checks_schedule",
    "customers_schedule",
    "failure_sensor",
    "kafka_outage_sensor",
    "maintenance_schedule",
    "month_end_schedule",
    "month_run_sensor",
    "on_open_days",
    "rating_automation",
]
