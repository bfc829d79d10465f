"""Table contracts: columns, types, units, keys and meaning of every table. No rule, no engine, no Dagster."""

from telecom_assets.schemas import billing, reference, usage
from telecom_assets.schemas.contract import Column, TableContract

#: Every table of the warehouse by name.
TABLES: dict[str, TableContract] = {
    table.name: table
    for module in (usage, reference, billing)
    for table in vars(module).values()
    if isinstance(table, TableContract)
}

__all__ = ["TABLES", "Column", "TableContract"]
