"""Usage of a customer by local day and service: what the second page of a bill shows."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from telecom_assets.billing.lines import holder_of_usage
from telecom_assets.billing.tables import BILL, HOLDER
from telecom_assets.model.numbers import RATED_SUM


def usage_by_day(charges: DataFrame) -> DataFrame:
    """One row per holder with `days`: structs of day, service, events, units and amount, in no order.

    charges: those of a month, with the columns of rated_cdrs. Units are in the unit of the record type; the amount is exact, before
    discount and tax.
    """
    by_day = charges.groupBy(
        *holder_of_usage(), F.col("event_date").alias("day"), F.col("record_type").alias("service")
    ).agg(
        F.count("*").alias("events"),
        F.sum("billable_units").cast("decimal(28,6)").alias("units"),
        F.sum("amount").cast(RATED_SUM).alias("amount"),
    )
    return by_day.groupBy(*HOLDER).agg(
        F.collect_list(F.struct("day", "service", "events", "units", "amount")).alias("days")
    )


def with_usage_by_day(documents: DataFrame, charges: DataFrame) -> DataFrame:
    """The documents of a month with `days` (`usage_by_day`); NULL where a document is no bill or has no usage."""
    days = usage_by_day(charges).withColumn("document", F.lit(BILL))
    return documents.join(days, on=[*HOLDER, "document"], how="left")
