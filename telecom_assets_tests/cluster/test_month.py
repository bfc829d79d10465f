"""A month on the cluster and in a bucket equals the embedded engine's in a folder, table by table and file by file.

A small month: on a cluster that has just been started every query is the first of its kind.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from telecom_assets.generator import generate_cdr_chunks
from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.conftest import SPEC, customers, sessions_without_volume
from telecom_assets_tests.graph.project import MONTH, Project, day_tags
from telecom_assets_tests.graph.test_month import JOURNALS, VERSIONS, WITHOUT_ROWS, files_for_people, ordered_as_text
from telecom_assets_tests.s3_server import S3Server

_SPEC = replace(SPEC, cdrs=30_000)
#: What a run writes about itself: which run, when, and at which versions.
_OF_THE_RUN = {"landing_ranges", "landing_decisions", "displaced_days", "mediated_days", "billed_months", *JOURNALS}
#: Days of the generator's CDRs; each is a file in every table.
_DAYS = (2, 3)
#: What the first steps of a month write.
_MEDIATED = ("customers", "rate_plans", "product_catalog", "raw_cdrs", "cleaned_cdrs", "rejected_cdrs")


def messages() -> list[bytes]:
    """Two thousand CDRs of two days, and sessions whose volume is imputed."""
    days = tuple(f"{MONTH}-{day:02}" for day in _DAYS)
    generated = (line for chunk in generate_cdr_chunks(_SPEC) for line in chunk.to_pylist())
    sent = [line.encode() for line in generated if any(f'"timestamp": "{day}' in line for day in days)]
    return [*sent, *sessions_without_volume()]


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
def embedded(here: Ran, s3: S3Server, new_project: Callable[..., Project]) -> Project:
    """On the embedded engine, in a bucket, up to what is cleaned."""
    project = new_project(**in_a_bucket(s3, here))
    project.store_customers(customers())
    project.open_month()
    first, last = (f"{MONTH}-{day:02}" for day in (1, 28))
    for job, tags in (("reference_job", {}), ("landing_job", {}), ("mediation_job", day_tags(first, last))):
        assert project.run(job, tags).success, job
    return project


def same(expected: Project, found: Project, name: str) -> None:
    columns = [column for column in TABLES[name].column_names if column not in VERSIONS]
    rows = ordered_as_text(expected.rows(name), columns)
    assert rows, name
    assert ordered_as_text(found.rows(name), columns) == rows, name


def test_the_cluster_ran_it_in_the_bucket(on_the_cluster: Ran) -> None:
    project = on_the_cluster.project
    assert project.deployment.engine.name == "spark"
    assert project.warehouse.root.startswith("s3://")
    assert not (project.settings.home_path / "warehouse").exists()


def test_every_check_was_made_and_passed(here: Ran, on_the_cluster: Ran) -> None:
    assert [name for name, passed in on_the_cluster.checks.items() if not passed] == []
    assert set(on_the_cluster.checks) == set(here.checks)


@pytest.mark.parametrize("name", sorted(set(TABLES) - _OF_THE_RUN - WITHOUT_ROWS))
def test_the_cluster_made_the_same_table(here: Ran, on_the_cluster: Ran, name: str) -> None:
    same(here.project, on_the_cluster.project, name)


def test_the_cluster_made_the_same_invoices_reports_and_dashboard(here: Ran, on_the_cluster: Ran) -> None:
    files = files_for_people(here.project)
    assert len(files) > 10
    assert files_for_people(on_the_cluster.project) == files


@pytest.mark.parametrize("name", _MEDIATED)
def test_the_embedded_engine_made_the_same_table_in_a_bucket(here: Ran, embedded: Project, name: str) -> None:
    assert embedded.deployment.engine.name == "sail"
    assert embedded.warehouse.root.startswith("s3://")
    same(here.project, embedded, name)
