"""Dagster's event log in one SQLite file, written in batches.

Belongs here: how events reach the file. A range run over a month reports one event a day and table; Dagster's own
SQLite storage opens a database, compiles its statements and commits twice for each of them, which took longer than the
work that the events report. PostgreSQL storage does not need this.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby

from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, create_engine, event

#: Dagster hands over the events of one output together up to this many (environment DAGSTER_EVENT_BATCH_SIZE).
BATCH_EVENTS = 2_000


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


class BatchedSqliteEventLog(ConsolidatedSqliteEventLogStorage):
    """`ConsolidatedSqliteEventLogStorage`, one transaction a batch of events, over connections that are kept."""

    @cached_property
    def _engine(self) -> Engine:
        return kept_engine(self._conn_string)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    @cached_property
    def _has_index_columns(self) -> bool:
        with self._connect() as connection:
            return super()._has_asset_key_index_cols_on_connection(connection)

    def _has_asset_key_index_cols_on_connection(self, conn: Connection) -> bool:  # noqa: ARG002  (they do not change)
        return self._has_index_columns

    @cached_property
    def supports_asset_checks(self) -> bool:  # type: ignore[override]
        return bool(super().supports_asset_checks)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in their order: those of assets together, the others one by one."""
        for together, group in groupby(events, key=_is_of_asset):
            if together:
                self._store_asset_events(list(group))
            else:
                for one in group:
                    self.store_event(one)

    def _store_asset_events(self, events: Sequence[EventLogEntry]) -> None:
        table = SqlEventLogStorageTable
        rows = [self._event_to_row(one) for one in events]
        newest = {
            (one.get_dagster_event().asset_key, one.dagster_event_type): number for number, one in enumerate(events)
        }
        assert self._has_index_columns
        with self._connect() as connection:
            returned = table.insert().returning(table.c.id, sort_by_parameter_order=True)
            ids = list(connection.execute(returned, rows).scalars())
            self._store_asset_event_tags(connection, events, ids)
            # An asset's own row keeps the newest event of a kind only.
            for number in sorted(newest.values()):
                self._store_asset_event(connection, events[number], ids[number])


def _is_of_asset(one: EventLogEntry) -> bool:
    """Whether an event is about an asset and not about a check, so that a batch of them needs one transaction."""
    return (
        one.is_dagster_event
        and one.dagster_event_type in ASSET_EVENTS
        and one.dagster_event_type not in ASSET_CHECK_EVENTS
        and one.get_dagster_event().asset_key is not None
    )
