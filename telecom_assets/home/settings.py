"""Every setting of the project, in one place.

Belongs here: names, defaults, meaning and validation of what may be configured from the environment.
Does not belong here: how a setting is used (resources, transforms) and what the local stack found out about itself
(`<home>/stack.json`, read where it is needed, so that a stack started later is seen without a reload).

Every setting is an environment variable: `TELECOM_` + the field's name in capitals, except `ENGINE`, `SPARK_REMOTE`,
which are short because people type them, and `AWS_…`, which are everybody's names. `docs/configuration.md` is this file
for readers.
"""

import datetime as dt
import difflib
import json
import os
import re
from collections.abc import Iterable
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from resources.expected_errors import ExpectedError
from resources.s3 import S3Storage, is_s3
from telecom_assets.home.paths import control_character, path_problem, shown


class SettingsError(ExpectedError):
    """A setting has a value that cannot be used. The message names the variable, the value and what is expected."""


_CONNECT_ADDRESS = re.compile(r"\Asc://(\[[0-9A-Fa-f:.]+\]|[^][/@;?#:\s]+)(:[0-9]{1,5})?(/(;[^;=\s]+=[^;\s]+)*;?)?\Z")
_SPARK_EXAMPLE = '{"spark.eventLog.enabled": "true"}'

#: What `telecom_assets.billing.tables.PERCENT` holds.
Share = Annotated[Decimal, Field(ge=0, le=1, decimal_places=4)]
Percent = Annotated[Decimal, Field(ge=0, le=100, max_digits=7, decimal_places=4)]
#: Settings whose text may have several lines.
_OF_SEVERAL_LINES = {"kafka_options", "spark_properties", "postgres_dsn"}
#: Decimals of every amount of a bill, `telecom_assets.model.numbers.BILL_SCALE`.
_BILL_SCALE = 2


