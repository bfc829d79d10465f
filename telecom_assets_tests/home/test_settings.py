"""Settings: defaults of the requirements, one variable each, and one clear line for a wrong value."""

from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from iso4217 import Currency
from pydantic import SecretStr

from resources.s3 import S3Storage
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.home.settings import Settings, SettingsError, variable_name

#: What the requirements say holds when nothing is set.
DEFAULTS = {
    "home": Path(".telecom"),
    "engine": "sail",
    "spark_remote": None,
    "kafka_topic": "cdr_topic",
    "kafka_options": {},
    "partitions_start": date(2020, 1, 1),
    "max_age_days": 62,
    "dedupe_days": 31,
    "missing_volume_policy": "customer_min",
    "discount_pct": Decimal(5),
    "tax_pct": Decimal(20),
    "currency": "MAD",
    "csv_bom": False,
    "dagster_storage": "sqlite",
    "failure_webhook": None,
    "outage_minutes": 5,
    "silent_hours": None,
    "unusual_day_score": 3.5,
}


def test_defaults() -> None:
    settings = Settings.load()
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS


def test_paths_follow_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.load(home=Path("my home"))
    home = tmp_path / "my home"
    assert (settings.home_path, settings.stack_file, settings.dagster_home) == (
        home,
        home / "stack.json",
        home / "dagster",
    )
    assert (settings.warehouse_uri, settings.output_path) == (str(home / "warehouse"), home / "output")
    elsewhere = Settings.load(home=home, warehouse="s3://bucket/tables", output=tmp_path / "out")
    assert (elsewhere.warehouse_uri, elsewhere.output_path) == ("s3://bucket/tables", tmp_path / "out")


def test_a_tilde_is_the_users_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/users/me")
    assert Settings.load(home=Path("~/tel")).home_path == Path("/users/me/tel")


