"""Published periods that are closed: PostgreSQL refuses what would change a row of one, from whomever it comes."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from resources.postgres import PostgresConnection, PostgresError, assert_can_close, closed_periods, read_ledger_entry
from resources.postgres.publishing import ensure_tables
from telecom_assets.billing.tables import CORRECTION_DOCUMENTS as DOCUMENTS
from telecom_assets.billing.tables import FACTURATION_COMPLETE as BILLS
from telecom_assets_tests.resources.test_postgres import OTHER_PERIOD, PERIOD, bills, publish, start, wait_for_waiting

_TABLE = BILLS.name


@pytest.fixture
def connection(postgres_dsn: str) -> PostgresConnection:
    """A database in which PERIOD is closed with three bills, and OTHER_PERIOD is not, with one."""
    connection = PostgresConnection(postgres_dsn)
    publish(connection, bills(1, "1.00", OTHER_PERIOD), 1, period=OTHER_PERIOD)
    publish(connection, bills(3, "5.00"), 1)
    publish(connection, bills(3), 2, closes=True)
    return connection


@pytest.fixture
def session(connection: PostgresConnection, postgres_dsn: str) -> Iterator[psycopg.Connection]:
    """Somebody who owns the tables and has not heard of this project."""
    with psycopg.connect(postgres_dsn, autocommit=True) as session:
        yield session


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE {_TABLE} SET amount_due = 0 WHERE customer_id = '212600000001'",
        f"UPDATE {_TABLE} SET billing_period = '{OTHER_PERIOD}', holder_no = 7 WHERE customer_id = '212600000001'",
        f"UPDATE {_TABLE} SET billing_period = '{PERIOD}', holder_no = 7 WHERE billing_period = '{OTHER_PERIOD}'",
        f"DELETE FROM {_TABLE}",
        f"TRUNCATE {_TABLE}",
        f"INSERT INTO {_TABLE} SELECT (jsonb_populate_record(kept, '{{\"holder_no\": 7}}')).* FROM {_TABLE} AS kept",
        "UPDATE publish_ledger SET delta_version = 1",
        "DELETE FROM publish_ledger",
        "TRUNCATE publish_ledger",
        "DELETE FROM closed_periods",
        "UPDATE closed_periods SET period = '2020-01'",
        "TRUNCATE closed_periods",
    ],
)
def test_what_would_change_a_closed_period_is_refused(session: psycopg.Connection, statement: str) -> None:
    """Rows that go, come, or change; its row in the ledger; the list itself."""
    rows = f"SELECT sum(hashtextextended(kept::text, 0)) FROM {_TABLE} AS kept"
    before = session.execute(rows).fetchone()
    with pytest.raises(psycopg.DatabaseError, match="closed") as refused:
        session.execute(statement)
    assert refused.value.sqlstate == "TC001"
    assert session.execute(rows).fetchone() == before


def test_open_periods_are_written_as_ever(session: psycopg.Connection, connection: PostgresConnection) -> None:
    """By strangers, and by publishing, which replaces rows and the ledger's."""
    session.execute(f"UPDATE {_TABLE} SET amount_due = 0 WHERE billing_period = '{OTHER_PERIOD}'")
    session.execute(f"DELETE FROM {_TABLE} WHERE billing_period = '{OTHER_PERIOD}'")
    assert publish(connection, bills(2, "2.00", OTHER_PERIOD), 3, period=OTHER_PERIOD).inserted == 2
    assert closed_periods(connection, _TABLE) == [PERIOD]


