"""Identities of the documents of closed periods: their numbers have no gap, and they are the bills.

Belongs here: both identities. Does not belong here: giving numbers (`numbering`), which periods a check is about (`checks`).
"""

from collections.abc import Sequence
from typing import Any

from pyspark.sql import functions as F

from resources.warehouse import PinnedTable, Warehouse, sum_exactly
from telecom_assets.billing.zero_bills import skipped_bills
from telecom_assets.books.agreement import labelled, totals_agree
from telecom_assets.books.totals import amounts_of
from telecom_assets.books.verdict import Verdict
from telecom_assets.closing.issuing import OF_DOCUMENTS
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.periods.journal import read_periods

#: What the identity says. Its check says the same.
DOCUMENTS_EQUAL_BILLS = "documents = bills and separate documents"


def numbers_have_no_gap(warehouse: Warehouse) -> Verdict:
    """In each series and year the numbers are 1 to n, each once: over all periods, since a year has several."""
    number = F.regexp_extract("number", r"([0-9]+)\z", 1).cast("bigint")
    by_series = (
        warehouse.pin(DOCUMENTS.name)
        .all()
        .withColumn("series", F.substring("number", 1, 8))
        .groupBy("series")
        .agg(
            F.count("*").alias("documents"),
            F.count_distinct("number").alias("numbers"),
            F.min(number).alias("first"),
            F.max(number).alias("last"),
        )
        .orderBy("series")
    )
    rows = [row.asDict() for row in by_series.collect()]
    differs = [
        row for row in rows if (row["first"], row["last"], row["numbers"]) != (1, row["documents"], row["documents"])
    ]
    return Verdict(
        "the numbers of documents have no gap",
        [
            f"{row['series']}: {row['documents']} documents with {row['numbers']} numbers, from {row['first']} to {row['last']}"
            for row in differs
        ],
        {row["series"]: row["documents"] for row in rows},
        differs,
        otherwise="numbers of documents are missing, or were given twice",
    )


def documents_equal_bills(warehouse: Warehouse, months: Sequence[str]) -> Verdict:
    """The documents of months that were closed with their bills are these bills and separate documents: count and every amount.

    Amounts are those of the control totals: before tax, discount and tax of the documents as they stand at their tax rates; a credit
    note's are below 0. Bills of 0 that a close has skipped are no documents. No other month has documents.
    """
    documents: dict[str, Any] = {}
    bills: dict[str, Any] = {}
    closed = read_periods(warehouse).closed
    for month, rows in warehouse.pin(DOCUMENTS.name).rows_by_partition().items():
        if month not in closed:
            documents |= labelled(f"{month}, which is not closed,", rows, {})
            bills |= labelled(f"{month}, which is not closed,", 0, {})
    for month in months:
        issued = warehouse.pin_period(DOCUMENTS.name, month)
        totals = [warehouse.pin_period(each.name, month) for each in OF_DOCUMENTS]
        amounts, sums = amounts_of(issued), [amounts_of(table) for table in totals]
        documents |= labelled(month, _rows(issued), amounts)
        bills |= labelled(
            month,
            sum(map(_rows, totals)) - skipped_bills(warehouse, month),
            {name: sum_exactly(each[name] for each in sums) for name in amounts},
        )
    return totals_agree(DOCUMENTS_EQUAL_BILLS, documents, bills, ("documents", "bills"))


def _rows(pinned: PinnedTable) -> int:
    return sum(pinned.rows_by_partition().values())
