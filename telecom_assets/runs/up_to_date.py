"""Whether a step of a month has anything to do: what it read and made when it last went well, and what is there now.

Belongs here: what each step depends on, and when that may have changed. Does not belong here: the order of the steps
(`telecom_assets.runs.month_run`) and executing them (`telecom_assets.runs.month_runner`).

A step that went well leaves a record with the Dagster instance: versions of the tables it read, pinned before it began,
and of those it wrote, as their materialisations say, each with the commit that made it (a warehouse that was restored from a
backup reaches the same versions again, by others); the code and the settings; what its documents and the published
bills are. It is up to date while all of that is as it was. Whatever is not known counts as changed.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

import resources
from resources.changes import commit_identity, partitions_changed
from resources.delta import Warehouse
from resources.postgres import published_digest
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.home.connections import Connections
from telecom_assets.home.output_files import bills_file, dashboard_file, invoice_directory, report_file
from telecom_assets.home.settings import Settings
from telecom_assets.intake.landing import position
from telecom_assets.intake.plan import lag
from telecom_assets.intake.tables import LANDING_RANGES, RAW_CDRS
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS
from telecom_assets.rating.tables import DATA_VOLUME_FLOOR, RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.tables import CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS
from telecom_assets.reports.tables import REPORTS
from telecom_assets.runs.instance_state import keep_step_record, step_record
from telecom_assets.runs.month_run import BILLING, FLOORS, LANDING, MEDIATION, RATING, existing_days

#: Settings that no result depends on: where things lie (tables, documents and bills are looked at themselves), when work is
#: done, and how files are written, which only billing asks for (`_read_beside`).
_WITHOUT_EFFECT = {
    "home",
    "warehouse",
    "output",
    "spark_remote",
    "engine_memory_mb",
    "spark_workers",
    "spark_memory_mb",
    "spark_properties",
    "aws_endpoint_url",
    "aws_region",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "kafka_bootstrap_servers",
    "kafka_topic",
    "kafka_options",
    "kafka_timeout_seconds",
    "landing_chunk_rows",
    "postgres_dsn",
    "rate_plans",
    "product_catalog",
    "billing_day",
    "csv_bom",
    "short_retention",
    "retention_days",
    "target_file_mb",
    "maintenance_hour",
    "sensor_interval_seconds",
    "outage_minutes",
    "silent_hours",
    "failure_webhook",
    "dagster_storage",
    "dagster_postgres_url",
}
_ENGINES = ("pyspark", "pysail", "deltalake", "pyarrow")


@dataclass(frozen=True)
class _Tables:
    """What a step reads and writes. Of partitioned tables the month's days, or the month, count."""

    reads: Sequence[str]
    writes: Sequence[str]


_OF_STEP: Mapping[str, _Tables] = {
    LANDING: _Tables((), (RAW_CDRS.name, LANDING_RANGES.name)),
    MEDIATION: _Tables(
        (RAW_CDRS.name, PRODUCT_CATALOG.name), (CLEANED_CDRS.name, REJECTED_CDRS.name, MEDIATED_DAYS.name)
    ),
    FLOORS: _Tables((CLEANED_CDRS.name,), (DATA_VOLUME_FLOOR.name,)),
    # The floors are compared by their rows: they are written anew whenever a day of the month was mediated.
    RATING: _Tables(
        (
            CLEANED_CDRS.name,
            REJECTED_CDRS.name,
            MEDIATED_DAYS.name,
            CUSTOMERS.name,
            RATE_PLANS.name,
            PRODUCT_CATALOG.name,
        ),
        (RATED_CDRS.name, SUSPENDED_CDRS.name),
    ),
    BILLING: _Tables(
        (
            RAW_CDRS.name,
            MEDIATED_DAYS.name,
            CLEANED_CDRS.name,
            REJECTED_CDRS.name,
            RATED_CDRS.name,
            SUSPENDED_CDRS.name,
            CUSTOMERS.name,
        ),
        (FACTURATION_COMPLETE.name, *(contract.name for contract in REPORTS)),
    ),
}


@dataclass(frozen=True)
class Question:
    """What a step has to do: the days (all of the month, for a step that is not done by days), none when up to date."""

    job: str
    days: set[dt.date]
    #: What it is about to read: identity, version and commit per table.
    reads: Mapping[str, tuple[str, int, str]]
    #: What it is about to read and is compared by content.
    beside: str = ""


