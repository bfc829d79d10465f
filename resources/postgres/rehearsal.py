"""Whether a period could be closed, asked before anything else is done.

Belongs here: what closing needs of the server, tried and rolled back. Does not belong here: publishing the rows (`publishing`).
"""

from collections.abc import Sequence

from psycopg import sql

from resources.contract import TableContract
from resources.postgres.closed_periods import CLOSED_PERIODS, keep_closed
from resources.postgres.connection import PostgresConnection
from resources.postgres.publishing import LEDGER, ensure_tables, limit_waits
from resources.postgres.tables import create_stage


def assert_can_close(
    connection: PostgresConnection, contracts: Sequence[TableContract], period: str, lock_timeout_seconds: float = 300
) -> None:
    """Raise PostgresError where `publish_period(…, closes=True)` of some tables would.

    That is where there is no server, or one that takes no rows, where a table has other columns, or a right is missing. Everything
    but the rows themselves is done in one transaction, which is rolled back, so nothing is changed.
    """
    names = [contract.name for contract in contracts]
    with (
        connection.session(f"asking whether {' and '.join(names)} of {period} can be closed") as session,
        session.transaction(force_rollback=True),
    ):
        limit_waits(session, lock_timeout_seconds)
        for contract in contracts:
            ensure_tables(connection, session, contract, closes=True)
            create_stage(session, f"stage_{contract.name}", contract)
        keep_closed(session, contracts, LEDGER)
        # A statement asks for its rights also where it is about no row.
        for name in (*names, LEDGER.name, CLOSED_PERIODS.name):
            table = sql.Identifier(name)
            session.execute(sql.SQL("INSERT INTO {} SELECT * FROM {} WHERE false").format(table, table))
        for name in names:
            session.execute(sql.SQL("DELETE FROM {} WHERE false").format(sql.Identifier(name)))
        session.execute(sql.SQL("UPDATE {} SET row_count = 0 WHERE false").format(sql.Identifier(LEDGER.name)))
