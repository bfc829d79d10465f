"""Everything that the project uses of Dagster's private parts: a storage of its own for SQLite, and where runs belong.

Belongs here: every import from `dagster._…`, every use of a private member of Dagster, and the versions of Dagster with which
they were tested. With any other version none of them is imported: Dagster's own storage is used, over the same
files and tables. Does not belong here: how a database is made (`telecom_assets.home.sqlite_databases`).

What the storage is for. A range run over a month reports one event a day and table. Dagster's own SQLite storage opens a
database, compiles its statements and commits twice for each of them, which takes longer than the work that the events report.
Here connections are kept, and the events of a moment are one transaction. A storage on PostgreSQL needs none of this.

Adding a version: install it, put it into TESTED_VERSIONS, and run the test suite.
"""

import inspect
import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.exc import SQLAlchemyError

from telecom_assets.home.compute_logs import ELSEWHERE, is_in_a_terminal
from telecom_assets.home.sqlite_databases import BUSY_TIMEOUT_SECONDS, Database

#: The versions of Dagster with which this module was tested.
TESTED_VERSIONS = ("1.13.27",)

#: The most events that Dagster hands to the storage in one call.
BATCH_EVENTS = 2_000
#: How long an event may wait, so that others are written in its transaction.
DELAY_SECONDS = 0.2


def is_tested() -> bool:
    """Whether this module was tested with the Dagster that is installed."""
    return dg.__version__ in TESTED_VERSIONS


def untested_version(*, sqlite: bool) -> str | None:
    """What a person should know of a Dagster that this module was not tested with; None of a tested one.

    sqlite: whether the home keeps runs and events on SQLite.
    """
    if is_tested():
        return None
    slower = (
        "runs and events are kept by Dagster's own storage, the same data in the same files, and a month takes some seconds "
        "longer; "
    )
    return (
        f"Dagster {dg.__version__} is installed, and what the project adds to it was tested with {', '.join(TESTED_VERSIONS)} only "
        f"and is left out: {slower if sqlite else ''}the UI's pages of jobs and the failure webhook do not hear of runs of "
        "commands (requirements.lock has the tested version)"
    )


def sqlite_config(dagster_home: Path) -> dict[str, Any]:
    """The part of dagster.yaml about storages, for a home on SQLite."""
    history, schedules = dagster_home / "history", dagster_home / "schedules"
    if is_tested():
        return {
            "run_storage": _configured(__name__, "KeptSqliteRunStorage", history),
            "event_log_storage": _configured(__name__, "BatchedSqliteEventLog", history),
            "schedule_storage": _configured(__name__, "WholeSqliteScheduleStorage", schedules),
        }
    return {
        "run_storage": _configured("dagster._core.storage.runs", "SqliteRunStorage", history),
        "event_log_storage": _configured(
            "dagster._core.storage.event_log", "ConsolidatedSqliteEventLogStorage", history
        ),
        "schedule_storage": _configured("dagster._core.storage.schedules", "SqliteScheduleStorage", schedules),
    }


def output_config(folder: Path) -> dict[str, Any]:
    """The part of dagster.yaml about captured output. Dagster's own class uses the same folder by default."""
    return {"compute_logs": _configured(__name__, "StepOutput", folder)} if is_tested() else {}


def _configured(module: str, name: str, folder: Path) -> dict[str, Any]:
    return {"module": module, "class": name, "config": {"base_dir": str(folder)}}


def enable_batches() -> None:
    """Ask Dagster in this process, and in those it starts, to hand events over in batches."""
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_EVENTS))


@contextmanager
def runs_belong_to(instance: dg.DagsterInstance, code_location: str, job: str) -> Iterator[None]:
    """While the block runs, new runs of a job on the instance belong to a code location; with an untested Dagster to none.

    `execute_in_process` has no parameter for the code location. It makes its run by `instance.create_run_for_job`, which has one.
    """
    if not is_tested():
        yield
        return
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(code_location), SINGLETON_REPOSITORY_NAME)
    create = partial(instance.create_run_for_job, remote_job_origin=RemoteJobOrigin(repository, job))
    vars(instance)["create_run_for_job"] = create
    try:
        yield
    finally:
        del vars(instance)["create_run_for_job"]


