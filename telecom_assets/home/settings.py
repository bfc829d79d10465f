"""Every setting of the project, in one place.

Belongs here: names, defaults and meaning of what may be configured from the environment. Does not belong here: which values can be used
(`home.setting_values`), how a setting is used, what the local stack knows of itself (`<home>/stack.json`, read where it is needed).

Every setting is an environment variable: `TELECOM_` + the field's name in capitals, except `ENGINE` and `SPARK_REMOTE`, which
are short because people type them, and `AWS_…`, which other programs read too. `docs/configuration.md` describes them for users.
"""

import datetime as dt
import difflib
import os
from collections.abc import Iterable
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from resources.expected_errors import UsageError
from resources.s3 import S3Storage, is_s3
from telecom_assets.home import setting_values as values
from telecom_assets.home.paths import shown


class SettingsError(UsageError):
    """A setting has a value that cannot be used. The message names the variable, the value and what is expected."""


#: Four decimals: what `telecom_assets.model.numbers.PERCENT` holds.
Share = Annotated[Decimal, Field(ge=0, le=1, decimal_places=4)]
Factor = Annotated[Decimal, Field(gt=1, le=1000, max_digits=7, decimal_places=4)]
Percent = Annotated[Decimal, Field(ge=0, le=100, max_digits=7, decimal_places=4)]
#: Settings that name a file.
_FILES = ("rate_plans", "product_catalog", "billing_terms", "issuer", "accounts")


