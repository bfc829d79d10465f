"""Does a table keep its contract: columns and types, no NULL where none may be, one row per key.

Belongs here: what follows from `telecom_assets.schemas` alone.
"""

from resources.delta import PinnedTable
from telecom_assets.conservation import Verdict
from telecom_assets.schemas import TABLES
from telecom_assets.visible import visible


def keeps_columns(pinned: PinnedTable) -> Verdict:
    """Columns and types as declared: read from the table's log, no row is looked at."""
    contract = TABLES[pinned.name]
    stored = pinned.warehouse.stored_schema(contract, pinned.version)
    declared = contract.arrow_schema()
    findings = []
    for field in declared:
        found = stored.field(field.name).type if field.name in stored.names else "none"
        if found != field.type:
            findings.append(f"column {field.name}: expected {field.type}, found {found}")
    findings += [f"column {name} is not in the contract" for name in stored.names if name not in declared.names]
    return Verdict("the columns are as declared", findings)


def keeps_contract(pinned: PinnedTable, *, unique: bool) -> Verdict:
    """Columns and types as declared; required columns without NULL; when `unique`, one row per key."""
    contract = TABLES[pinned.name]
    if findings := list(keeps_columns(pinned).findings):
        return Verdict("the table keeps its contract", findings)
    missing = pinned.missing_values(contract.required_names)
    findings = [f"column {name}: {rows} rows without a value" for name, rows in missing.items() if rows]
    if unique:
        findings += [
            f"key {', '.join(map(visible, values))} stands {times} times"
            for values, times in pinned.repeated_keys(limit=100)
        ]
    return Verdict("the table keeps its contract", findings, {"rows": sum(pinned.rows_by_partition().values())})
