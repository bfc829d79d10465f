"""The review of a month's bills as a job, and when customers were last read.

Belongs here: what only the instance knows, and the job. The same as `telecom bill review`; what is found is in
`telecom_assets.closing.review`.
"""

import datetime as dt
from typing import Any

import dagster as dg
from pydantic import Field

from resources.warehouse import Warehouse
from telecom_assets.closing.review import SAMPLE, assert_nothing_blocks, review
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.failures import with_expected_failures
from telecom_assets.model.calendar import check_month
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.tables import CUSTOMERS


class ReviewConfig(dg.Config):  # type: ignore[misc,unused-ignore]
    """Which month is reviewed."""

    month: str = Field(description="Month of the bills, yyyy-MM.")
    sample: int = Field(
        default=SAMPLE, ge=0, description="How many customers are rated again, besides the largest bills."
    )


def customers_read_at(instance: dg.DagsterInstance) -> dt.datetime | None:
    """When customers were last read by a run of this instance; None: never."""
    event = instance.get_latest_materialization_event(dg.AssetKey(CUSTOMERS.name))
    return dt.datetime.fromtimestamp(event.timestamp, dt.UTC) if event is not None else None


@dg.op(name="review_bills")
@with_expected_failures
def _review(
    context: dg.OpExecutionContext,
    config: ReviewConfig,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    record_types: dg.ResourceParam[RecordTypes],
) -> None:
    month = check_month(config.month, settings.partitions_start)
    read_at = customers_read_at(context.instance)
    found = review(settings, warehouse, record_types, month, customers_read_at=read_at, sample=config.sample)
    for each in found.findings:
        context.log.warning(f"{'blocks' if each.blocking else 'advice'}: {each.name}: {each.text}")
    said: dict[str, Any] = found.as_json()
    context.add_output_metadata({"review": dg.MetadataValue.json(said)})
    assert_nothing_blocks(found.findings, f"approving or closing {month}")


@dg.job(
    description="Reviews the bills of a month before they are approved, and writes nothing: fails with what blocks, and logs what a "
    "person should have seen. The same as `telecom bill review`."
)
def review_job() -> None:
    """One step."""
    _review()
