"""What a failed step says: the cause, not Dagster's wrapping of it."""

import dagster as dg
from dagster._utils.error import SerializableErrorInfo


def innermost_message(event: dg.DagsterEvent) -> str:
    """The message of the innermost cause of a step failure, without the exception's class name."""
    error = _innermost(event)
    return error.message.strip().split(": ", 1)[-1] if error is not None else ""


def why_failed(instance: dg.DagsterInstance, run_id: str) -> str:
    """Why a run failed, as it was told: the causes of its failed steps, else what Dagster said of the run."""
    failed = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    steps = [entry.dagster_event for entry in failed if entry.dagster_event is not None]
    if causes := "; ".join(filter(None, map(innermost_message, steps))):
        return causes
    ended = instance.all_logs(run_id, of_type={dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED})
    return next((entry.dagster_event.message or "" for entry in ended if entry.dagster_event is not None), "")


def was_interrupted(event: dg.DagsterEvent) -> bool:
    """Whether the step failed because somebody pressed Ctrl-C (Dagster turns that into a failure)."""
    error = _innermost(event)
    return error is not None and error.cls_name in ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


def _innermost(event: dg.DagsterEvent) -> SerializableErrorInfo | None:
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error
