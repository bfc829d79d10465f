"""The month's bill: a schedule starts the plan of the month (`telecom_assets.runs.plan`), a sensor takes each next step."""

from collections.abc import Iterator

import dagster as dg

from resources.warehouse import Warehouse
from telecom_assets.model.civil_time import LOCAL_ZONE
from telecom_assets.model.months import previous_month
from telecom_assets.periods.journal import read_periods
from telecom_assets.runs.jobs import OF_STAGE
from telecom_assets.runs.month_run import scheduled_steps
from telecom_assets.runs.sensors.tries import AGAIN, TRY_TAG, Ask
from telecom_assets.runs.stages import SEQUENCE

MONTH_RUN_TAG = "telecom_assets/month_run"
MONTH_RUN_STEP_TAG = "telecom_assets/month_run_step"
_HOUR = 6


def step_request(month: str, number: int, key: str, tries: int = 1) -> dg.RunRequest | None:
    """The run of one step of a month; None after the last step. tries: the number of the try, this run included."""
    steps = scheduled_steps(month)
    if number >= len(steps):
        return None
    step = steps[number]
    return dg.RunRequest(
        run_key=f"{key}/{number}",
        job_name=step.job,
        tags={
            **step.tags,
            **AGAIN,
            **Ask(tries).tags(f"month/{month}"),
            MONTH_RUN_TAG: month,
            MONTH_RUN_STEP_TAG: str(number),
        },
    )


def month_end_schedule(billing_day: int) -> dg.ScheduleDefinition:
    """The schedule, on the day of the month that `billing_day` (a setting) says."""

    @dg.schedule(
        name="month_end",
        job=OF_STAGE[SEQUENCE[0].name],
        cron_schedule=f"0 {_HOUR} {billing_day} * *",
        execution_timezone=LOCAL_ZONE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"Bills the previous month on day {billing_day} at {_HOUR}:00: {', '.join(stage.run_title for stage in SEQUENCE)}, one "
            "run after the other (`month_run_sensor`)."
        ),
    )
    def start(
        context: dg.ScheduleEvaluationContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.RunRequest | dg.SkipReason | None:
        month = previous_month(context.scheduled_execution_time.date())
        if (periods := read_periods(warehouse)).is_frozen(month):
            return dg.SkipReason(periods.says(month))
        return step_request(month, 0, f"month/{month}/{context.scheduled_execution_time:%Y-%m-%d}")

    return start


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    name="month_run_sensor",
    default_status=dg.DefaultSensorStatus.RUNNING,
    request_jobs=[OF_STAGE[stage.name] for stage in SEQUENCE],
    description=(
        "Takes the next step of a month that `month_end` began, when the one before has gone well. One that fails is made "
        "again by `failed_runs_again`."
    ),
)
def month_run_sensor(
    context: dg.RunStatusSensorContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Starts the next step of a month when a step has succeeded. `failed_runs_again` makes a failed step again."""
    tags = context.dagster_run.tags
    if MONTH_RUN_TAG not in tags:
        yield dg.SkipReason("not a run of a month's sequence")
        return
    if (periods := read_periods(warehouse)).is_frozen(tags[MONTH_RUN_TAG]):
        yield dg.SkipReason(periods.says(tags[MONTH_RUN_TAG]))
        return
    request = step_request(
        tags[MONTH_RUN_TAG],
        int(tags[MONTH_RUN_STEP_TAG]) + 1,
        f"month/{tags[MONTH_RUN_TAG]}/{context.dagster_run.run_id}",
        int(tags.get(TRY_TAG, "1")),
    )
    yield request or dg.SkipReason(f"{tags[MONTH_RUN_TAG]} is billed")
