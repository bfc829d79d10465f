"""From charges to bills: the identities that billing keeps."""

from decimal import Decimal
from functools import lru_cache, reduce
from operator import add

from pyspark.sql import functions as F

from resources.warehouse import PinnedTable
from telecom_assets.billing.tables import SERVICES
from telecom_assets.books.verdict import Verdict
from telecom_assets.model.text import visible
from telecom_assets.rating.charges import Charges


@lru_cache(maxsize=64)
def rated_equals_billed(charges: Charges, bills: PinnedTable) -> Verdict:
    """Σ rated + Σ period charges = Σ (bills before tax − rounding), per customer, and the counts agree.

    Amounts are compared over all events, counts over the events of services that have columns of their own on the bill.
    """
    usage = charges.df.groupBy("customer_id").agg(
        F.sum("amount").alias("rated_amount"),
        F.count_if(F.col("record_type").isin(*SERVICES)).alias("rated_count"),
    )
    # One bill for each customer. Two bills of one customer would each be joined with the usage, and each would agree.
    charged = bills.df.groupBy("customer_id").agg(
        F.sum(F.col("amount_before_tax") - F.col("rounding_difference")).alias("billed_amount"),
        F.sum(reduce(add, (F.col(f"{service}_count") for service in SERVICES))).alias("billed_count"),
        F.count("*").alias("bills"),
    )
    both = usage.join(charged, on="customer_id", how="full_outer").select(
        "customer_id",
        *(F.coalesce(name, F.lit(Decimal(0))).alias(name) for name in ("rated_amount", "billed_amount")),
        *(F.coalesce(name, F.lit(0)).alias(name) for name in ("rated_count", "billed_count", "bills")),
    )
    differ = (
        (F.col("rated_amount") != F.col("billed_amount"))
        | (F.col("rated_count") != F.col("billed_count"))
        | (F.col("bills") > 1)
    )
    totals = both.agg(
        F.sum("rated_amount").alias("rated"), F.sum("billed_amount").alias("billed"), F.count_if(differ).alias("wrong")
    ).collect()[0]
    wrong = both.where(differ).orderBy("customer_id").limit(1000).collect() if totals["wrong"] else []
    findings = [
        f"customer {visible(row['customer_id'])}: {row['rated_count']} events of {row['rated_amount']:f} rated, "
        f"{row['billed_count']} of {row['billed_amount']:f} billed"
        + (f" on {row['bills']} bills" if row["bills"] > 1 else "")
        for row in wrong
    ]
    differs = [{**row.asDict(), "difference": row["rated_amount"] - row["billed_amount"]} for row in wrong]
    return Verdict(
        "rated + period charges = bills before tax − rounding, per customer",
        findings,
        {"rated": totals["rated"], "billed": totals["billed"]},
        differs,
    )
