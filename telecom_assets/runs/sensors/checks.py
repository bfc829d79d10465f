"""The nightly checks of all days and months. Off until somebody switches the schedule on."""

import dagster as dg

from telecom_assets.model.civil_time import LOCAL_ZONE
from telecom_assets.runs.jobs import checks_job


def checks_schedule(hour: int) -> dg.ScheduleDefinition:
    """The schedule, half an hour after the nightly maintenance, which begins at `hour`."""
    return dg.ScheduleDefinition(
        name="nightly_checks",
        job=checks_job,
        cron_schedule=f"30 {hour} * * *",
        execution_timezone=LOCAL_ZONE,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Makes every check on all days and months that there are. Off until it is switched on; a failed "
        "blocking check is a failed run.",
    )
