"""The job that decides about re-rating a closed month, the same as `telecom rerate`. Its configuration is the decision.

Belongs here: the job, and the configuration that a person fills in. Does not belong here: what follows from a decision
(`telecom_assets.corrections`).
"""

import dagster as dg
from pydantic import Field

from resources.warehouse import Warehouse
from telecom_assets.corrections.rerating import accept_differences, ask_for_all, corrects
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.failures import with_expected_failures
from telecom_assets.model.calendar import check_month


class Rerate(dg.Config):
    """Which closed month is rated again as a whole, or whose differences by other rules are accepted."""

    month: str = Field(description="Closed month, yyyy-MM.")
    by: str = Field(min_length=1, description="Who decides; kept with the decision.")
    why: str = Field(min_length=1, description="Why; kept with the decision.")
    accept: bool = Field(
        default=False, description="Accept the differences that await it, in place of asking for the whole month."
    )


@dg.op(name="rerate_month")
@with_expected_failures
def _rerate(
    context: dg.OpExecutionContext,
    config: Rerate,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
) -> None:
    month = check_month(config.month, settings.partitions_start)
    period = corrects(warehouse, month, settings.adjustment_months)
    if config.accept:
        accepted = accept_differences(warehouse, month, period, by=config.by, why=config.why)
        context.log.info(f"{accepted} differences of {month} are accepted")
    else:
        ask_for_all(warehouse, month, period, by=config.by, why=config.why)
    context.log.info(f"`rerating_job` of {period}, or its next run, makes the differences")


@dg.job(
    description="Decides about a closed month: all of it is rated again for the bills that correct it, or its differences by other "
    "rules are accepted. rerating_job of the month that corrects it, or the next run of that month, then makes the differences. The "
    "same as `telecom rerate`."
)
def rerate_job() -> None:
    """One step."""
    _rerate()
