"""Engine, warehouse, Kafka and PostgreSQL, made from the settings.

Belongs here: which setting goes to which resource, and when an address of the local stack is used in place of a setting.
Resources connect on first use, so that definitions load without any server; and the client of a server is loaded then, so that
a command which needs none starts sooner.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from resources.contract import TableContract
from resources.engine import SparkEngine
from resources.stack_state import read_stack_state
from resources.warehouse import Warehouse
from telecom_assets.home.settings import Settings
from telecom_assets.periods.guard import refuse_frozen
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes

if TYPE_CHECKING:
    from resources.kafka import KafkaConnection
    from resources.postgres import PostgresConnection

_Connection = TypeVar("_Connection")
#: Returns the current time, by which sensors and checks decide. Tests give another.
Clock = Callable[[], dt.datetime]


@dataclass(frozen=True)
class OnDemand(Generic[_Connection]):
    """A server whose address is looked up when it is needed, so that definitions load without it."""

    #: Raises KafkaUnavailable, or PostgresUnavailable, when no server is configured.
    connect: Callable[[], _Connection]


class Deployment:
    """Everything a command may use, made from the settings. Dagster has each part as a resource of its own name."""

    def __init__(
        self, settings: Settings, tables: Mapping[str, TableContract], record_types: RecordTypes = RECORD_TYPES
    ) -> None:
        """`tables`: the contracts of the warehouse's tables by name, made for the record types (`telecom_assets.tables`)."""
        self.settings = settings
        self.tables = tables
        self.record_types = record_types

    def resources(self) -> dict[str, Any]:
        """Dagster's resources by name: settings, engine, warehouse, kafka, postgres, clock, record_types."""
        from resources.engine_resource import EngineResource  # noqa: PLC0415  (loads Dagster, which some commands do without)

        return {
            "settings": self.settings,
            "engine": EngineResource.of(self.engine),
            "warehouse": self.warehouse,
            "kafka": OnDemand(self.kafka),
            "postgres": OnDemand(self.postgres),
            "clock": self.now,
            "record_types": self.record_types,
        }

    def now(self) -> dt.datetime:
        """The current time, which sensors decide by. Tests set another."""
        return dt.datetime.now(dt.UTC)

    @cached_property
    def engine(self) -> SparkEngine:
        settings = self.settings
        if settings.s3 is not None:
            settings.s3.export()
        return SparkEngine(
            kind=settings.engine,
            remote=settings.spark_remote,
            stack_file=str(settings.stack_file),
            memory_mb=settings.engine_memory_mb,
        )

    @cached_property
    def warehouse(self) -> Warehouse:
        settings = self.settings
        return Warehouse(
            settings.warehouse_uri,
            self.engine,
            self.tables,
            s3=settings.s3,
            retention_days=settings.retention_days,
            guard=refuse_frozen,
        )

    def kafka(self) -> "KafkaConnection":
        """The configured broker, else the local stack's. Raises KafkaUnavailable when there is neither."""
        from resources.kafka import KafkaConnection, KafkaUnavailable  # noqa: PLC0415

        settings = self.settings
        servers, options = settings.kafka_bootstrap_servers, settings.kafka_options
        if servers is None:
            local = read_stack_state(settings.stack_file).kafka
            if local is None:
                raise KafkaUnavailable(
                    "no Kafka: set TELECOM_KAFKA_BOOTSTRAP_SERVERS, or start the local stack with `telecom up`"
                )
            servers, options = local.bootstrap_servers, {**local.options, **options}
        return KafkaConnection(servers, settings.kafka_topic, options, settings.kafka_timeout_seconds)

    def postgres(self) -> "PostgresConnection":
        """The configured database, else the local stack's. Raises PostgresUnavailable when there is neither."""
        from resources.postgres import PostgresConnection, PostgresUnavailable  # noqa: PLC0415

        if self.settings.postgres_dsn is not None:
            return PostgresConnection(self.settings.postgres_dsn.get_secret_value())
        local = read_stack_state(self.settings.stack_file).postgres
        if local is None:
            raise PostgresUnavailable(
                "no PostgreSQL: set TELECOM_POSTGRES_DSN, or start the local stack with `telecom up`"
            )
        return PostgresConnection(local.url())
