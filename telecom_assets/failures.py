"""What a failed step says: the cause, not Dagster's wrapping of it."""

import dagster as dg


def innermost_message(event: dg.DagsterEvent) -> str:
    """The message of the innermost cause of a step failure, without the exception's class name."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip().split(": ", 1)[-1] if error is not None else ""
