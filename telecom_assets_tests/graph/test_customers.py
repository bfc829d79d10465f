"""Customers through the graph: read on one day and on later ones, into their history."""

import datetime as dt
from collections.abc import Callable

import pytest

from telecom_assets.definitions import build_defs
from telecom_assets.home.settings import Settings
from telecom_assets_tests.graph.conftest import customers
from telecom_assets_tests.graph.project import Project

WHO = "212600009999"
FIRST = dt.datetime(2026, 11, 12, 12, tzinfo=dt.UTC)


@pytest.fixture
def project(new_project: Callable[..., Project]) -> Project:
    made = new_project()
    made.store_customers(customers())
    return made


def read(project: Project, now: dt.datetime) -> list[tuple[str, dt.date | None, dt.date | None, int]]:
    """Read the customers as if it were another time; the history of the one: region, first day, end, holder."""
    resources = {**project.deployment.resources(), "clock": lambda: now}
    result = (
        build_defs(project.settings, resources)
        .resolve_job_def("customers_job")
        .execute_in_process(instance=project.instance)
    )
    assert result.success
    rows = [row for row in project.rows("customers") if row["customer_id"] == WHO]
    rows.sort(key=lambda row: row["valid_from"] or dt.date.min)
    return [(row["region"], row["valid_from"], row["valid_to"], row["holder_no"]) for row in rows]


def test_what_is_read_on_a_day_holds_from_that_local_day_on(project: Project) -> None:
    """In Casablanca 23:30 UTC of the 12th is the 13th. Moved, then gone, then there again: the next holder."""
    [(home, since, end, holder)] = read(project, FIRST)
    activated = project.postgres(f"SELECT activation_date FROM customers WHERE customer_id = '{WHO}'")[0][0]
    assert (since, end, holder) == (activated, None, 1)
    project.postgres(f"UPDATE customers SET region = 'Elsewhere' WHERE customer_id = '{WHO}'")
    night = FIRST.replace(hour=23, minute=30)
    moved = [(home, since, dt.date(2026, 11, 13), 1), ("Elsewhere", dt.date(2026, 11, 13), None, 1)]
    assert read(project, night) == moved
    version = project.version("customers")
    assert read(project, night + dt.timedelta(days=2)) == moved
    assert project.version("customers") == version, "the same customers make no new version"

    project.postgres(f"CREATE TABLE gone AS SELECT * FROM customers WHERE customer_id = '{WHO}'")
    project.postgres(f"DELETE FROM customers WHERE customer_id = '{WHO}'")
    every = project.settings.replaced(customers_gone_share=1)
    project = Project(every, project.instance)
    ended = [moved[0], ("Elsewhere", dt.date(2026, 11, 13), dt.date(2026, 11, 20), 1)]
    assert read(project, dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)) == ended
    project.postgres("INSERT INTO customers SELECT * FROM gone")
    again = read(project, dt.datetime(2026, 11, 25, 12, tzinfo=dt.UTC))
    assert again == [*ended, ("Elsewhere", dt.date(2026, 11, 25), None, 2)]


def test_a_table_with_dates_is_the_history_itself(project: Project) -> None:
    """A row that ends, and one behind a gap: the next holder. No day of reading matters."""
    for statement in (
        "ALTER TABLE customers ADD valid_from date, ADD valid_to date, DROP CONSTRAINT customers_pkey",
        f"UPDATE customers SET valid_to = '2025-06-10' WHERE customer_id = '{WHO}'",
        "INSERT INTO customers (customer_id, customer_name, subscription_type, rate_plan_id, activation_date, status, region, "
        "valid_from) SELECT customer_id, customer_name, subscription_type, rate_plan_id, activation_date, status, 'Elsewhere', "
        f"date '2025-06-20' FROM customers WHERE customer_id = '{WHO}'",
    ):
        project.postgres(statement)
    [(_, *first), second] = read(project, FIRST)
    assert first == [None, dt.date(2025, 6, 10), 1]
    assert second == ("Elsewhere", dt.date(2025, 6, 20), None, 2)


def test_the_schedule_reads_them_soon_after_the_local_day_has_begun() -> None:
    definitions = build_defs(Settings.load())
    schedule = definitions.get_repository_def().get_schedule_def("nightly_customers")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("10 0 * * *", "Africa/Casablanca")
    assert schedule.job_name == "customers_job"
