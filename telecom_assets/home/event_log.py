"""Dagster's event log in one SQLite file, written in batches.

Belongs here: how events reach the file. A range run over a month reports one event a day and table; Dagster's own
SQLite storage opens a database, compiles its statements and commits twice for each of them, which took longer than the
work that the events report. PostgreSQL storage does not need this.
"""

import inspect
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.polling_event_watcher import SqlPollingEventWatcher
from dagster._core.storage.event_log.schema import (
    ConcurrencySlotsTable,
    SqlEventLogStorageMetadata,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log import SQLITE_EVENT_LOG_FILENAME
from dagster._core.storage.sql import get_alembic_config, stamp_alembic_rev
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._utils.concurrency import ConcurrencySlotStatus
from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.exc import SQLAlchemyError

from telecom_assets.home.sqlite_databases import Database

#: Dagster hands over the events of one output together up to this many (environment DAGSTER_EVENT_BATCH_SIZE).
BATCH_EVENTS = 2_000
#: How long an event waits for others that are written with it.
DELAY_SECONDS = 0.2


def enable_batches() -> None:
    """Ask Dagster in this process, and in those it starts, to hand events over in batches."""
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_EVENTS))


def kept_engine(address: str) -> Engine:
    """An engine over one SQLite file whose connections, and compiled statements, are kept."""
    engine = create_engine(address, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})

    @event.listens_for(engine, "connect")
    def durable_enough(connection, _record) -> None:  # type: ignore[no-untyped-def]
        # With a write-ahead log a crash of the process loses nothing; only that of the machine may lose the newest
        # events, and the tables, not the events, say what was done.
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _make(folder: str) -> None:
    log = ConsolidatedSqliteEventLogStorage(folder)
    # Dagster (1.13) notes the revision and does not commit it.
    with log.index_connection() as connection:
        stamp_alembic_rev(get_alembic_config(inspect.getfile(ConsolidatedSqliteEventLogStorage)), connection)
    log.reindex_events()
    log.reindex_assets()


