"""Does a table keep its contract: columns and types, no NULL where none may be, one row per key.

Belongs here: what follows from a table's contract alone.
"""

from collections.abc import Sequence
from typing import Any

from pyspark.sql import functions as F

from resources.warehouse import PinnedTable
from telecom_assets.books.verdict import Verdict
from telecom_assets.model.text import visible

_KEPT, _BROKEN = "the table keeps its contract", "the table does not keep its contract"


def keeps_columns(pinned: PinnedTable) -> Verdict:
    """Columns and types as declared: read from the table's log, no row is looked at."""
    contract = pinned.contract
    stored = pinned.stored_schema()
    declared = contract.arrow_schema()
    differs = []
    for field in declared:
        found = stored.field(field.name).type if field.name in stored.names else "none"
        if found != field.type:
            differs.append({"column": field.name, "expected": str(field.type), "found": str(found)})
    findings = [f"column {row['column']}: expected {row['expected']}, found {row['found']}" for row in differs]
    strangers = [name for name in stored.names if name not in declared.names]
    findings += [f"column {name} is not in the contract" for name in strangers]
    differs += [{"column": name, "expected": "none", "found": str(stored.field(name).type)} for name in strangers]
    return Verdict(
        "the columns are as declared", findings, differs=differs, otherwise="the columns are not as declared"
    )


def keeps_contract(pinned: PinnedTable, *, unique: bool) -> Verdict:
    """Columns and types as declared; required columns without NULL; when `unique`, one row per key."""
    contract = pinned.contract
    if not (columns := keeps_columns(pinned)).passed:
        return Verdict(_KEPT, columns.findings, differs=columns.differs, otherwise=_BROKEN)
    missing = {name: rows for name, rows in pinned.missing_values(contract.required_names).items() if rows}
    findings = [f"column {name}: {rows} rows without a value" for name, rows in missing.items()]
    differs, failed = _where_missing(pinned, list(missing)) if missing else ([], set())
    by = contract.partition_by
    for values, times in pinned.repeated_keys(limit=100) if unique else ():
        findings.append(f"key {', '.join(map(visible, values))} stands {times} times")
        key = dict(zip(contract.key, values, strict=True))
        differs.append({**key, "times": times})
        failed |= {key[by]} if by in key else set()
    figures = {"rows": sum(pinned.rows_by_partition().values())}
    # A row without a day or month belongs to none of them: then the check fails for the whole table.
    days = None if None in failed or not by else frozenset(failed)
    return Verdict(_KEPT, findings, figures, differs, days, otherwise=_BROKEN)


def _where_missing(pinned: PinnedTable, columns: Sequence[str]) -> tuple[list[dict[str, Any]], set[Any]]:
    """Numbers of rows without a value in some columns, by day or month, as rows of a table; and the set of these days or months."""
    by = pinned.contract.partition_by
    counts = [F.count("*").alias("_rows"), *(F.count(name).alias(name) for name in columns if name != by)]
    # A row without a partition value is in no partition, so the days of the run do not contain it: the whole table is read.
    rows = (pinned.all() if by in columns else pinned.df).groupBy(*([by] if by else [])).agg(*counts).collect()
    differs = [
        {**({by: row[by]} if by else {}), "column": name, "rows without a value": lacking}
        for row in rows
        for name in columns
        if (lacking := (row["_rows"] * (row[by] is None) if name == by else row["_rows"] - row[name]))
    ]
    return differs, {row[by] for row in differs if by}
