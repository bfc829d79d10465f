"""The stage that an asset, a table's files or an output belongs to: the parts of the project's stages that are timed."""

from pathlib import PurePath

from telecom_assets.runs.stages import LANDING, MAINTENANCE, REFERENCE
from telecom_assets.runs.stages import STAGES as OF_A_MONTH

_DECLARED = (*OF_A_MONTH, MAINTENANCE)
_ORDER = (LANDING, REFERENCE, *(stage for stage in _DECLARED if stage not in (LANDING, REFERENCE)))
#: Stages in the order in which a CDR meets them. `start` holds the engine, Dagster's instance and definitions.
STAGES = ("start", *(part for stage in _ORDER for part in stage.parts), "other")
#: Stages that the DuckDB script has too: those of the ratio.
COMPARED = ("start", "mediation", "rating", "billing", "reports")

STAGE_OF_JOB = {stage.job: next(iter(stage.parts)) for stage in _DECLARED}
_STAGE_OF_ASSET = {
    "cdr_topic": "landing",
    **{table: next(iter(stage.parts)) for stage in _DECLARED for table in stage.writes_besides},
    **{asset: part for stage in _DECLARED for part, assets in stage.parts.items() for asset in assets},
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
