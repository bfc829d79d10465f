"""In which shape the tables of a warehouse are: as their contracts say, or as those of an earlier version said.

Belongs here: what the earlier version called a column, and what it lacked. Does not belong here: writing anything.

Before rows had the identity of their source, Kafka's partition and offset stood in every table of usage, and the topic's
identity in `landing_ranges` alone. Types that became wider are found by comparing; they need no mention here, and neither
do the columns of record types that came into force later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, Schema

from resources.contract import Column, TableContract
from resources.warehouse import Warehouse, WarehouseError
from telecom_assets.intake.tables import LANDING_RANGES, RAW_CDRS
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS
from telecom_assets.rating.tables import RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.tables import TABLES

#: Columns whose values the upgrade makes.
SOURCE, CLEANED, REJECTED = "source_id", "cleaned_version", "rejected_version"

_POSITION = {"source_part": "kafka_partition", "source_position": "kafka_offset"}
_WITH_MESSAGE_KEY = (RAW_CDRS, CLEANED_CDRS, REJECTED_CDRS, RATED_CDRS, SUSPENDED_CDRS)
#: Of each table, what the earlier version called a column of this one.
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
#: Of each table, the columns that it did not have.
_ADDED: Mapping[str, Sequence[str]] = {
    **{contract.name: (SOURCE,) for contract in _WITH_MESSAGE_KEY},
    MEDIATED_DAYS.name: (CLEANED, REJECTED),
}
_INDEXED = "delta.dataSkippingNumIndexedCols"


@dataclass(frozen=True)
class Shape:
    """One table that exists, as it is beside its contract."""

    contract: TableContract
    version: int
    rows: int
    files: int
    #: Of columns of the contract, by their names, the former names and types.
    renamed: Mapping[str, str]
    added: Sequence[str]
    retyped: Mapping[str, str]
    #: How many leading columns have statistics, where the table says another number than its contract.
    indexed: int | None
    #: The contract that it has now; its columns in the order of the new ones.
    was: TableContract

    @property
    def name(self) -> str:
        return self.contract.name

    @property
    def is_new(self) -> bool:
        """Whether it is as this version has it."""
        return not (self.renamed or self.added or self.retyped)

    @property
    def only_grows(self) -> bool:
        """Whether it only lacks columns of which the rows that it has know nothing."""
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
        """What the table calls a column of the contract now."""
        return self.renamed.get(name, name)


def shape_of(warehouse: Warehouse, name: str) -> Shape | None:
    """A table as it is; None where there is none. Raises WarehouseError for one that no version of the project made."""
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
    key = tuple(names.get(each, each) for each in contract.key if each not in absent)
    files = pa.table(table.get_add_actions(flatten=True))
    indexed = table.metadata().configuration.get(_INDEXED)
    return Shape(
        contract,
        table.version(),
        sum(files["num_records"].to_pylist()) if files.num_rows else 0,
        files.num_rows,
        names,
        absent,
        retyped,
        None if indexed == str(contract.indexed) else contract.indexed,
        replace(contract, columns=tuple(columns), key=key),
    )


def set_indexed(warehouse: Warehouse, shape: Shape) -> None:
    """See to it that a table says how many of its new columns have statistics: readers take no more of them."""
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
