"""What the processes of these tests do to a warehouse: what a user's command does, each in a process of its own.

Belongs here: functions `work(halt, settings, …)` whose arguments and answers can be sent to another process. They are
imported before the processes are forked, so nothing here starts an engine, a client or a thread when it is imported.
"""

import datetime as dt
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import pyarrow as pa

from resources.warehouse import Refused, Staged, TableLog, Warehouse, maintain, table_log
from telecom_assets import cli
from telecom_assets.closing import approving, closing
from telecom_assets.definitions import build_defs
from telecom_assets.home.deployment import Deployment
from telecom_assets.home.instance import open_instance
from telecom_assets.home.settings import Settings
from telecom_assets.intake.decisions import open_month
from telecom_assets.intake.identities import landed_equals_consumed
from telecom_assets.intake.journal import RAW
from telecom_assets.intake.landing import LandingSettings, land
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.model.months import contiguous
from telecom_assets.reports.funnel_counts import month_funnel
from telecom_assets.runs.month_run import Step, day_range
from telecom_assets.runs.month_runner import MonthRunner, RunFailed
from telecom_assets.runs.stages import MEDIATION, REFERENCE
from telecom_assets_tests.faults.processes import Halt
from telecom_assets_tests.sample_tables import MONTHLY_SAMPLE, TABLES

Given = Mapping[str, Any]


@dataclass(frozen=True)
class Trips:
    """Where a process stumbles: at the so-many-th call of the warehouse, which it then has made or not."""

    call: int
    afterwards: bool
    #: What happens there: it is killed, or it stands until it is told to go on.
    killed: bool


#: What a process asks of the warehouse on its way through a write, and may stumble at.
_STEPS = {
    Warehouse: ("stage", "stage_arrow", "commit", "drop", "version"),
    TableLog: ("checkpoint", "name_an_old_checkpoint", "entry", "position"),
}


