"""PostgreSQL tables made from a table contract: types, DDL, comments, and what to say when a table has drifted from it.

Belongs here: everything about the shape of a table. Does not belong here: rows. `partition_by` of a contract is the period
column of a published table.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg
import pyarrow as pa
from psycopg import sql

from resources.contract import Column, TableContract
from resources.postgres.connection import PostgresConnection, PostgresError

_NUMERIC = re.compile(r"\Anumeric\([0-9]+,([0-9]+)\)\Z")


class TableMissing(PostgresError):
    """A table that should be there is not. The message says how it comes to be."""


class TableDrift(PostgresError):
    """An existing table does not have the columns of its contract. The message says which, and the statement to run."""


@dataclass(frozen=True)
class ColumnDrift:
    """A column of the contract that the table lacks (`found` is None) or has with another type."""

    name: str
    expected: str
    found: str | None


def postgres_type(arrow_type: pa.DataType) -> str:
    """The PostgreSQL type, spelt as `format_type` spells it, that holds every value of an Arrow type exactly."""
    if pa.types.is_decimal(arrow_type):
        return f"numeric({arrow_type.precision},{arrow_type.scale})"
    names = {
        pa.string(): "text",
        pa.bool_(): "boolean",
        pa.int32(): "integer",
        pa.int64(): "bigint",
        pa.date32(): "date",
        pa.timestamp("us", tz="UTC"): "timestamp with time zone",
    }
    try:
        return names[arrow_type]
    except KeyError:
        raise TypeError(f"no PostgreSQL type for {arrow_type}; add it to postgres_type") from None


def columns_sql(names: Sequence[str], relation: str | None = None) -> sql.Composable:
    """Column names (of a relation), quoted and separated by commas."""
    return sql.SQL(", ").join(sql.Identifier(relation, name) if relation else sql.Identifier(name) for name in names)


def table_exists(session: psycopg.Connection, table: str) -> bool:
    """Whether a table (or view) of this name is found on the search path.

    Asks the catalogue's rows: to_regclass may answer from a cache that does not know yet what another session has just
    committed, even after waiting for it.
    """
    found = session.execute(
        "SELECT FROM pg_class WHERE relname = %s AND relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_table_is_visible(oid)",
        [table],
    )
    return found.fetchone() is not None


def ensure_table(
    connection: PostgresConnection,
    session: psycopg.Connection,
    contract: TableContract,
    *,
    checks: Mapping[str, sql.Composable] | None = None,
    more: Sequence[sql.Composable] = (),
    afterwards: Sequence[sql.SQL | sql.Composed] = (),
    exact: bool = True,
) -> bool:
    """Create the contract's table unless it exists, safe against others who do the same at the same moment.

    `checks` are named CHECK conditions, `more` further column definitions, `afterwards` statements that follow the
    creation in the same transaction. Returns whether this call created it. An existing table is left as it is, and
    raises TableDrift when a column of the contract is missing there or (`exact`) the types or key differ.
    """
    created = False
    # Looked up first: CREATE TABLE IF NOT EXISTS asks for the right to create even where there is nothing to create.
    if not table_exists(session, contract.name):
        with session.transaction():
            # IF NOT EXISTS alone loses the race between two creators with a unique violation in the system catalogue.
            session.execute("SELECT pg_advisory_xact_lock(hashtextextended('telecom_assets.create_table', 0))")
            if not table_exists(session, contract.name):
                for statement in [*_creation(contract, checks or {}, more), *afterwards]:
                    session.execute(statement)
                created = True
    if not created:
        _require_no_drift(connection, session, contract, exact)
    return created


def create_stage(session: psycopg.Connection, stage: str, contract: TableContract) -> sql.Composable:
    """An empty temporary table of the contract's columns, gone with the transaction. Returns its qualified name."""
    name = sql.Identifier("pg_temp", stage)
    session.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(
            sql.Identifier(stage), sql.SQL(", ").join(_definition(column) for column in contract.columns)
        )
    )
    return name


def column_names(session: psycopg.Connection, table: str) -> dict[str, str]:
    """The columns of a table (or view), each with its type; none where there is no table."""
    rows = session.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 AND NOT attisdropped",
        [table],
    ).fetchall()
    return dict(rows)


def find_drift(session: psycopg.Connection, contract: TableContract) -> list[ColumnDrift]:
    """The contract's columns that the existing table lacks or types otherwise. Further columns are its own affair."""
    found = column_names(session, contract.name)
    expected = {column.name: postgres_type(column.arrow_type) for column in contract.columns}
    return [
        ColumnDrift(name, type_name, found.get(name))
        for name, type_name in expected.items()
        if found.get(name) != type_name
    ]


