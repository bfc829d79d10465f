"""A table of months with three columns, for tests of tables: none of the product has so few.

Belongs here: its contract, and the product's tables with it. Does not belong here: rows.
"""

from resources.contract import Column as C
from resources.contract import TableContract
from telecom_assets.model.columns import BILLING_PERIOD
from telecom_assets.tables import TABLES as OF_THE_PRODUCT

MONTHLY_SAMPLE = TableContract(
    name="monthly_sample",
    grain="One row per customer and month: its smallest data volume.",
    key=("billing_period", "customer_id"),
    partition_by="billing_period",
    columns=(
        C("customer_id", "string", "Subscriber."),
        C("floor_mb", "decimal(18,6)", "Smallest data volume, megabytes."),
        BILLING_PERIOD,
    ),
)

TABLES = {**OF_THE_PRODUCT, MONTHLY_SAMPLE.name: MONTHLY_SAMPLE}
