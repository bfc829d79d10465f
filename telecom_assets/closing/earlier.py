"""Which earlier documents a document corrects: those that billed the periods which it is about."""

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import PinnedTable
from telecom_assets.billing.corrections import history_of
from telecom_assets.billing.lines import DOCUMENT
from telecom_assets.billing.tables import BILL, HOLDER
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.invoices.document import Billed


def with_billed(documents: DataFrame, bill_lines: PinnedTable) -> DataFrame:
    """The documents of a period with `billed`: structs of number and issue_date of every document that billed an original period.

    That is the period's bill, and what corrected it since. documents: with the columns of DOCUMENT and original_period.
    bill_lines: those of their period. Where nothing was closed before, there is no column.
    """
    history = history_of(bill_lines)
    if history is None:
        return documents
    month = bill_lines.partitions.first if bill_lines.partitions else ""
    earlier = bill_lines.warehouse.pin(DOCUMENTS.name).all().where(F.col("billing_period") < F.lit(month))
    named = ("number", "issue_date")
    bills = earlier.where(F.col("document") == BILL).select(*HOLDER, F.col("billing_period").alias("about"), *named)
    corrects = (
        history.where(F.col("original_period").isNotNull())
        .select(*DOCUMENT, "billing_period", F.col("original_period").alias("about"))
        .distinct()
    )
    corrections = corrects.join(
        earlier.select(*DOCUMENT, "billing_period", *named), on=[*DOCUMENT, "billing_period"]
    ).select(*HOLDER, "about", *named)
    about = [*map(F.col, DOCUMENT), F.col("original_period").alias("about")]
    asked = bill_lines.df.select(about).unionByName(documents.select(about)).where(F.col("about").isNotNull())
    found = asked.distinct().join(bills.unionByName(corrections), on=[*HOLDER, "about"])
    billed = found.select(*DOCUMENT, *named).distinct().groupBy(*DOCUMENT)
    return documents.join(billed.agg(F.collect_list(F.struct(*named)).alias("billed")), on=list(DOCUMENT), how="left")


def billed_of(row: Mapping[str, Any]) -> list[Billed]:
    """What `with_billed` has found for a document, in the order in which it was issued."""
    found = [Billed(each["number"], each["issue_date"]) for each in row.get("billed") or ()]
    return sorted(found, key=lambda each: (each.issue_date, each.number))