def test_a_close_that_is_repeated_changes_nothing(connection: PostgresConnection) -> None:
    """The same rows, also of a later version of the table; others are refused, from the close too."""
    entry = read_ledger_entry(connection, _TABLE, PERIOD)
    again = publish(connection, bills(3), 5, closes=True)
    assert (again.published, again.deleted, again.inserted) == (True, 0, 0)
    with pytest.raises(
        PostgresError, match=f"facturation_complete of {PERIOD} is closed, and its rows stay as they are"
    ):
        publish(connection, bills(4), 6, closes=True)
    with pytest.raises(PostgresError, match=f"{PERIOD} is closed"):
        publish(connection, bills(3), 6)
    with pytest.raises(PostgresError, match=f"{PERIOD} is closed"):
        publish(connection, bills(3), 1, table_id="another warehouse")
    assert read_ledger_entry(connection, _TABLE, PERIOD) == entry


def test_a_period_without_rows_is_closed_too(connection: PostgresConnection) -> None:
    """Nothing can be published into it afterwards."""
    publish(connection, bills(0), 1, period="2025-04", closes=True)
    with pytest.raises(PostgresError, match="2025-04 is closed"):
        publish(connection, bills(1, period="2025-04"), 2, period="2025-04")
    assert closed_periods(connection, _TABLE) == ["2025-04", PERIOD]


def test_asking_whether_a_period_can_be_closed_changes_nothing(postgres_dsn: str, session: psycopg.Connection) -> None:
    """In an empty database, and where a period was closed; who lacks a right is told so."""
    relations = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    triggers = "SELECT tgrelid::regclass::text, tgname FROM pg_trigger"
    statements = (
        relations,
        triggers,
        f"SELECT * FROM {_TABLE}",
        "SELECT * FROM publish_ledger",
        "SELECT * FROM closed_periods",
    )

    def everything() -> list[list[tuple[Any, ...]]]:
        return [sorted(session.execute(each).fetchall(), key=str) for each in statements]

    before = everything()
    for period in (PERIOD, OTHER_PERIOD):
        assert_can_close(PostgresConnection(postgres_dsn), [BILLS, DOCUMENTS], period)
    assert everything() == before
    session.execute(f"REVOKE DELETE ON {_TABLE} FROM CURRENT_USER")
    with pytest.raises(PostgresError, match=f"permission denied for table {_TABLE}"):
        assert_can_close(PostgresConnection(postgres_dsn), [DOCUMENTS, BILLS], OTHER_PERIOD)
    session.execute(f"GRANT DELETE ON {_TABLE} TO CURRENT_USER")
    assert_can_close(PostgresConnection(postgres_dsn), [DOCUMENTS, BILLS], OTHER_PERIOD)


def test_asking_of_an_empty_database_makes_no_table(postgres_dsn: str) -> None:
    connection = PostgresConnection(postgres_dsn)
    assert_can_close(connection, [BILLS, DOCUMENTS], PERIOD)
    with connection.session("looking") as session:
        assert (
            session.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchall() == []
        )


def test_who_asks_of_two_tables_waits_for_a_publisher_of_the_second(
    connection: PostgresConnection, session: psycopg.Connection, postgres_dsn: str
) -> None:
    """A publisher writes its table, then the ledger: it is not held up by whoever waits for the table."""
    with connection.session("making the second table") as making:
        ensure_tables(connection, making, DOCUMENTS, closes=True)
    with psycopg.connect(postgres_dsn) as publisher:
        publisher.execute(f"DELETE FROM {DOCUMENTS.name} WHERE billing_period = '{OTHER_PERIOD}'")
        asked = start(lambda: assert_can_close(connection, [BILLS, DOCUMENTS], PERIOD, 30))
        wait_for_waiting(session)
        publisher.execute("SET LOCAL lock_timeout = '5s'")
        publisher.execute(f"UPDATE publish_ledger SET delta_version = 9 WHERE period = '{OTHER_PERIOD}'")
    asked.result(30)


def test_a_close_that_fails_leaves_the_period_open(connection: PostgresConnection) -> None:
    """Rows that do not add up: nothing is on the list."""
    with pytest.raises(PostgresError, match="expected 9"):
        publish(connection, bills(1, period=OTHER_PERIOD), 4, period=OTHER_PERIOD, closes=True, expected_rows=9)
    assert closed_periods(connection, _TABLE) == [PERIOD]
