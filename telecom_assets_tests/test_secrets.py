"""Settings that may hold a token: whatever is wrong with one, nothing that is printed, logged or stored shows it.

Belongs here: every setting, and every way on which a value could get out. Each value holds a marker.
"""

import json
import logging
import sys
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
import tenacity

# What Dagster stores of an error, as it stores it: that is where a secret would be found.
from dagster._utils.error import serializable_error_info_from_exc_info

from resources.engine import EngineUnavailable, SparkEngine
from resources.kafka import KafkaConnection, KafkaUnavailable
from resources.postgres import PostgresConnection, PostgresUnavailable
from telecom_assets.home import instance
from telecom_assets.home.settings import Settings, SettingsError, variable_name
from telecom_assets.local_stack import SparkShape
from telecom_assets.local_stack.layout import Kept, Layout
from telecom_assets.local_stack.spark import Spark
from telecom_assets.runs.sensors import failures, webhook
from telecom_assets_tests.typed import type_command

MARK = "s3cretMARK"

#: Settings that hold nothing of the kind: numbers, choices, names, and paths of folders.
HARMLESS = {
    *("home", "output", "aws_region", "engine", "engine_memory_mb", "spark_workers", "spark_memory_mb", "kafka_topic"),
    *("kafka_timeout_seconds", "landing_chunk_rows", "rate_plans", "product_catalog", "partitions_start"),
    *("max_age_days", "dedupe_days", "missing_volume_policy", "discount_pct", "tax_pct", "currency", "billing_day"),
    *("short_retention", "retention_days", "target_file_mb", "maintenance_hour", "sensor_interval_seconds"),
    *("dagster_storage", "csv_bom", "outage_minutes", "silent_hours", "malformed_share", "billing_terms", "issuer"),
    *("adjustments", "adjustment_months", "adjustment_threshold", "approver_is_not_closer"),
    *("review_factor", "back_charge_months", "invoice_formats", "zero_bills", "accounts"),
    *("customers_gone_share", "unusual_day_score"),
}

#: What somebody may give by mistake, and is refused.
REFUSED = {
    "warehouse": [f"s3://key:{MARK}@bucket/x", f"https://key:{MARK}@host/x", f"s3://bucket/x?token={MARK}"],
    "aws_endpoint_url": [
        f"https://key:{MARK}@host",
        f"https://host?token={MARK}",
        f"{MARK}.example",
        f"https://host/{MARK}",
    ],
    "aws_access_key_id": [MARK],
    "aws_secret_access_key": [MARK],
    "spark_remote": [
        *(f"sc://user:{MARK}@host:1", f"sc://host:1;token={MARK}", f"sc://host:1/{MARK}", f"sc://host:1/;{MARK}"),
        *(f"https://{MARK}", f"sc://host:{MARK}", f"sc://host:1/?token={MARK}", f"sc://host:1/;token={MARK} "),
    ],
    "spark_properties": [MARK, f'{{"a": "{MARK}"', f'["{MARK}"]', f'"{MARK}"'],
    "kafka_bootstrap_servers": [f"user:{MARK}@host:9092"],
    "kafka_options": [MARK, f'{{"a": "{MARK}"', f'["{MARK}"]', f'"{MARK}"'],
    "failure_webhook": [f"ftp://host/{MARK}", MARK, f"https:///{MARK}"],
    "dagster_postgres_url": [f"host=db password={MARK}", MARK],
}
#: What is taken.
TAKEN = {
    "aws_access_key_id": MARK,
    "aws_secret_access_key": MARK,
    "aws_session_token": MARK,
    "spark_remote": f"sc://host:1/;token={MARK}",
    "spark_properties": json.dumps({"spark.hadoop.key": MARK}),
    "kafka_options": json.dumps({"sasl.password": MARK}),
    "postgres_dsn": f"postgresql://user:{MARK}@127.0.0.1:1/db",
    "failure_webhook": f"https://hooks.example/services/{MARK}",
    "dagster_postgres_url": f"postgresql://user:{MARK}@127.0.0.1:1/db",
}
VARIABLES = {
    "aws_endpoint_url": ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"],
    "spark_remote": ["SPARK_REMOTE", "TELECOM_SPARK_REMOTE"],
}


def test_every_setting_is_thought_of() -> None:
    """A new one is harmless, or its values are tried here."""
    assert HARMLESS | REFUSED.keys() | TAKEN.keys() == Settings.model_fields.keys()
    assert HARMLESS.isdisjoint(REFUSED.keys() | TAKEN.keys())


def everything_told(error: BaseException) -> str:
    """An error as the UI stores it: with all that came before it."""
    try:
        raise error
    except BaseException:
        return serializable_error_info_from_exc_info(sys.exc_info()).to_string() + repr(error)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (variable, value)
        for field, values in REFUSED.items()
        for variable in VARIABLES.get(field, [variable_name(field)])
        for value in values
    ],
)
def test_a_value_that_is_refused_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    output = everything_told(caught.value)
    assert MARK not in output
    assert variable.removeprefix("TELECOM_") in output
    finished = type_command(monkeypatch, capfd, ("status",))
    assert (finished.exit_code, finished.stderr.count("\n"), MARK in finished.output) == (2, 1, False)


