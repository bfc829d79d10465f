"""Failed runs reach people: a JSON POST to the webhook of TELECOM_FAILURE_WEBHOOK."""

from collections.abc import Sequence

import dagster as dg

from telecom_assets.lineage.failures import innermost_message, stored_what_to_run, was_interrupted, why_failed
from telecom_assets.model.run_tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from telecom_assets.runs.sensors.tries import AFTER_TAG, TRY_TAG
from telecom_assets.runs.sensors.webhook import post


def failure_message(context: dg.RunFailureSensorContext) -> dict[str, str]:
    """The message: run, job, partitions, the error's text, and what to run ("" when unknown). It holds no settings."""
    run = context.dagster_run
    failed = context.get_step_failure_events()
    first, last = (run.tags.get(name, "") for name in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG))
    return {
        "job": run.job_name,
        "run_id": run.run_id,
        "partition": run.tags.get(PARTITION_NAME_TAG, "") or (f"{first}...{last}" if first else ""),
        "error": _said(failed) or context.failure_event.message or "",
        "what_to_run": "; ".join(dict.fromkeys(filter(None, map(stored_what_to_run, failed)))),
    }


def _said(failed: Sequence[dg.DagsterEvent]) -> str:
    """The errors of the failed steps: Dagster's own message only names the steps."""
    return "; ".join(f"{event.step_key}: {innermost_message(event)}" for event in failed)


def failure_sensor(webhook: str | None) -> dg.SensorDefinition:
    """The sensor, which posts to `webhook` (a setting). None: no webhook is set, and the sensor does nothing."""

    @dg.run_failure_sensor(
        name="run_failure_webhook",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Posts every failed run to TELECOM_FAILURE_WEBHOOK; of a request that is made again and fails of the same, the "
            "first."
        ),
    )
    def tell(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        if webhook is None:
            return dg.SkipReason("TELECOM_FAILURE_WEBHOOK is not set")
        if any(was_interrupted(event) for event in context.get_step_failure_events()):
            return dg.SkipReason("whoever pressed Ctrl-C knows of it")
        run = context.dagster_run
        if _told_before(context.instance, run):
            return dg.SkipReason(
                f"try {run.tags.get(TRY_TAG, '1')} failed of the same as the one before, which was told"
            )
        post(webhook, failure_message(context), f"the run {run.run_id}")
        return None

    return tell


def _told_before(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run before it failed of the same error and was reported: in a night there may be dozens of tries."""
    before = run.tags.get(AFTER_TAG)
    failed = instance.get_run_by_id(before) if before else None
    if failed is None or failed.status is not dg.DagsterRunStatus.FAILURE:
        return False
    return why_failed(instance, failed.run_id) == why_failed(instance, run.run_id)