#: Variable, text, setting, value.
GIVEN = [
    ("ENGINE", "spark", "engine", "spark"),
    ("TELECOM_ENGINE", "spark", "engine", "spark"),
    ("SPARK_REMOTE", "sc://host:15002", "spark_remote", "sc://host:15002"),
    ("TELECOM_HOME", "/srv/telecom", "home", Path("/srv/telecom")),
    ("TELECOM_KAFKA_BOOTSTRAP_SERVERS", "a:9092,b:9092", "kafka_bootstrap_servers", "a:9092,b:9092"),
    ("TELECOM_KAFKA_TOPIC", "cdr.raw-1", "kafka_topic", "cdr.raw-1"),
    (
        "TELECOM_KAFKA_OPTIONS",
        '{"sasl.mechanism": "PLAIN", "retries": 5}',
        "kafka_options",
        {"sasl.mechanism": "PLAIN", "retries": 5},
    ),
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000", "aws_endpoint_url", "http://127.0.0.1:9000"),
    ("AWS_ENDPOINT_URL_S3", "https://s3.example.org", "aws_endpoint_url", "https://s3.example.org"),
    ("AWS_REGION", "eu-west-3", "aws_region", "eu-west-3"),
    ("AWS_DEFAULT_REGION", "eu-west-3", "aws_region", "eu-west-3"),
    ("AWS_SESSION_TOKEN", "token", "aws_session_token", SecretStr("token")),
    ("TELECOM_SPARK_WORKERS", "2", "spark_workers", 2),
    ("TELECOM_SPARK_MEMORY_MB", "768", "spark_memory_mb", 768),
    (
        "TELECOM_SPARK_PROPERTIES",
        '{"spark.eventLog.enabled": "true"}',
        "spark_properties",
        {"spark.eventLog.enabled": "true"},
    ),
    ("TELECOM_PARTITIONS_START", "2024-03-01", "partitions_start", date(2024, 3, 1)),
    ("TELECOM_MAX_AGE_DAYS", "0", "max_age_days", 0),
    ("TELECOM_DEDUPE_DAYS", "0", "dedupe_days", 0),
    ("TELECOM_MISSING_VOLUME_POLICY", "suspend", "missing_volume_policy", "suspend"),
    ("TELECOM_MALFORMED_SHARE", "0", "malformed_share", Decimal(0)),
    ("TELECOM_MALFORMED_SHARE", "0.0125", "malformed_share", Decimal("0.0125")),
    ("TELECOM_MALFORMED_SHARE", "1", "malformed_share", Decimal(1)),
    ("TELECOM_DISCOUNT_PCT", "2.50", "discount_pct", Decimal("2.5")),
    ("TELECOM_DISCOUNT_PCT", "0.0001", "discount_pct", Decimal("0.0001")),
    ("TELECOM_TAX_PCT", "0", "tax_pct", Decimal(0)),
    ("TELECOM_TAX_PCT", "19.6255", "tax_pct", Decimal("19.6255")),
    ("TELECOM_TAX_PCT", "100.0000", "tax_pct", Decimal(100)),
    ("TELECOM_INVOICE_FORMATS", "xml", "invoice_formats", ("xml",)),
    ("TELECOM_INVOICE_FORMATS", "pdf, XML", "invoice_formats", ("xml", "pdf")),
    ("TELECOM_ZERO_BILLS", "skip", "zero_bills", "skip"),
    ("TELECOM_CURRENCY", "EUR", "currency", "EUR"),
    ("TELECOM_CURRENCY", "JPY", "currency", "JPY"),
    ("TELECOM_CURRENCY", "TND", "currency", "TND"),
    ("TELECOM_BILLING_DAY", "28", "billing_day", 28),
    ("TELECOM_CSV_BOM", "true", "csv_bom", True),
    ("TELECOM_RETENTION_DAYS", "7", "retention_days", 7),
    ("TELECOM_MAINTENANCE_HOUR", "0", "maintenance_hour", 0),
    ("TELECOM_LANDING_CHUNK_ROWS", "1000", "landing_chunk_rows", 1_000),
    ("TELECOM_POSTGRES_DSN", "host=h", "postgres_dsn", SecretStr("host=h")),
    ("TELECOM_OUTAGE_MINUTES", "1", "outage_minutes", 1),
    ("TELECOM_SILENT_HOURS", "6", "silent_hours", 6),
    ("TELECOM_UNUSUAL_DAY_SCORE", "4.5", "unusual_day_score", 4.5),
    ("TELECOM_FAILURE_WEBHOOK", "https://example.org/hook", "failure_webhook", SecretStr("https://example.org/hook")),
]


@pytest.mark.parametrize(("variable", "text", "name", "value"), GIVEN)
def test_a_variable_sets_its_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, name: str, value: object
) -> None:
    # An embedded engine that has read a bucket in this process has left the bucket's region in the environment.
    for region in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(region, raising=False)
    monkeypatch.setenv(variable, text)
    assert getattr(Settings.load(), name) == value


def test_the_days_of_a_home_begin_as_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`telecom demo` writes the first of its month down: whoever opens its home sees the same days; a variable wins."""
    (tmp_path / "partitions_start").write_text("2026-10-01\n")
    assert Settings.load(home=tmp_path).partitions_start == date(2026, 10, 1)
    assert Settings.load(home=tmp_path / "another").partitions_start == date(2020, 1, 1)
    monkeypatch.setenv("TELECOM_HOME", str(tmp_path))
    assert Settings.load().partitions_start == date(2026, 10, 1)
    monkeypatch.setenv("TELECOM_PARTITIONS_START", "2024-03-01")
    assert Settings.load().partitions_start == date(2024, 3, 1)


@pytest.mark.parametrize("text", ["2026-10-02", "October", ""])
def test_a_file_that_says_no_month_is_one_line_that_names_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "partitions_start"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        Settings.load(home=tmp_path)
    assert str(caught.value) == (
        f"{file}: {text!r}: expected the first day of a month, e.g. 2020-01-01; mend the file, or remove it"
    )


def test_a_short_retention_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a week, Delta's own limit, a run may lose the files of a version that it reads."""
    monkeypatch.setenv("TELECOM_RETENTION_DAYS", "6")
    with pytest.raises(
        SettingsError, match=r"TELECOM_RETENTION_DAYS: '6': expected 7 or more.*TELECOM_SHORT_RETENTION"
    ):
        Settings.load()
    monkeypatch.setenv("TELECOM_SHORT_RETENTION", "true")
    assert Settings.load().retention_days == 6


