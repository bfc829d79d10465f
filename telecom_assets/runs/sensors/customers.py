"""The night's reading of the customers."""

import dagster as dg

from telecom_assets.model.civil_time import LOCAL_ZONE
from telecom_assets.runs.jobs import customers_job
from telecom_assets.runs.sensors.tries import AGAIN, Ask


def customers_schedule() -> dg.ScheduleDefinition:
    """The schedule, every night soon after the local day has begun.

    A change that is made during a day then holds from the next one, and who is deleted has usage up to the end of his last day.
    """
    return dg.ScheduleDefinition(
        name="nightly_customers",
        job=customers_job,
        cron_schedule="10 0 * * *",
        execution_timezone=LOCAL_ZONE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={**AGAIN, **Ask(1).tags("customers")},
        description=(
            "Every night at 0:10: reads the customers, so that changes hold from the day after they were made, and not from the day "
            "of the next run of a month. A run that fails is made again by `failed_runs_again`."
        ),
    )
