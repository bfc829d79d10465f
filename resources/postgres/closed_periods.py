"""Published periods that are closed: PostgreSQL itself keeps their rows as they are, whoever connects.

Belongs here: the list of closed periods, and the triggers that refuse what would change a row of one. Does not belong here: when a
period is closed, and the one transaction in which its last rows are published (`publishing`).

A trigger looks at all rows of a statement at once, so a draft of a million bills costs one look. It is the close's own transaction
that puts the period on the list, after its rows: so the close needs no way around the triggers, and a close that is repeated finds
its rows there and changes none.
"""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from resources.contract import Column, TableContract
from resources.postgres.connection import PostgresConnection
from resources.postgres.tables import table_exists

CLOSED_PERIODS = TableContract(
    name="closed_periods",
    grain="One row per published table and period that is closed: triggers keep the period's rows as they are.",
    key=("table_name", "period"),
    columns=(
        Column("table_name", "string", "Published table."),
        Column("period", "string", "Closed period, yyyy-MM."),
        Column("closed_at", "timestamp", "When it was closed."),
    ),
)

#: Raised by the triggers. A class of its own, so that no other error is taken for it.
_REFUSED = "TC001"
#: Event of a statement, and the rows of it that are looked at: those that it removes, and those that it brings.
_LOOKED_AT = (
    ("insert", "INSERT", "NEW"),
    ("delete", "DELETE", "OLD"),
    ("update_from", "UPDATE", "OLD"),
    ("update_to", "UPDATE", "NEW"),
)

_KEEP_ROWS = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
DECLARE closed record;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        SELECT table_name, period INTO closed FROM closed_periods WHERE {any_period} ORDER BY period LIMIT 1;
    ELSE
        SELECT table_name, period INTO closed FROM closed_periods
        AS listed WHERE EXISTS
            (SELECT FROM changed WHERE {table_of_row} = listed.table_name AND changed.{period_column} = listed.period)
        ORDER BY period LIMIT 1;
    END IF;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = {refused},
            MESSAGE = format('%s of %s is closed, and its rows stay as they are', closed.table_name, closed.period);
    END IF;
    RETURN NULL;
END $body$
"""
_KEEP_LIST = """
CREATE OR REPLACE FUNCTION closed_periods_stay() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION USING ERRCODE = {refused}, MESSAGE = 'a closed period stays closed';
END $body$
"""


def is_closed(session: psycopg.Connection, table: str, period: str) -> bool:
    """Whether the published period of a table is closed."""
    if not table_exists(session, CLOSED_PERIODS.name):
        return False
    found = session.execute("SELECT FROM closed_periods WHERE table_name = %s AND period = %s", [table, period])
    return found.fetchone() is not None


def closed_periods(connection: PostgresConnection, table: str) -> list[str]:
    """The published periods of a table that are closed, in order. Raises PostgresError."""
    with connection.session(f"reading the closed periods of {table}") as session:
        if not table_exists(session, CLOSED_PERIODS.name):
            return []
        rows = session.execute("SELECT period FROM closed_periods WHERE table_name = %s ORDER BY period", [table])
        return [str(period) for (period,) in rows]


def keep_closed(session: psycopg.Connection, contracts: Sequence[TableContract], ledger: TableContract) -> None:
    """Have triggers keep the rows of closed periods, of published tables and of the ledger; nobody writes them until the commit.

    The tables are there. Who waits for them meanwhile is looked at by the triggers afterwards. The ledger comes last, as it does
    for whoever publishes: two sessions would wait for each other otherwise.
    """
    session.execute("SELECT pg_advisory_xact_lock(hashtextextended('telecom_assets.create_table', 0))")
    for contract in contracts:
        _keep_rows(session, contract.name, sql.Literal(contract.name), contract.partition_by or "")
    _keep_rows(session, ledger.name, sql.SQL("changed.table_name"), "period")
    if not _has_trigger(session, CLOSED_PERIODS.name, "closed_periods_stay"):
        session.execute(sql.SQL(_KEEP_LIST).format(refused=_REFUSED))
        session.execute(
            "CREATE TRIGGER closed_periods_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON closed_periods"
            " FOR EACH STATEMENT EXECUTE FUNCTION closed_periods_stay()"
        )


def put_on_list(session: psycopg.Connection, table: str, period: str) -> None:
    """Close a published period: from the commit on its rows are kept."""
    session.execute(
        "INSERT INTO closed_periods (table_name, period, closed_at) VALUES (%s, %s, clock_timestamp())"
        " ON CONFLICT (table_name, period) DO NOTHING",
        [table, period],
    )


def _keep_rows(session: psycopg.Connection, table: str, table_of_row: sql.Composable, period_column: str) -> None:
    session.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(sql.Identifier(table)))
    if _has_trigger(session, table, "closed_stays_truncate"):
        return
    function = sql.Identifier(f"{table}_stays_closed")
    any_period = (
        sql.SQL("table_name = {}").format(table_of_row) if isinstance(table_of_row, sql.Literal) else sql.SQL("true")
    )
    session.execute(
        sql.SQL(_KEEP_ROWS).format(
            function=function,
            any_period=any_period,
            table_of_row=table_of_row,
            period_column=sql.Identifier(period_column),
            refused=_REFUSED,
        )
    )
    for name, event, rows in _LOOKED_AT:
        session.execute(
            sql.SQL(
                "CREATE TRIGGER {name} AFTER {event} ON {table} REFERENCING {rows} TABLE AS changed"
                " FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
            ).format(
                name=sql.Identifier(f"closed_stays_{name}"),
                event=sql.SQL(event),
                table=sql.Identifier(table),
                rows=sql.SQL(rows),
                function=function,
            )
        )
    session.execute(
        sql.SQL(
            "CREATE TRIGGER closed_stays_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        ).format(table=sql.Identifier(table), function=function)
    )


def _has_trigger(session: psycopg.Connection, table: str, name: str) -> bool:
    found = session.execute(
        "SELECT FROM pg_trigger WHERE tgrelid = to_regclass(quote_ident(%s)) AND tgname = %s", [table, name]
    )
    return found.fetchone() is not None
