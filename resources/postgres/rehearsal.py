"""Whether a period could be closed, asked before anything else is done.

Belongs here: what closing needs of the server, tried and rolled back. Does not belong here: publishing the rows (`publishing`).
"""

from psycopg import sql

from resources.contract import TableContract
from resources.postgres.closed_periods import CLOSED_PERIODS, keep_closed
from resources.postgres.connection import PostgresConnection
from resources.postgres.publishing import LEDGER, ensure_tables, limit_waits
from resources.postgres.tables import create_stage


def assert_can_close(
    connection: PostgresConnection, contract: TableContract, period: str, lock_timeout_seconds: float = 300
) -> None:
    """Raise PostgresError where `publish_period(…, closes=True)` would: no server, one that takes no rows, other columns, no rights.

    Everything but the rows themselves is done in one transaction, which is rolled back, so nothing is changed.
    """
    with (
        connection.session(f"asking whether {contract.name} of {period} can be closed") as session,
        session.transaction(force_rollback=True),
    ):
        limit_waits(session, lock_timeout_seconds)
        ensure_tables(connection, session, contract, closes=True)
        create_stage(session, f"stage_{contract.name}", contract)
        keep_closed(session, contract, LEDGER)
        # A statement asks for its rights also where it is about no row.
        for name in (contract.name, LEDGER.name, CLOSED_PERIODS.name):
            table = sql.Identifier(name)
            session.execute(sql.SQL("INSERT INTO {} SELECT * FROM {} WHERE false").format(table, table))
        session.execute(sql.SQL("DELETE FROM {} WHERE false").format(sql.Identifier(contract.name)))
        session.execute(sql.SQL("UPDATE {} SET row_count = 0 WHERE false").format(sql.Identifier(LEDGER.name)))
