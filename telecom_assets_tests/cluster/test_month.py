"""A month on the cluster and in a bucket equals the embedded engine's in a folder, table by table and file by file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from telecom_assets.schemas import TABLES
from telecom_assets_tests.graph.conftest import HOSTILE, customers, generated_cdrs, sessions_without_volume
from telecom_assets_tests.graph.project import MONTH, Project
from telecom_assets_tests.graph.test_month import VERSIONS, files_for_people, ordered_as_text
from telecom_assets_tests.s3_server import S3Server

#: What a run writes about itself: which run, when, and at which versions.
_OF_THE_RUN = {"landing_ranges", "mediated_days"}
#: Days of the generator's CDRs; each is a file in every table.
_DAYS = (1, 2, 28)


def messages() -> list[bytes | None]:
    """A few thousand CDRs of some days, the hostile corpus, and sessions whose volume is imputed."""
    days = tuple(f'"timestamp": "{MONTH}-{day:02}'.encode() for day in _DAYS)
    sent: list[bytes | None] = [line for line in generated_cdrs() if any(day in line for day in days)]
    return [*sent, *HOSTILE, *sessions_without_volume()]


@dataclass
class Ran:
    """A project after its month, and the checks of the run."""

    project: Project
    checks: dict[str, bool]


def ran(project: Project) -> Ran:
    project.store_customers(customers())
    project.open_month()
    results = project.run_month()
    return Ran(project, {name: passed for result in results for name, passed, _ in result.checks})


@pytest.fixture(scope="module")
def here(new_project: Callable[..., Project]) -> Ran:
    """On the embedded engine, in a folder."""
    project = new_project()
    project.produce(messages())
    return ran(project)


def in_a_bucket(s3: S3Server, here: Ran) -> dict[str, Any]:
    """Settings of a project on the same topic whose warehouse is in a bucket."""
    storage = s3.storage
    return {
        "kafka_topic": here.project.settings.kafka_topic,
        "warehouse": f"s3://{s3.new_bucket()}/telecom",
        "aws_endpoint_url": storage.endpoint,
        "aws_region": storage.region,
        "aws_access_key_id": storage.access_key_id,
        "aws_secret_access_key": storage.secret_access_key,
    }


@pytest.fixture(scope="module")
def on_the_cluster(here: Ran, s3: S3Server, cluster_remote: str, new_project: Callable[..., Project]) -> Ran:
    return ran(new_project(engine="spark", spark_remote=cluster_remote, **in_a_bucket(s3, here)))


@pytest.fixture(scope="module")
def embedded(here: Ran, s3: S3Server, new_project: Callable[..., Project]) -> Ran:
    """On the embedded engine, in a bucket."""
    return ran(new_project(**in_a_bucket(s3, here)))


@pytest.fixture(params=["on_the_cluster", "embedded"])
def elsewhere(request: pytest.FixtureRequest) -> Ran:
    return request.getfixturevalue(request.param)


def test_it_ran_there(on_the_cluster: Ran, embedded: Ran):
    for run, engine in ((on_the_cluster, "spark"), (embedded, "sail")):
        assert run.project.connections.engine.name == engine
        assert run.project.warehouse.root.startswith("s3://")
        assert not (run.project.settings.home_path / "warehouse").exists()


def test_every_check_was_made_and_passed(here: Ran, elsewhere: Ran):
    assert [name for name, passed in elsewhere.checks.items() if not passed] == []
    assert set(elsewhere.checks) == set(here.checks)


def test_every_table_is_the_same(here: Ran, elsewhere: Ran):
    for name in sorted(set(TABLES) - _OF_THE_RUN):
        columns = [column for column in TABLES[name].column_names if column not in VERSIONS]
        expected = ordered_as_text(here.project.rows(name), columns)
        assert expected, name
        assert ordered_as_text(elsewhere.project.rows(name), columns) == expected, name


def test_invoices_reports_and_dashboard_are_the_same(here: Ran, elsewhere: Ran):
    assert files_for_people(elsewhere.project) == files_for_people(here.project)
