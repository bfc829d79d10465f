"""What a failed step says: the cause, not Dagster's wrapping of it."""

import dagster as dg
from dagster._utils.error import SerializableErrorInfo


def innermost_message(event: dg.DagsterEvent) -> str:
    """The message of the innermost cause of a step failure, without the exception's class name."""
    error = _innermost(event)
    return error.message.strip().split(": ", 1)[-1] if error is not None else ""


def was_interrupted(event: dg.DagsterEvent) -> bool:
    """Whether the step failed because somebody pressed Ctrl-C (Dagster turns that into a failure)."""
    error = _innermost(event)
    return error is not None and error.cls_name in ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


def _innermost(event: dg.DagsterEvent) -> SerializableErrorInfo | None:
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error
