"""The night's maintenance of the tables."""

import dagster as dg

from telecom_assets.model.civil_time import LOCAL_ZONE
from telecom_assets.runs.jobs import maintenance_job
from telecom_assets.runs.sensors.tries import AGAIN, Ask


def maintenance_schedule(hour: int) -> dg.ScheduleDefinition:
    """The schedule, every night at `hour` (a setting)."""
    return dg.ScheduleDefinition(
        name="nightly_maintenance",
        job=maintenance_job,
        cron_schedule=f"0 {hour} * * *",
        execution_timezone=LOCAL_ZONE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={**AGAIN, **Ask(1).tags("maintenance")},
        description=(
            f"Every night at {hour}:00: compacts the tables and removes versions that are older than TELECOM_RETENTION_DAYS. A "
            "run that fails is made again by `failed_runs_again`."
        ),
    )
