"""The customers table in PostgreSQL: made, filled and read. It is the operator's; the project only upserts and reads.

Belongs here: that table's DDL, the upsert, the read. Does not belong here: which rows of a file are good
(`telecom_assets.reference.customer_import`) and what a customer is (`telecom_assets.reference.tables`, handed in).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from psycopg import errors, sql

from resources.contract import Column, TableContract
from resources.postgres.arrow_copy import copy_batches, read_table
from resources.postgres.connection import PostgresConnection, PostgresError
from resources.postgres.tables import TableMissing, column_names, columns_sql, create_stage, ensure_table

HOW_TO_FILL = "create and fill it with `telecom customers import FILE.csv`"


@dataclass(frozen=True)
class UpsertCounts:
    """What an upsert did to its rows."""

    inserted: int
    updated: int
    unchanged: int

    @property
    def rows(self) -> int:
        return self.inserted + self.updated + self.unchanged


def create_customers_table(
    connection: PostgresConnection,
    contract: TableContract,
    *,
    allowed: Mapping[str, Sequence[str]],
    patterns: Mapping[str, str],
) -> bool:
    """Create the customers table unless it exists; returns whether this call created it.

    Beside the contract's columns it has `updated_at`, which a trigger keeps for every way of changing a row. `allowed`
    (column -> values) and `patterns` (column -> regular expression of the whole value) become CHECK constraints, and no
    required text may be blank. An existing table is left as it is: TableDrift when it lacks a column of the contract.
    """
    with connection.session(f"creating table {contract.name}") as session:
        return ensure_table(
            connection,
            session,
            contract,
            checks=_checks(contract, allowed, patterns),
            more=[sql.SQL("updated_at timestamp with time zone NOT NULL DEFAULT now()")],
            afterwards=_keep_updated_at(contract.name),
            exact=False,
        )


def upsert_customers(connection: PostgresConnection, contract: TableContract, rows: pa.Table) -> UpsertCounts:
    """Insert the new rows, update the changed ones, leave the equal ones untouched: all or nothing, one row per key.

    Raises TableMissing, and PostgresError when a row breaks a constraint of the table or a key comes twice.
    """
    key = list(contract.key)
    if rows.group_by(key).aggregate([]).num_rows != rows.num_rows:
        raise PostgresError(f"nothing written to {contract.name}: two of the rows have the same {', '.join(key)}")
    with connection.session(f"writing {contract.name}") as session, session.transaction():
        stage = create_stage(session, f"stage_{contract.name}", contract)
        copy_batches(session, stage, contract.arrow_schema(), rows.to_batches(max_chunksize=64 * 1024))
        session.execute(sql.SQL("ANALYZE {}").format(stage))
        try:
            counted = session.execute(_upsert(contract, stage)).fetchone()
        except errors.UndefinedTable:
            raise TableMissing(_missing(connection, contract.name)) from None
        except errors.InvalidColumnReference:
            raise PostgresError(
                f"table {contract.name} at {connection.address} has no primary key; "
                f"run `ALTER TABLE {contract.name} ADD PRIMARY KEY ({', '.join(contract.key)})`"
            ) from None
    inserted, updated = counted or (0, 0)
    return UpsertCounts(inserted, updated, rows.num_rows - inserted - updated)


def dated_columns(connection: PostgresConnection, contract: TableContract, dates: Sequence[Column]) -> list[str]:
    """Those of the columns `dates` that the customers table has: all or none; none where there is no table.

    Raises PostgresError where it has some of them: then nobody can tell whether its rows have dates.
    """
    with connection.session(f"looking at {contract.name}") as session:
        there = column_names(session, contract.name)
    found = [column.name for column in dates if column.name in there]
    if found and len(found) < len(dates):
        raise PostgresError(
            f"table {contract.name} at {connection.address} has {', '.join(found)} without "
            f"{', '.join(column.name for column in dates if column.name not in found)}; expected both columns, where the table is "
            "the history of its customers, or neither"
        )
    return found


def read_customers(connection: PostgresConnection, contract: TableContract, dates: Sequence[Column] = ()) -> pa.Table:
    """Every row of the customers table, in the contract's Arrow schema, ordered by key.

    dates: columns that are read besides where the table has them. Raises TableMissing with what to do. A table without rows is a
    PostgresError: it is being filled, or it is another one than was meant, and with it nobody would be billed.
    """
    schema = contract.arrow_schema()
    if dates and dated_columns(connection, contract, dates):
        schema = pa.schema([*schema, *((column.name, column.arrow_type) for column in dates)])
    try:
        rows = read_table(connection, contract.name, schema, order_by=contract.key)
    except TableMissing:
        raise TableMissing(_missing(connection, contract.name)) from None
    if not rows.num_rows:
        raise PostgresError(
            f"table {contract.name} at {connection.address} is empty, expected at least one customer: {HOW_TO_FILL}"
        )
    return rows


def _missing(connection: PostgresConnection, table: str) -> str:
    return f"table {table} does not exist at {connection.address}: {HOW_TO_FILL}"


def _checks(
    contract: TableContract, allowed: Mapping[str, Sequence[str]], patterns: Mapping[str, str]
) -> dict[str, sql.Composable]:
    checks: dict[str, sql.Composable] = {}
    for column in contract.columns:
        name = sql.Identifier(column.name)
        if column.name in allowed:
            values = sql.SQL(", ").join(sql.Literal(value) for value in allowed[column.name])
            checks[f"{column.name}_is_known"] = sql.SQL("{} IN ({})").format(name, values)
        elif column.name in patterns:
            pattern = sql.Literal(rf"\A(?:{patterns[column.name]})\Z")
            checks[f"{column.name}_is_well_formed"] = sql.SQL("{} ~ {}").format(name, pattern)
        elif column.arrow_type == pa.string() and column.required:
            checks[f"{column.name}_is_not_blank"] = sql.SQL("btrim({}) <> ''").format(name)
        elif column.arrow_type == pa.date32():
            checks[f"{column.name}_is_finite"] = sql.SQL("isfinite({})").format(name)
    return checks


def _keep_updated_at(table: str) -> list[sql.SQL | sql.Composed]:
    return [
        sql.SQL(
            "CREATE OR REPLACE FUNCTION telecom_assets_set_updated_at() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN NEW.updated_at := now(); RETURN NEW; END'"
        ),
        sql.SQL(
            "CREATE TRIGGER set_updated_at BEFORE UPDATE ON {} FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)"
            " EXECUTE FUNCTION telecom_assets_set_updated_at()"
        ).format(sql.Identifier(table)),
    ]


def _upsert(contract: TableContract, stage: sql.Composable) -> sql.Composed:
    """Counts (inserted, updated). xmax is 0 on a row that ON CONFLICT did not find.

    Rows that are equal already are left out before the insert: ON CONFLICT would lock, and so rewrite, each of them.
    Ordered by key, so that two imports at once wait for each other instead of deadlocking.
    """
    names = [column.name for column in contract.columns]
    values = [name for name in names if name not in contract.key]
    return sql.SQL(
        "WITH written AS ("
        " INSERT INTO {table} AS kept ({names}) SELECT {names} FROM {stage} AS given"
        " WHERE NOT EXISTS (SELECT FROM {table} AS found WHERE {same_key} AND ({found}) IS NOT DISTINCT FROM ({given}))"
        " ORDER BY {key} ON CONFLICT ({key}) DO UPDATE SET ({values}) = ROW({excluded})"
        " WHERE ({kept}) IS DISTINCT FROM ({excluded})"
        " RETURNING kept.xmax = 0 AS inserted)"
        " SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM written"
    ).format(
        table=sql.Identifier(contract.name),
        stage=stage,
        names=columns_sql(names),
        key=columns_sql(contract.key),
        values=columns_sql(values),
        same_key=sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("found", name), sql.Identifier("given", name))
            for name in contract.key
        ),
        found=columns_sql(values, "found"),
        given=columns_sql(values, "given"),
        kept=columns_sql(values, "kept"),
        excluded=columns_sql(values, "excluded"),
    )
