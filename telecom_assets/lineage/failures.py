"""How a step fails: with the sentence of an expected error, and with what a person needs to go on.

Belongs here: the one place where an expected error becomes Dagster's `Failure`, and how the message of a failed step is
found again. Bodies of assets and checks have the decorator `with_expected_failures`; reads and writes of tables go through
`telecom_assets.lineage.io_manager`.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, Protocol

import dagster as dg

from resources.expected_errors import ExpectedError
from telecom_assets.home.full_disk import no_space
from telecom_assets.model.months import months_between, shown_range
from telecom_assets.model.run_tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

#: Commands in a message stand in backquotes.
_COMMAND = re.compile(r"`(telecom [^`]+)`")
_LONGEST_CAUSE = 300
_AGAIN = "This run again (Re-execute), once that is mended."
#: Metadata of a failure that says how to go on.
WHAT_TO_RUN = "what_to_run"


class _StoredError(Protocol):
    """An error as Dagster keeps it with an event."""

    @property
    def message(self) -> str: ...
    @property
    def cls_name(self) -> str | None: ...
    @property
    def cause(self) -> "_StoredError | None": ...


@contextmanager
def expected_errors_as_failures(where: Callable[[], Mapping[str, str]]) -> Iterator[None]:
    """Raise `dg.Failure` for an expected error: description and metadata for the run's page and for the webhook.

    where: called when an error comes; returns period, days and table of the step, as far as it knows them. No retry policy
    repeats such a failure: its cause stays until a person, or the next tick of the sensor, acts.
    """
    try:
        yield
    except ExpectedError as error:
        said, known = sentence(error), dict(where())
        metadata = {**known, WHAT_TO_RUN: what_to_run(said, known)}
        raise dg.Failure(said, metadata, allow_retries=False) from error
    except dg.Failure:
        raise
    except Exception as error:
        # A full disk has no error type: engine, client and operating system report it by errors of their own.
        if (full := no_space(error)) is None:
            raise
        raise dg.Failure(full, {**where(), WHAT_TO_RUN: _AGAIN}, allow_retries=False) from error


def with_expected_failures(body: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates the body of an asset or of a check: its expected errors become `dg.Failure`."""
    if inspect.isgeneratorfunction(body):

        @wraps(body)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with expected_errors_as_failures(_of_this_step):
                yield from body(*args, **kwargs)

    else:

        @wraps(body)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with expected_errors_as_failures(_of_this_step):
                return body(*args, **kwargs)

    return wrapped


def sentence(error: BaseException) -> str:
    """The message of an expected error, and its innermost cause where the message does not contain it."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    said, why = str(error), _first_line(cause)
    return said if why[:_LONGEST_CAUSE] in said else f"{said} (cause: {why[:_LONGEST_CAUSE]})"


def what_to_run(said: str, known: Mapping[str, str]) -> str:
    """The commands that a message names; else the command that does the month's work again; else the run itself."""
    if commands := _COMMAND.findall(said):
        return "; ".join(commands)
    keys = re.findall(r"\d{4}-\d{2}", known.get("period", "") or known.get("days", ""))
    months = months_between(keys[0], keys[-1]) if keys else []
    return "; ".join(f"telecom run --month {month}" for month in months) or _AGAIN


def partitions_as_metadata(keys: Sequence[str]) -> dict[str, str]:
    """Days, or billing periods, of a step as metadata."""
    if not keys:
        return {}
    name = "period" if len(min(keys)) == len("yyyy-MM") else "days"
    return {name: shown_range(min(keys), max(keys))}


def innermost_message(event: dg.DagsterEvent) -> str:
    """What a failed step says: its description, or the message of the innermost cause without the exception's class."""
    failure = event.step_failure_data.user_failure_data
    if failure is not None and failure.description:
        return failure.description
    error = _innermost(event)
    return error.message.strip().split(": ", 1)[-1] if error is not None else ""


def stored_what_to_run(event: dg.DagsterEvent) -> str:
    """What to run again, from the metadata of a failed step; empty when it has none."""
    failure = event.step_failure_data.user_failure_data
    value = failure.metadata.get(WHAT_TO_RUN) if failure is not None else None
    return str(value.value) if value is not None else ""


def why_failed(instance: dg.DagsterInstance, run_id: str) -> str:
    """Why a run failed: the messages of its failed steps, else Dagster's message about the run."""
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


def _of_this_step() -> dict[str, str]:
    """Days or period, and tables, of the step that is executed: from the tags of its run and from its assets or checks."""
    context = dg.OpExecutionContext.get()
    tags = context.run.tags
    named = (PARTITION_NAME_TAG, ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
    assets = context.selected_asset_keys or {key.asset_key for key in context.selected_asset_check_keys}
    tables = ", ".join(sorted(key.path[-1] for key in assets))
    return {
        **partitions_as_metadata([tags[name] for name in named if name in tags]),
        **({"table": tables} if tables else {}),
    }


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _innermost(event: dg.DagsterEvent) -> _StoredError | None:
    error: _StoredError | None = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error