class MonthRecords:
    """The records of one month's steps, on one instance."""

    def __init__(
        self, instance: dg.DagsterInstance, connections: Connections, month: str, checks: Mapping[str, Sequence[Any]]
    ) -> None:
        """`checks`: keys of the asset checks that each job makes."""
        self.instance = instance
        self.connections = connections
        self.month = month
        self.checks = checks
        self._commits: dict[tuple[str, int], str] = {}

    @property
    def _warehouse(self) -> Warehouse:
        return self.connections.warehouse

    def nothing_to_land(self) -> bool:
        """Whether the topic has nothing new, and the landed rows are as landing left them. Raises what landing would."""
        here, state = position(self._warehouse, self.connections.kafka())
        behind = here.source_id is None or here.unsettled or any(lag(state, here.ends_on(state)).values())
        return not behind and not self.ask(LANDING).days

    def ask(self, job: str) -> Question:
        """What a step has to do now."""
        reads, beside = self._versions(_OF_STEP[job].reads), self._read_beside(job)
        days = set(existing_days(self.month))
        due = self._changed_days(job, days, beside)
        if job == MEDIATION:
            due |= set(stale_days(self._warehouse))
        return Question(job, due, reads, beside)

    def begin(self, job: str) -> None:
        """Forget that the step went well: until it has again, it is to be done."""
        keep_step_record(self.instance, self._key(job), None)

    def went_well(self, question: Question, written: Mapping[str, int]) -> None:
        """Remember what a step read and made. `written`: versions of the materialisations of its runs.

        A step that did not say the version of each table it writes leaves no record, and is done again.
        """
        made = _OF_STEP[question.job].writes
        if question.job == LANDING:
            written = {name: self._warehouse.version(name) for name in made}
        if not set(made) <= set(written):
            return
        tables = {**question.reads, **{name: self._state(name, written[name]) for name in made}}
        record = {
            "terms": terms(self.connections.settings, self.connections.record_types),
            "days": [day.isoformat() for day in existing_days(self.month)],
            "tables": tables,
            "read_beside": question.beside,
            "made_beside": self._made_beside(question.job),
        }
        keep_step_record(self.instance, self._key(question.job), record)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _key(self, job: str) -> str:
        return job if job == LANDING else f"{job}/{self.month}"

    def _versions(self, names: Iterable[str]) -> dict[str, tuple[str, int, str]]:
        return {name: self._state(name, self._warehouse.version(name)) for name in names}

    def _state(self, name: str, version: int) -> tuple[str, int, str]:
        return self._warehouse.table_id(name), version, self._commit(name, version)

    def _commit(self, name: str, version: int) -> str:
        """The commit that made a version; read once."""
        if (name, version) not in self._commits:
            self._commits[name, version] = commit_identity(self._warehouse, name, version)
        return self._commits[name, version]

    def _changed_days(self, job: str, days: set[dt.date], beside: str) -> set[dt.date]:
        """Days of the month for which something is not as the record has it."""
        record = step_record(self.instance, self._key(job))
        if (
            record is None
            or set(record["tables"]) != {*_OF_STEP[job].reads, *_OF_STEP[job].writes}
            or record["terms"] != terms(self.connections.settings, self.connections.record_types)
            or record["read_beside"] != beside
            or self._a_check_failed(job)
        ):
            return days
        due = {day for day in days if day.isoformat() not in record["days"]}
        for name, (table_id, since, commit) in record["tables"].items():
            if commit != self._commit(name, since):
                return days
            changed = partitions_changed(
                self._warehouse, name, table_id, since, append_only=job == MEDIATION and name == RAW_CDRS.name
            )
            if changed is None or self.month in changed or (changed and job == LANDING):
                return days
            due |= {day for day in days if day.isoformat() in changed}
        # Last, since all documents are read for it: a step that has work anyway need not know.
        return due or (set() if record["made_beside"] == self._made_beside(job) else days)

    def _a_check_failed(self, job: str) -> bool:
        """Whether the newest outcome of one of the step's checks, of any run, is not good."""
        keys = self.checks.get(job, ())
        latest = self.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys) if keys else {}
        return any(each.status is not AssetCheckExecutionRecordStatus.SUCCEEDED for each in latest.values())

    def _read_beside(self, job: str) -> str:
        """What a step reads and is compared by its content: the floors of rating, and how billing is to write its files."""
        if job == BILLING:
            return f"csv_bom={self.connections.settings.csv_bom}"
        if job != RATING:
            return ""
        floors = self._warehouse.pin_period(DATA_VOLUME_FLOOR.name, self.month).arrow()
        rows = floors.sort_by([(name, "ascending") for name in floors.column_names])
        texts = [column.cast(pa.string()).to_pylist() for column in rows.columns]
        return hashlib.sha256(json.dumps(texts).encode()).hexdigest()

    def _made_beside(self, job: str) -> str:
        """What a step makes besides tables: the published bills and the documents of billing."""
        if job != BILLING:
            return ""
        published = published_digest(self.connections.postgres(), FACTURATION_COMPLETE, self.month)
        return f"{published} {_digest(_documents(self.connections.settings, self.month))}"


def _documents(settings: Settings, month: str) -> Iterator[Path]:
    """All files for people of a month, that should be or are there."""
    yield from sorted(invoice_directory(settings, month).glob("*"))
    yield bills_file(settings, month)
    yield from (report_file(settings, month, contract.name) for contract in REPORTS)
    yield dashboard_file(settings, month)


def terms(settings: Settings, record_types: RecordTypes = RECORD_TYPES) -> str:
    """Under what a result was made: the project's files, the engines' versions, the settings that have an effect, record types."""
    chosen = settings.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    return hashlib.sha256(f"{_code()} {record_types} {json.dumps(chosen, sort_keys=True)}".encode()).hexdigest()


@cache
def _code() -> str:
    """Digest of the rules: every file of the packages, and the versions of what evaluates them."""
    packages = (Path(__file__).parent, Path(resources.__file__).parent)
    files = [path for folder in packages for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts]
    engines = [f"{name} {installed_version(name)}" for name in _ENGINES]
    return f"{_digest(path for path in files if path.is_file())} {engines}"


def _digest(files: Iterable[Path]) -> str:
    """Digest of files, their names included; a file that is missing or cannot be read counts as that."""
    digest = hashlib.sha256()
    for path in files:
        try:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            content = type(error).__name__
        digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()
