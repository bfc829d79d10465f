"""The jobs: the runs that a month is made of, the checks alone, and maintenance.

Each of a month holds assets of one partitioning, with their checks.

Belongs here: which assets run together. Their order is in `telecom_assets.runs.month_run`.
"""

import dagster as dg

from telecom_assets.runs import month_run

_groups, _assets = dg.AssetSelection.groups, dg.AssetSelection.assets

reference_job = dg.define_asset_job(
    month_run.REFERENCES,
    _groups("reference"),
    description="Reads the customers from PostgreSQL and the tariffs and the catalogue from their files.",
)
landing_job = dg.define_asset_job(
    month_run.LANDING, _assets("landing"), description="Takes every message that is new on the topic into raw_cdrs."
)
mediation_job = dg.define_asset_job(
    month_run.MEDIATION,
    _groups("mediation"),
    description="Turns every landed message of some days into one cleaned event or one rejection with its reason.",
)
rating_job = dg.define_asset_job(
    month_run.RATING,
    _assets("rated_cdrs", "suspended_cdrs"),
    description="Gives every cleaned event of some days its price, or suspends it with a reason.",
)
billing_job = dg.define_asset_job(
    month_run.BILLING,
    _assets("period_charges") | _groups("billing", "reports"),
    description="Bills a month that is over: the charges that only the month decides, bills, their rows in PostgreSQL, "
    "invoices, reports and the dashboard.",
)

checks_job = dg.define_asset_job(
    "checks_job",
    dg.AssetSelection.all_asset_checks(),
    description="Makes every check on what is there, and nothing else: all days and months, or, with the run tag "
    "`telecom/month: yyyy-MM`, those of one month. The same as `telecom check`.",
)
maintenance_job = dg.define_asset_job(
    "maintenance_job",
    _assets("maintenance"),
    description="Merges the small files of the tables and removes versions that are past their retention.",
)

#: The jobs of a month's sequence.
JOBS = [reference_job, landing_job, mediation_job, rating_job, billing_job]