@pytest.mark.parametrize("variable", ["ENGINE", "SPARK_REMOTE", "TELECOM_KAFKA_TOPIC", "TELECOM_KAFKA_OPTIONS"])
def test_an_empty_variable_is_as_none(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """`ENGINE= make demo` means the default."""
    unset = Settings.load()
    monkeypatch.setenv(variable, "")
    assert Settings.load() == unset


def test_every_setting_has_its_variable_and_says_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        usual = name.upper() if name.startswith("aws_") else f"TELECOM_{name.upper()}"
        assert variable_name(name) == {"engine": "ENGINE", "spark_remote": "SPARK_REMOTE"}.get(name, usual)


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELECOM_KAFKA_TOPIC", "from_outside")
    monkeypatch.setenv("ENGINE", "spark")
    settings = Settings.load(kafka_topic="given", engine="sail", home=None)
    assert (settings.kafka_topic, settings.engine, settings.home) == ("given", "sail", Path(".telecom"))


def test_settings_with_some_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path, postgres_dsn="password=s3cret", discount_pct=Decimal("7.5"))
    monkeypatch.setenv("TELECOM_CURRENCY", "EUR")
    changed = settings.replaced(kafka_topic="other")
    assert changed.model_dump() == {**settings.model_dump(), "kafka_topic": "other"}
    assert changed.postgres_dsn is not None
    assert changed.postgres_dsn.get_secret_value() == "password=s3cret"
    assert settings.kafka_topic == "cdr_topic"


# ---------------------------------------------------------------------------------------------------------- wrong values

