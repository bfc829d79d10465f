"""Dagster's runs in the SQLite file that it would use itself, over connections that are kept.

Belongs here: how runs reach the file. Dagster's own storage makes an engine, and compiles its statements, at every
question, and asks for the columns of a table before every write: a tenth of a second a run, and a month is six runs.
PostgreSQL storage does not need this.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine

from telecom_assets.home.event_log import kept_engine
from telecom_assets.home.sqlite_databases import Database


def _make(folder: str) -> None:
    runs = SqliteRunStorage.from_local(folder)
    runs.migrate()
    runs.optimize()


class KeptSqliteRunStorage(SqliteRunStorage):
    """`SqliteRunStorage` with one engine a process."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "KeptSqliteRunStorage":
        base_dir = config_value["base_dir"]
        # Dagster loads the history of its tables first, whatever it finds: a tenth of the start of a command.
        Database(
            Path(base_dir, "runs.db"), RunStorageSqlMetadata.tables, _make, "the runs and the months opened by name"
        ).ensure()
        return cls(create_db_conn_string(base_dir, "runs"), inst_data)

    @cached_property
    def _engine(self) -> Engine:
        return kept_engine(self._conn_string)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    @cached_property
    def _has_run_times(self) -> bool:
        return super().has_run_stats_index_cols()

    def has_run_stats_index_cols(self) -> bool:
        return self._has_run_times