class Settings(BaseSettings):
    """All settings. `Settings.load()` is the only way in: it turns a bad value into one clear line."""

    model_config = SettingsConfigDict(
        env_prefix="TELECOM_", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    home: Path = Field(Path(".telecom"), description="Folder of the local stack, the instance and all outputs.")
    warehouse: str | None = Field(
        None, description="Root of the Delta tables: a path, or s3://bucket/prefix. Default: <home>/warehouse."
    )
    output: Path | None = Field(None, description="Invoices, reports, dashboards. Default: <home>/output.")

    aws_endpoint_url: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "aws_endpoint_url"),
        description="Server of an S3 warehouse, http(s)://host:port. Default: AWS.",
    )
    aws_region: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION", "aws_region"),
        description="Region of the warehouse's bucket.",
    )
    aws_access_key_id: str | None = Field(
        None,
        repr=False,
        validation_alias=AliasChoices("AWS_ACCESS_KEY_ID", "aws_access_key_id"),
        description="Access key of an S3 warehouse. Default: the machine's own role.",
    )
    aws_secret_access_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key"),
        validate_default=True,
        description="What belongs to AWS_ACCESS_KEY_ID.",
    )
    aws_session_token: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("AWS_SESSION_TOKEN", "aws_session_token"),
        description="Token of credentials that expire.",
    )

    engine: Literal["sail", "spark"] = Field(
        "sail",
        validation_alias=AliasChoices("ENGINE", "TELECOM_ENGINE", "engine"),
        description="DataFrame engine: `sail` (embedded) or `spark` (Apache Spark Connect).",
    )
    spark_remote: str | None = Field(
        None,
        validation_alias=AliasChoices("SPARK_REMOTE", "TELECOM_SPARK_REMOTE", "spark_remote"),
        repr=False,
        description="sc:// address of a running Spark Connect server; implies ENGINE=spark.",
    )
    engine_memory_mb: int | None = Field(
        None,
        ge=64,
        description="What queries of the embedded engine may hold together, MiB; beyond that they use files. Default: no limit.",
    )
    spark_workers: int = Field(
        0, ge=0, le=64, description="Worker processes of the local Apache Spark. 0: one process does everything."
    )
    spark_memory_mb: int | None = Field(
        None,
        ge=512,
        description="Heap of the local Apache Spark, and of each executor. Default: 3072, or 2048 on a small machine.",
    )
    spark_properties: Annotated[dict[str, Any], NoDecode] = Field(
        default_factory=dict,
        repr=False,
        description="JSON object of settings of the local Apache Spark, e.g. spark.eventLog.enabled.",
    )

    kafka_bootstrap_servers: str | None = Field(None, description="host:port,… Default: the local stack's broker.")
    kafka_topic: str = Field("cdr_topic", description="Topic of the CDRs.")
    kafka_options: Annotated[dict[str, Any], NoDecode] = Field(
        default_factory=dict,
        repr=False,
        description="JSON object of librdkafka options, e.g. security.protocol, sasl.*, ssl.*.",
    )
    kafka_timeout_seconds: float = Field(15.0, gt=0, description="How long a broker may take to answer.")
    landing_chunk_rows: int = Field(1_000_000, ge=1, description="Offsets landed per commit; bounds memory.")

    postgres_dsn: SecretStr | None = Field(
        None,
        description="libpq connection string or URL of the customers and bills database. Default: the local stack's.",
    )

    rate_plans: Path | None = Field(None, description="CSV of the tariffs. Default: the packaged rate_plans.csv.")
    product_catalog: Path | None = Field(
        None, description="CSV of the catalogue. Default: the packaged product_catalog.csv."
    )

    partitions_start: dt.date = Field(
        dt.date(2020, 1, 1),
        description="First daily partition; the first of a month. In a demo's home the first of its month is the default.",
    )
    max_age_days: int = Field(62, ge=0, le=3660, description="Acceptance window: how old a CDR may be when received.")
    dedupe_days: int = Field(31, ge=0, le=366, description="record_ID is unique across event days this far apart.")
    malformed_share: Share = Field(
        Decimal("0.2"), description="Share of a landing, 0 to 1, above which malformed messages are a warning."
    )
    missing_volume_policy: Literal["customer_min", "zero", "suspend"] = Field(
        "customer_min",
        description="What a data CDR without a volume counts as: the smallest of its number in the month (customer_min), "
        "nothing (zero), or it is suspended (suspend).",
    )
    discount_pct: Percent = Field(
        Decimal("5"), description="Discount on the amount before tax, percent, up to 4 decimals."
    )
    tax_pct: Percent = Field(Decimal("20"), description="Tax on the amount after discount, percent, up to 4 decimals.")
    currency: str = Field("MAD", description="ISO 4217 code of every amount: a currency with two decimals.")
    billing_day: int = Field(3, ge=1, le=28, description="Day of the following month on which a month is billed.")

    csv_bom: bool = Field(
        False, description="Begin the report files and bills.csv with a byte order mark, by which Excel knows UTF-8."
    )

    short_retention: bool = Field(
        False, description="Allow TELECOM_RETENTION_DAYS below 7, Delta's own limit: runs longer than that may fail."
    )
    retention_days: int = Field(
        35, ge=0, le=3660, description="Days for which a version of a table can be read after another took its place."
    )
    target_file_mb: int = Field(
        100, ge=1, le=2048, description="Size up to which maintenance merges small files of a partition, MiB."
    )
    maintenance_hour: int = Field(
        4, ge=0, le=23, description="Hour of the night's maintenance of the tables, Africa/Casablanca."
    )

    sensor_interval_seconds: int = Field(30, ge=5, description="How often the Kafka sensor looks at the topic.")
    outage_minutes: int = Field(
        5, ge=1, le=1440, description="How long Kafka may be out of reach before an outage is told of, in minutes."
    )
    silent_hours: int | None = Field(
        None,
        ge=1,
        le=8760,
        description="Hours without a landed message after which a check of raw_cdrs warns. Default: no such check.",
    )
    failure_webhook: SecretStr | None = Field(
        None, description="URL that receives a JSON POST for a failed run, and for an outage of Kafka."
    )
    dagster_storage: Literal["sqlite", "postgres"] = Field("sqlite", description="Where Dagster keeps runs and events.")
    dagster_postgres_url: SecretStr | None = Field(
        None, description="PostgreSQL URL of Dagster's storage. Default with `postgres`: the local stack's database."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_one_line(cls, value: Any, info: ValidationInfo) -> Any:
        """A line end is in a name by mistake, and would be in every message. JSON and libpq's words may have several lines."""
        text = value if isinstance(value, str) and info.field_name not in _OF_SEVERAL_LINES else ""
        if (wrong := control_character(text)) is not None:
            raise ValueError(f"holds {wrong}; expected one line")
        return value

    @field_validator("home", "warehouse", "output", "rate_plans", "product_catalog")
    @classmethod
    def _can_be_a_path(cls, value: Any, info: ValidationInfo) -> Any:
        is_file = info.field_name in ("rate_plans", "product_catalog")
        if value is not None and (problem := path_problem(value, is_folder=not is_file)) is not None:
            raise ValueError(problem)
        return value

    @field_validator("aws_endpoint_url")
    @classmethod
    def _is_an_endpoint(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"\Ahttps?://[^/@?#\s]+/?\Z", value):
            raise ValueError("expected http://host:port or https://host:port, without user, path or question")
        return value

    @field_validator("kafka_topic")
    @classmethod
    def _is_a_topic(cls, value: str) -> str:
        if not re.match(r"\A[A-Za-z0-9._-]{1,249}\Z", value):
            raise ValueError("expected 1 to 249 letters of A to Z, a to z, digits and . _ -")
        return value

    @field_validator("warehouse")
    @classmethod
    def _is_a_path_that_every_engine_reads(cls, value: str | None) -> str | None:
        """The embedded engine encodes other characters of a URI twice."""
        if value is not None and "://" in value and not is_s3(value) and not value.startswith("file://"):
            raise ValueError("expected a folder, or s3://bucket/prefix")
        if (
            value is not None
            and is_s3(value)
            and not re.match(r"\As3a?://[a-z0-9][a-z0-9.-]{2,62}(/[\w.=-]+)*/?\Z", value, re.A)
        ):
            raise ValueError("expected s3://bucket/prefix of letters, digits and . _ = -")
        return value

    @field_validator("kafka_options", "spark_properties", mode="before")
    @classmethod
    def _options_are_a_json_object(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error}") from error
        if not isinstance(parsed, dict):
            example = {"kafka_options": '{"security.protocol": "SASL_SSL"}'}
            raise ValueError(f"expected a JSON object such as {example.get(str(info.field_name), _SPARK_EXAMPLE)}")
        return parsed

    @field_validator("spark_remote")
    @classmethod
    def _is_a_connect_address(cls, value: str | None) -> str | None:
        """pyspark says what it cannot read, token and all, or takes what it does not understand for nothing."""
        if value is not None and not _CONNECT_ADDRESS.match(value):
            raise ValueError("expected sc://host:port, with parameters as in sc://host:port/;use_ssl=true;token=…")
        return value

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _holds_no_credentials(cls, value: str | None) -> str | None:
        """Addresses are in messages and logs."""
        if value is not None and "@" in value:
            raise ValueError("expected host:port,…; user and password belong in TELECOM_KAFKA_OPTIONS")
        return value

    @field_validator("dagster_postgres_url")
    @classmethod
    def _is_a_postgres_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"postgres(ql)?://", value.get_secret_value()):
            raise ValueError("expected postgresql://user:password@host:port/database")
        return value

    @field_validator("failure_webhook")
    @classmethod
    def _is_a_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"https?://[^/\s]", value.get_secret_value()):
            raise ValueError("expected an address that begins with http:// or https://")
        return value

    @field_validator("retention_days")
    @classmethod
    def _is_not_short_by_mistake(cls, value: int, info: ValidationInfo) -> int:
        if value < 7 and not info.data.get("short_retention"):
            raise ValueError("expected 7 or more; set TELECOM_SHORT_RETENTION=true to keep versions for less")
        return value

    @field_validator("partitions_start")
    @classmethod
    def _starts_with_a_month(cls, value: dt.date) -> dt.date:
        if value.day != 1:
            raise ValueError("expected the first day of a month, e.g. 2020-01-01")
        return value

    @field_validator("currency")
    @classmethod
    def _has_the_decimals_of_a_bill(cls, value: str) -> str:
        """Bills have one scale: in yen they would ask for what nobody can pay, in dinars of Tunisia they would round too early."""
        if not re.match(r"\A[A-Z]{3}\Z", value):
            raise ValueError("expected three capital letters, a code of ISO 4217 such as MAD")
        from iso4217 import Currency  # noqa: PLC0415  (reads its table for 30 ms; few commands are given a currency)

        try:
            exponent = Currency(value).exponent
        except ValueError:
            raise ValueError("expected a code of ISO 4217, such as MAD") from None
        if exponent != _BILL_SCALE:
            found = "no ISO 4217 exponent" if exponent is None else f"an ISO 4217 exponent of {exponent}"
            raise ValueError(
                f"bills have two decimals, and {value} has {found}; expected a currency whose exponent is {_BILL_SCALE}"
            )
        return value

    @field_validator("rate_plans", "product_catalog")
    @classmethod
    def _file_exists(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"no file at {value}")
        return value

    @field_validator("aws_secret_access_key")
    @classmethod
    def _has_its_access_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (value is None) != (info.data.get("aws_access_key_id") is None):
            raise ValueError("expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, both or neither")
        return value

    @classmethod
    def load(cls, **overrides: Any) -> "Settings":
        """Read the environment. Raises SettingsError with one line that names every bad variable, misspelt ones too."""
        if misspelt := _misspelt(os.environ):
            raise SettingsError("; ".join(misspelt))
        try:
            return cls(**{key: value for key, value in overrides.items() if value is not None})._as_the_home_begins()
        except ValidationError as error:
            reason = "; ".join(_one_line(item) for item in error.errors())
        # Outside of the handler: pydantic's error shows what was given, and would be told as what came before.
        raise SettingsError(reason)

    def replaced(self, **changes: Any) -> "Settings":
        """The same settings with some changed; the environment is not asked again for those."""
        return type(self)(**{**self.model_dump(), **changes})

    def _as_the_home_begins(self) -> "Settings":
        """Where nobody sets TELECOM_PARTITIONS_START, the day that whoever made the home has written down (`telecom demo`)."""
        if "partitions_start" in self.model_fields_set:
            return self
        try:
            text = self.partitions_start_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return self  # whoever needs the home says what is wrong with it
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
        """Where the tables lie: a URL, or a folder's absolute path (an Apache Spark server stands somewhere else)."""
        if self.warehouse is None:
            return str(self.home_path / "warehouse")
        return self.warehouse if "://" in self.warehouse else str(Path(self.warehouse).expanduser().absolute())

    @cached_property
    def s3(self) -> S3Storage | None:
        """Where the warehouse's bucket is and who asks; None when the warehouse is not on S3."""
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
        """Written by whoever makes a home for a few months: TELECOM_PARTITIONS_START where nobody sets it."""
        return self.home_path / "partitions_start"

    @cached_property
    def stack_file(self) -> Path:
        """Written by the local stack: where its servers listen, with their credentials. Mode 600."""
        return self.home_path / "stack.json"

    @cached_property
    def target_file_bytes(self) -> int:
        return self.target_file_mb * 2**20


def variable_name(field: str) -> str:
    """The environment variable that sets a field."""
    if field.startswith("aws_"):
        return field.upper()
    return {"engine": "ENGINE", "spark_remote": "SPARK_REMOTE"}.get(field, f"TELECOM_{field.upper()}")


#: Settings that may hold a token or a password: what was given is not shown.
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
    """Variables that are no setting and look like one. What only begins like ours may be another program's."""
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
    """The variables that set a field."""
    alias = Settings.model_fields[field].validation_alias
    return [str(name) for name in alias.choices] if isinstance(alias, AliasChoices) else [f"TELECOM_{field.upper()}"]


def _field_name(named: str) -> str:
    """The field that is set by a name, which may be one of several variables."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices) and named in field.validation_alias.choices:
            return name
    return named.lower().removeprefix("telecom_")
