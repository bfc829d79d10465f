"""Publishing a period of a table to PostgreSQL: verified and whole, or not at all; never an older version over a newer.

Belongs here: the one transaction that replaces a period, its ledger, the totals that checks compare. Does not belong
here: which rows are published (the billing asset) or which version of the Delta table they come from.

One transaction per publish:
1. the rows go by COPY into a temporary table; nobody waits meanwhile, and a publisher that dies here leaves nothing;
2. their count, their sums and their period are verified against what the Delta version says;
3. the period's lock is taken and the ledger read: a newer version of the same Delta table wins, the rest is not done;
4. the period's rows are replaced (deleted and inserted where they differ) and verified again in place; the ledger row
   is written; commit.
Readers see the old rows until the commit and the new ones from it on: rows are deleted, never the table.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import psycopg
import pyarrow as pa
from psycopg import errors, sql

from resources.contract import Column, TableContract
from resources.postgres.arrow_copy import copy_batches
from resources.postgres.closed_periods import CLOSED_PERIODS, is_closed, keep_closed, put_on_list
from resources.postgres.connection import PostgresConnection, PostgresError
from resources.postgres.tables import TableMissing, columns_sql, create_stage, ensure_table, table_exists


class PublishMismatch(PostgresError):
    """The rows do not add up to what the published version says. Nothing was changed."""


@dataclass(frozen=True)
class LedgerEntry:
    """What the ledger says is published for a table and period."""

    delta_table_id: str
    delta_version: int
    rows: int
    sums: Mapping[str, Decimal]
    published_at: dt.datetime


@dataclass(frozen=True)
class PublishResult:
    """What a publish did: `published`, or `stale` (a newer version was there; nothing changed).

    `rows`, `sums` and `delta_version` say what the table holds for the period now; `deleted` and `inserted` how many
    rows were written for that: none when they were all there already, and a changed row counts in both.
    """

    outcome: Literal["published", "stale"]
    rows: int
    sums: Mapping[str, Decimal]
    delta_version: int
    deleted: int = 0
    inserted: int = 0

    @property
    def published(self) -> bool:
        return self.outcome == "published"


LEDGER = TableContract(
    name="publish_ledger",
    grain="One row per published table and period: the Delta version that it holds.",
    key=("table_name", "period"),
    columns=(
        Column("table_name", "string", "Published table."),
        Column("period", "string", "Published period, yyyy-MM."),
        Column("delta_table_id", "string", "Identity of the Delta table; another one after the warehouse is rebuilt."),
        Column("delta_version", "bigint", "Version of the Delta table that was published."),
        Column("row_count", "bigint", "Rows published."),
        Column("published_at", "timestamp", "When it was committed."),
    ),
)


@dataclass(frozen=True)
class _Publication:
    """What is to be published, and what it has to add up to."""

    contract: TableContract
    period: str
    delta_table_id: str
    delta_version: int
    rows: int
    sums: Mapping[str, Decimal]

    @property
    def table(self) -> sql.Composable:
        return sql.Identifier(self.contract.name)

    @property
    def period_column(self) -> str:
        if self.contract.partition_by is None:
            raise ValueError(f"{self.contract.name} has no period column (partition_by): no period to publish")
        return self.contract.partition_by

    def is_older_than(self, entry: LedgerEntry) -> bool:
        return entry.delta_table_id == self.delta_table_id and entry.delta_version > self.delta_version


@dataclass(frozen=True)
class _Totals:
    """What a relation holds: rows, sums, and how many of the rows belong to another period."""

    rows: int
    sums: dict[str, Decimal]
    strangers: int


def publish_period(
    connection: PostgresConnection,
    contract: TableContract,
    period: str,
    batches: Iterable[pa.RecordBatch],
    *,
    delta_table_id: str,
    delta_version: int,
    expected_rows: int,
    expected_sums: Mapping[str, Decimal],
    closes: bool = False,
    lock_timeout_seconds: float = 300,
) -> PublishResult:
    """Replace one period of the contract's table by `batches`, the rows of one version of a Delta table.

    The table is created from the contract when it is missing (primary key = the contract's key). A newer version of the
    same Delta table (`delta_table_id`) that is already published wins: `stale`. The same version is published again,
    which repairs rows that somebody changed or removed. Another Delta table replaces whatever was there.

    closes: these are the last rows of the period. From the commit on PostgreSQL refuses whatever would change them, from whomever
    (`closed_periods`); publishing them again changes nothing, and rows of any other content raise PostgresError.

    Raises PublishMismatch when count, sums or period of the rows are not as expected, TableDrift when the table lacks a
    column, PostgresError when another session holds the period for longer than `lock_timeout_seconds`; the old rows
    stay in each case.
    """
    publication = _Publication(contract, period, delta_table_id, int(delta_version), int(expected_rows), expected_sums)
    with connection.session(f"publishing {contract.name} of {period}") as session:
        ensure_tables(connection, session, contract, closes=closes)
        with session.transaction():
            limit_waits(session, lock_timeout_seconds)
            stage = create_stage(session, f"stage_{contract.name}", contract)
            copy_batches(session, stage, contract.arrow_schema(), batches)
            _verify(publication, "given", _totals(session, publication, stage))
            _lock(session, contract.name, period)
            closed_before = closes and is_closed(session, contract.name, period)
            if closes:
                keep_closed(session, [contract], LEDGER)
            entry = _ledger_entry(session, contract.name, period)
            if entry and publication.is_older_than(entry):
                return PublishResult("stale", entry.rows, entry.sums, entry.delta_version)
            deleted, inserted = _replace(session, publication, stage)
            # Again, in place: a trigger, a rule or a policy of the table may have had its own idea of the rows.
            _verify(publication, "in the table", _totals(session, publication, publication.table, only_period=True))
            if not closed_before:
                _write_ledger(session, publication)
            if closes:
                put_on_list(session, contract.name, period)
    return PublishResult(
        "published", publication.rows, dict(expected_sums), publication.delta_version, deleted, inserted
    )


def published_totals(
    connection: PostgresConnection, contract: TableContract, period: str, sum_columns: Sequence[str]
) -> tuple[int, dict[str, Decimal]]:
    """Count and sums of what the table holds for a period, for the check that bills equal published rows.

    Raises TableMissing when nothing was ever published.
    """
    wanted = _Publication(contract, period, "", 0, 0, dict.fromkeys(sum_columns, Decimal(0)))
    with connection.session(f"adding up {contract.name} of {period}") as session:
        try:
            totals = _totals(session, wanted, wanted.table, only_period=True)
        except errors.UndefinedTable:
            raise TableMissing(
                f"table {contract.name} does not exist at {connection.address}: nothing was published yet; "
                f"materialise {contract.name} for a month"
            ) from None
    return totals.rows, totals.sums


def read_ledger_entry(connection: PostgresConnection, table: str, period: str) -> LedgerEntry | None:
    """What is published for a table and period, by the ledger; None when nothing is."""
    with connection.session(f"reading the ledger of {table}") as session:
        return _ledger_entry(session, table, period) if table_exists(session, LEDGER.name) else None


def entries_ahead(connection: PostgresConnection, table: str, delta_table_id: str, newest: int) -> dict[str, int]:
    """Periods for which the ledger names a version of a Delta table that is newer than its newest: period → version.

    The table went back, then: it was restored from a backup, or the newest entries of its log are gone.
    """
    with connection.session(f"reading the ledger of {table}") as session:
        return _ahead(session, table, delta_table_id, newest)


def follow_version(
    connection: PostgresConnection, table: str, delta_table_id: str, newest: int, lock_timeout_seconds: float = 300
) -> dict[str, int]:
    """Set the ledger's versions that are newer than the newest of a Delta table back to it; returns what they were.

    The published rows stay as they are until their period is published again, which any version from `newest` on does.
    One transaction, which waits for publishers of the same periods. Raises PostgresError.
    """
    with connection.session(f"setting back the ledger of {table}") as session, session.transaction():
        limit_waits(session, lock_timeout_seconds)
        for period in _ahead(session, table, delta_table_id, newest):
            _lock(session, table, period)
        ahead = _ahead(session, table, delta_table_id, newest)
        if ahead:
            session.execute(
                "UPDATE publish_ledger SET delta_version = %s"
                " WHERE table_name = %s AND delta_table_id = %s AND period = ANY(%s)",
                [newest, table, delta_table_id, list(ahead)],
            )
    return ahead


def published_digest(connection: PostgresConnection, contract: TableContract, period: str) -> str:
    """What a period's published rows and its ledger row are, in one text that differs when they do.

    The rows' hashes are added up, so their order does not count, and a million rows take seconds.
    """
    with connection.session(f"looking at {contract.name} of {period}") as session:
        if not (table_exists(session, contract.name) and table_exists(session, LEDGER.name)):
            return "nothing published"
        rows = session.execute(
            sql.SQL(
                "SELECT count(*), coalesce(sum(hashtextextended(kept::text, 0)::numeric), 0) FROM {} AS kept"
                " WHERE {} = {}"
            ).format(sql.Identifier(contract.name), sql.Identifier(contract.partition_by or ""), period)
        ).fetchone()
        entry = _ledger_entry(session, contract.name, period)
    return f"{rows} {entry and (entry.delta_table_id, entry.delta_version, entry.rows)}"


def _ahead(session: psycopg.Connection, table: str, delta_table_id: str, newest: int) -> dict[str, int]:
    if not table_exists(session, LEDGER.name):
        return {}
    rows = session.execute(
        "SELECT period, delta_version FROM publish_ledger"
        " WHERE table_name = %s AND delta_table_id = %s AND delta_version > %s ORDER BY period",
        [table, delta_table_id, newest],
    )
    return dict(rows.fetchall())


def ensure_tables(
    connection: PostgresConnection, session: psycopg.Connection, contract: TableContract, *, closes: bool
) -> None:
    """Create the tables that publishing writes, where they are missing. closes: the list of closed periods too. Raises TableDrift."""
    ensure_table(connection, session, LEDGER, more=[sql.SQL("sums jsonb NOT NULL")])
    ensure_table(connection, session, contract)
    if closes:
        ensure_table(connection, session, CLOSED_PERIODS)


def limit_waits(session: psycopg.Connection, lock_timeout_seconds: float) -> None:
    """No wait without end: not for a lock, and nobody waits for us when this process stands still in the middle."""
    session.execute("SELECT set_config('lock_timeout', %s, true)", [f"{int(lock_timeout_seconds * 1000)}ms"])
    session.execute("SET LOCAL idle_in_transaction_session_timeout = '60s'")


def _lock(session: psycopg.Connection, table: str, period: str) -> None:
    """Wait for every other publisher of the same table and period; held until the end of the transaction."""
    name = f"telecom_assets.publish {table} {period}"
    session.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def _replace(session: psycopg.Connection, publication: _Publication, stage: sql.Composable) -> tuple[int, int]:
    """Make the period's rows those of the stage; returns how many were deleted and inserted.

    Rows that are equal already stay: a month published again after a few late CDRs rewrites the bills that changed, not
    a million of them (in the server a rewrite of 1 M rows took 12 s of CPU, finding them equal 6 s and no WAL).
    """
    # A period that was filled a moment ago is not in the statistics: estimated at one row, it would be compared with
    # the whole stage row by row, for hours.
    session.execute("SET LOCAL enable_nestloop = off")
    contract = publication.contract
    names = [column.name for column in contract.columns]
    same_key = sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier("kept", name), sql.Identifier("given", name)) for name in contract.key
    )
    parts = {
        "table": publication.table,
        "stage": stage,
        "names": columns_sql(names),
        "in_period": sql.SQL("{} = {}").format(sql.Identifier("kept", publication.period_column), publication.period),
        "same_key": same_key,
        "kept": columns_sql(names, "kept"),
        "given": columns_sql(names, "given"),
    }
    deleted = session.execute(
        sql.SQL(
            "DELETE FROM {table} AS kept WHERE {in_period} AND NOT EXISTS ("
            "SELECT FROM {stage} AS given WHERE {same_key} AND ({given}) IS NOT DISTINCT FROM ({kept}))"
        ).format(**parts)
    )
    inserted = session.execute(
        sql.SQL(
            "INSERT INTO {table} ({names}) SELECT {names} FROM {stage} AS given"
            " WHERE NOT EXISTS (SELECT FROM {table} AS kept WHERE {in_period} AND {same_key})"
        ).format(**parts)
    )
    return deleted.rowcount, inserted.rowcount


def _verify(publication: _Publication, verb: str, found: _Totals) -> None:
    """Raise PublishMismatch, which rolls the transaction back, unless the rows are exactly those expected."""
    compared: list[tuple[str, int | Decimal, int | Decimal]] = [("rows", publication.rows, found.rows)]
    compared += [(f"sum of {name}", expected, found.sums[name]) for name, expected in publication.sums.items()]
    differences = [f"{name}: expected {expected}, {verb} {had}" for name, expected, had in compared if expected != had]
    if found.strangers:
        differences.append(f"{found.strangers} rows of another {publication.period_column}")
    if differences:
        raise PublishMismatch(
            f"{publication.contract.name} of {publication.period} was not published, the rows there are as before: "
            f"{'; '.join(differences)}; expected the rows of version {publication.delta_version}: "
            "materialise the month again"
        )


def _totals(
    session: psycopg.Connection, publication: _Publication, relation: sql.Composable, *, only_period: bool = False
) -> _Totals:
    column = sql.Identifier(publication.period_column)
    sums = [sql.SQL("coalesce(sum({}), 0)::numeric").format(sql.Identifier(name)) for name in publication.sums]
    strangers = sql.SQL("count(*) FILTER (WHERE {} IS DISTINCT FROM {})").format(column, publication.period)
    where = sql.SQL("WHERE {} = {}").format(column, publication.period) if only_period else sql.SQL("")
    row = session.execute(
        sql.SQL("SELECT {} FROM {} {}").format(
            sql.SQL(", ").join([sql.SQL("count(*)"), strangers, *sums]), relation, where
        )
    ).fetchone()
    count, elsewhere, *added = row or ()
    return _Totals(count, dict(zip(publication.sums, added, strict=True)), elsewhere)


def _ledger_entry(session: psycopg.Connection, table: str, period: str) -> LedgerEntry | None:
    row = session.execute(
        "SELECT delta_table_id, delta_version, row_count, sums::text, published_at FROM publish_ledger"
        " WHERE table_name = %s AND period = %s",
        [table, period],
    ).fetchone()
    if row is None:
        return None
    table_id, version, rows, sums, published_at = row
    return LedgerEntry(
        delta_table_id=table_id,
        delta_version=version,
        rows=rows,
        sums={name: Decimal(value) for name, value in json.loads(sums).items()},
        published_at=published_at,
    )


def _write_ledger(session: psycopg.Connection, publication: _Publication) -> None:
    sums = json.dumps({name: str(value) for name, value in publication.sums.items()})  # text: exact in every reader
    session.execute(
        "INSERT INTO publish_ledger"
        " (table_name, period, delta_table_id, delta_version, row_count, sums, published_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp())"
        " ON CONFLICT (table_name, period) DO UPDATE SET"
        " delta_table_id = excluded.delta_table_id, delta_version = excluded.delta_version,"
        " row_count = excluded.row_count, sums = excluded.sums, published_at = excluded.published_at",
        [
            publication.contract.name,
            publication.period,
            publication.delta_table_id,
            publication.delta_version,
            publication.rows,
            sums,
        ],
    )
