"""Which values a setting can have: a function for each kind of value.

Belongs here: what is expected of a text, an address or a path. Each function takes a value (and pydantic's word on which
field it is for), gives it back, and raises ValueError that says what was expected. Does not belong here: which settings
there are.
"""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import SecretStr, ValidationInfo

from resources.s3 import is_s3
from telecom_assets.home.paths import control_character, path_problem
from telecom_assets.model.currencies import currency_scale

_CONNECT_ADDRESS = re.compile(r"\Asc://(\[[0-9A-Fa-f:.]+\]|[^][/@;?#:\s]+)(:[0-9]{1,5})?(/(;[^;=\s]+=[^;\s]+)*;?)?\Z")
_SPARK_EXAMPLE = '{"spark.eventLog.enabled": "true"}'
#: In which forms an issued document is written.
InvoiceFormat = Literal["xml", "ubl", "pdf"]
INVOICE_FORMATS: tuple[InvoiceFormat, ...] = get_args(InvoiceFormat)
#: Settings whose text may have several lines.
_OF_SEVERAL_LINES = {"kafka_options", "spark_properties", "postgres_dsn"}


def is_one_line(value: Any, info: ValidationInfo) -> Any:
    """Refuse a line end in a name: it is a mistake, and would stand in every message. JSON and libpq strings may have several lines."""
    text = value if isinstance(value, str) and info.field_name not in _OF_SEVERAL_LINES else ""
    if (wrong := control_character(text)) is not None:
        raise ValueError(f"holds {wrong}; expected one line")
    return value


def can_be_a_path(value: Any, info: ValidationInfo) -> Any:
    is_file = info.field_name in ("rate_plans", "product_catalog", "billing_terms", "issuer", "accounts")
    if value is not None and (problem := path_problem(value, is_folder=not is_file)) is not None:
        raise ValueError(problem)
    return value


def is_an_endpoint(value: str | None) -> str | None:
    if value is not None and not re.match(r"\Ahttps?://[^/@?#\s]+/?\Z", value):
        raise ValueError("expected http://host:port or https://host:port, without user, path or question")
    return value


def is_a_topic(value: str) -> str:
    if not re.match(r"\A[A-Za-z0-9._-]{1,249}\Z", value):
        raise ValueError("expected 1 to 249 letters of A to Z, a to z, digits and . _ -")
    return value


def is_a_path_that_every_engine_reads(value: str | None) -> str | None:
    """Refuse other characters in a URI: the embedded engine encodes them twice (`resources.sail_quirks.encodes_wrongly`)."""
    if value is not None and "://" in value and not is_s3(value) and not value.startswith("file://"):
        raise ValueError("expected a folder, or s3://bucket/prefix")
    if (
        value is not None
        and is_s3(value)
        and not re.match(r"\As3a?://[a-z0-9][a-z0-9.-]{2,62}(/[\w.=-]+)*/?\Z", value, re.A)
    ):
        raise ValueError("expected s3://bucket/prefix of letters, digits and . _ = -")
    return value


def options_are_a_json_object(value: Any, info: ValidationInfo) -> Any:
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


def are_formats(value: Any) -> Any:
    """The formats of a list with commas, in the order in which they are written."""
    if not isinstance(value, str):
        return value
    named = [each.strip().lower() for each in value.split(",")]
    if "xml" not in named or not set(named) <= set(INVOICE_FORMATS) or len(set(named)) < len(named):
        raise ValueError("expected xml, which is always written, and after it ubl, pdf or both, such as xml,ubl,pdf")
    return tuple(each for each in INVOICE_FORMATS if each in named)


def is_a_connect_address(value: str | None) -> str | None:
    """Refuse a bad address before pyspark sees it: its error would show the token, or it would ignore a part of the address."""
    if value is not None and not _CONNECT_ADDRESS.match(value):
        raise ValueError("expected sc://host:port, with parameters as in sc://host:port/;use_ssl=true;token=…")
    return value


def holds_no_credentials(value: str | None) -> str | None:
    """Refuse user and password: addresses stand in messages and logs."""
    if value is not None and "@" in value:
        raise ValueError("expected host:port,…; user and password belong in TELECOM_KAFKA_OPTIONS")
    return value


def is_a_postgres_address(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not re.match(r"postgres(ql)?://", value.get_secret_value()):
        raise ValueError("expected postgresql://user:password@host:port/database")
    return value


def is_a_web_address(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not re.match(r"https?://[^/\s]", value.get_secret_value()):
        raise ValueError("expected an address that begins with http:// or https://")
    return value


def is_not_short_by_mistake(value: int, info: ValidationInfo) -> int:
    if value < 7 and not info.data.get("short_retention"):
        raise ValueError("expected 7 or more; set TELECOM_SHORT_RETENTION=true to keep versions for less")
    return value


def starts_with_a_month(value: dt.date) -> dt.date:
    if value.day != 1:
        raise ValueError("expected the first day of a month, e.g. 2020-01-01")
    return value


def is_a_currency(value: str) -> str:
    """Refuse a code without decimals of its own in ISO 4217, such as gold: no amount can be rounded to them."""
    currency_scale(value)
    return value


def file_exists(value: Path | None) -> Path | None:
    if value is not None and not value.is_file():
        raise ValueError(f"no file at {value}")
    return value


def has_its_access_key(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    if (value is None) != (info.data.get("aws_access_key_id") is None):
        raise ValueError("expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, both or neither")
    return value
