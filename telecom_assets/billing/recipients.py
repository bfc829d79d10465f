"""To whom a month is billed: one version of each holder of a number.

Belongs here: which version of a holder a month's bill and its documents go by. Does not belong here: what is billed (`rules`), which
version a day is rated with (`telecom_assets.rating.rules`).
"""

import datetime as dt

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from telecom_assets.billing.tables import HOLDER
from telecom_assets.model.columns import VALID_FROM, VALID_TO
from telecom_assets.model.months import month_days

_FIRST_DAY = dt.date(1, 1, 1)


def holders_of_month(customers: DataFrame, period: str) -> DataFrame:
    """One version of each holder who was one on or before the last day of a month (yyyy-MM): that of this day, else his last.

    customers: rows of CUSTOMERS. Columns: those of a customer without dates, and `in_force`: whether it is the version of the last
    day. Who begins later is left out.
    """
    last = F.lit(month_days(period)[-1])
    about = [name for name in customers.columns if name not in (VALID_FROM, VALID_TO)]
    begun = customers.where(F.col(VALID_FROM).isNull() | (F.col(VALID_FROM) <= last))
    ended = F.coalesce(F.col(VALID_TO) <= last, F.lit(False))
    in_force = begun.where(~ended).select(*about, F.lit(True).alias("in_force"))
    since = F.coalesce(F.col(VALID_FROM), F.lit(_FIRST_DAY))
    latest = (
        begun.where(ended)
        .groupBy(*HOLDER)
        .agg(*(F.max_by(name, since).alias(name) for name in about if name not in HOLDER))
        .select(*about)
    )
    gone = latest.join(in_force.select(*HOLDER), on=list(HOLDER), how="left_anti").select(*about)
    return in_force.unionByName(gone.withColumn("in_force", F.lit(False)))
