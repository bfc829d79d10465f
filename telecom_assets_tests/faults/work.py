"""What the processes of these tests do to a warehouse: what a user's command does, each in a process of its own.

Belongs here: functions `work(halt, settings, …)` whose arguments and answers can be sent to another process. They are
imported before the processes are forked, so nothing here starts an engine, a client or a thread when it is imported.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from resources.delta import Refused, Warehouse
from resources.maintenance import maintain
from resources.staging import Staged
from telecom_assets.connections import Connections
from telecom_assets.landing import Terms, land
from telecom_assets.landing.decisions import open_month
from telecom_assets.landing.journal import RAW
from telecom_assets.schemas.usage import DATA_VOLUME_FLOOR
from telecom_assets.settings import Settings
from telecom_assets_tests.faults.processes import Halt

Given = Mapping[str, Any]


def opened(given: Given) -> Connections:
    """The ways out of a home, from what its user has set."""
    return Connections(Settings.load(**given))


def landed(halt: Halt, given: Given, *, chunk_rows: int = 1_000_000, halts: bool = False) -> dict[str, Any]:
    """Land what is on the topic. halts: before each commit of rows, at "commit"."""
    connections = opened(given)
    settings, lines = connections.settings, list[str]()
    if halts:
        _halt_before_commits(connections.warehouse, RAW, halt)
    terms = Terms("run", settings.max_age_days, settings.dedupe_days, settings.partitions_start, chunk_rows)
    done = land(connections.warehouse, connections.kafka(), terms, lines.append)
    return {"records": done.records, "days": done.days, "displaced": done.displaced, "lines": lines}


def month_opened(halt: Halt, given: Given, month: str) -> int:
    """Open a month; how many rows moved."""
    connections = opened(given)
    settings = connections.settings
    return open_month(
        connections.warehouse, month, calendar_start=settings.partitions_start, dedupe_days=settings.dedupe_days
    )


def maintained(halt: Halt, given: Given, *, halts: str | None = None) -> dict[str, tuple[int, str]]:
    """Maintain all tables; files that were merged and the note, by table. halts: the table before whose commits it does."""
    connections = opened(given)
    if halts is not None:
        _halt_before_commits(connections.warehouse, halts, halt)
    done = maintain(
        connections.warehouse,
        target_file_bytes=connections.settings.target_file_bytes,
        now=dt.datetime.now(dt.UTC),
    )
    return {each.table: (each.files_compacted, each.note) for each in done}


def compared_and_set(halt: Halt, given: Given, meet: Any, who: str, rounds: int) -> list[bool]:
    """In each round commit a row on the version that the round before has made; whether that was accepted."""
    warehouse, name, won = opened(given).warehouse, DATA_VOLUME_FLOOR.name, list[bool]()
    for number in range(rounds):
        if not won or won[-1]:  # what was refused is no part of the table: it is tried again as it is
            row = {"customer_id": f"{who} {sum(won)}", "floor_mb": 1, "billing_period": "2026-06"}
            files = warehouse.stage_arrow(name, pa.Table.from_pylist([row], schema=DATA_VOLUME_FLOOR.arrow_schema()))
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


