"""How the project reaches PostgreSQL: customers come from it, bills are published to it.

Belongs here: the connection and its errors (`connection`), DDL from a table contract (`tables`), Arrow in and out by
COPY (`arrow_copy`), the customers table (`customers`), publishing a period (`publishing`), keeping one that is closed
(`closed_periods`), asking first whether one can be closed (`rehearsal`). Does not belong here: what
a customer or a bill is (`tables.py` of a room, handed in as a contract) or the local server
(`telecom_assets.local_stack`).
"""

from resources.postgres.arrow_copy import read_table
from resources.postgres.closed_periods import CLOSED_PERIODS, closed_periods
from resources.postgres.connection import PostgresConnection, PostgresError, PostgresUnavailable
from resources.postgres.customers import (
    UpsertCounts,
    create_customers_table,
    dated_columns,
    read_customers,
    upsert_customers,
)
from resources.postgres.publishing import (
    LedgerEntry,
    PublishMismatch,
    PublishResult,
    entries_ahead,
    follow_version,
    publish_period,
    published_digest,
    published_totals,
    read_ledger_entry,
)
from resources.postgres.rehearsal import assert_can_close
from resources.postgres.tables import TableDrift, TableMissing, follow_contract

__all__ = [
    "CLOSED_PERIODS",
    "LedgerEntry",
    "PostgresConnection",
    "PostgresError",
    "PostgresUnavailable",
    "PublishMismatch",
    "PublishResult",
    "TableDrift",
    "TableMissing",
    "UpsertCounts",
    "assert_can_close",
    "closed_periods",
    "create_customers_table",
    "dated_columns",
    "entries_ahead",
    "follow_contract",
    "follow_version",
    "publish_period",
    "published_digest",
    "published_totals",
    "read_customers",
    "read_ledger_entry",
    "read_table",
    "upsert_customers",
]
