"""The shape of each table of a warehouse: the columns of its contract, or those of an earlier version.

Belongs here: what the earlier version called a column, and what it lacked. Does not belong here: writing anything.

In the earlier version a row of usage named Kafka's partition and offset, and only `landing_ranges` named the topic's id. Types
that have become wider are found by comparison and are not listed here, nor are columns of record types that came into force
later.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, LiteralString

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, Schema

from resources.arrow_streams import read_stream
from resources.contract import OTHER_CURRENCY, Column, TableContract, has_other_decimals
from resources.warehouse import Warehouse, WarehouseError
from telecom_assets.billing.tables import DRAFT, FACTURATION_COMPLETE, SERVICES
from telecom_assets.intake.tables import LANDING_RANGES, RAW_CDRS
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS
from telecom_assets.rating.tables import RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.reference.tables import CUSTOMERS
from telecom_assets.tables import TABLES

#: New columns whose values the upgrade fills in.
SOURCE, CLEANED, REJECTED = "source_id", "cleaned_version", "rejected_version"
HOLDER = "holder_no"

_POSITION = {"source_part": "kafka_partition", "source_position": "kafka_offset"}
_WITH_MESSAGE_KEY = (RAW_CDRS, CLEANED_CDRS, REJECTED_CDRS, RATED_CDRS, SUSPENDED_CDRS)
#: For each table: the column of this version → its name in the earlier version.
_FORMER_NAMES: Mapping[str, Mapping[str, str]] = {
    **{contract.name: _POSITION for contract in _WITH_MESSAGE_KEY},
    LANDING_RANGES.name: {
        "source_id": "topic_id",
        "source_part": "kafka_partition",
        "from_position": "from_offset",
        "to_position": "to_offset",
    },
    MEDIATED_DAYS.name: {"raw_positions": "raw_offsets"},
}
#: For each table: the columns that the earlier version did not have.
_ADDED: Mapping[str, Sequence[str]] = {
    **{contract.name: (SOURCE,) for contract in _WITH_MESSAGE_KEY},
    MEDIATED_DAYS.name: (CLEANED, REJECTED),
    CUSTOMERS.name: (HOLDER,),
    FACTURATION_COMPLETE.name: (HOLDER, "adjustments_total", "other_total", "status"),
}


def _other_total(bills: pa.Table) -> pa.ChunkedArray:
    """What a bill without lines held of services without a column: what amount_before_tax has besides the columns."""
    left = bills["amount_before_tax"]
    for service in SERVICES:
        left = pc.subtract(left, bills[f"{service}_total"])
    return left


#: For each table: the new columns whose values follow from the row itself.
WORKED_OUT: Mapping[str, Mapping[str, Callable[[pa.Table], pa.ChunkedArray | pa.Array]]] = {
    FACTURATION_COMPLETE.name: {
        "adjustments_total": lambda bills: pa.repeat(Decimal(0), bills.num_rows),
        "other_total": _other_total,
        "status": lambda bills: pa.repeat(DRAFT, bills.num_rows),
    }
}
#: The same for published bills: SQL expressions over the columns of a row.
PUBLISHED_BEFORE: Mapping[str, LiteralString] = {
    HOLDER: "1",
    "adjustments_total": "0",
    "other_total": "amount_before_tax - voice_total - sms_total - data_total",
    "status": "'draft'",
}
_INDEXED = "delta.dataSkippingNumIndexedCols"


@dataclass(frozen=True)
class Shape:
    """An existing table, compared with its contract."""

    contract: TableContract
    version: int
    rows: int
    files: int
    #: Column of the contract → its name in the table, where that is another one.
    renamed: Mapping[str, str]
    #: Columns of the contract that the table lacks.
    added: Sequence[str]
    #: Column of the contract → its type in the table, where that is another one.
    retyped: Mapping[str, str]
    #: How many leading columns must have statistics; None where the table has that number already.
    indexed: int | None
    #: The contract that the table keeps now, with its columns in the order of the new contract.
    was: TableContract

    @property
    def name(self) -> str:
        return self.contract.name

    @property
    def is_new(self) -> bool:
        """Whether the table has the shape of this version."""
        return not (self.renamed or self.added or self.retyped)

    @property
    def only_grows(self) -> bool:
        """Whether the only change is new columns that are NULL in all existing rows."""
        later = {column.name for column in self.contract.columns if column.later}
        return bool(self.added) and set(self.added) <= later and not (self.renamed or self.retyped)

    @property
    def changes(self) -> list[str]:
        """What is different, in words."""
        types = {column.name: column.type for column in self.contract.columns}
        return [
            *(f"{old} becomes {new}" for new, old in self.renamed.items()),
            *(f"{name} is added" for name in self.added),
            *(f"{name}: {old} becomes {types[name]}" for name, old in self.retyped.items()),
        ]

    def former(self, name: str) -> str:
        """The name that a column of the contract has in the table now."""
        return self.renamed.get(name, name)


def shape_of(warehouse: Warehouse, name: str) -> Shape | None:
    """The shape of a table; None where there is no table. Raises WarehouseError for a table that no version of the project made."""
    if not warehouse.exists(name):
        return None
    contract = warehouse.contracts[name]
    table = DeltaTable(warehouse.path(name), storage_options=warehouse.storage_options)
    stored = pa.schema(table.schema().to_arrow())
    names = {
        new: old for new, old in _FORMER_NAMES.get(name, {}).items() if new not in stored.names and old in stored.names
    }
    absent = [each for each in contract.column_names if each not in stored.names and each not in names]
    later = {column.name for column in contract.columns if column.later}
    unknown = [each for each in absent if each not in _ADDED.get(name, ()) and each not in later]
    if unknown:
        raise WarehouseError(
            f"table {name} at {warehouse.path(name)} lacks {', '.join(unknown)}; expected the columns of this version of the "
            "project or of the one before it, so nothing can be made of it: set TELECOM_WAREHOUSE to a new folder and land "
            "the topic or its archives again"
        )
    columns, retyped = [], {}
    for column in contract.columns:
        if column.name in absent:
            continue
        kind = stored.field(names.get(column.name, column.name)).type
        columns.append(replace(column, name=names.get(column.name, column.name), type=_type_name(column, kind)))
        if kind != column.arrow_type:
            retyped[column.name] = columns[-1].type
    files = read_stream(table.get_add_actions(flatten=True))
    rows = sum(files["num_records"].to_pylist()) if files.num_rows else 0
    if rows and has_other_decimals(stored, contract):
        raise WarehouseError(
            f"table {name} at {warehouse.path(name)} has amounts of another number of decimals than {OTHER_CURRENCY}; nothing was "
            "changed"
        )
    key = tuple(names.get(each, each) for each in contract.key if each not in absent)
    indexed = table.metadata().configuration.get(_INDEXED)
    return Shape(
        contract,
        table.version(),
        rows,
        files.num_rows,
        names,
        absent,
        retyped,
        None if indexed == str(contract.indexed) else contract.indexed,
        replace(contract, columns=tuple(columns), key=key),
    )


def set_indexed(warehouse: Warehouse, shape: Shape) -> None:
    """Set how many leading columns of a table have statistics: readers use statistics of no more columns."""
    if shape.indexed is not None:
        table = DeltaTable(warehouse.path(shape.name), storage_options=warehouse.storage_options)
        table.alter.set_table_properties({_INDEXED: str(shape.indexed)})


def add_columns(warehouse: Warehouse, shape: Shape) -> int:
    """Give a table the columns that it lacks, NULL in all its rows; no file is written anew. Returns the version it has then."""
    table = DeltaTable(warehouse.path(shape.name), storage_options=warehouse.storage_options)
    fields = [shape.contract.arrow_schema().field(name) for name in shape.added]
    table.alter.add_columns(list(Schema.from_arrow(pa.schema(fields)).fields))
    return table.version()


def _type_name(column: Column, kind: pa.DataType) -> str:
    """The SQL name of a type that a column has in a table."""
    if kind == column.arrow_type:
        return column.type
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    names: Mapping[Any, str] = {each.arrow_type: each.type for table in TABLES.values() for each in table.columns}
    return names.get(kind, str(kind))
