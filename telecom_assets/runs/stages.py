"""The stages on the way of a CDR, each declared once: its name, what people call it, its assets, what comes before it.

Belongs here: the declaration alone, without Dagster. Jobs, the plan of a month, the runner, sensors and schedules, the titles
of the commands, maintenance and the bench read it. Does not belong here: pools and partitions, which the assets have.

A month is a sequence of runs, one for each contiguous range of days and one for the month: one Dagster run cannot hold daily
and monthly assets. Rating follows mediation in the same run, behind its blocking checks; alone it is a run too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE, MANUAL_LINES
from telecom_assets.books.tables import CONTROL_TOTALS
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.corrections.tables import ACCEPTED_DIFFERENCES, ADJUSTED_MONTHS, ADJUSTMENTS, RERATE_DECISIONS
from telecom_assets.intake.tables import DISPLACED_DAYS, LANDING_DECISIONS, LANDING_RANGES, RAW_CDRS
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS, RESUBMISSIONS
from telecom_assets.periods.tables import BILLING_PERIODS
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS, SUSPENDED_CDRS, SUSPENSE_DECISIONS
from telecom_assets.reference.tables import BILLING_TERMS, CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS, REFERENCE_CHANGES
from telecom_assets.reports.tables import BILLED_MONTHS, REPORTS
from telecom_assets.tables import TABLES

Grain = Literal["day", "month"]
_GRAINS: Mapping[str | None, Grain] = {"event_date": "day", "billing_period": "month"}


@dataclass(frozen=True)
class Stage:
    """A stage: one job, which makes all of its assets, and those of the stages that follow in the same run."""

    name: str
    #: What the commands call it.
    title: str
    #: A sentence for the UI: the work of its job.
    description: str
    #: The assets that its job makes, in parts that are timed separately.
    parts: Mapping[str, Sequence[str]]
    #: Stages whose tables it reads.
    after: Sequence[str] = ()
    #: Tables that its assets write besides, which are not assets of its job.
    writes_besides: Sequence[str] = field(default=())
    #: Stages that its job makes for the same days, once its own blocking checks hold. Each has a job of its own as well.
    then: Sequence["Stage"] = ()

    @property
    def job(self) -> str:
        return f"{self.name}_job"

    @property
    def run(self) -> tuple["Stage", ...]:
        """The stages that its job makes, in their order."""
        return (self, *self.then)

    @property
    def run_title(self) -> str:
        """What the commands call its job."""
        return " and ".join(stage.title for stage in self.run)

    @property
    def assets(self) -> list[str]:
        """Its own assets."""
        return [asset for assets in self.parts.values() for asset in assets]

    @property
    def tables(self) -> list[str]:
        """The tables that it writes."""
        return [*(asset for asset in self.assets if asset in TABLES), *self.writes_besides]

    @property
    def grain(self) -> Grain | None:
        """The partitions of a run: days, a month, or neither. Those of its tables."""
        return next((_GRAINS.get(TABLES[asset].partition_by) for asset in self.assets if asset in TABLES), None)


REFERENCE = Stage(
    "reference",
    "reference data",
    "Reads the customers from PostgreSQL, and the tariffs, the catalogue and the terms of bills from their files.",
    {
        "reference": [
            CUSTOMERS.name,
            RATE_PLANS.name,
            PRODUCT_CATALOG.name,
            BILLING_TERMS.name,
            REFERENCE_CHANGES.name,
        ]
    },
)
LANDING = Stage(
    "landing",
    "landing",
    "Takes every message that is new on the topic into raw_cdrs.",
    {"landing": ["landing"]},
    writes_besides=[RAW_CDRS.name, LANDING_RANGES.name, LANDING_DECISIONS.name, DISPLACED_DAYS.name],
)
RATING = Stage(
    "rating",
    "rating",
    "Gives every cleaned event of some days its price, or suspends it with a reason: days that are mediated and need it again.",
    {"rating": [RATED_CDRS.name, SUSPENDED_CDRS.name]},
    after=["reference", "mediation"],
    writes_besides=[SUSPENSE_DECISIONS.name],
)
MEDIATION = Stage(
    "mediation",
    "mediation",
    "Turns every landed message of some days into one cleaned event or one rejection with its reason; then gives the cleaned events "
    "their prices, when the checks of mediation hold.",
    {"mediation": [CLEANED_CDRS.name, REJECTED_CDRS.name, MEDIATED_DAYS.name]},
    after=["reference", "landing"],
    writes_besides=[RESUBMISSIONS.name, CONTROL_TOTALS.name],
    then=[RATING],
)
BILLING = Stage(
    "billing",
    "billing and reports",
    "Bills a month that is over: the charges that only the month decides, bills with their lines, their rows in PostgreSQL, "
    "invoices, reports and the dashboard.",
    {
        "billing": [
            ADJUSTMENTS.name,
            ADJUSTED_MONTHS.name,
            PERIOD_CHARGES.name,
            BILL_LINES.name,
            FACTURATION_COMPLETE.name,
            CORRECTION_DOCUMENTS.name,
        ],
        "publishing": ["published_bills"],
        "reports": [contract.name for contract in REPORTS],
        "documents": ["bills_csv", "invoices", "dashboard", BILLED_MONTHS.name],
    },
    after=["reference", "landing", "mediation", "rating"],
    writes_besides=[
        MANUAL_LINES.name,
        BILLING_PERIODS.name,
        DOCUMENTS.name,
        RERATE_DECISIONS.name,
        ACCEPTED_DIFFERENCES.name,
    ],
)
#: The stages of a month, in their order.
STAGES = (REFERENCE, LANDING, MEDIATION, RATING, BILLING)
#: The stages whose runs make a whole month; the others follow in these runs.
SEQUENCE = tuple(stage for stage in STAGES if not any(stage in each.then for each in STAGES))

#: The differences of closed months alone, without the bills that they go on.
RERATING = Stage(
    "rerating",
    "re-rating",
    "Rates closed months again where something has changed, and notes the differences that the next bills correct.",
    {"adjustments": [ADJUSTMENTS.name, ADJUSTED_MONTHS.name]},
)

#: Every night, apart from any month.
MAINTENANCE = Stage(
    "maintenance",
    "maintenance",
    "Merges the small files of the tables and removes versions that are past their retention.",
    {"maintenance": ["maintenance"]},
)

#: Every night too, so that a change of a customer holds from the day on which it was made, whenever months are run.
CUSTOMERS_READ = Stage(
    "customers",
    "customers",
    "Reads the customers from PostgreSQL into their history.",
    {"reference": [CUSTOMERS.name, REFERENCE_CHANGES.name]},
)

_ALL = (*STAGES, RERATING, MAINTENANCE, CUSTOMERS_READ)
_BY_JOB = {stage.job: stage for stage in _ALL}


def stage_of_job(job: str) -> Stage:
    """The stage of a job. Raises KeyError for a job of none."""
    return _BY_JOB[job]


def stage_of_table(table: str) -> Stage | None:
    """The stage that writes a table, or makes an asset; None where none does."""
    return next((stage for stage in _ALL if table in (*stage.assets, *stage.tables)), None)
