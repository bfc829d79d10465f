"""Rules of a month: the volume, and with it the price, of the sessions that its days have deferred.

Belongs here: the volume of a session of unknown volume. Does not belong here: the price formula and who is charged, which are
the same for every event (`telecom_assets.rating.rules`).
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from telecom_assets.model.numbers import zero_if_null
from telecom_assets.rating.rules import DEFERRED, charge, imputed_quantity
from telecom_assets.rating.tables import PERIOD_CHARGES
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.as_of import join_as_of


def deferred_events(suspended: DataFrame) -> DataFrame:
    """The deferred rows of suspended_cdrs, which their month prices."""
    return suspended.where(F.col("disposition") == DEFERRED)


def smallest_volumes(rated: DataFrame, suspended: DataFrame, record_types: RecordTypes = RECORD_TYPES) -> DataFrame:
    """The smallest known volume of each holder of a number (`subscriber`, `holder`, `smallest`), compared as numbers.

    The volume is the quantity that may be imputed, in the units that are charged. Without a record type that has such a quantity
    there is no row. The holder of usage of nobody, before a holder or between two, is NULL, as of all that the former version rated.
    rated, suspended: rows of rated_cdrs and suspended_cdrs of one month, all of its days: together, every cleaned event of it.
    """
    columns = ["customer_id", "holder_no", "record_type", "billable_units"]
    events = rated.where(~F.col("imputed")).select(columns).unionByName(suspended.select(columns))
    is_imputed, _ = imputed_quantity(record_types)
    known = events.where(is_imputed & F.col("billable_units").isNotNull())
    return known.groupBy(F.col("customer_id").alias("subscriber"), F.col("holder_no").alias("holder")).agg(
        F.min("billable_units").cast("decimal(18,6)").alias("smallest")
    )


def of_holder() -> Column:
    """Whether a row is of the holder that a row of `smallest_volumes` is about."""
    return (F.col("customer_id") == F.col("subscriber")) & F.col("holder_no").eqNullSafe(F.col("holder"))


def impute(
    rated: DataFrame,
    suspended: DataFrame,
    prices: DataFrame,
    record_types: RecordTypes = RECORD_TYPES,
) -> DataFrame:
    """Rows of period_charges: each deferred event of a month, priced with the smallest known volume of its holder.

    rated, suspended: rows of rated_cdrs and suspended_cdrs, all days of one month. prices: `price_list`. An event costs what it
    would have cost on its day: the price that is in force on that day, which is the one that its day was rated with
    (`reference_is_as_rated`). A holder without a known volume in the month used none.

    An amount of 10^12 or more is NULL, and the event keeps its row: its day has deferred it for good, so without a row the event
    would be lost, and with any other amount a charge would be invented. So deferred = imputed holds by count; bills and reports
    take the rows with an amount, and the funnel counts the rows without.
    """
    of_price = {"rate_plan_id": "price_plan", "product_code": "price_product"}
    deferred = deferred_events(suspended).drop("billable_units", "plan_valid_from", "product_valid_from")
    with_volume = deferred.join(smallest_volumes(rated, suspended, record_types), on=of_holder(), how="left")
    return (
        join_as_of(with_volume, prices, of_price, valid_from=None)
        .withColumn("billable_units", zero_if_null(F.col("smallest")).cast("decimal(18,6)"))
        .withColumn("free_units_applied", F.least("billable_units", "free_units").cast("decimal(18,6)"))
        .withColumn("imputed", F.lit(True))
        .withColumn("amount", charge())
        .select(PERIOD_CHARGES.column_names)
    )