WRONG = [
    *(
        ("TELECOM_INVOICE_FORMATS", text, f"TELECOM_INVOICE_FORMATS: '{text}': expected xml, which is always written")
        for text in ("pdf", "xml,html", "xml,xml", "xml,")
    ),
    ("TELECOM_ZERO_BILLS", "drop", "TELECOM_ZERO_BILLS: 'drop': "),
    ("ENGINE", "flink", "ENGINE: 'flink': "),
    ("TELECOM_ENGINE", "Sail", "'Sail'"),
    ("TELECOM_KAFKA_TOPIC", "cdr topic", "TELECOM_KAFKA_TOPIC: 'cdr topic': "),
    ("TELECOM_KAFKA_TOPIC", "cdr\n", "TELECOM_KAFKA_TOPIC"),
    ("TELECOM_KAFKA_TIMEOUT_SECONDS", "0", "TELECOM_KAFKA_TIMEOUT_SECONDS: '0': "),
    ("TELECOM_LANDING_CHUNK_ROWS", "0", "TELECOM_LANDING_CHUNK_ROWS: '0': "),
    ("TELECOM_LANDING_CHUNK_ROWS", "many", "TELECOM_LANDING_CHUNK_ROWS: 'many': "),
    (
        "TELECOM_PARTITIONS_START",
        "2020-01-02",
        "TELECOM_PARTITIONS_START: '2020-01-02': expected the first day of a month",
    ),
    ("TELECOM_PARTITIONS_START", "January", "TELECOM_PARTITIONS_START: 'January': "),
    ("TELECOM_MAX_AGE_DAYS", "-1", "TELECOM_MAX_AGE_DAYS: '-1': "),
    ("TELECOM_DEDUPE_DAYS", "367", "TELECOM_DEDUPE_DAYS: '367': "),
    ("TELECOM_DEDUPE_DAYS", "1.5", "TELECOM_DEDUPE_DAYS: '1.5': "),
    ("TELECOM_MISSING_VOLUME_POLICY", "guess", "TELECOM_MISSING_VOLUME_POLICY: 'guess': "),
    ("TELECOM_DISCOUNT_PCT", "100.0001", "TELECOM_DISCOUNT_PCT: '100.0001': "),
    ("TELECOM_DISCOUNT_PCT", "-1", "TELECOM_DISCOUNT_PCT: '-1': "),
    ("TELECOM_DISCOUNT_PCT", "NaN", "TELECOM_DISCOUNT_PCT: 'NaN': "),
    ("TELECOM_TAX_PCT", "20.00001", "TELECOM_TAX_PCT: '20.00001': "),
    ("TELECOM_TAX_PCT", "20 %", "TELECOM_TAX_PCT: '20 %': "),
    ("TELECOM_CURRENCY", "mad", "TELECOM_CURRENCY: 'mad': "),
    ("TELECOM_CURRENCY", "DIRHAM", "TELECOM_CURRENCY: 'DIRHAM': "),
    ("TELECOM_CURRENCY", "ZZZ", "TELECOM_CURRENCY: 'ZZZ': expected a code of ISO 4217, such as MAD"),
    (
        "TELECOM_CURRENCY",
        "XAU",
        "TELECOM_CURRENCY: 'XAU': the code XAU has no decimals in ISO 4217; expected a currency of 0 to 4 decimals",
    ),
    ("TELECOM_BILLING_TERMS", "/nowhere/terms.csv", "TELECOM_BILLING_TERMS: '/nowhere/terms.csv': no file at "),
    ("TELECOM_MALFORMED_SHARE", "20", "TELECOM_MALFORMED_SHARE: '20': "),
    ("TELECOM_MALFORMED_SHARE", "-0.1", "TELECOM_MALFORMED_SHARE: '-0.1': "),
    ("TELECOM_BILLING_DAY", "29", "TELECOM_BILLING_DAY: '29': "),
    ("TELECOM_SENSOR_INTERVAL_SECONDS", "1", "TELECOM_SENSOR_INTERVAL_SECONDS: '1': "),
    ("TELECOM_OUTAGE_MINUTES", "0", "TELECOM_OUTAGE_MINUTES: '0': "),
    ("TELECOM_OUTAGE_MINUTES", "soon", "TELECOM_OUTAGE_MINUTES: 'soon': "),
    ("TELECOM_SILENT_HOURS", "0", "TELECOM_SILENT_HOURS: '0': "),
    ("TELECOM_SILENT_HOURS", "1.5", "TELECOM_SILENT_HOURS: '1.5': "),
    ("TELECOM_FAILURE_WEBHOOK", "ftp://x", "TELECOM_FAILURE_WEBHOOK: expected an address that begins with"),
    ("TELECOM_RATE_PLANS", "/no/such.csv", "TELECOM_RATE_PLANS: '/no/such.csv': no file at /no/such.csv"),
    ("TELECOM_DAGSTER_STORAGE", "mysql", "TELECOM_DAGSTER_STORAGE: 'mysql': "),
    ("TELECOM_KAFKA_OPTIONS", "security.protocol=SSL", "TELECOM_KAFKA_OPTIONS: not JSON: "),
    ("TELECOM_KAFKA_OPTIONS", '["a"]', "TELECOM_KAFKA_OPTIONS: expected a JSON object such as "),
]


@pytest.mark.parametrize(("variable", "text", "named"), WRONG)
def test_a_wrong_value_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, named: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    message = str(caught.value)
    assert named in message
    assert message.startswith((variable, "ENGINE"))
    assert "\n" not in message


@pytest.mark.thorough
def test_a_currency_is_taken_when_bills_can_be_written_in_it() -> None:
    """By ISO 4217's own table: whatever has decimals, none included."""
    taken = set()
    for currency in Currency:
        with suppress(SettingsError):
            taken.add(Settings.load(currency=currency.code).currency)
    assert taken == {currency.code for currency in Currency if currency.exponent is not None}
    assert {"MAD", "EUR", "JPY", "XOF", "TND", "KWD", "CLF"} <= taken
    assert not {"XAU", "XXX", "XDR"} & taken


