"""Rating follows mediation."""

import dagster as dg

from telecom_assets.schemas.usage import CLEANED_CDRS


def rate_after_mediation() -> dg.AutomationCondition:
    """Rate a day once its cleaned events are new, whatever its month.

    Not `eager()`: that looks at the latest day only, and a corrected day of an older month would refresh nothing. Not
    gated on checks of other runs either: a check of a range run carries no partition; rating asserts its inputs itself.
    """
    mediated = dg.AutomationCondition.any_deps_updated().allow(dg.AssetSelection.assets(CLEANED_CDRS.name))
    return mediated.since_last_handled() & ~dg.AutomationCondition.in_progress()


def rating_automation(interval_seconds: int) -> dg.AutomationConditionSensorDefinition:
    """Made by a function, because the interval is a setting."""
    return dg.AutomationConditionSensorDefinition(
        "rating_automation",
        target=dg.AssetSelection.groups("rating"),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=interval_seconds,
        description="Rates the days that were mediated anew.",
    )
