"""Mediation and rating of a day are one run, in which mediation's blocking checks gate rating; a day is rated once."""

from collections.abc import Callable, Iterator

import dagster as dg
import pytest
from pyspark.sql import DataFrame

from telecom_assets.mediation.rules import Outcomes
from telecom_assets.model.calendar import local_today
from telecom_assets_tests.graph.conftest import customers
from telecom_assets_tests.graph.project import Project, day_tags
from telecom_assets_tests.graph.test_automation import Automation, rating_of
from telecom_assets_tests.graph.test_sensor import sms
from telecom_assets_tests.graph.ticks import Clock, carry_out, outcomes, tick

KAFKA, AGAIN = "cdr_topic_sensor", "failed_runs_again"


@pytest.fixture
def project(new_project: Callable[..., Project]) -> Iterator[Project]:
    """Reference data, and two messages of today that have landed; runs are kept in memory."""
    made = new_project(partitions=1)
    made.store_customers(customers())
    with dg.DagsterInstance.ephemeral() as instance:
        made.instance = instance
        made.produce([sms(local_today(), "a"), sms(local_today(), "b")])
        for job in ("reference_job", "landing_job"):
            assert made.run(job).success, job
        yield made


@pytest.fixture
def automation(project: Project) -> Automation:
    return Automation(project.defs, project.instance)


def today() -> str:
    return f"{local_today()}"


def mediation_run(project: Project) -> dg.ExecuteInProcessResult:
    """What the Kafka sensor asks for after a landing."""
    [done] = carry_out(project, tick(project, KAFKA))
    assert done.job_def.name == "mediation_job"
    return done


def rated(project: Project) -> list[str]:
    return sorted(row["record_id"] for row in project.rows("rated_cdrs"))


def ratings_of(project: Project) -> int:
    """How often today was rated."""
    days = dg.AssetRecordsFilter(dg.AssetKey("rated_cdrs"), asset_partitions=[today()])
    return len(project.instance.fetch_materializations(days, limit=10).records)


def failed_checks(result: dg.ExecuteInProcessResult) -> list[str]:
    return [check.check_name for check in result.get_asset_check_evaluations() if not check.passed]


def test_a_day_is_rated_in_the_run_that_mediates_it_and_in_no_other(project: Project, automation: Automation) -> None:
    assert mediation_run(project).success
    assert rated(project) == ["a", "b"]
    assert [automation.tick(), automation.tick()] == [{}, {}]
    assert ratings_of(project) == 1
    assert tick(project, AGAIN).run_requests == []


def test_records_that_come_later_rate_the_day_once_more(project: Project, automation: Automation) -> None:
    mediation_run(project)
    automation.tick()
    project.produce([sms(local_today(), "c")])
    assert project.run("landing_job").success
    mediation_run(project)
    assert rated(project) == ["a", "b", "c"]
    assert [automation.tick(), automation.tick()] == [{}, {}]
    assert ratings_of(project) == 2


def test_nobody_asks_for_a_day_while_its_run_is_between_mediation_and_rating(
    project: Project, automation: Automation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The automation looks when cleaned rows are stored and rated ones are not: the run that mediates is to rate them."""
    seen: list[dict[str, set[str]]] = []
    pin = type(project.warehouse).pin

    def looking(warehouse: object, name: str, *arguments: object, **named: object) -> object:
        if name == "mediated_days" and not seen and project.warehouse.exists("mediated_days"):
            seen.append(automation.tick())
        return pin(warehouse, name, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(type(project.warehouse), "pin", looking)
    assert mediation_run(project).success
    assert seen == [{}]
    assert [automation.tick(), automation.tick()] == [{}, {}]
    assert ratings_of(project) == 1


def test_a_day_that_was_mediated_alone_is_asked_for_once(project: Project, automation: Automation) -> None:
    """By a person who materialises the assets of mediation and no more."""
    assert project.materialise("cleaned_cdrs", day_tags(today())).success
    assert [automation.tick(), automation.tick()] == [rating_of({today()}), {}]


def test_a_tariff_that_is_refused_leaves_the_day_mediated_and_is_made_good(
    project: Project, automation: Automation
) -> None:
    """The checks of mediation hold, no event is priced, and the day is rated, once, when the tariff is mended."""
    clock = Clock(project)
    whole = project.rows("rate_plans")
    project.delete("rate_plans", "product_code = 'SMS_NAT'")
    done = mediation_run(project)
    assert not done.success
    [failure] = done.get_step_failure_events()
    assert failure.step_key == "rating"
    assert "no price for product SMS_NAT" in str(failure.step_failure_data)
    checks = {check.check_name: check.passed for check in done.get_asset_check_evaluations()}
    assert checks["raw_equals_cleaned_plus_rejected"]
    assert set(checks.values()) == {True}
    assert [row["record_id"] for row in project.rows("cleaned_cdrs")] == ["a", "b"]
    assert not project.warehouse.exists("rated_cdrs")
    assert tick(project, KAFKA).skip_message == "nothing new on the topic, every landed day is mediated"

    assert [automation.tick(), automation.tick()] == [rating_of({today()}), {}]
    sensor = project.defs.get_repository_def().get_sensor_def("rating_automation")
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    assert not project.run("rating_job", {**sensor.run_tags, **day_tags(today())}).success
    assert automation.tick() == {}
    project.add("rate_plans", [row for row in whole if row["product_code"] == "SMS_NAT"])
    clock.passes(minutes=1)
    assert outcomes(carry_out(project, tick(project, AGAIN))) == [("rating_job", True)]
    assert rated(project) == ["a", "b"]
    assert [automation.tick(), automation.tick()] == [{}, {}]
    assert ratings_of(project) == 1


def test_no_event_is_priced_when_a_check_of_mediation_fails(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that lose a record: the day is not rated by this run."""
    whole: Callable[[Outcomes], DataFrame] = vars(Outcomes)["cleaned"].fget

    def without_b(outcomes_of_the_day: Outcomes) -> DataFrame:
        return whole(outcomes_of_the_day).where("record_id <> 'b'")

    monkeypatch.setattr(Outcomes, "cleaned", property(without_b))
    done = mediation_run(project)
    assert not done.success
    assert failed_checks(done) == ["raw_equals_cleaned_plus_rejected"]
    assert "rating" not in {event.step_key for event in done.all_events if event.is_step_start}
    assert not project.warehouse.exists("rated_cdrs")
