"""Partitions and commits: the terms in which the warehouse is asked for rows, and says what a write did.

Belongs here: nothing that reads or writes. Does not belong here: what a contract is (`resources.contract`).
"""

import calendar
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F

from resources.contract import TableContract


@dataclass(frozen=True)
class Partitions:
    """A contiguous range of partition values, both ends included: days or billing periods."""

    first: Any
    last: Any

    def holds(self, column: Column) -> Column:
        if self.first == self.last:
            return column == F.lit(self.first)
        return (column >= F.lit(self.first)) & (column <= F.lit(self.last))

    def filters(self, name: str) -> list[tuple[str, str, str]]:
        """The range as filters of delta-rs."""
        return [(name, ">=", str(self.first)), (name, "<=", str(self.last))]

    def widened(self, days: int) -> "Partitions":
        """The range of days, extended by some days at both ends."""
        reach = dt.timedelta(days=days)
        return Partitions(self.first - reach, self.last + reach)

    def meets(self, other: "Partitions") -> bool:
        """Whether the two have a value in common."""
        return bool(self.first <= other.last and other.first <= self.last)

    def __contains__(self, value: Any) -> bool:
        return bool(self.first <= value <= self.last)

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}…{self.last}"


class Everything:
    """All rows of a table, whatever its partitions."""


EVERYTHING = Everything()


@dataclass(frozen=True)
class Commit:
    """What one write did: the version it made and the rows it added per partition value."""

    version: int
    rows: Mapping[Any, int]


def is_by_day(contract: TableContract) -> bool:
    """Whether a table's partitions are days. The partitions of any other table are texts: months, as yyyy-MM."""
    by = contract.partition_by
    return by is not None and pa.types.is_date(contract.arrow_schema().field(by).type)


def of_month(contract: TableContract, month: str) -> Partitions:
    """The partitions of a table that have its rows of a month (yyyy-MM): the month's days, or its own partition."""
    if not is_by_day(contract):
        return Partitions(month, month)
    first = dt.date.fromisoformat(f"{month}-01")
    return Partitions(first, first.replace(day=calendar.monthrange(first.year, first.month)[1]))


def partition_value(text: str | None, contract: TableContract) -> Any:
    """A partition value with the type of the contract; in the log and in Dagster's keys it is text."""
    if contract.partition_by is None or text is None:
        return None
    return dt.date.fromisoformat(text) if is_by_day(contract) else text


def indexed_columns(contract: TableContract) -> list[str]:
    """Columns for which the log has the smallest and the largest value of each file."""
    return contract.column_names[: contract.indexed]
