"""`telecom up`, `down` and `status`: what they print and how they exit."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.stack import needed_services, register
from telecom_assets.home.settings import Settings
from telecom_assets.local_stack import LocalStack


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    LocalStack(tmp_path / "home").down()


def telecom(home: Path, *arguments: str, **settings: Any) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, arguments, obj=AppContext(Settings.load(home=home, **settings)))


@pytest.mark.thorough
def test_up_status_down_as_json(home: Path) -> None:
    started = telecom(home, "up", "postgres", "--json")
    assert started.exit_code == 0
    answer = json.loads(started.stdout)
    assert answer["started"] == ["postgres"]
    assert [(one["name"], one["state"]) for one in answer["services"]] == [("postgres", "up")]
    password = json.loads((home / "stack.json").read_text())["postgres"]["password"]
    assert password not in started.output

    again = telecom(home, "up", "postgres", "--json")
    assert json.loads(again.stdout)["started"] == []

    asked = telecom(home, "status", "--json")
    assert {one["name"]: one["state"] for one in json.loads(asked.stdout)["services"]} == {
        "postgres": "up",
        "kafka": "down",
        "spark": "down",
    }
    assert asked.exit_code == 1  # the settings need Kafka, too
    assert telecom(home, "status", "postgres").exit_code == 0

    stopped = telecom(home, "down", "--json")
    assert stopped.exit_code == 0
    assert json.loads(stopped.stdout)["stopped"] == ["postgres"]
    assert telecom(home, "status", "postgres").exit_code == 1


def test_tables_are_for_people(home: Path) -> None:
    asked = telecom(home, "status")
    assert asked.exit_code == 1
    assert [name for name in ("postgres", "kafka", "spark") if name in asked.stdout] == ["postgres", "kafka", "spark"]


def test_status_needs_only_what_the_settings_leave_to_the_stack(home: Path) -> None:
    elsewhere = {"kafka_bootstrap_servers": "broker:9092", "postgres_dsn": "postgresql://elsewhere/x"}
    assert telecom(home, "status", **elsewhere).exit_code == 0


@pytest.mark.thorough
def test_error_is_one_line_and_the_log(home: Path) -> None:
    assert telecom(home, "up", "postgres").exit_code == 0
    assert telecom(home, "down").exit_code == 0
    (home / "services" / "postgres" / "data" / "PG_VERSION").write_text("9.6\n")
    failed = telecom(home, "up", "postgres")
    assert failed.exit_code == 1
    message, *log = [line for line in failed.stderr.splitlines() if line.startswith(("telecom:", "  |"))]
    assert message.startswith("telecom: PostgreSQL ended while starting; see ")
    assert any("initialized by PostgreSQL version 9.6" in line for line in log)
    assert "Traceback" not in failed.output


def test_error_as_json(home: Path) -> None:
    failed = telecom(home, "up", "redis", "--json")
    assert failed.exit_code == 2
    assert json.loads(failed.stdout)["error"].startswith("unknown service redis")


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({}, ["postgres", "kafka"]),
        ({"engine": "spark"}, ["postgres", "kafka", "spark"]),
        ({"engine": "spark", "spark_remote": "sc://cluster"}, ["postgres", "kafka"]),
        ({"kafka_bootstrap_servers": "broker:9092"}, ["postgres"]),
        ({"postgres_dsn": "postgresql://elsewhere/x"}, ["kafka"]),
        ({"postgres_dsn": "postgresql://elsewhere/x", "dagster_storage": "postgres"}, ["postgres", "kafka"]),
    ],
)
def test_up_starts_what_the_settings_need(settings: dict[str, str], needed: list[str]) -> None:
    assert needed_services(Settings.load(**settings)) == needed


@pytest.mark.thorough
def test_jars_of_a_cluster_and_its_settings(home: Path) -> None:
    """What `docs/scaling.md` tells operators to do."""
    storage = {"aws_region": "eu-west-3", "aws_access_key_id": "key", "aws_secret_access_key": "s3cret"}
    done = telecom(home, "jars", str(home / "jars"), "--json", warehouse="s3://bucket/x", **storage)
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert sorted(path.name for path in (home / "jars").iterdir()) == answer["jars"]
    assert {"delta-spark", "hadoop-aws"} <= {re.split(r"[-_]\d", name)[0] for name in answer["jars"]}
    assert sum(path.stat().st_size for path in (home / "jars").iterdir()) < 60_000_000
    # Code that the cluster's own user reads.
    assert {oct(path.stat().st_mode & 0o777) for path in (home / "jars").iterdir()} == {"0o644"}
    assert oct((home / "jars").stat().st_mode & 0o777) == "0o755"
    assert answer["settings"]["spark.hadoop.fs.s3a.endpoint.region"] == "eu-west-3"
    assert "s3cret" not in done.output
