"""Rating of days that were not rated in the run of their mediation: the sensor of the rating assets' automation conditions."""

import dagster as dg

from telecom_assets.runs.sensors.tries import AGAIN


def rating_automation(interval_seconds: int) -> dg.AutomationConditionSensorDefinition:
    """The sensor, which looks every `interval_seconds` (a setting)."""
    return dg.AutomationConditionSensorDefinition(
        "rating_automation",
        target=dg.AssetSelection.groups("rating"),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=interval_seconds,
        run_tags=AGAIN,
        description=(
            "Rates the days that were mediated and not rated in the same run, whatever their month. It asks for a day once; a run "
            "that fails is made again by `failed_runs_again`."
        ),
    )
