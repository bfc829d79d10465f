"""Rating follows mediation, whatever the month of the day, and no other run does."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from telecom_assets.definitions import build_defs
from telecom_assets.home.settings import Settings

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


def test_the_sensor_looks_at_every_asset_that_has_a_condition(defs: dg.Definitions) -> None:
    sensor = defs.get_repository_def().get_sensor_def("rating_automation")
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    graph = defs.resolve_asset_graph()
    conditioned = {key for key in graph.get_all_asset_keys() if graph.get(key).automation_condition}
    assert {key.to_user_string() for key in conditioned} == set(RATING)
    assert conditioned <= sensor.asset_selection.resolve(graph)