def stumble(halt: Halt, trips: Trips | None) -> Callable[[], int]:
    """Have this process stumble at a step of its own, whatever the clock says: so a round can be played again.

    Returns what says how many calls were made.
    """
    calls = 0
    if trips is None:
        return lambda: calls

    def stumbling(step: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(step)
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            here = calls == trips.call
            if here and not trips.afterwards:
                fall()
            result = step(*arguments, **options)
            if here and trips.afterwards:
                fall()
            return result

        return call

    def fall() -> None:
        if trips.killed:
            os.kill(os.getpid(), signal.SIGKILL)
        halt("a step")

    for kind, names in _STEPS.items():
        for name in names:
            setattr(kind, name, stumbling(getattr(kind, name)))
    return lambda: calls


def opened(given: Given) -> Deployment:
    """The ways out of a home, from what its user has set."""
    return Deployment(Settings.load(**given), TABLES)


def landed(
    halt: Halt, given: Given, *, chunk_rows: int = 1_000_000, halts: bool = False, trips: Trips | None = None
) -> dict[str, Any]:
    """Land what is on the topic. halts: before each commit of rows, at "commit"."""
    deployment = opened(given)
    settings, lines = deployment.settings, list[str]()
    if halts:
        _halt_before_commits(deployment.warehouse, RAW, halt)
    calls = stumble(halt, trips)
    landing = LandingSettings("run", settings.max_age_days, settings.dedupe_days, settings.partitions_start, chunk_rows)
    done = land(deployment.warehouse, deployment.kafka(), landing, lines.append)
    return {"records": done.records, "days": done.days, "displaced": done.displaced, "lines": lines, "calls": calls()}


def month_opened(halt: Halt, given: Given, month: str, *, trips: Trips | None = None) -> int:
    """Open a month; how many rows moved."""
    deployment = opened(given)
    settings = deployment.settings
    stumble(halt, trips)
    return open_month(
        deployment.warehouse, month, calendar_start=settings.partitions_start, dedupe_days=settings.dedupe_days
    )


def maintained(
    halt: Halt, given: Given, *, halts: str | None = None, trips: Trips | None = None
) -> dict[str, tuple[int, str]]:
    """Maintain all tables; files that were merged and the note, by table. halts: the table before whose commits it does."""
    deployment = opened(given)
    stumble(halt, trips)
    if halts is not None:
        _halt_before_commits(deployment.warehouse, halts, halt)
    done = maintain(
        deployment.warehouse,
        target_file_bytes=deployment.settings.target_file_bytes,
        now=dt.datetime.now(dt.UTC),
    )
    return {each.table: (each.files_compacted, each.note) for each in done}


def mediated(halt: Halt, given: Given, *, trips: Trips | None = None) -> list[str]:
    """Mediate the days that need it, through the graph of this home; why that did not go well."""
    deployment = opened(given)
    with _runner(deployment) as runner:
        stumble(halt, trips)
        try:
            runner.execute(Step(REFERENCE.job))
            for days in contiguous(stale_days(deployment.warehouse)):
                runner.execute(day_range(MEDIATION.job, *days))
        except RunFailed as failure:
            return [str(failure)]
    return []


def month_run(halt: Halt, given: Given, month: str, *, trips: Trips | None = None) -> dict[str, Any]:
    """What `telecom run` does, once the month is open: why it did not go well, failed checks, and the books."""
    deployment = opened(given)
    with _runner(deployment) as runner:
        stumble(halt, trips)
        try:
            runner.run_month(month)
        except RunFailed as failure:
            return {"failures": [str(failure)]}
    failed = [each for result in runner.results for each in result.failed_checks]
    books = month_funnel(deployment.warehouse, month)
    whole = landed_equals_consumed(deployment.warehouse)
    return {"failures": [*failed, *books.imbalances(), *whole.findings], "books": books.to_dict()}


def typed(halt: Halt, given: Given, *arguments: str, today: dt.date, dies_at: str | None = None) -> int:
    """What `telecom ARGUMENTS` does; its exit status. today: the issue date. dies_at: the phase of an approval or a close at which it
    kills itself, or "document 1", when a close has written the first one.
    """

    def reached(phase: str) -> None:
        if phase == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    os.environ |= {f"TELECOM_{name.upper()}": str(value) for name, value in given.items()}
    vars(approving)["approve"] = partial(approving.approve, at_phase=reached)
    vars(closing)["close"] = partial(_counting(closing.close, reached), at_phase=reached, today=today)
    sys.argv = ["telecom", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    raise AssertionError("a command ends its process")


def _counting(close: Callable[..., Any], reached: Callable[[str], None]) -> Callable[..., Any]:
    """A close that says which document it has written."""

    def counting(*arguments: Any, progress: Callable[[int, int], None], **options: Any) -> Any:
        def written(done: int, of: int) -> None:
            progress(done, of)
            reached(f"document {done}")

        return close(*arguments, progress=written, **options)

    return counting


@contextmanager
def _runner(deployment: Deployment) -> Iterator[MonthRunner]:
    definitions = build_defs(deployment.settings, deployment.resources())
    with open_instance(deployment.settings) as instance:
        yield MonthRunner(definitions, instance, deployment, lambda *_: None)


def compared_and_set(halt: Halt, given: Given, meet: Any, who: str, rounds: int) -> list[bool]:
    """In each round commit a row on the version that the round before has made; whether that was accepted."""
    table_log.CHECKPOINT_INTERVAL = 10  # who opens a version reads so few entries of the log
    warehouse, name, won = opened(given).warehouse, MONTHLY_SAMPLE.name, list[bool]()
    for number in range(rounds):
        if not won or won[-1]:  # what was refused is no part of the table: it is tried again as it is
            row = {"customer_id": f"{who} {sum(won)}", "floor_mb": 1, "billing_period": "2026-06"}
            files = warehouse.stage_arrow(name, pa.Table.from_pylist([row], schema=MONTHLY_SAMPLE.arrow_schema()))
        warehouse.pin(name, version=number)
        meet.wait()
        try:
            warehouse.commit(name, files, number)
        except Refused:
            won.append(False)
        else:
            won.append(True)
    return won


def _halt_before_commits(warehouse: Warehouse, table: str, halt: Halt) -> None:
    commit = warehouse.commit

    def halting(name: str, files: Staged, *rest: Any, **options: Any) -> Any:
        if name == table and files.rows:
            halt("commit")
        return commit(name, files, *rest, **options)

    vars(warehouse)["commit"] = halting
