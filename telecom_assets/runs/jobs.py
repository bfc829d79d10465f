"""The jobs: the runs that a month is made of, the checks alone, maintenance, and the reading of customers.

Each holds assets of one partitioning, with their checks. Belongs here: a job of Dagster for each stage
(`telecom_assets.runs.stages`).
"""

from typing import Any

import dagster as dg

from telecom_assets.runs.stages import CUSTOMERS_READ, MAINTENANCE, RERATING, STAGES, Stage


def _job(stage: Stage) -> Any:
    assets = [asset for each in stage.run for asset in each.assets]
    return dg.define_asset_job(stage.job, dg.AssetSelection.assets(*assets), description=stage.description)


#: The jobs of a month, by stage.
OF_STAGE = {stage.name: _job(stage) for stage in STAGES}
JOBS = list(OF_STAGE.values())

maintenance_job = _job(MAINTENANCE)
rerating_job = _job(RERATING)
#: Without checks: what is not valid is not stored, and the rows beside which customers are checked may not be there yet.
customers_job = dg.define_asset_job(
    CUSTOMERS_READ.job,
    dg.AssetSelection.assets(*CUSTOMERS_READ.assets).without_checks(),
    description=CUSTOMERS_READ.description,
)
checks_job = dg.define_asset_job(
    "checks_job",
    dg.AssetSelection.all_asset_checks(),
    description="Makes every check on what is there, and nothing else: all days and months, or, with the run tag "
    "`telecom/month: yyyy-MM`, those of one month. The same as `telecom check`.",
)