class Settings(BaseSettings):
    """All settings. Made by `Settings.load()` alone, which reports a bad value in one clear line."""

    model_config = SettingsConfigDict(
        env_prefix="TELECOM_", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    home: Path = Field(default=Path(".telecom"), description="Folder of the local stack, the instance and all outputs.")
    warehouse: str | None = Field(
        default=None, description="Root of the Delta tables: a path, or s3://bucket/prefix. Default: <home>/warehouse."
    )
    output: Path | None = Field(default=None, description="Invoices, reports, dashboards. Default: <home>/output.")

    aws_endpoint_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "aws_endpoint_url"),
        description="Server of an S3 warehouse, http(s)://host:port. Default: AWS.",
    )
    aws_region: str | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION", "aws_region"),
        description="Region of the warehouse's bucket.",
    )
    aws_access_key_id: str | None = Field(
        default=None,
        repr=False,
        validation_alias=AliasChoices("AWS_ACCESS_KEY_ID", "aws_access_key_id"),
        description="Access key of an S3 warehouse. Default: the machine's own role.",
    )
    aws_secret_access_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key"),
        validate_default=True,
        description="What belongs to AWS_ACCESS_KEY_ID.",
    )
    aws_session_token: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_SESSION_TOKEN", "aws_session_token"),
        description="Token of credentials that expire.",
    )

    engine: Literal["sail", "spark"] = Field(
        default="sail",
        validation_alias=AliasChoices("ENGINE", "TELECOM_ENGINE", "engine"),
        description="DataFrame engine: `sail` (embedded) or `spark` (Apache Spark Connect).",
    )
    spark_remote: str | None = Field(
        default=None,
        validation_alias=AliasChoices("SPARK_REMOTE", "TELECOM_SPARK_REMOTE", "spark_remote"),
        repr=False,
        description="sc:// address of a running Spark Connect server; implies ENGINE=spark.",
    )
    engine_memory_mb: int | None = Field(
        default=None,
        ge=64,
        description="What queries of the embedded engine may hold together, MiB; beyond that they use files. Default: no limit.",
    )
    spark_workers: int = Field(
        default=0, ge=0, le=64, description="Worker processes of the local Apache Spark. 0: one process does all."
    )
    spark_memory_mb: int | None = Field(
        default=None,
        ge=512,
        description="Heap of the local Apache Spark, and of each executor. Default: 3072, or 2048 on a small machine.",
    )
    spark_properties: Annotated[dict[str, Any], NoDecode] = Field(
        default_factory=dict,
        repr=False,
        description="JSON object of settings of the local Apache Spark, e.g. spark.eventLog.enabled.",
    )

    kafka_bootstrap_servers: str | None = Field(default=None, description="host:port,… Default: the local broker.")
    kafka_topic: str = Field(default="cdr_topic", description="Topic of the CDRs.")
    kafka_options: Annotated[dict[str, Any], NoDecode] = Field(
        default_factory=dict,
        repr=False,
        description="JSON object of librdkafka options, e.g. security.protocol, sasl.*, ssl.*.",
    )
    kafka_timeout_seconds: float = Field(default=15.0, gt=0, description="How long a broker may take to answer.")
    landing_chunk_rows: int = Field(default=1_000_000, ge=1, description="Offsets landed per commit; bounds memory.")

    postgres_dsn: SecretStr | None = Field(
        default=None, description="libpq connection string or URL of the database. Default: the local stack's."
    )

    rate_plans: Path | None = Field(
        default=None, description="CSV of the tariffs. Default: what is stored, at first the packaged rate_plans.csv."
    )
    product_catalog: Path | None = Field(
        default=None,
        description="CSV of the catalogue. Default: what is stored, at first the packaged product_catalog.csv.",
    )

    customers_gone_share: Share = Field(
        default=Decimal("0.01"),
        description="Share of the active customers, 0 to 1, up to which a read of the customers may end them; one that would end more "
        "is refused.",
    )

    partitions_start: dt.date = Field(
        default=dt.date(2020, 1, 1),
        description="First daily partition; the first of a month. In a demo's home the first of its month is the default.",
    )
    max_age_days: int = Field(
        default=62, ge=0, le=3660, description="Acceptance window: how old a CDR may be when received."
    )
    dedupe_days: int = Field(
        default=31, ge=0, le=366, description="record_ID is unique across event days this far apart."
    )
    malformed_share: Share = Field(
        default=Decimal("0.2"), description="Share of a landing, 0 to 1, above which malformed messages are a warning."
    )
    missing_volume_policy: Literal["customer_min", "zero", "suspend"] = Field(
        default="customer_min",
        description="What a data CDR without a volume counts as: the smallest of its holder in the month (customer_min), "
        "nothing (zero), or it is suspended (suspend).",
    )
    adjustment_months: int = Field(
        default=12,
        ge=1,
        le=120,
        description="Closed months, before the month that is billed, that its bills still correct.",
    )
    discount_pct: Percent = Field(
        default=Decimal("5"), description="Discount on the amount before tax, percent, up to 4 decimals."
    )
    tax_pct: Percent = Field(
        default=Decimal("20"), description="Tax on the amount after discount, percent, up to 4 decimals."
    )
    billing_terms: Path | None = Field(
        default=None,
        description="CSV of discount, tax and payment days with their dates. Default: one row of the two settings above.",
    )
    currency: str = Field(
        default="MAD",
        description="ISO 4217 code of every amount; its decimals are those of bills. One for a warehouse, fixed by its first bill.",
    )
    issuer: Path | None = Field(
        default=None, description="TOML file of who sends the bills. Default: a demonstration operator."
    )
    invoice_formats: Annotated[tuple[values.InvoiceFormat, ...], NoDecode] = Field(
        default=values.INVOICE_FORMATS, description="Forms of issued documents, with commas: xml (always), ubl, pdf."
    )
    zero_bills: Literal["issue", "skip"] = Field(
        default="issue", description="A bill on which nothing but 0 stands becomes a document (issue), or none (skip)."
    )
    accounts: Path | None = Field(default=None, description="TOML file of accounts. Default: a packaged example.")
    adjustments: Literal["on_invoice", "separate"] = Field(
        default="on_invoice", description="Corrections of closed months: lines of the next bill, or a document a month."
    )
    adjustment_threshold: Annotated[Decimal, Field(ge=0)] = Field(
        default=Decimal(0), description="Amount due below which a correction to pay is written off. 0: none is."
    )
    billing_day: int = Field(
        default=3, ge=1, le=28, description="Day of the following month on which a month is billed."
    )

    approver_is_not_closer: bool = Field(
        default=False, description="Refuse to close a month for the name that approved it: two people see its bills."
    )

    review_factor: Factor = Field(
        default=Decimal(3),
        description="By which factor a bill may differ from the holder's last three, and a share of rejected records from the three "
        "months before, until `telecom bill review` says so.",
    )
    back_charge_months: int = Field(
        default=3,
        ge=0,
        le=120,
        description="For how many months back a later charge is nothing that `telecom bill review` points at.",
    )

    csv_bom: bool = Field(
        default=False, description="Begin report files and bills.csv with a byte order mark: Excel knows UTF-8 by it."
    )

    short_retention: bool = Field(
        default=False, description="Allow TELECOM_RETENTION_DAYS below 7, Delta's own limit: longer runs may fail."
    )
    retention_days: int = Field(
        default=35,
        ge=0,
        le=3660,
        description="Days for which a version of a table can be read after another took its place.",
    )
    target_file_mb: int = Field(
        default=100, ge=1, le=2048, description="Size up to which maintenance merges small files of a partition, MiB."
    )
    maintenance_hour: int = Field(
        default=4, ge=0, le=23, description="Hour of the night's maintenance of the tables, Africa/Casablanca."
    )

    sensor_interval_seconds: int = Field(default=30, ge=5, description="How often the Kafka sensor looks at the topic.")
    outage_minutes: int = Field(
        default=5, ge=1, le=1440, description="Minutes for which Kafka may be out of reach before an outage is told of."
    )
    silent_hours: int | None = Field(
        default=None,
        ge=1,
        le=8760,
        description="Hours without a landed message after which a check of raw_cdrs warns. Default: no such check.",
    )
    unusual_day_score: float = Field(
        default=3.5, ge=1, le=1000, description="Robust z-score from which the page of twelve months flags a day."
    )
    failure_webhook: SecretStr | None = Field(
        default=None, description="URL that receives a JSON POST for a failed run, and for an outage of Kafka."
    )
    dagster_storage: Literal["sqlite", "postgres"] = Field(
        default="sqlite", description="Where Dagster keeps runs and events."
    )
    dagster_postgres_url: SecretStr | None = Field(
        default=None, description="PostgreSQL URL of Dagster's storage. Default: the local stack's database."
    )

    _is_one_line = field_validator("*", mode="before")(values.is_one_line)
    _can_be_a_path = field_validator("home", "warehouse", "output", *_FILES)(values.can_be_a_path)
    _is_an_endpoint = field_validator("aws_endpoint_url")(values.is_an_endpoint)
    _is_a_topic = field_validator("kafka_topic")(values.is_a_topic)
    _is_a_path_that_every_engine_reads = field_validator("warehouse")(values.is_a_path_that_every_engine_reads)
    _options_are_a_json_object = field_validator("kafka_options", "spark_properties", mode="before")(
        values.options_are_a_json_object
    )
    _are_formats = field_validator("invoice_formats", mode="before")(values.are_formats)
    _is_a_connect_address = field_validator("spark_remote")(values.is_a_connect_address)
    _holds_no_credentials = field_validator("kafka_bootstrap_servers")(values.holds_no_credentials)
    _is_a_postgres_address = field_validator("dagster_postgres_url")(values.is_a_postgres_address)
    _is_a_web_address = field_validator("failure_webhook")(values.is_a_web_address)
    _is_not_short_by_mistake = field_validator("retention_days")(values.is_not_short_by_mistake)
    _starts_with_a_month = field_validator("partitions_start")(values.starts_with_a_month)
    _is_a_currency = field_validator("currency")(values.is_a_currency)
    _file_exists = field_validator(*_FILES)(values.file_exists)
    _has_its_access_key = field_validator("aws_secret_access_key")(values.has_its_access_key)

    @classmethod
    def load(cls, **overrides: Any) -> "Settings":
        """Read the environment. Raises SettingsError with one line that names every bad variable, misspelt ones too."""
        if misspelt := _misspelt(os.environ):
            raise SettingsError("; ".join(misspelt))
        try:
            return cls(**{key: value for key, value in overrides.items() if value is not None})._as_the_home_begins()
        except ValidationError as error:
            reason = "; ".join(_one_line(item) for item in error.errors())
        # Raised outside of the handler: else pydantic's error, which shows the values, would be printed as its cause.
        raise SettingsError(reason)

    def replaced(self, **changes: Any) -> "Settings":
        """The same settings with some values changed. The environment is not read for the changed ones."""
        return type(self)(**{**self.model_dump(), **changes})

    def _as_the_home_begins(self) -> "Settings":
        """These settings with the first day that `telecom demo` stored in the home, unless TELECOM_PARTITIONS_START is set."""
        if "partitions_start" in self.model_fields_set:
            return self
        try:
            text = self.partitions_start_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return self  # a home that cannot be read is reported on its first use
        try:
            return self.replaced(partitions_start=text)
        except ValidationError:
            reason = f"{self.partitions_start_file}: {text[:40]!r}: expected the first day of a month, e.g. 2020-01-01"
        raise SettingsError(f"{reason}; mend the file, or remove it")

    @cached_property
    def home_path(self) -> Path:
        return self.home.expanduser().absolute()

    @cached_property
    def warehouse_uri(self) -> str:
        """Where the tables lie: a URL, or an absolute path, since a server of Apache Spark has another working directory."""
        if self.warehouse is None:
            return str(self.home_path / "warehouse")
        return self.warehouse if "://" in self.warehouse else str(Path(self.warehouse).expanduser().absolute())

    @cached_property
    def s3(self) -> S3Storage | None:
        """Address and credentials of the warehouse's bucket; None when the warehouse is not on S3."""
        if not is_s3(self.warehouse_uri):
            return None
        secret, token = self.aws_secret_access_key, self.aws_session_token
        return S3Storage(
            endpoint=self.aws_endpoint_url.rstrip("/") if self.aws_endpoint_url else None,
            region=self.aws_region,
            access_key_id=self.aws_access_key_id,
            secret_access_key=secret.get_secret_value() if secret else None,
            session_token=token.get_secret_value() if token else None,
        )

    @cached_property
    def output_path(self) -> Path:
        return (self.output or self.home_path / "output").expanduser().absolute()

    @cached_property
    def dagster_home(self) -> Path:
        return self.home_path / "dagster"

    @cached_property
    def partitions_start_file(self) -> Path:
        """The file of a home with its first day, for when TELECOM_PARTITIONS_START is not set. Written by `telecom demo`."""
        return self.home_path / "partitions_start"

    @cached_property
    def stack_file(self) -> Path:
        """The file with addresses and credentials of the local stack's servers, which the stack writes. Mode 600."""
        return self.home_path / "stack.json"

    @cached_property
    def target_file_bytes(self) -> int:
        return self.target_file_mb * 2**20


