"""Small tables of the project, and rows for them."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import Warehouse
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.tables import MEDIATED_DAYS
from telecom_assets.reference.tables import PRODUCT_CATALOG
from telecom_assets_tests.sample_tables import MONTHLY_SAMPLE

#: A small table by months and one by days.
FLOORS, DAYS = MONTHLY_SAMPLE.name, MEDIATED_DAYS.name
CATALOGUE = PRODUCT_CATALOG.name
MAY, JUNE, JULY = "2026-05", "2026-06", "2026-07"

Floor = tuple[str, str, str]


def floors_table(floors: Iterable[Floor]) -> pa.Table:
    rows = [{"customer_id": who, "floor_mb": Decimal(mb), "billing_period": month} for who, mb, month in floors]
    return pa.Table.from_pylist(rows, schema=MONTHLY_SAMPLE.arrow_schema())


def floors(warehouse: Warehouse, *rows: Floor) -> DataFrame:
    """(customer, megabytes, month) as a DataFrame, without rows too."""
    table = floors_table(rows or [("nobody", "0", MAY)])
    return warehouse.engine.spark_session.createDataFrame(table).where(F.lit(bool(rows)))


def rows_in(found: DataFrame | pa.Table) -> set[tuple[str, str, str]]:
    table = found if isinstance(found, pa.Table) else found.toArrow()
    rows = [(row["customer_id"], str(row["floor_mb"]), row["billing_period"]) for row in table.to_pylist()]
    assert len(set(rows)) == len(rows)
    return set(rows)


def day_rows(*days: date) -> pa.Table:
    rows = [
        {
            "raw_rows": 1,
            "raw_positions": Decimal(0),
            "raw_version": 1,
            "product_catalog_version": 1,
            "dedupe_days": 31,
            "event_date": day,
        }
        for day in days
    ]
    return pa.Table.from_pylist(rows, schema=MEDIATED_DAYS.arrow_schema())


def catalogue_rows(*codes: str) -> pa.Table:
    """A product of each code, which all of its texts are too; without dates."""
    rows = [dict.fromkeys(PRODUCT_CATALOG.required_names, code) for code in codes]
    return pa.Table.from_pylist(rows, schema=PRODUCT_CATALOG.arrow_schema())


def received(*moments: datetime) -> pa.Table:
    rows = [
        {
            "source_id": "topic-1",
            "source_part": 0,
            "source_position": 0,
            "received_at": moment,
            "kafka_topic": "t",
            "event_date": date(2026, 6, 1),
        }
        for moment in moments
    ]
    return pa.Table.from_pylist(rows, schema=RAW_CDRS.arrow_schema())