def follow_contract(
    connection: PostgresConnection,
    contract: TableContract,
    before: Mapping[str, LiteralString] | None = None,
    *,
    dry_run: bool = False,
) -> list[str]:
    """Give an existing table the columns, types and key of its contract; its rows stay. Returns what differed, in words.

    before: SQL expressions for the values that new columns have in the rows of before; NULL where none is given. A table that is
    not there needs nothing: publishing makes it. Raises TableDrift where decimals of its rows would be cut off.
    """
    with connection.session(f"altering {contract.name}") as session:
        if not table_exists(session, contract.name):
            return []
        drifts = find_drift(session, contract)
        if cut := _cut_off(drifts):
            raise TableDrift(f"table {contract.name} at {connection.address}: {cut}")
        new_key = _primary_key(session, contract.name) != set(contract.key)
        if (drifts or new_key) and not dry_run:
            table = sql.Identifier(contract.name)
            # The types are postgres_type's own spellings, never text from outside.
            changes = [sql.SQL(change) for change in _changes(drifts)]
            with session.transaction():
                if changes:
                    session.execute(sql.SQL("ALTER TABLE {} {}").format(table, sql.SQL(", ").join(changes)))
                if values := [
                    sql.SQL("{} = {}").format(sql.Identifier(name), sql.SQL(value))
                    for name, value in (before or {}).items()
                    if any(drift.name == name and drift.found is None for drift in drifts)
                ]:
                    session.execute(sql.SQL("UPDATE {} SET {}").format(table, sql.SQL(", ").join(values)))
                if new_key:
                    _change_key(session, contract)
        return [*_differences(drifts), *([_other_key(contract)] if new_key else [])]


def _cut_off(drifts: Sequence[ColumnDrift]) -> str | None:
    """What to say of columns that have more decimals than their contract, which no ALTER TABLE may cut off; None without any."""
    wide = [drift for drift in drifts if drift.found is not None and _scale(drift.found) > _scale(drift.expected)]
    if not wide:
        return None
    found = ", ".join(f"column {drift.name} is {drift.found}, expected {drift.expected}" for drift in wide)
    return (
        f"{found}: its amounts have more decimals than the currency in force; set TELECOM_CURRENCY to the currency of the bills, or "
        "rename the table and the next run makes a new one"
    )


def _scale(kind: str) -> int:
    """The decimals of a numeric type; 0 of any other."""
    match = _NUMERIC.match(kind)
    return int(match[1]) if match else 0


def _differences(drifts: Sequence[ColumnDrift]) -> list[str]:
    """What differs, in words."""
    return [
        f"no column {drift.name} ({drift.expected})"
        if drift.found is None
        else f"column {drift.name} is {drift.found}, expected {drift.expected}"
        for drift in drifts
    ]


def _changes(drifts: Sequence[ColumnDrift]) -> list[str]:
    """The actions of an ALTER TABLE that does away with drifts."""
    return [
        f"ADD COLUMN {drift.name} {drift.expected}"
        if drift.found is None
        else f"ALTER COLUMN {drift.name} TYPE {drift.expected}"
        for drift in drifts
    ]


def _require_no_drift(
    connection: PostgresConnection, session: psycopg.Connection, contract: TableContract, exact: bool
) -> None:
    drifts = [drift for drift in find_drift(session, contract) if exact or drift.found is None]
    differences, remedies = _differences(drifts), _changes(drifts)
    if exact and _primary_key(session, contract.name) != set(contract.key):
        differences.append(_other_key(contract))
        if (name := _key_constraint(session, contract.name)) is not None:
            remedies.append(f"DROP CONSTRAINT {name}")
        remedies.append(f"ADD PRIMARY KEY ({', '.join(contract.key)})")
    if differences and (cut := _cut_off(drifts)):
        raise TableDrift(f"table {contract.name} at {connection.address}: {cut}")
    if differences:
        raise TableDrift(
            f"table {contract.name} at {connection.address} differs from its contract: {', '.join(differences)}; run "
            f"`ALTER TABLE {contract.name} {', '.join(remedies)}`, or rename the table and the next run makes a new one"
        )


def _primary_key(session: psycopg.Connection, table: str) -> set[str]:
    rows = session.execute(
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)"
        " WHERE indisprimary AND indrelid = to_regclass(quote_ident(%s))",
        [table],
    ).fetchall()
    return {name for (name,) in rows}


def _other_key(contract: TableContract) -> str:
    return f"its primary key is not ({', '.join(contract.key)})"


def _key_constraint(session: psycopg.Connection, table: str) -> str | None:
    """The name of a table's primary key; None without one."""
    row = session.execute(
        "SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid = to_regclass(quote_ident(%s))", [table]
    ).fetchone()
    return None if row is None else str(row[0])


def _change_key(session: psycopg.Connection, contract: TableContract) -> None:
    """Give a table the primary key of its contract, in the place of the one that it has, if any."""
    table = sql.Identifier(contract.name)
    if (name := _key_constraint(session, contract.name)) is not None:
        session.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, sql.Identifier(name)))
    session.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(table, columns_sql(contract.key)))


def _creation(
    contract: TableContract, checks: Mapping[str, sql.Composable], more: Sequence[sql.Composable]
) -> list[sql.Composed]:
    table = sql.Identifier(contract.name)
    parts: list[sql.Composable] = [_definition(column) for column in contract.columns]
    parts += more
    parts.append(sql.SQL("PRIMARY KEY ({})").format(columns_sql(contract.key)))
    parts += [
        sql.SQL("CONSTRAINT {} CHECK ({})").format(sql.Identifier(name), condition)
        for name, condition in checks.items()
    ]
    comments = [
        sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(table, sql.Identifier(column.name), sql.Literal(column.doc))
        for column in contract.columns
    ]
    return [
        sql.SQL("CREATE TABLE {} ({})").format(table, sql.SQL(", ").join(parts)),
        sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(contract.grain)),
        *comments,
    ]


def _definition(column: Column) -> sql.Composable:
    # The type is one of postgres_type's own spellings, never text from outside.
    return sql.SQL("{} {}{}").format(
        sql.Identifier(column.name),
        sql.SQL(postgres_type(column.arrow_type)),
        sql.SQL(" NOT NULL" if column.required else ""),
    )
