"""A project folder under test: its own topic, database, warehouse and Dagster instance, and what the tests ask of it.

Belongs here: driving the real graph, and reading tables without the engine that wrote them. Does not belong here: any
rule; what should come out is computed by `oracle`.
"""

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pyarrow as pa
import pytest
from confluent_kafka.admin import NewTopic
from deltalake import DeltaTable, write_deltalake
from psycopg import sql
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from resources.kafka import KafkaConnection, KafkaUnavailable
from resources.postgres import read_customers
from resources.stack_state import StackState
from resources.warehouse import Warehouse
from telecom_assets.definitions import build_defs
from telecom_assets.home.compute_logs import printed_in_the_terminal
from telecom_assets.home.deployment import Deployment
from telecom_assets.home.instance import open_instance
from telecom_assets.home.settings import Settings
from telecom_assets.intake import journal
from telecom_assets.intake.decisions import open_month
from telecom_assets.intake.landing import landed_info
from telecom_assets.lineage.io_manager import ProjectIOManager
from telecom_assets.model.calendar import local_today
from telecom_assets.model.run_tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from telecom_assets.record_types.in_force import RECORD_TYPES
from telecom_assets.reference.customer_import import FILE_SCHEMA
from telecom_assets.reference.customer_storing import store_customers
from telecom_assets.reference.history import after_import, present
from telecom_assets.reference.tables import CUSTOMER_LIST
from telecom_assets.runs.month_runner import MonthRunner, StepResult
from telecom_assets.tables import tables_of
from telecom_assets_tests import oracle

DATA = Path(__file__).parents[2] / "telecom_assets" / "data"
MONTH = "2025-06"
NEXT_MONTH = "2025-07"

Row = dict[str, Any]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def month_tag(month: str = MONTH) -> dict[str, str]:
    """Run tags of one month."""
    return {PARTITION_NAME_TAG: month}


def day_tags(first: str, last: str | None = None) -> dict[str, str]:
    """Run tags of a range of days."""
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last or first}


def cdr(record_type: str, day: int, record_id: str, **fields: object) -> bytes:
    """One sound CDR of a day of MONTH at noon, with other fields of its type as given."""
    sound: dict[str, object] = {
        "record_ID": record_id,
        "record_type": record_type,
        "timestamp": f"{MONTH}-{day:02d}T12:00:00",
        "cell_id": "RABAT_01",
        "technology": "4G",
    }
    if record_type == "data":
        sound |= {"session_duration_sec": 60, "product_code": "DATA_BASIC"}
    return json.dumps({**sound, **fields}).encode()


def make_topic(stack: StackState, partitions: int = 4) -> KafkaConnection:
    """A fresh topic with LogAppendTime."""
    assert stack.kafka is not None
    connection = KafkaConnection(stack.kafka.bootstrap_servers, f"graph-{uuid.uuid4().hex}", stack.kafka.options)
    config = {"message.timestamp.type": "LogAppendTime"}
    topic = NewTopic(connection.topic, num_partitions=partitions, replication_factor=1, config=config)
    admin = connection.admin()  # a client that nobody holds ends its requests
    admin.create_topics([topic], operation_timeout=30)[connection.topic].result(timeout=30)
    ready = retry(retry=retry_if_exception_type(KafkaUnavailable), stop=stop_after_delay(30), wait=wait_fixed(0.1))
    ready(connection.topic_state)()  # a moment after its creation every partition has a leader
    return connection


def make_database(stack: StackState, template: str = "template1") -> str:
    """The address of a fresh database, or of a copy of one that nobody uses now."""
    assert stack.postgres is not None
    name = f"graph_{uuid.uuid4().hex}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(stack.postgres.url(), autocommit=True) as session:
        session.execute(create)
    return stack.postgres.url(name)


def with_single_jobs(definitions: dg.Definitions) -> dg.Definitions:
    """The definitions with two jobs more for each asset: its checks alone, and its step without checks."""
    jobs, graph = [], definitions.resolve_asset_graph()
    for key in sorted(graph.executable_asset_keys):
        step = dg.AssetSelection.assets(key).required_multi_asset_neighbors().without_checks()
        jobs.append(dg.define_asset_job(f"make_{key.to_user_string()}", step))
        if graph.get(key).check_keys:
            checks = dg.AssetSelection.checks_for_assets(key)
            jobs.append(dg.define_asset_job(f"check_{key.to_user_string()}", checks))
    return dg.Definitions.merge(definitions, dg.Definitions(jobs=jobs))


