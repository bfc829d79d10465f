"""From what has changed of closed periods to the rows that correct them on the bills of a month."""

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import dagster as dg
import pyarrow as pa
from pyspark.sql import DataFrame

from resources.warehouse import Warehouse, notebook
from telecom_assets.billing.corrections import dispose
from telecom_assets.corrections.looking_back import look_back
from telecom_assets.corrections.tables import ADJUSTED_MONTHS, ADJUSTMENTS
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.declaring import BILLING_TEAM, SPARK_POOL, multi_asset, table_out, versions_asserted
from telecom_assets.lineage.partitions import MONTHLY
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.model.currencies import currency_scale
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.tables import CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS

GROUP = "billing"
#: The months before a month, whose days and charges its adjustments look back at.
_EARLIER = dg.TimeWindowPartitionMapping(start_offset=-12, end_offset=-1, allow_nonexistent_upstream_partitions=True)
_REFERENCES = (CUSTOMERS, RATE_PLANS, PRODUCT_CATALOG)
_NONE = ADJUSTMENTS.arrow_schema().empty_table()


@multi_asset(
    name="adjusting",
    outs={
        ADJUSTMENTS.name: table_out(
            ADJUSTMENTS, GROUP, BILLING_TEAM, "What came later for closed months, as differences on this month's bills."
        ),
        ADJUSTED_MONTHS.name: table_out(
            ADJUSTED_MONTHS, GROUP, BILLING_TEAM, "What the adjustments of the month were made from."
        ),
    },
    deps=[
        dg.AssetDep(CLEANED_CDRS.name, partition_mapping=_EARLIER),
        *(dg.AssetDep(table.name) for table in _REFERENCES),
    ],
    partitions_def=MONTHLY,
    pool=SPARK_POOL,
)
def adjusting(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    record_types: dg.ResourceParam[RecordTypes],
) -> Iterator[dg.Output[Any]]:
    """What is right of the closed months minus what is settled of them, record by record, each row with its reason.

    Rows are made on the month after the last closed one alone, and only for customers of whom something has changed since.
    """
    period = context.partition_key
    read = versions_asserted(*(warehouse.pin(table.name) for table in (CLEANED_CDRS, *_REFERENCES)))
    looked = list(look_back(warehouse, period, settings.adjustment_months))
    with notebook(warehouse, ADJUSTMENTS.name) as keep:
        made = [
            each.month.adjustments(each.affected, record_types, keep) for each in looked if not each.affected.is_empty
        ]
        threshold, scale = settings.adjustment_threshold, currency_scale(settings.currency)
        judged = [dispose(warehouse, keep(_together(made)), period, threshold, scale)] if made else []
        yield dg.Output(judged[0] if judged else _NONE, ADJUSTMENTS.name, metadata=read)
    noted = pa.Table.from_pylist([each.as_row() for each in looked], schema=ADJUSTED_MONTHS.arrow_schema())
    yield dg.Output(noted, ADJUSTED_MONTHS.name, metadata=read)


def _together(made: Sequence[DataFrame]) -> DataFrame:
    return reduce(DataFrame.unionByName, made)
