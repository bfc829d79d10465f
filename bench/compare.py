"""Row-for-row comparison of the project's tables with those of the DuckDB script, to the last decimal.

Belongs here: which tables and columns are compared, what is left out and why, finding the rows that differ. Both sides
are read by DuckDB from their Parquet files. The Delta log says which files the project's tables have, and that instants are
UTC: Apache Spark writes them as INT96, which has no zone.

Left out, and nothing else: `received_at`, the Kafka coordinates (a file has none) and the versions of reference tables.
Made equal: the `detail` of a copy, which names the coordinates of the first record, is compared only as present or not.
Records at home on the day of receipt are the same on both sides: the script gets that day, and the topic of a bench is filled
within one day (`bench.dataset`). Which of several copies is kept depends on coordinates too; the copies
that are compared are equal in every other column, or the comparison says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.schema import PrimitiveType

from bench.duckdb_pipeline import DAILY_TABLES, TABLES
from resources.expected_errors import ExpectedError

#: Columns whose values a file of CDRs does not have.
LEFT_OUT = (
    "received_at",
    "source_id",
    "source_part",
    "source_position",
    "customers_version",
    "rate_plans_version",
    "product_catalog_version",
)
_DETAIL = "CASE WHEN regexp_full_match(detail, 'copy of: partition [0-9]+ offset [0-9]+') THEN 'copy' ELSE detail END"
_SHOWN = 3

Schema = dict[str, str]


class TablesDiffer(ExpectedError):
    """The two sides are not the same tables. The message names the first differences of each table."""


@dataclass(frozen=True)
class Compared:
    """A table that was found equal: its rows and columns that were compared."""

    rows: int
    columns: Sequence[str]


def compare_tables(
    warehouse: Path, script_output: Path, month: str, tables: Sequence[str] = TABLES
) -> dict[str, Compared]:
    """Compare the tables that the script writes; monthly ones for that month. Raises TablesDiffer."""
    compared, problems = {}, []
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in tables:
            found = _compare(connection, table, _ours(warehouse / table), _theirs(script_output, table), month)
            if isinstance(found, Compared):
                compared[table] = found
            else:
                problems.append(f"{table}: {found}")
    if problems:
        raise TablesDiffer("the project and the DuckDB script disagree\n" + "\n".join(problems))
    return compared


def _compare(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    ours: Mapping[str, str],
    theirs: Mapping[str, str],
    month: str,
) -> Compared | str:
    """Partition by partition, so that memory does not grow with the table."""
    partitions = sorted({*ours, *theirs}) if table in DAILY_TABLES else [month]
    if table in ("rated_cdrs", "suspended_cdrs"):
        partitions = [day for day in partitions if day.startswith(month)]
    rows, columns = 0, []
    for partition in partitions:
        if partition not in ours or partition not in theirs:
            present, source = ("the project's", ours) if partition in ours else ("the script's", theirs)
            count = _one(connection, f"SELECT count(*) FROM {source[partition]}")
            if count:
                return f"{partition}: {count:,} rows on {present} side, none on the other"
            continue
        left, right = (_schema(connection, side[partition]) for side in (ours, theirs))
        if left != right:
            return f"columns differ\n  project: {left}\n  script:  {right}"
        columns = list(left)
        shown = ", ".join(_DETAIL + " AS detail" if name == "detail" else f'"{name}"' for name in columns)
        one, other = (f"SELECT {shown} FROM {side[partition]}" for side in (ours, theirs))
        count, other_count = (_one(connection, f"SELECT count(*) FROM {side[partition]}") for side in (ours, theirs))
        # With equal numbers of rows, one direction is enough: if no row is only on one side, none is only on the other.
        directions = [("project", one, other), ("script", other, one)][: 1 if count == other_count else 2]
        for name, first, second in directions:
            only = connection.execute(f"({first}) EXCEPT ALL ({second}) LIMIT {_SHOWN}").fetchall()
            if only:
                examples = "\n".join(f"  {dict(zip(columns, row, strict=True))}" for row in only)
                return f"{partition}: rows that only the {name} has, for example\n{examples}"
        rows += count
    return Compared(rows, columns)


def _schema(connection: duckdb.DuckDBPyConnection, source: str) -> Schema:
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return {row[0]: row[1] for row in sorted(described) if row[0] not in LEFT_OUT}


def _ours(path: Path) -> dict[str, str]:
    """SQL of each partition of a Delta table at its newest version, by partition value."""
    table = DeltaTable(str(path))
    (partition,) = table.metadata().partition_columns
    actions = pa.table(table.get_add_actions(flatten=True))
    files: dict[str, list[Path]] = {}
    for value, name in zip(actions[f"partition.{partition}"].to_pylist(), actions["path"].to_pylist(), strict=True):
        files.setdefault(str(value), []).append(path / name)
    instants = [field.name for field in table.schema().fields if field.type == PrimitiveType("timestamp")]
    return {value: _source(partition, value, paths, instants) for value, paths in files.items()}


def _theirs(root: Path, table: str) -> dict[str, str]:
    """SQL of each partition that the script wrote, by partition value. Raises TablesDiffer when there is none."""
    folder = root / table
    found = {}
    for partition in sorted(folder.iterdir()) if folder.is_dir() else ():
        name, _, value = partition.name.partition("=")
        found[value] = _source(name, value, list(_parquet(partition)))
    if not found:
        raise TablesDiffer(f"the DuckDB script has written no {table} (expected {folder.name}/<partition>=…/*.parquet)")
    return found


def _parquet(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.suffix == ".parquet")


def _source(partition: str, value: str, paths: Sequence[Path], instants: Sequence[str] = ()) -> str:
    kind = "DATE" if partition == "event_date" else "VARCHAR"
    # The session's zone is UTC.
    replaced = ", ".join(f"{name}::TIMESTAMPTZ AS {name}" for name in instants)
    zoned = f" REPLACE ({replaced})" if replaced else ""
    listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    return (
        f"(SELECT *{zoned}, '{value}'::{kind} AS {partition} FROM read_parquet([{listed}], hive_partitioning = false, "
        "union_by_name = true))"
    )


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