def test_the_table_holds_every_percentage_that_may_be_set() -> None:
    settings = Settings.load(discount_pct=Decimal("99.9999"), tax_pct=Decimal(100))
    for name in ("discount_pct", "tax_pct"):
        value = pa.scalar(getattr(settings, name), FACTURATION_COMPLETE.column(name).arrow_type)
        assert value.as_py() == getattr(settings, name)


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELECOM_TAX_PCT", "much")
    monkeypatch.setenv("TELECOM_CURRENCY", "dirham")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert [line.partition(":")[0] for line in str(caught.value).split("; ")] == ["TELECOM_TAX_PCT", "TELECOM_CURRENCY"]


@pytest.mark.parametrize("options", ['{"sasl.password": "s3cret"', '["s3cret"]', '"s3cret"', "s3cret"])
def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch, options: str) -> None:
    monkeypatch.setenv("TELECOM_KAFKA_OPTIONS", options)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert "s3cret" not in str(caught.value)


def test_secrets_hide_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELECOM_POSTGRES_DSN", "postgresql://me:s3cret@host/db")
    monkeypatch.setenv("TELECOM_DAGSTER_POSTGRES_URL", "postgresql://me:s3cret@host/db")
    settings = Settings.load()
    assert "s3cret" not in f"{settings!r} {settings.postgres_dsn} {settings.dagster_postgres_url}"


def test_a_settings_object_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().currency = "EUR"


def test_the_documentation_names_every_variable() -> None:
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert [name for name in Settings.model_fields if f"`{variable_name(name)}`" not in text] == []


def test_a_warehouse_in_a_bucket_is_reached_with_the_names_that_everybody_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings.load(warehouse="/data/warehouse").s3 is None
    for name, value in {
        "TELECOM_WAREHOUSE": "s3://bucket/telecom",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9000/",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    assert settings.s3 == S3Storage("http://127.0.0.1:9000", None, "key", "s3cret")
    assert "s3cret" not in f"{settings!r}{settings.s3!r}"
    assert "s3cret" not in f"{settings.s3.hadoop_properties()}"
    assert settings.s3.delta_options()["AWS_CONDITIONAL_PUT"] == "etag"


@pytest.mark.parametrize(
    "uri", ["s3://b/x", "s3://bucket/a b", "s3://bucket/é", "s3://Bucket/x", "s3://bucket//x", "s3:///x"]
)
def test_a_bucket_that_an_engine_would_misread_is_refused(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("TELECOM_WAREHOUSE", uri)
    with pytest.raises(SettingsError, match=r"TELECOM_WAREHOUSE: .*expected s3://bucket/prefix of letters"):
        Settings.load()


@pytest.mark.parametrize(
    "uri", ["s3://bucket", "s3a://bucket/x", "s3://my-bucket.1/a_b/c=d/v1.0/", "/a b/é", "file:///x"]
)
def test_a_warehouse_that_every_engine_reads(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("TELECOM_WAREHOUSE", uri)
    assert Settings.load().warehouse_uri == uri


def test_a_folder_is_the_same_for_whoever_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An Apache Spark server has another working directory."""
    monkeypatch.chdir(tmp_path)
    assert Settings.load(warehouse="data/wh").warehouse_uri == str(tmp_path / "data" / "wh")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert Settings.load(warehouse="~/wh").warehouse_uri == str(tmp_path / "me" / "wh")


@pytest.mark.parametrize("given", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_credential_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(given, "s3cret")
    with pytest.raises(SettingsError, match=r"both or neither") as caught:
        Settings.load()
    assert "s3cret" not in str(caught.value)


def test_an_endpoint_is_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TELECOM_KAFKA_TOPIK", "TELECOM_KAFKA_TOPIC"),
        ("TELECOM_KAFKA_BOOTSTRAP_SERVER", "TELECOM_KAFKA_BOOTSTRAP_SERVERS"),
        ("TELECOM_TAX_PTC", "TELECOM_TAX_PCT"),
        ("TELECOM_WAREHOUS", "TELECOM_WAREHOUSE"),
    ],
)
def test_a_misspelt_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, meant: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value) == f"{name} is no setting; did you mean {meant}?"


def test_what_only_begins_like_a_setting_is_another_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELECOM_DEPARTMENT", "x")
    monkeypatch.setenv("TELECOM_ENGINE", "sail")
    assert Settings.load().engine == "sail"
