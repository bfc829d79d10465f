"""Dagster's schedules and sensors in the SQLite file that it would use itself, made by one process.

Belongs here: how that file is made. PostgreSQL storage does not need this.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._serdes import ConfigurableClassData

from telecom_assets.home.sqlite_databases import Database


def _make(folder: str) -> None:
    schedules = SqliteScheduleStorage.from_local(folder)
    schedules.migrate()
    schedules.optimize()


class WholeSqliteScheduleStorage(SqliteScheduleStorage):
    """`SqliteScheduleStorage` over a file that is whole."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "WholeSqliteScheduleStorage":
        base_dir = config_value["base_dir"]
        Database(
            Path(base_dir, "schedules.db"),
            ScheduleStorageSqlMetadata.tables,
            _make,
            "which sensors and schedules are on, and what their ticks did",
        ).ensure()
        return cls(create_db_conn_string(base_dir, "schedules"), inst_data)
