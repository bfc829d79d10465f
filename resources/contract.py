"""What a table contract is: columns with types, units and meaning, the grain, the key and the partition column.

Belongs here: the one type that the warehouse, PostgreSQL and the project's own contracts (`tables.py` of its rooms) share, and
its translations (Arrow for the Delta log). Does not belong here: any table.
"""

import re
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

_ARROW = {
    "string": pa.string(),
    "binary": pa.binary(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_DECIMAL = re.compile(r"\Adecimal\((\d+),(\d+)\)\Z")


@dataclass(frozen=True)
class Column:
    """One column. `type` is a Spark SQL type name; `doc` says meaning and unit; `required` columns are never NULL.

    A table that lacks one that is `later` can be given it: the rows that it has know nothing of it.
    """

    name: str
    type: str
    doc: str
    required: bool = True
    later: bool = False

    @property
    def arrow_type(self) -> pa.DataType:
        if match := _DECIMAL.match(self.type):
            return pa.decimal128(int(match[1]), int(match[2]))
        return _ARROW[self.type]


@dataclass(frozen=True)
class Counted:
    """As what the rows of a table stand in the control totals. Expressions are Spark SQL over the table's columns.

    `amounts` are names with their expressions, each an outcome under its name, with its sum as the money, where a row has several
    amounts; then `outcome` and `money` say nothing. `measured` says where seconds and megabytes are found: in the columns of the
    quantities, or in the billable units.
    """

    stage: str
    outcome: str = "NULL"
    #: Expression of the reason; NULL: without one.
    reason: str = "NULL"
    #: Expression of the record type.
    of: str = "NULL"
    money: str = "NULL"
    amounts: tuple[tuple[str, str], ...] = ()
    measured: Literal["quantities", "units"] | None = None

    @property
    def amount_names(self) -> list[str]:
        return [name for name, _ in self.amounts]


@dataclass(frozen=True)
class TableContract:
    """A table: its grain in one sentence, its columns in order, its key and its partition column (if any).

    `money` names the columns whose totals are reported with every materialisation.
    `indexed` is how many leading columns get file statistics (min/max); put the ones that queries filter on first.
    """

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition_by: str | None = None
    money: tuple[str, ...] = ()
    indexed: int = 4
    #: Whether its partitions stay as they are once their period is frozen (`Warehouse`, guard).
    closes: bool = False
    #: As what its rows are counted in the control totals; None: they are not.
    counted: Counted | None = None

    def __post_init__(self) -> None:
        """Raise ValueError when two columns have one name, as where a field of a record type is called like another column."""
        twice = sorted({name for name in self.column_names if self.column_names.count(name) > 1})
        if twice:
            raise ValueError(
                f"table {self.name}: {', '.join(twice)} stands twice among its columns; expected different names"
            )

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def required_names(self) -> list[str]:
        return [column.name for column in self.columns if column.required]

    def arrow_schema(self) -> pa.Schema:
        """The schema of the Delta table. Every column is nullable there; `required` is held by a check."""
        return pa.schema([pa.field(column.name, column.arrow_type) for column in self.columns])

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


#: What is said of a table whose amounts have other decimals than its contract.
OTHER_CURRENCY = (
    "the currency in force has: a warehouse has one currency, that of its first bill. Set TELECOM_CURRENCY to that one, or "
    "TELECOM_WAREHOUSE to a new folder"
)


def has_other_decimals(stored: pa.Schema, contract: TableContract) -> bool:
    """Whether a table has decimals of as many digits as its contract, but with the point elsewhere: amounts of another currency.

    Types that have become wider have more digits.
    """
    return any(
        pa.types.is_decimal(field.type)
        and field.name in stored.names
        and pa.types.is_decimal(found := stored.field(field.name).type)
        and found.precision == field.type.precision
        and found.scale != field.type.scale
        for field in contract.arrow_schema()
    )