@pytest.fixture
def all_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    for field, value in TAKEN.items():
        monkeypatch.setenv(variable_name(field), value)
    monkeypatch.setenv("TELECOM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TELECOM_WAREHOUSE", "s3://bucket/x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    return Settings.load()


def test_settings_do_not_show_what_they_hold(all_taken: Settings) -> None:
    assert MARK not in f"{all_taken!r} {all_taken} {all_taken.s3!r}"


@pytest.mark.usefixtures("all_taken")
@pytest.mark.parametrize(
    "arguments",
    [["status"], ["status", "--json"], ["down", "--json"], ["funnel", "--month", "2025-05"], ["up", "redis", "--json"]],
    ids=" ".join,
)
def test_commands_do_not_show_what_they_were_given(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert MARK not in type_command(monkeypatch, capfd, tuple(arguments)).output


# -- values that only the one who gets them refuses ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["security.protocol", "sasl.mechanism", "ssl.endpoint.identification.algorithm"])
def test_what_kafka_cannot_use_is_not_shown(name: str) -> None:
    connection = KafkaConnection("127.0.0.1:1", "topic", {"sasl.password": MARK, name: MARK}, timeout_seconds=0.2)
    with pytest.raises(KafkaUnavailable) as caught:
        connection.topic_state()
    assert MARK not in everything_told(caught.value) + repr(connection)


@pytest.mark.parametrize(
    "dsn", [f"host=127.0.0.1 port=1 sslmode={MARK}", f"postgresql://u:p@ss{MARK}@127.0.0.1:1/x", MARK]
)
def test_what_postgresql_cannot_use_is_not_shown(dsn: str) -> None:
    with pytest.raises(PostgresUnavailable) as caught:
        PostgresConnection(dsn, retry_seconds=0).connect()
    assert MARK not in everything_told(caught.value) + repr(PostgresConnection(dsn))


@pytest.mark.parametrize("ending", [f":{MARK}@127.0.0.1:1/x", f"@127.0.0.1:1/x?sslmode={MARK}", f":p@{MARK}@h:x1/x"])
def test_a_storage_that_cannot_be_reached_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    ending: str,
) -> None:
    monkeypatch.setenv("TELECOM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TELECOM_DAGSTER_STORAGE", "postgres")
    monkeypatch.setenv("TELECOM_DAGSTER_POSTGRES_URL", f"postgresql://user{ending}")
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(instance, "PostgresConnection", partial(PostgresConnection, retry_seconds=0))
    finished = type_command(monkeypatch, capfd, ("maintain",))
    assert (finished.exit_code, finished.stdout, finished.stderr.count("\n")) == (1, "", 1)
    assert "TELECOM_DAGSTER_POSTGRES_URL" in finished.stderr
    assert MARK not in finished.output + caplog.text


@pytest.mark.parametrize("parameters", [f";{MARK}", f";token=x;{MARK}", f"{MARK}"])
def test_an_address_that_spark_cannot_read_is_not_shown(parameters: str) -> None:
    """Whoever makes an engine without the settings."""
    engine = SparkEngine(kind="spark", remote=f"sc://127.0.0.1:1/{parameters}")
    assert MARK not in repr(engine)
    if parameters.startswith(";"):
        with pytest.raises(EngineUnavailable) as caught:
            _ = engine.spark_session
        assert MARK not in str(caught.value)


@pytest.mark.parametrize("address", [f"http://127.0.0.1:1/{MARK}", f"http://{MARK}:x/", f"http://[{MARK}/"])
def test_a_webhook_that_cannot_be_reached_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    monkeypatch.setattr(webhook.post.retry, "wait", tenacity.wait_none())
    with caplog.at_level(logging.INFO), pytest.raises(webhook.WebhookError) as caught:
        webhook.post(address, {"run_id": "1"}, "the run 1")
    assert MARK not in everything_told(caught.value) + caplog.text


def test_a_webhook_is_not_in_the_definitions(all_taken: Settings) -> None:
    sensor = failures.failure_sensor(f"https://hooks.example/{MARK}")
    assert isinstance(sensor, dg.SensorDefinition)
    assert MARK not in f"{sensor!r}{sensor.metadata}{sensor.description}"


def test_the_last_words_of_apache_spark_do_not_show_its_settings(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "home")
    layout.create()
    shape = SparkShape(properties={"spark.driver.cores": MARK, "spark.eventLog.enabled": "true"})
    spark = Spark(layout, Kept(layout.kept_file), shape)
    spark.log.write_text(f"Exception: spark.driver.cores should be int, but was {MARK}\nis true\n", encoding="utf-8")
    assert spark.last_words() == "Exception: spark.driver.cores should be int, but was …\nis true"
