"""Customers through the graph: read on one day and on later ones, into their history."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from telecom_assets.definitions import build_defs
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.failures import innermost_message
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets_tests.graph.conftest import customers
from telecom_assets_tests.graph.project import DATA, Project

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


def asked(project: Project, job: str, op: str, **config: object) -> str:
    """Run a job on 12 November with a configuration; what it says when it refuses, else nothing."""
    resources = {**project.deployment.resources(), "clock": lambda: FIRST}
    outcome = (
        build_defs(project.settings, resources)
        .resolve_job_def(job)
        .execute_in_process(
            run_config={"ops": {op: {"config": config}}}, instance=project.instance, raise_on_error=False
        )
    )
    failed = [innermost_message(event) for event in outcome.all_events if event.is_step_failure]
    assert outcome.success == (not failed)
    return failed[0] if failed else ""


def test_who_had_a_number_in_a_closed_period_changes_by_a_decision_alone(project: Project, tmp_path: Path) -> None:
    """One who is seen first after October was closed, and was there in October; then an import of another, and of prices."""
    read(project, FIRST)
    for state in ("drafted", "approved", "closing", "closed"):
        change_state(project.warehouse, lambda _, to=state: changed_now("2026-10", to))  # type: ignore[misc]
    project.postgres(
        "INSERT INTO customers SELECT '212600008888', customer_name, subscription_type, rate_plan_id, date '2026-10-20', status, "
        f"region FROM customers WHERE customer_id = '{WHO}'"
    )
    version = project.version("customers")
    refused = asked(project, "customers_job", "customers")
    assert "would change what was in force in 2026-10 (closed): customers 212600008888." in refused
    assert "`telecom customers read --correct-past --by NAME --why REASON` stores it" in refused
    assert "correct_past needs by and why" in asked(project, "customers_job", "customers", correct_past=True, by="Anna")
    assert project.version("customers") == version
    decided = {"correct_past": True, "by": "Anna", "why": "sold in October"}
    assert asked(project, "customers_job", "customers", **decided) == ""

    file = tmp_path / "moved.csv"
    header = "customer_id,customer_name,subscription_type,rate_plan_id,activation_date,status,region"
    file.write_text(f"{header}\n{WHO},Moved,postpaid,PLAN_B,2024-01-01,active,Elsewhere\n")
    october = {"file": str(file), "valid_from": "2026-10-31"}
    assert "2026-10 (closed): customers 212600009999" in asked(
        project, "customers_import_job", "import_customers", **october
    )
    assert project.postgres(f"SELECT region FROM customers WHERE customer_id = '{WHO}'") == [("Oriental",)]
    november = {"file": str(file), "valid_from": "2026-11-01"}
    assert asked(project, "customers_import_job", "import_customers", **november) == ""
    assert project.postgres(f"SELECT region FROM customers WHERE customer_id = '{WHO}'") == [("Elsewhere",)]

    assert project.run("reference_job").success
    cheaper = tmp_path / "cheaper.csv"
    cheaper.write_text(
        (DATA / "rate_plans.csv").read_text().replace("PLAN_B,VOICE_NAT,voice,0.", "PLAN_B,VOICE_NAT,voice,9.")
    )
    prices = {"files": [str(cheaper)], "valid_from": "2026-10-31"}
    assert "2026-10 (closed): rate_plans PLAN_B/VOICE_NAT." in asked(
        project, "tariff_import_job", "import_tariffs", **prices
    )
    assert asked(project, "tariff_import_job", "import_tariffs", **prices, **decided) == ""

    told = [row for row in project.rows("reference_changes") if row["change"] != "begun"]
    told.sort(key=lambda row: (row["reference_table"], row["reference_version"], str(row["valid_from"])))
    assert [(row["entity"], row["change"], row["changed_by"], row["corrected"]) for row in told] == [
        ("212600008888", "added", "Anna", "2026-10"),
        (WHO, "changed", None, None),
        (WHO, "added", None, None),
        ("PLAN_B/VOICE_NAT", "added", "Anna", "2026-10"),
        ("PLAN_B/VOICE_NAT", "changed", "Anna", "2026-10"),
    ]
    assert told[0]["source"].startswith("table customers at ")
    assert told[1]["source"] == str(file)


def test_the_schedule_reads_them_soon_after_the_local_day_has_begun() -> None:
    definitions = build_defs(Settings.load())
    schedule = definitions.get_repository_def().get_schedule_def("nightly_customers")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("10 0 * * *", "Africa/Casablanca")
    assert schedule.job_name == "customers_job"
