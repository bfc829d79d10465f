"""The journals for accounting as a job: the files of a closed month, the same as `telecom accounting … --csv`.

Belongs here: the job. What the journals hold is in `telecom_assets.accounting`.
"""

import dagster as dg
from pydantic import Field

from resources.warehouse import Warehouse
from telecom_assets.accounting.files import write_journals
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.declaring import SPARK_POOL
from telecom_assets.lineage.failures import with_expected_failures
from telecom_assets.model.calendar import check_month
from telecom_assets.record_types.in_force import RecordTypes


class ClosedMonth(dg.Config):
    """Whose journals are written."""

    month: str = Field(description="Closed month, yyyy-MM.")


@dg.op(name="write_journals", pool=SPARK_POOL)
@with_expected_failures
def _write(
    context: dg.OpExecutionContext,
    config: ClosedMonth,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    record_types: dg.ResourceParam[RecordTypes],
) -> None:
    month = check_month(config.month, settings.partitions_start)
    written = write_journals(warehouse, settings, month, record_types)
    context.add_output_metadata({path.name: dg.MetadataValue.path(str(path)) for path in written})


@dg.job(
    description="Writes the close journal of a closed month, and the VAT journal of the calendar month in which its documents were "
    "issued, to <output>/accounting. The same as `telecom accounting close` and `telecom accounting vat`."
)
def accounting_job() -> None:
    """One step."""
    _write()