@dataclass
class Project:
    """One home folder with everything that belongs to it."""

    settings: Settings
    instance: dg.DagsterInstance
    _expected: dict[int, oracle.Result] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def deployment(self) -> Deployment:
        return Deployment(self.settings, tables_of(RECORD_TYPES, self.settings.currency))

    @cached_property
    def defs(self) -> dg.Definitions:
        return with_single_jobs(build_defs(self.settings, self.deployment.resources()))

    @property
    def warehouse(self) -> Warehouse:
        return self.deployment.warehouse

    # -- what a user does --------------------------------------------------------------------------------------------

    def produce(self, values: Iterable[bytes | None]) -> None:
        """Send messages, dealt out to the partitions in turn; returns when the broker has all of them."""
        kafka = self.deployment.kafka()
        partitions = len(kafka.topic_state().partitions)
        producer = kafka.producer(**{"linger.ms": 5, "message.max.bytes": 100_000_000})
        for number, value in enumerate(values):
            producer.produce(kafka.topic, value, partition=number % partitions)
        assert producer.flush(60) == 0

    def store_customers(self, customers: pa.Table) -> None:
        store_customers(self.deployment.postgres(), customers)

    def change_customer(self, customer_id: str, since: dt.date, **changed: object) -> None:
        """Give a customer other values from a day on, as an import does: in his history, and in PostgreSQL where that is now."""
        stored = self.warehouse.pin("customers")
        listed = read_customers(self.deployment.postgres(), CUSTOMER_LIST).to_pylist()
        [row] = [each for each in listed if each["customer_id"] == customer_id]
        file = pa.Table.from_pylist([{**row, "valid_from": since, "new_holder": False, **changed}], FILE_SCHEMA)
        new = after_import(stored.arrow(), file, local_today())
        self.store_customers(present(file, new))
        self.warehouse.overwrite_arrow("customers", new, reads={"customers": stored.version})

    def open_month(self, month: str = MONTH) -> None:
        settings = self.settings
        open_month(self.warehouse, month, calendar_start=settings.partitions_start, dedupe_days=settings.dedupe_days)

    def run_month(self, month: str = MONTH, *, force: bool = False) -> list[StepResult]:
        """What `telecom run` does, once the month is open. Raises RunFailed."""
        return self.runner().run_month(month, force=force)

    def runner(self) -> MonthRunner:
        return MonthRunner(self.defs, self.instance, self.deployment, lambda *_: None)

    def run(self, job: str, tags: Mapping[str, str] | None = None) -> dg.ExecuteInProcessResult:
        """Run a job of the definitions; a failure is in the result."""
        with printed_in_the_terminal():
            return self.defs.resolve_job_def(job).execute_in_process(
                instance=self.instance,
                tags=dict(tags or {}),
                raise_on_error=False,
                run_config=QUIET,
                resources=self.resources(),
            )

    def resources(self) -> dict[str, Any]:
        """Of this project, whichever definitions it borrows."""
        own = self.defs.resources["io_manager"]  # type: ignore[index]
        manager = ProjectIOManager(self.warehouse, own.rules_of, own.committed)
        return {**self.deployment.resources(), "io_manager": manager}

    def check(self, asset: str, tags: Mapping[str, str] | None = None) -> dict[str, dg.AssetCheckEvaluation]:
        """The checks of one asset, run by Dagster and nothing else with them, by name."""
        result = self.run(f"check_{asset}", tags)
        assert result.get_asset_materialization_events() == []
        return {item.check_name: item for item in result.get_asset_check_evaluations()}

    def materialise(self, asset: str, tags: Mapping[str, str]) -> dg.ExecuteInProcessResult:
        """One asset (its whole step), without any check before or after it."""
        return self.run(f"make_{asset}", tags)

    # -- what the tests look at, without the engine --------------------------------------------------------------------

    def table(self, name: str) -> DeltaTable:
        return DeltaTable(self.warehouse.path(name), storage_options=self.warehouse.storage_options)

    def rows(self, name: str) -> list[Row]:
        rows: list[Row] = self.table(name).to_pyarrow_table().to_pylist()
        return rows

    def version(self, name: str) -> int:
        return self.table(name).version()

    def versions(self, names: Iterable[str]) -> dict[str, int]:
        """The newest versions of some tables; -1 for one that is not there: some have rows only when a person has decided."""
        return {name: self.version(name) if self.warehouse.exists(name) else -1 for name in names}

    def delete(self, name: str, predicate: str) -> int:
        """Take rows away behind everybody's back; returns how many."""
        deleted = int(self.table(name).delete(predicate)["num_deleted_rows"])
        assert deleted > 0, f"nothing to delete in {name} where {predicate}"
        return deleted

    def add(self, name: str, rows: Sequence[Row]) -> None:
        """Put rows into a table behind everybody's back."""
        schema = self.warehouse.contracts[name].arrow_schema()
        write_deltalake(self.warehouse.path(name), pa.Table.from_pylist(list(rows), schema=schema), mode="append")

    def land(self, row: Row | None = None, displaces: Iterable[dt.date] = ()) -> None:
        """A landing of another process: one message as a row (its offset is the next), and what it says of other days."""
        warehouse, here = self.warehouse, journal.read_state(self.warehouse)
        assert here.source_id is not None
        assert here.topic is not None
        end = here.ends[0]
        rows = [] if row is None else [{**row, "source_part": 0, "source_position": end}]
        table = pa.Table.from_pylist(rows, schema=warehouse.contracts["raw_cdrs"].arrow_schema())
        count = len(rows)
        said = {
            journal.LANDED: landed_info(here.source_id, here.topic, [(0, end, end + count, count)], "elsewhere"),
            journal.DISPLACED: [day.isoformat() for day in displaces],
        }
        files, positions = warehouse.stage_arrow("raw_cdrs", table), {journal.key(here.source_id, 0): end + count}
        warehouse.commit("raw_cdrs", files, here.raw_version, positions=positions, info=said)

    def change(self, name: str, change: Any) -> None:
        """Rewrite a whole table, row by row, behind everybody's back."""
        schema = self.warehouse.contracts[name].arrow_schema()
        rows = pa.Table.from_pylist([change(row) for row in self.rows(name)], schema=schema)
        write_deltalake(self.warehouse.path(name), rows, mode="overwrite")

    def postgres(self, query: str) -> list[tuple[Any, ...]]:
        """Ask PostgreSQL."""
        assert self.settings.postgres_dsn is not None
        with psycopg.connect(self.settings.postgres_dsn.get_secret_value(), autocommit=True) as session:
            cursor = session.execute(query)
            return cursor.fetchall() if cursor.description else []

    # -- what should come out ------------------------------------------------------------------------------------------

    def messages(self) -> list[oracle.Message]:
        """Every landed message as the broker had it."""
        return [
            oracle.Message(
                row["source_part"], row["source_position"], row["received_at"], row["value"], row["source_id"]
            )
            for row in self.rows("raw_cdrs")
        ]

    def expected(self) -> oracle.Result:
        """What the oracle makes of the landed messages, with the stored history of customers; computed once."""
        version = self.version("raw_cdrs")
        if version not in self._expected:
            self._expected[version] = self._ask_oracle()
        return self._expected[version]

    def _ask_oracle(self) -> oracle.Result:
        customers = self.rows("customers")
        settings = self.settings
        parameters = oracle.Parameters(
            max_age_days=settings.max_age_days,
            dedupe_days=settings.dedupe_days,
            accept_months=set(journal.read_state(self.warehouse).opened_months),
            missing_volume_policy=settings.missing_volume_policy,
            discount_pct=settings.discount_pct,
            tax_pct=settings.tax_pct,
            currency=settings.currency,
            chosen=[
                (str(each.source_id), int(each.source_part or 0), int(each.from_position or 0))
                for each in journal.copies_chosen(self.warehouse, self.version("raw_cdrs"))
            ],
        )
        rate_plans = oracle.read_csv(settings.rate_plans or DATA / "rate_plans.csv")
        catalogue = oracle.read_csv(settings.product_catalog or DATA / "product_catalog.csv")
        return oracle.run(self.messages(), customers, rate_plans, catalogue, parameters)


def open_project(settings: Settings, instance: dg.DagsterInstance | None = None) -> Project:
    """A project with the Dagster instance of its home folder; the environment stays as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "replaced by open_instance, then forgotten")
        return Project(settings, instance or open_instance(settings))


def without(rows: Iterable[Row], *columns: str) -> list[Row]:
    """Rows without some columns."""
    return [{name: value for name, value in row.items() if name not in columns} for row in rows]


def ordered(rows: Iterable[Row], *columns: str) -> list[Row]:
    """Rows in an order of their own, so that lists can be compared."""
    return sorted(rows, key=lambda row: tuple(row[name] for name in columns))