# With an untested version nothing below is defined, and nothing above uses it.
if is_tested():
    from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
    from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
    from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
    from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
    from dagster._core.storage.event_log.polling_event_watcher import SqlPollingEventWatcher
    from dagster._core.storage.event_log.schema import (
        ConcurrencySlotsTable,
        SqlEventLogStorageMetadata,
        SqlEventLogStorageTable,
    )
    from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
    from dagster._core.storage.runs import SqliteRunStorage
    from dagster._core.storage.runs.schema import RunStorageSqlMetadata
    from dagster._core.storage.schedules import SqliteScheduleStorage
    from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
    from dagster._core.storage.sql import get_alembic_config, stamp_alembic_rev
    from dagster._core.storage.sqlite import create_db_conn_string
    from dagster._serdes import ConfigurableClassData
    from dagster._utils.concurrency import ConcurrencySlotStatus

    def _kept_engine(address: str) -> Engine:
        """An engine over one SQLite file whose connections, and compiled statements, are kept."""
        engine = create_engine(address, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})

        @event.listens_for(engine, "connect")
        def durable_enough(connection, _record) -> None:  # type: ignore[no-untyped-def]
            # With a write-ahead log a crash of the process loses nothing; only that of the machine may lose the newest
            # events, and the tables, not the events, say what was done.
            connection.execute("PRAGMA synchronous=NORMAL")

        return engine

    # -- events ------------------------------------------------------------------------------------------------------

    def _make_event_log(folder: str) -> None:
        log = ConsolidatedSqliteEventLogStorage(folder)
        # Dagster (1.13) notes the revision and does not commit it.
        with log.index_connection() as connection:
            stamp_alembic_rev(get_alembic_config(inspect.getfile(ConsolidatedSqliteEventLogStorage)), connection)
        log.reindex_events()
        log.reindex_assets()

    class BatchedSqliteEventLog(ConsolidatedSqliteEventLogStorage):
        """`ConsolidatedSqliteEventLogStorage`, one transaction for all events of a moment, over connections that are kept.

        An event waits at most DELAY_SECONDS, so that others are written with it. All waiting events are written at once
        when an event about the run as a whole comes (such as its end), when the storage is read or changed in any other
        way, and when the process ends. Events that could not be written are written with the next ones; that write raises
        the error.
        """

        def __init__(self, base_dir: str, *arguments: Any, **named: Any) -> None:
            #: Events with their rows, in their order.
            self._waiting: list[tuple[dict[str, Any], dg.EventLogEntry]] = []
            self._timer: threading.Timer | None = None
            #: Guards `_waiting` and `_timer`.
            self._lock = threading.RLock()
            #: Tables that the database is known to have.
            self._tables: set[str] = set()
            #: For each thread: the connection of the transaction that it is in.
            self._own = threading.local()
            Database(
                Path(base_dir, "event_log.db"),
                SqlEventLogStorageMetadata.tables,
                _make_event_log,
                "the events of all runs and the places in the pools",
            ).ensure()
            super().__init__(base_dir, *arguments, **named)

        @cached_property
        def _engine(self) -> Engine:
            return _kept_engine(self._conn_string)

        @contextmanager
        def _connect(self) -> Iterator[Connection]:
            if (inside := getattr(self._own, "connection", None)) is not None:
                yield inside
                return
            self._flush()
            with self._engine.begin() as connection:
                yield connection

        def has_table(self, table_name: str) -> bool:
            """Whether the database has a table. A table that was found once is not looked for again.

            Dagster asks this at every check, each time over a new connection.
            """
            if table_name not in self._tables and super().has_table(table_name):
                self._tables.add(table_name)
            return table_name in self._tables

        def store_event(self, event: dg.EventLogEntry) -> None:
            self.store_event_batch([event])

        def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
            # Converted before they wait: an event that cannot become a row raises here, at its reporter, and blocks no other event.
            rows = [self._event_to_row(one) for one in events]
            with self._lock:
                self._waiting += zip(rows, events, strict=True)
                if any(one.is_dagster_event and one.get_dagster_event().is_job_event for one in events):
                    self._flush()
                elif self._timer is None:
                    # No daemon thread: the interpreter waits for the timer at its end, so that no event is lost.
                    self._timer = threading.Timer(DELAY_SECONDS, self._flush_in_time)
                    self._timer.start()

        @cached_property
        def _watcher(self) -> SqlPollingEventWatcher:
            return SqlPollingEventWatcher(self)

        def watch(self, run_id: str, cursor: str | None, callback: Callable[[dg.EventLogEntry, str], None]) -> None:
            """Call back for each new event of a run; the storage is asked for new events again and again.

            Dagster's own watcher waits until the database file changes. With connections that stay open only the write-ahead log
            changes.
            """
            self._watcher.watch_run(run_id, cursor, callback)

        def end_watch(self, run_id: str, handler: Callable[[dg.EventLogEntry, str], None]) -> None:
            self._watcher.unwatch_run(run_id, handler)

        def dispose(self) -> None:
            self._flush()
            if "_watcher" in vars(self):
                self._watcher.close()
            super().dispose()  # type: ignore[no-untyped-call]  # Dagster's

        def _claim_concurrency_slot(self, concurrency_key: str, run_id: str, step_key: str) -> ConcurrencySlotStatus:
            """Take a place in a pool by one statement.

            Dagster's own method looks for a free place and then takes it, even when another process took it in between.
            """
            slots = ConcurrencySlotsTable
            is_free = slots.c.step_key.is_(None)
            of_pool = (slots.c.concurrency_key == concurrency_key) & is_free & slots.c.deleted.is_(False)
            free = select(slots.c.id).where(of_pool).limit(1).scalar_subquery()
            with self.index_connection() as connection:  # type: ignore[no-untyped-call]  # Dagster's
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
            """Called by the timer. Events that cannot be written stay for the next write, which raises the error."""
            with suppress(SQLAlchemyError):
                self._flush()

        def _write(self, rows: Sequence[dict[str, Any]], events: Sequence[dg.EventLogEntry]) -> None:
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

        def _store_beside(self, connection: Connection, numbered: Sequence[tuple[int, dg.EventLogEntry]]) -> None:
            """Write the rows that other tables have for stored events: tags and newest event of an asset, results of checks."""
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

    def _is_of_asset(one: dg.EventLogEntry) -> bool:
        """Whether an event is about an asset and not about a check of one."""
        return (
            one.is_dagster_event
            and one.dagster_event_type in ASSET_EVENTS
            and one.get_dagster_event().asset_key is not None
        )

    # -- runs, schedules and sensors -----------------------------------------------------------------------------------

    def _made_by(storage: type[SqliteRunStorage] | type[SqliteScheduleStorage]) -> Callable[[str], None]:
        """Dagster's own way to make a database of a storage in a folder."""

        def make(folder: str) -> None:
            made = storage.from_local(folder)
            made.migrate()
            made.optimize()

        return make

    class KeptSqliteRunStorage(SqliteRunStorage):
        """`SqliteRunStorage` with one SQLAlchemy engine a process, whose connections stay open."""

        @classmethod
        def from_config_value(
            cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
        ) -> "KeptSqliteRunStorage":
            folder = config_value["base_dir"]
            # Dagster's own way loads the migrations of its tables first, even where the tables exist: a tenth of a command's start.
            Database(
                Path(folder, "runs.db"),
                RunStorageSqlMetadata.tables,
                _made_by(SqliteRunStorage),
                "the runs and the months opened by name",
            ).ensure()
            return cls(create_db_conn_string(folder, "runs"), inst_data)

        @cached_property
        def _engine(self) -> Engine:
            return _kept_engine(self._conn_string)

        @contextmanager
        def connect(self) -> Iterator[Connection]:
            with self._engine.begin() as connection:
                yield connection

    class WholeSqliteScheduleStorage(SqliteScheduleStorage):
        """`SqliteScheduleStorage` over a database file that one process has made whole."""

        @classmethod
        def from_config_value(
            cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
        ) -> "WholeSqliteScheduleStorage":
            folder = config_value["base_dir"]
            Database(
                Path(folder, "schedules.db"),
                ScheduleStorageSqlMetadata.tables,
                _made_by(SqliteScheduleStorage),
                "which sensors and schedules are on, and what their ticks did",
            ).ensure()
            return cls(create_db_conn_string(folder, "schedules"), inst_data)

    # -- captured output -----------------------------------------------------------------------------------------------

    class StepOutput(LocalComputeLogManager):
        """Dagster's `LocalComputeLogManager`, for runs that have a process of their own."""

        @classmethod
        def from_config_value(
            cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
        ) -> "StepOutput":
            return cls(inst_data=inst_data, **config_value)

        @contextmanager
        def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
            if not is_in_a_terminal():
                with super().capture_logs(log_key) as context:
                    yield context
                return
            for io_type in ComputeIOType:
                with self.open_log_stream(log_key, io_type) as stream:
                    assert stream is not None
                    stream.write(ELSEWHERE)
            Path(self.complete_artifact_path(log_key)).touch()  # type: ignore[no-untyped-call]  # Dagster's
            yield CapturedLogContext(log_key)
