"""The rows that an explanation is made of, read from the tables by a condition and the partitions that may have them.

Belongs here: rows as mappings, and where a record's rows can lie. Does not belong here: what they mean (`records`, `bills`).
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from resources.contract import TableContract
from resources.expected_errors import ExpectedError
from resources.warehouse import Partitions, PinnedTable, Warehouse, read_rows
from resources.warehouse.conditions import Condition, among, equal
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.rating.tables import RATED_CDRS

#: A row of a table: its columns by name.
Row = Mapping[str, Any]


class ExplainError(ExpectedError, ValueError):
    """There is nothing to explain. The message names what was asked for, and what to look for instead."""


def rows(pinned: PinnedTable, *conditions: Condition) -> list[Row]:
    """The rows of the pinned partitions for which every condition holds, in the order of the table's key."""
    if not any(pinned.rows_by_partition().values()):
        return []
    found = read_rows(pinned, None, *conditions)
    return sorted(found, key=lambda row: [(row[name] is not None, row[name]) for name in pinned.contract.key])


def of_days(warehouse: Warehouse, contract: TableContract, days: Iterable[dt.date]) -> PinnedTable:
    """A table narrowed to the days from the first of some to the last of them."""
    ordered = sorted(days)
    return warehouse.pin(contract.name, Partitions(ordered[0], ordered[-1]))


def is_holder(row: Row) -> tuple[Condition, Condition]:
    """The conditions that a row is the same holder's as another row."""
    return equal("customer_id", row["customer_id"]), equal("holder_no", row["holder_no"] or 1)


def days_of(warehouse: Warehouse, record_ids: Collection[str], within: Partitions | None) -> list[dt.date]:
    """The days that hold some record ids, from the two columns that say so; first where they landed, else where they were charged.

    Without `within` all days are searched. A record that no message has any more is found in the stages after landing.
    """
    for contract in (RAW_CDRS, CLEANED_CDRS, RATED_CDRS):
        found = read_rows(warehouse.pin(contract.name, within), ["event_date"], among("record_id", record_ids))
        if found:
            return sorted({row["event_date"] for row in found})
    return []


def grouped(listed: Sequence[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by the values of some columns."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in listed:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return found