class BatchedSqliteEventLog(ConsolidatedSqliteEventLogStorage):
    """`ConsolidatedSqliteEventLogStorage`, one transaction for all events of a moment, over connections that are kept.

    An event waits DELAY_SECONDS at most for others. What is about a run as a whole, such as its end, is written at once
    with all before it, and so is all that waits when anything is asked of the storage, or anything else changed in it, and
    when the process ends. Events that could not be written are tried again with the next ones, which says what is wrong.
    """

    def __init__(self, base_dir: str, *arguments: Any, **named: Any) -> None:
        #: Events with their rows, in their order.
        self._waiting: list[tuple[dict[str, Any], EventLogEntry]] = []
        self._timer: threading.Timer | None = None
        #: Guards what waits and the timer.
        self._lock = threading.RLock()
        #: Whether the table of assets has a column; asked for at every event, and always the same.
        self._asset_columns: dict[str, bool] = {}
        #: The connection of a thread that is in a transaction.
        self._own = threading.local()
        Database(
            Path(base_dir, f"{SQLITE_EVENT_LOG_FILENAME}.db"),
            SqlEventLogStorageMetadata.tables,
            _make,
            "the events of all runs and the places in the pools",
        ).ensure()
        super().__init__(base_dir, *arguments, **named)

    @cached_property
    def _engine(self) -> Engine:
        return kept_engine(self._conn_string)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        if (inside := getattr(self._own, "connection", None)) is not None:
            yield inside
            return
        self._flush()
        with self._engine.begin() as connection:
            yield connection

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        known = self._asset_columns.get(column_name)
        if known is None:
            known = self._asset_columns[column_name] = super()._has_asset_key_col_on_connection(conn, column_name)
        return known

    @cached_property
    def supports_asset_checks(self) -> bool:  # type: ignore[override]
        return bool(super().supports_asset_checks)

    def store_event(self, event: EventLogEntry) -> None:
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        # Before they wait: an event that cannot be a row is refused to who reports it, and keeps no other waiting.
        rows = [self._event_to_row(one) for one in events]
        with self._lock:
            self._waiting += zip(rows, events, strict=True)
            if any(one.is_dagster_event and one.get_dagster_event().is_job_event for one in events):
                self._flush()
            elif self._timer is None:
                # Not a daemon: the interpreter waits for it when it ends.
                self._timer = threading.Timer(DELAY_SECONDS, self._flush_in_time)
                self._timer.start()

    @cached_property
    def _watcher(self) -> SqlPollingEventWatcher:
        return SqlPollingEventWatcher(self)

    def watch(self, run_id: str, cursor: str | None, callback: Callable[[EventLogEntry, str], None]) -> None:
        """Tell of new events of a run by asking for them.

        Dagster's own way waits until the file changes; with connections that are kept, only its write-ahead log does.
        """
        self._watcher.watch_run(run_id, cursor, callback)

    def end_watch(self, run_id: str, handler: Callable[[EventLogEntry, str], None]) -> None:
        self._watcher.unwatch_run(run_id, handler)

    def dispose(self) -> None:
        self._flush()
        if "_watcher" in vars(self):
            self._watcher.close()
        super().dispose()

    def _claim_concurrency_slot(self, concurrency_key: str, run_id: str, step_key: str) -> ConcurrencySlotStatus:
        """One statement: Dagster's looks for a free place and then takes it, whoever took it in between."""
        slots = ConcurrencySlotsTable
        is_free = slots.c.step_key.is_(None)
        of_pool = (slots.c.concurrency_key == concurrency_key) & is_free & slots.c.deleted.is_(False)
        free = select(slots.c.id).where(of_pool).limit(1).scalar_subquery()
        with self.index_connection() as connection:
            claim = slots.update().where((slots.c.id == free) & is_free).values(run_id=run_id, step_key=step_key)
            taken = connection.execute(claim).rowcount
        return ConcurrencySlotStatus.CLAIMED if taken else ConcurrencySlotStatus.BLOCKED

    def _flush(self) -> None:
        """Write what waits."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if waiting := list(self._waiting):
                rows, events = zip(*waiting, strict=True)
                self._write(rows, events)
                del self._waiting[: len(waiting)]

    def _flush_in_time(self) -> None:
        """What the timer does. What cannot be written now waits for the next ones, whose writer is told why."""
        with suppress(SQLAlchemyError):
            self._flush()

    def _write(self, rows: Sequence[dict[str, Any]], events: Sequence[EventLogEntry]) -> None:
        """Store events in their order, as one transaction."""
        table = SqlEventLogStorageTable
        with self._engine.begin() as connection:
            self._own.connection = connection
            try:
                returned = table.insert().returning(table.c.id, sort_by_parameter_order=True)
                ids = connection.execute(returned, rows).scalars()
                self._store_beside(connection, list(zip(ids, events, strict=True)))
            finally:
                self._own.connection = None

    def _store_beside(self, connection: Connection, numbered: Sequence[tuple[int, EventLogEntry]]) -> None:
        """What other tables hold of events that have their ids."""
        of_assets = [(number, one) for number, one in numbered if _is_of_asset(one)]
        if of_assets:
            ids, events = zip(*of_assets, strict=True)
            self._store_asset_event_tags(connection, events, ids)
        # An asset's own row keeps the newest event of a kind only.
        newest = {
            (one.get_dagster_event().asset_key, one.dagster_event_type): (number, one) for number, one in of_assets
        }
        for number, one in sorted(newest.values(), key=lambda item: item[0]):
            self._store_asset_event(connection, one, number)
        for number, one in numbered:
            if one.is_dagster_event and one.dagster_event_type in ASSET_CHECK_EVENTS:
                self.store_asset_check_event(one, number)


def _is_of_asset(one: EventLogEntry) -> bool:
    """Whether an event is about an asset and not about a check of one."""
    return (
        one.is_dagster_event
        and one.dagster_event_type in ASSET_EVENTS
        and one.get_dagster_event().asset_key is not None
    )
