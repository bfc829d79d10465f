"""Failed runs reach people: a JSON POST to the webhook of TELECOM_FAILURE_WEBHOOK."""

from collections.abc import Sequence

import dagster as dg
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from telecom_assets.failures import innermost_message, told_what_to_run, was_interrupted

_TIMEOUT_SECONDS = 10


class WebhookError(Exception):
    """The webhook did not take a message. Its address is not told: with many services it is all that one needs to write."""


def failure_message(context: dg.RunFailureSensorContext) -> dict[str, str]:
    """What is sent: which run of which job failed, for which partitions, why, and what to run ("" where nobody knows).

    The error's text only, no settings.
    """
    run = context.dagster_run
    failed = context.get_step_failure_events()
    first, last = (run.tags.get(f"dagster/asset_partition_range_{end}", "") for end in ("start", "end"))
    return {
        "job": run.job_name,
        "run_id": run.run_id,
        "partition": run.tags.get("dagster/partition", "") or (f"{first}...{last}" if first else ""),
        "error": _said(failed) or context.failure_event.message or "",
        "what_to_run": "; ".join(dict.fromkeys(filter(None, map(told_what_to_run, failed)))),
    }


def _said(failed: Sequence[dg.DagsterEvent]) -> str:
    """The failed steps, each with what it says: Dagster's own message only names the steps."""
    return "; ".join(f"{event.step_key}: {innermost_message(event)}" for event in failed)


def failure_sensor(webhook: str | None) -> dg.SensorDefinition:
    """Made by a function, because the address is a setting."""

    @dg.run_failure_sensor(
        name="run_failure_webhook",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Posts every failed run to TELECOM_FAILURE_WEBHOOK.",
    )
    def tell(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        if webhook is None:
            return dg.SkipReason("TELECOM_FAILURE_WEBHOOK is not set")
        if any(was_interrupted(event) for event in context.get_step_failure_events()):
            return dg.SkipReason("whoever pressed Ctrl-C knows of it")
        _post(webhook, failure_message(context))
        return None

    return tell


@retry(
    retry=retry_if_exception_type(WebhookError),
    stop=stop_after_attempt(3),
    wait=wait_exponential(multiplier=0.5, max=5),
    reraise=True,
)
def _post(webhook: str, message: dict[str, str]) -> None:
    # Raised outside of the handler: an error of requests names the address, and would be told as what came before.
    if (refusal := _refusal(webhook, message)) is not None:
        raise WebhookError(
            f"the webhook of TELECOM_FAILURE_WEBHOOK {refusal}; the run {message['run_id']} was not told of"
        )


def _refusal(webhook: str, message: dict[str, str]) -> str | None:
    """Send once. Returns what went wrong, without the address."""
    import requests  # noqa: PLC0415  (a tenth of the time that the code takes to load)

    try:
        response = requests.post(webhook, json=message, timeout=_TIMEOUT_SECONDS)
    except (OSError, ValueError) as error:  # every RequestException is an OSError; some addresses are a ValueError
        return f"cannot be reached ({type(error).__name__})"
    return None if response.ok else f"answered {response.status_code}"