def variable_name(field: str) -> str:
    """The environment variable that sets a field."""
    if field.startswith("aws_"):
        return field.upper()
    return {"engine": "ENGINE", "spark_remote": "SPARK_REMOTE"}.get(field, f"TELECOM_{field.upper()}")


#: Settings that may hold a token or a password: messages do not show their values.
_SECRET_FIELDS = {
    *("postgres_dsn", "dagster_postgres_url", "kafka_bootstrap_servers", "kafka_options", "spark_properties"),
    *("warehouse", "aws_endpoint_url", "aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
    *("spark_remote", "failure_webhook"),
}


def _one_line(item: Any) -> str:
    named = str(item["loc"][0]) if item["loc"] else "settings"
    name = named if named.isupper() else variable_name(named)
    reason = item["msg"].removeprefix("Value error, ")
    given = "" if _field_name(named) in _SECRET_FIELDS else f" {shown(str(item['input']))}:"
    return f"{name}:{given} {reason[0].lower()}{reason[1:]}"


def _misspelt(variables: Iterable[str]) -> list[str]:
    """Variables that are no setting but look like a misspelt one. Others that begin with TELECOM_ may be another program's."""
    known = {name for field in Settings.model_fields for name in _variables(field)}
    found = []
    for name in sorted(variables):
        if name.startswith("TELECOM_") and name not in known:
            near = difflib.get_close_matches(
                name.removeprefix("TELECOM_"), [each.removeprefix("TELECOM_") for each in known], 1, 0.75
            )
            found += [f"{name} is no setting; did you mean TELECOM_{each}?" for each in near]
    return found


def _variables(field: str) -> list[str]:
    """The environment variables that set a field."""
    alias = Settings.model_fields[field].validation_alias
    return [str(name) for name in alias.choices] if isinstance(alias, AliasChoices) else [f"TELECOM_{field.upper()}"]


def _field_name(named: str) -> str:
    """The field that an environment variable sets; several variables may set one field."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices) and named in field.validation_alias.choices:
            return name
    return named.lower().removeprefix("telecom_")
