"""Rating of days that were not rated in the run of their mediation: the sensor of the rating assets' automation conditions."""

import warnings
from typing import Any

import dagster as dg

from resources.warehouse import Warehouse
from telecom_assets.periods.open_days import frozen_days
from telecom_assets.runs.sensors.tries import AGAIN


class OnOpenDays(dg.AutomationCondition[Any]):
    """True for the days of no approved or closed month. A day of an approved month is waited for: its approval may be withdrawn.

    The states stand in the warehouse, so the condition is evaluated by the code server.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    @property
    def description(self) -> str:
        return "The month of the day is neither approved nor closed"

    def evaluate(self, context: dg.AutomationContext[Any]) -> dg.AutomationResult[Any]:
        days = context.candidate_subset
        if not days.is_empty:
            frozen = {day.isoformat() for day in frozen_days(self._warehouse)}
            days = days.compute_difference(days.compute_intersection_with_partition_keys(frozen))
        return dg.AutomationResult(context, true_subset=days)


def on_open_days(spec: dg.AssetSpec, warehouse: Warehouse) -> dg.AssetSpec:
    """The asset with its automation condition, if it has one, asked for days of open months alone."""
    if spec.automation_condition is None:
        return spec
    return spec.replace_attributes(automation_condition=spec.automation_condition & OnOpenDays(warehouse))


def rating_automation(interval_seconds: int) -> dg.AutomationConditionSensorDefinition:
    """The sensor, which looks every `interval_seconds` (a setting)."""
    with warnings.catch_warnings():
        # Evaluating in the code server is beta in Dagster; the test of this sensor's ticks is run with the pinned version.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.AutomationConditionSensorDefinition(
            "rating_automation",
            target=dg.AssetSelection.groups("rating"),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=interval_seconds,
            run_tags=AGAIN,
            use_user_code_server=True,
            description=(
                "Rates the days that were mediated and not rated in the same run, whatever their month, but for days of approved "
                "and closed months. It asks for a day once; a run that fails is made again by `failed_runs_again`."
            ),
        )
