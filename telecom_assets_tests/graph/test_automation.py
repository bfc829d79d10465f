"""Rating follows mediation, whatever the month of the day, and no other run does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from telecom_assets.definitions import build_defs
from telecom_assets.home.deployment import Deployment
from telecom_assets.home.settings import Settings
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.periods.states import APPROVED, DRAFTED, WITHDRAWN
from telecom_assets.tables import TABLES

RATING = ("rated_cdrs", "suspended_cdrs")


def rating_of(days: set[str]) -> dict[str, set[str]]:
    """Requests for both outputs of rating."""
    return dict.fromkeys(RATING, days)


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs(Settings.load())


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def materialised(instance: dg.DagsterInstance, asset: str, *partitions: str | None) -> None:
    """An asset was materialised, as a run says it."""
    for partition in partitions:
        instance.report_runless_asset_event(dg.AssetMaterialization(asset_key=asset, partition=partition))


class Automation:
    """The automation sensor, tick after tick."""

    def __init__(self, defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.defs, self.instance = defs, instance
        self.cursor: Any = None
        self.tick()

    def tick(self) -> dict[str, set[str]]:
        """The partitions that are asked for, by asset; of every asset of the project."""
        everything = dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks()
        result = dg.evaluate_automation_conditions(self.defs, self.instance, everything, cursor=self.cursor)
        self.cursor = result.cursor
        return {item.key.to_user_string(): _keys(item) for item in result.results if item.true_subset.size}


def _keys(result: dg.AutomationResult[dg.AssetKey]) -> set[str]:
    return set(result.true_subset.expensively_compute_partition_keys())


def test_a_day_that_was_mediated_is_rated_once(defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
    automation = Automation(defs, instance)
    assert automation.tick() == {}
    materialised(instance, "cleaned_cdrs", "2025-06-03")
    assert automation.tick() == rating_of({"2025-06-03"})
    assert automation.tick() == {}


def test_days_of_older_months_are_rated_too(defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
    automation = Automation(defs, instance)
    materialised(instance, "cleaned_cdrs", "2025-06-03", "2025-06-04")
    assert automation.tick() == rating_of({"2025-06-03", "2025-06-04"})
    materialised(instance, "cleaned_cdrs", "2020-01-01", "2024-02-29")
    assert automation.tick() == rating_of({"2020-01-01", "2024-02-29"})


def test_a_day_that_is_mediated_again_is_rated_again(defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
    automation = Automation(defs, instance)
    for _ in range(2):
        materialised(instance, "cleaned_cdrs", "2025-06-03")
        assert automation.tick() == rating_of({"2025-06-03"})
        materialised(instance, "rated_cdrs", "2025-06-03")
        materialised(instance, "suspended_cdrs", "2025-06-03")
        assert automation.tick() == {}


@pytest.mark.parametrize(
    ("asset", "partition"),
    [
        ("raw_cdrs", "2025-06-03"),
        ("rejected_cdrs", "2025-06-03"),
        ("mediated_days", "2025-06-03"),
        ("period_charges", "2025-06"),
        ("customers", None),
        ("rate_plans", None),
        ("product_catalog", None),
        ("rated_cdrs", "2025-06-03"),
        ("facturation_complete", "2025-06"),
    ],
)
def test_nothing_else_starts_a_run(
    defs: dg.Definitions, instance: dg.DagsterInstance, asset: str, partition: str | None
) -> None:
    automation = Automation(defs, instance)
    materialised(instance, asset, partition)
    assert automation.tick() == {}


def test_a_day_of_an_approved_month_waits_until_its_approval_is_withdrawn(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """A person who mediates such a day alone starts no rating, which would leave the day out."""
    settings = Settings.load(home=tmp_path)
    deployment = Deployment(settings, TABLES)
    warehouse = deployment.warehouse
    warehouse.make_tables()
    automation = Automation(build_defs(settings, deployment.resources()), instance)
    change_state(warehouse, lambda _: changed_now("2025-06", DRAFTED))
    change_state(warehouse, lambda _: changed_now("2025-06", APPROVED, by="Anna"))
    materialised(instance, "cleaned_cdrs", "2025-06-30", "2025-07-01")
    assert automation.tick() == rating_of({"2025-07-01"})
    assert automation.tick() == {}
    change_state(warehouse, lambda _: changed_now("2025-06", WITHDRAWN, by="Anna", why="a price was wrong"))
    assert automation.tick() == rating_of({"2025-06-30"})
    assert automation.tick() == {}


@pytest.mark.thorough
def test_the_sensor_itself_asks_for_open_days(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """As the code server evaluates it, tick after tick."""
    settings = Settings.load(home=tmp_path)
    deployment = Deployment(settings, TABLES)
    deployment.warehouse.make_tables()
    for state in (DRAFTED, APPROVED):
        change_state(deployment.warehouse, lambda _, to=state: changed_now("2025-06", to, by="Anna"))  # type: ignore[misc]
    repository = build_defs(settings, deployment.resources()).get_repository_def()
    sensor, cursor, asked = repository.get_sensor_def("rating_automation"), None, []
    for days in ((), ("2025-06-30", "2025-07-01"), ()):
        materialised(instance, "cleaned_cdrs", *days)
        with dg.build_sensor_context(instance, repository_def=repository, cursor=cursor) as context:
            ticked = sensor.evaluate_tick(context)
        cursor = ticked.cursor
        asked.append(
            [
                (request.partition_key, {key.to_user_string() for key in request.asset_selection or ()})
                for request in ticked.run_requests or ()
            ]
        )
    assert asked == [[], [("2025-07-01", set(RATING))], []]


def test_the_sensor_looks_at_every_asset_that_has_a_condition(defs: dg.Definitions) -> None:
    sensor = defs.get_repository_def().get_sensor_def("rating_automation")
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    graph = defs.resolve_asset_graph()
    conditioned = {key for key in graph.get_all_asset_keys() if graph.get(key).automation_condition}
    assert {key.to_user_string() for key in conditioned} == set(RATING)
    assert conditioned <= sensor.asset_selection.resolve(graph)
