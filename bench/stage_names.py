"""Which stage an asset, a table's files or an output belongs to. Imports nothing of the project."""

from pathlib import PurePath

#: Stages in the order in which a CDR meets them.
STAGES = (
    "start",
    "landing",
    "reference",
    "mediation",
    "rating",
    "billing",
    "publishing",
    "reports",
    "documents",
    "maintenance",
    "other",
)
#: What the DuckDB script does too: the stages of the ratio. `start` holds the engine, Dagster's instance and definitions.
COMPARED = ("start", "mediation", "rating", "billing", "reports")

STAGE_OF_JOB = {
    "reference_job": "reference",
    "landing_job": "landing",
    "mediation_job": "mediation",
    "rating_job": "rating",
    "billing_job": "billing",
}
_STAGE_OF_ASSET = {
    "cdr_topic": "landing",
    "landing": "landing",
    "landing_ranges": "landing",
    "landing_decisions": "landing",
    "displaced_days": "landing",
    "raw_cdrs": "landing",
    "customers": "reference",
    "rate_plans": "reference",
    "product_catalog": "reference",
    "cleaned_cdrs": "mediation",
    "rejected_cdrs": "mediation",
    "mediated_days": "mediation",
    "rated_cdrs": "rating",
    "suspended_cdrs": "rating",
    "period_charges": "billing",
    "facturation_complete": "billing",
    "published_bills": "publishing",
    "bills_csv": "reports",
    "daily_revenue": "reports",
    "mix_by_region": "reports",
    "revenue_by_plan": "reports",
    "plan_by_region": "reports",
    "top10_consumers": "reports",
    "traffic_hourly": "reports",
    "invoices": "documents",
    "dashboard": "documents",
    "maintenance": "maintenance",
}
_STAGE_OF_OUTPUT = {"invoices": "documents", "dashboard": "documents", "reports": "reports"}


def stage_of_asset(asset: str, job: str = "") -> str:
    """The stage of an asset; one that is not known here belongs to the stage of its job."""
    return _STAGE_OF_ASSET.get(asset) or STAGE_OF_JOB.get(job, "other")


def stage_of_file(path: PurePath) -> str:
    """The stage that writes a file of a home, given relative to it."""
    match path.parts:
        case ("warehouse", table, *_):
            return stage_of_asset(table)
        case ("output", kind, *_):
            return _STAGE_OF_OUTPUT.get(kind, "other")
    return "other"
