"""PostgreSQL for real: connecting, reading, the customers table, and publishing under crashes and in company."""

import datetime as dt
import re
import socket
import struct
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from psycopg import conninfo
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from resources.postgres import (
    PostgresConnection,
    PostgresError,
    PostgresUnavailable,
    PublishMismatch,
    PublishResult,
    TableDrift,
    TableMissing,
    UpsertCounts,
    create_customers_table,
    dated_columns,
    follow_contract,
    publish_period,
    published_totals,
    read_customers,
    read_ledger_entry,
    read_table,
    upsert_customers,
)
from telecom_assets.billing.tables import FACTURATION_COMPLETE as BILLS
from telecom_assets.model.columns import VALIDITY
from telecom_assets.reference.customer_import import ALLOWED_VALUES, CUSTOMER_ID_PATTERN
from telecom_assets.reference.tables import CUSTOMER_LIST

#: Runs SQL, and returns the rows of a query.
Execute = Callable[..., list[tuple[Any, ...]]]
T = TypeVar("T")


@pytest.fixture
def connection(postgres_dsn: str) -> PostgresConnection:
    return PostgresConnection(postgres_dsn)


@pytest.fixture
def execute(postgres_dsn: str) -> Iterator[Execute]:
    """Run SQL as somebody else, each statement committed; returns the rows of a query."""
    with psycopg.connect(postgres_dsn, autocommit=True, application_name="test") as session:

        def run(statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
            cursor = session.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

        yield run


# -- connecting ------------------------------------------------------------------------------------------------------

SECRET = "s3cr3t"  # noqa: S105


def everything_shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://me:{SECRET}@127.0.0.1:1/bills",
        f"host=127.0.0.1 port=1 user=me password={SECRET} dbname=bills",
    ],
)
def test_a_refused_connection_names_the_address_and_the_remedy(dsn: str) -> None:
    connection = PostgresConnection(dsn, retry_seconds=0)
    assert repr(connection) == "PostgresConnection(127.0.0.1:1/bills)"
    with pytest.raises(PostgresUnavailable) as raised:
        connection.connect()
    assert "PostgreSQL at 127.0.0.1:1/bills cannot be reached" in str(raised.value)
    assert "Connection refused" in str(raised.value)
    assert "`telecom up`" in str(raised.value)
    assert "TELECOM_POSTGRES_DSN" in str(raised.value)
    assert SECRET not in everything_shown(raised.value) + repr(connection)


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://me:{SECRET}@127.0.0.1:x/bills",
        f"postgresql://me:a/{SECRET}@127.0.0.1/bills",
        f"postgresql://me:a@{SECRET}@127.0.0.1/bills",
        f"postgresql://me:a@{SECRET}/b@127.0.0.1/bills",
        f"postgresql://me:a@b?{SECRET}@127.0.0.1/bills",
        f"postgresq://me:{SECRET}@127.0.0.1/bills",
        f"host=127.0.0.1 password=a {SECRET}",
        f"host=127.0.0.1 passwort={SECRET}",
    ],
)
def test_a_connection_string_that_cannot_be_read_is_not_quoted(dsn: str) -> None:
    connection = PostgresConnection(dsn, retry_seconds=0)
    with pytest.raises(
        PostgresUnavailable, match="TELECOM_POSTGRES_DSN cannot be read; expected postgresql://"
    ) as raised:
        connection.connect()
    assert SECRET not in everything_shown(raised.value) + repr(connection)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"password": SECRET}, "password authentication failed"),
        ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
    ],
)
def test_what_the_server_refuses_is_told(postgres_dsn: str, changes: dict[str, str], message: str) -> None:
    given = conninfo.conninfo_to_dict(postgres_dsn)
    connection = PostgresConnection(conninfo.make_conninfo(postgres_dsn, **changes))
    with pytest.raises(PostgresUnavailable, match=message) as raised:
        connection.connect()
    assert connection.address in str(raised.value)
    assert SECRET not in everything_shown(raised.value)
    assert str(given["password"]) not in everything_shown(raised.value)


class RefusingServer(threading.Thread):
    """Answers every connection with one PostgreSQL error, and counts them."""

    def __init__(self, sqlstate: str, text: str) -> None:
        super().__init__(daemon=True)
        fields = b"SFATAL\0VFATAL\0C" + sqlstate.encode() + b"\0M" + text.encode() + b"\0\0"
        self.answer = b"E" + struct.pack("!i", len(fields) + 4) + fields
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.dsn = f"postgresql://me:{SECRET}@127.0.0.1:{self.listener.getsockname()[1]}/bills?sslmode=disable"

    def run(self) -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                client, _ = self.listener.accept()
                with client:
                    self.connections += 1
                    client.recv(4096)
                    client.sendall(self.answer)


@contextmanager
def refusing_server(sqlstate: str, text: str) -> Iterator[RefusingServer]:
    server = RefusingServer(sqlstate, text)
    server.start()
    try:
        yield server
    finally:
        server.listener.close()


@pytest.mark.thorough
def test_a_server_that_is_starting_up_is_tried_again() -> None:
    text = "the database system is starting up"
    with refusing_server("57P03", text) as server, pytest.raises(PostgresUnavailable, match=text):
        PostgresConnection(server.dsn, retry_seconds=0.5).connect()
    assert server.connections > 1


@pytest.mark.parametrize("sqlstate", ["28P01", "53300", "3D000"])
def test_any_other_refusal_is_final(sqlstate: str) -> None:
    text = "sorry, too many clients already"
    with refusing_server(sqlstate, text) as server, pytest.raises(PostgresUnavailable, match=text):
        PostgresConnection(server.dsn, retry_seconds=60).connect()
    assert server.connections == 1


def test_a_server_that_comes_up_meanwhile_is_found(postgres_dsn: str) -> None:
    """The port refuses at first; then the real server is behind it."""
    given = conninfo.conninfo_to_dict(postgres_dsn)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound but not listening: refused
        dsn = conninfo.make_conninfo(**(given | {"port": listener.getsockname()[1]}))
        attempts: list[None] = []

        class Watched(PostgresConnection):
            def _connect_once(self) -> psycopg.Connection:
                attempts.append(None)
                if len(attempts) == 3:
                    listener.listen()
                    threading.Thread(target=forward, args=[listener, given], daemon=True).start()
                return super()._connect_once()

        with Watched(dsn, retry_seconds=30).connect() as session:
            assert session.execute("SELECT 1").fetchone() == (1,)
        assert len(attempts) == 3


def forward(listener: socket.socket, given: dict[str, Any]) -> None:
    client, _ = listener.accept()
    server = socket.create_connection((given["host"], int(given["port"])))
    for source, sink in ((client, server), (server, client)):
        threading.Thread(target=copy_bytes, args=[source, sink], daemon=True).start()


def copy_bytes(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):  # either end may close first
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_a_session_is_explicit_about_transactions_and_time(postgres_dsn: str) -> None:
    connection = PostgresConnection(conninfo.make_conninfo(postgres_dsn, options="-c TimeZone=Africa/Casablanca"))
    with connection.connect() as session:
        assert session.autocommit
        shown = session.execute(
            "SELECT current_setting('TimeZone'), current_setting('application_name'),"
            " current_setting('client_encoding'), timestamptz '2025-06-01 12:00+01'::text"
        ).fetchone()
    assert shown == ("UTC", "telecom_assets", "UTF8", "2025-06-01 11:00:00+00")


def test_a_failing_statement_is_told_with_the_work(connection: PostgresConnection) -> None:
    with (
        pytest.raises(PostgresError, match='failed while counting sheep: relation "sheep" does not exist') as raised,
        connection.session("counting sheep") as session,
    ):
        session.execute("SELECT count(*) FROM sheep")
    assert connection.address in str(raised.value)
    assert not isinstance(raised.value, PostgresUnavailable)


def test_a_session_that_the_server_ends_is_told(connection: PostgresConnection, execute: Execute) -> None:
    with (
        pytest.raises(PostgresUnavailable, match="went away while counting sheep"),
        connection.session("counting sheep") as session,
    ):
        execute("SELECT pg_terminate_backend(%s)", [session.info.backend_pid])
        session.execute("SELECT 1")


# -- reading ---------------------------------------------------------------------------------------------------------

SHEEP = pa.schema(
    {
        "name": pa.string(),
        "wool": pa.decimal128(18, 6),
        "lambs": pa.int64(),
        "ear_tag": pa.int32(),
        "born": pa.date32(),
        "seen": pa.timestamp("us", "UTC"),
        "black": pa.bool_(),
    }
)


@pytest.fixture
def sheep(execute: Execute) -> None:
    execute(
        "CREATE TABLE sheep (name varchar, wool numeric, lambs bigint, ear_tag int, born date, seen timestamptz,"
        " black boolean, shepherd text)"
    )


def test_every_type_and_every_odd_text_comes_back(
    connection: PostgresConnection, execute: Execute, sheep: None
) -> None:
    execute(
        "INSERT INTO sheep VALUES ('a', 1.5, 9007199254740993, 1, '2024-02-29', '2024-02-29 12:00:00.000001+01', true),"
        " ('', -999999999999.999999, -1, -1, '0001-01-01', '1970-01-01 00:00+00', false),"
        " (NULL, NULL, NULL, NULL, NULL, NULL, NULL),"
        " (E'two\\nlines, \"quoted\"', 0, 0, 0, '9999-12-31', '2024-01-01', true),"
        " ('\\.', 0, 0, 0, '2024-01-01', '2024-01-01', true), ('NULL', 0, 0, 0, '2024-01-01', '2024-01-01', true)"
    )
    rows = read_table(connection, "sheep", SHEEP)
    assert rows.schema == SHEEP
    first, second, third, *others = rows.to_pylist()
    assert first == {
        "name": "a",
        "wool": Decimal("1.5"),
        "lambs": 9007199254740993,
        "ear_tag": 1,
        "born": dt.date(2024, 2, 29),
        "seen": dt.datetime(2024, 2, 29, 11, 0, 0, 1, dt.UTC),
        "black": True,
    }
    assert (second["name"], second["wool"]) == ("", Decimal("-999999999999.999999"))
    assert set(third.values()) == {None}
    assert [row["name"] for row in others] == ['two\nlines, "quoted"', "\\.", "NULL"]


def test_rows_are_ordered_by_code_point(connection: PostgresConnection, execute: Execute, sheep: None) -> None:
    execute('ALTER TABLE sheep ALTER COLUMN name TYPE varchar COLLATE "unicode"')  # as in a database made for people
    execute("INSERT INTO sheep (name) VALUES ('é'), ('b'), ('B'), ('a'), ('z')")
    names = read_table(connection, "sheep", SHEEP, order_by=["name"])["name"].to_pylist()
    assert names == sorted(names) == ["B", "a", "b", "z", "é"]


def test_an_empty_table_has_its_schema(connection: PostgresConnection, sheep: None) -> None:
    rows = read_table(connection, "sheep", SHEEP, order_by=["name"])
    assert (rows.num_rows, rows.schema) == (0, SHEEP)


def test_nulls_of_a_single_column_are_rows(connection: PostgresConnection, execute: Execute, sheep: None) -> None:
    execute("INSERT INTO sheep (name) VALUES (NULL), (''), (NULL)")
    assert read_table(connection, "sheep", pa.schema({"name": pa.string()}))["name"].to_pylist() == [None, "", None]


def test_more_than_one_block_is_read(connection: PostgresConnection, execute: Execute, sheep: None) -> None:
    execute("INSERT INTO sheep (name, lambs) SELECT repeat('é\n', 50), n FROM generate_series(1, 60000) AS n")
    rows = read_table(connection, "sheep", SHEEP, order_by=["lambs"])
    assert rows["lambs"].to_pylist() == list(range(1, 60001))
    assert pc.unique(rows["name"]).to_pylist() == ["é\n" * 50]


@pytest.mark.parametrize("value", ["0.0000001", "1e12", "'NaN'", "'Infinity'"])
def test_a_number_that_does_not_fit_is_refused_not_rounded(
    connection: PostgresConnection, execute: Execute, sheep: None, value: str
) -> None:
    execute(f"INSERT INTO sheep (wool) VALUES ({value})")
    with pytest.raises(PostgresError, match=r"table sheep at .* holds a value that does not fit"):
        read_table(connection, "sheep", SHEEP)


def test_a_missing_table_or_column_is_told(connection: PostgresConnection, sheep: None) -> None:
    with pytest.raises(TableMissing, match="table goats does not exist at "):
        read_table(connection, "goats", SHEEP)
    with pytest.raises(PostgresError, match='column "horns" does not exist; expected the columns name, horns'):
        read_table(connection, "sheep", pa.schema({"name": pa.string(), "horns": pa.int32()}))


# -- customers -------------------------------------------------------------------------------------------------------


def customers(*numbers: int, **values: object) -> pa.Table:
    row = {
        "customer_name": "Aïcha",
        "subscription_type": "postpaid",
        "rate_plan_id": "PLAN_A",
        "activation_date": dt.date(2024, 1, 1),
        "status": "active",
        "region": "Souss-Massa",
    }
    return pa.Table.from_pylist(
        [{"customer_id": f"2126{number:08}", **row, **values} for number in numbers],
        schema=CUSTOMER_LIST.arrow_schema(),
    )


def create(connection: PostgresConnection) -> bool:
    return create_customers_table(
        connection, CUSTOMER_LIST, allowed=ALLOWED_VALUES, patterns={"customer_id": CUSTOMER_ID_PATTERN}
    )


def test_the_table_is_made_once(connection: PostgresConnection, execute: Execute) -> None:
    assert create(connection)
    assert not create(connection)
    assert execute("SELECT obj_description('customers'::regclass)") == [(CUSTOMER_LIST.grain,)]
    assert execute("SELECT col_description('customers'::regclass, 7)") == [(CUSTOMER_LIST.column("region").doc,)]


def test_many_may_make_it_at_once(connection: PostgresConnection) -> None:
    with ThreadPoolExecutor(6) as pool:
        barrier = threading.Barrier(6)
        made = list(pool.map(lambda _: (barrier.wait(timeout=30), create(connection))[1], range(6)))
    assert sorted(made) == [False] * 5 + [True]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("customer_id", "212500000001"),
        ("customer_id", "2126000000011"),
        ("customer_id", "212600000001\n"),
        ("customer_name", " "),
        ("subscription_type", "Postpaid"),
        ("rate_plan_id", ""),
        ("rate_plan_id", None),
        ("activation_date", "infinity"),
        ("status", "gone"),
        ("region", ""),
    ],
)
def test_nobody_can_store_a_bad_customer(
    connection: PostgresConnection, execute: Execute, column: str, value: str | None
) -> None:
    create(connection)
    upsert_customers(connection, CUSTOMER_LIST, customers(1))
    with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.NotNullViolation)):
        execute(f"UPDATE customers SET {column} = %s", [value])


def test_an_upsert_counts_what_it_did_and_leaves_equal_rows_alone(
    connection: PostgresConnection, execute: Execute
) -> None:
    create(connection)
    assert upsert_customers(connection, CUSTOMER_LIST, customers(1, 2, 3)) == UpsertCounts(3, 0, 0)
    before = execute("SELECT customer_id, xmin::text, ctid::text, updated_at FROM customers ORDER BY 1")
    assert upsert_customers(connection, CUSTOMER_LIST, customers(1, 2, 3)) == UpsertCounts(0, 0, 3)
    assert execute("SELECT customer_id, xmin::text, ctid::text, updated_at FROM customers ORDER BY 1") == before

    mixed = pa.concat_tables([customers(1, 4), customers(2, region="Oriental")])
    assert upsert_customers(connection, CUSTOMER_LIST, mixed) == UpsertCounts(1, 1, 1)
    stored = {row["customer_id"]: row["region"] for row in read_customers(connection, CUSTOMER_LIST).to_pylist()}
    assert stored == {
        "212600000001": "Souss-Massa",
        "212600000002": "Oriental",
        "212600000003": "Souss-Massa",
        "212600000004": "Souss-Massa",
    }
    changed = execute(
        "SELECT customer_id FROM customers WHERE updated_at > %s AND customer_id < '212600000004'", [before[0][3]]
    )
    assert changed == [("212600000002",)]


def test_updated_at_is_kept_for_a_change_by_hand(connection: PostgresConnection, execute: Execute) -> None:
    create(connection)
    upsert_customers(connection, CUSTOMER_LIST, customers(1))
    [(before,)] = execute("SELECT updated_at FROM customers")
    execute("UPDATE customers SET status = status")
    assert execute("SELECT updated_at FROM customers") == [(before,)]
    execute("UPDATE customers SET status = 'terminated'")
    [(after,)] = execute("SELECT updated_at FROM customers")
    assert after > before


def test_an_upsert_is_all_or_nothing(connection: PostgresConnection, execute: Execute) -> None:
    create(connection)
    rows = pa.concat_tables([customers(1), customers(2, status="gone")])
    with pytest.raises(PostgresError, match='violates check constraint "status_is_known"'):
        upsert_customers(connection, CUSTOMER_LIST, rows)
    with pytest.raises(PostgresError, match="two of the rows have the same customer_id"):
        upsert_customers(connection, CUSTOMER_LIST, customers(3, 3))
    assert execute("SELECT count(*) FROM customers") == [(0,)]


def test_customers_are_read_in_order_and_in_their_schema(connection: PostgresConnection) -> None:
    create(connection)
    upsert_customers(connection, CUSTOMER_LIST, customers(3, 1, 2))
    assert read_customers(connection, CUSTOMER_LIST).equals(customers(1, 2, 3))


def test_without_a_table_the_remedy_is_told(connection: PostgresConnection) -> None:
    message = r"table customers does not exist at .*: create and fill it with `telecom customers import FILE\.csv`"
    with pytest.raises(TableMissing, match=message):
        read_customers(connection, CUSTOMER_LIST)
    with pytest.raises(TableMissing, match=message):
        upsert_customers(connection, CUSTOMER_LIST, customers(1))


def test_an_empty_table_is_no_list_of_customers(connection: PostgresConnection) -> None:
    """Whoever reads it while it is being filled, or reads another table than was meant, is told so."""
    create(connection)
    with pytest.raises(PostgresError, match=r"table customers at .* is empty, expected at least one .*import"):
        read_customers(connection, CUSTOMER_LIST)


def test_a_customers_table_of_ones_own_is_used_as_it_is(connection: PostgresConnection, execute: Execute) -> None:
    execute(
        "CREATE TABLE customers (region varchar(60), status varchar(10), activation_date timestamp, vip boolean,"
        " rate_plan_id varchar, subscription_type varchar, customer_name varchar, customer_id varchar(12) PRIMARY KEY)"
    )
    assert not create(connection)
    assert upsert_customers(connection, CUSTOMER_LIST, customers(1, 2)) == UpsertCounts(2, 0, 0)
    assert upsert_customers(connection, CUSTOMER_LIST, customers(1, 2)) == UpsertCounts(0, 0, 2)
    assert read_customers(connection, CUSTOMER_LIST).equals(customers(1, 2))


def test_a_customers_table_with_dates_is_read_with_them(connection: PostgresConnection, execute: Execute) -> None:
    create(connection)
    upsert_customers(connection, CUSTOMER_LIST, customers(1))
    assert dated_columns(connection, CUSTOMER_LIST, VALIDITY) == []
    assert read_customers(connection, CUSTOMER_LIST, VALIDITY).equals(customers(1))
    execute("ALTER TABLE customers ADD valid_from date DEFAULT '2026-05-01'")
    with pytest.raises(PostgresError, match=r"has valid_from without valid_to; expected both columns, .* or neither"):
        read_customers(connection, CUSTOMER_LIST, VALIDITY)
    execute("ALTER TABLE customers ADD valid_to date")
    assert dated_columns(connection, CUSTOMER_LIST, VALIDITY) == ["valid_from", "valid_to"]
    [row] = read_customers(connection, CUSTOMER_LIST, VALIDITY).to_pylist()
    assert (row["valid_from"], row["valid_to"]) == (dt.date(2026, 5, 1), None)
    assert read_customers(connection, CUSTOMER_LIST).equals(customers(1))


def test_where_there_is_no_table_there_are_no_dates(connection: PostgresConnection) -> None:
    assert dated_columns(connection, CUSTOMER_LIST, VALIDITY) == []


def test_a_customers_table_that_cannot_be_used_is_told(connection: PostgresConnection, execute: Execute) -> None:
    columns = [f"{name} text" for name in CUSTOMER_LIST.column_names if name != "region"]
    execute(f"CREATE TABLE customers ({', '.join(columns)})")
    with pytest.raises(
        TableDrift, match=r"no column region \(text\); run `ALTER TABLE customers ADD COLUMN region text`"
    ):
        create(connection)
    execute("ALTER TABLE customers ADD COLUMN region text, ALTER COLUMN activation_date TYPE date USING NULL")
    with pytest.raises(
        PostgresError, match=r"no primary key; run `ALTER TABLE customers ADD PRIMARY KEY \(customer_id\)`"
    ):
        upsert_customers(connection, CUSTOMER_LIST, customers(1))


# -- publishing ------------------------------------------------------------------------------------------------------

PERIOD, OTHER_PERIOD = "2025-05", "2025-06"
MONEY = list(BILLS.money)


def bills(rows: int = 3, amount: str = "10.00", period: str = PERIOD) -> pa.Table:
    """Bills of customers 0 … rows-1, each of this amount before tax."""
    value = Decimal(amount)
    figures = {
        column.name: value if column.name in ("voice_total", "amount_before_tax", "after_discount", "amount_due") else 0
        for column in BILLS.columns
    }
    texts = {
        "region": "Fès-Meknès",
        "rate_plan_id": "PLAN_A",
        "currency": "MAD",
        "status": "draft",
        "billing_period": period,
    }
    return pa.Table.from_pylist(
        [{**figures, **texts, "customer_id": f"2126{number:08}"} for number in range(rows)],
        schema=BILLS.arrow_schema(),
    )


def sums_of(table: pa.Table) -> dict[str, Decimal]:
    return {name: pc.sum(table[name]).as_py() or Decimal(0) for name in MONEY}


def publish(
    connection: PostgresConnection,
    table: pa.Table,
    version: int,
    *,
    period: str = PERIOD,
    table_id: str = "delta",
    batches: Iterable[pa.RecordBatch] | None = None,
    **changes: Any,
) -> PublishResult:
    """Publish the table's rows (or `batches`) under this version; `changes` are other arguments of publish_period."""
    arguments: dict[str, Any] = {"expected_rows": table.num_rows, "expected_sums": sums_of(table)} | changes
    return publish_period(
        connection,
        BILLS,
        period,
        batches if batches is not None else table.to_batches(),
        delta_table_id=table_id,
        delta_version=version,
        **arguments,
    )


def published(connection: PostgresConnection, period: str = PERIOD) -> tuple[int, Decimal]:
    """Rows and amount due that a reader sees for the period."""
    rows, sums = published_totals(connection, BILLS, period, ["amount_due"])
    return rows, sums["amount_due"]


@contextmanager
def blocked_before_commit(postgres_dsn: str, period: str = PERIOD) -> Iterator[psycopg.Connection]:
    """Inside, whoever publishes the period stops at its ledger row: everything written, nothing committed."""
    with psycopg.connect(postgres_dsn, autocommit=True, application_name="test") as session:
        session.execute(
            "CREATE OR REPLACE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NEW; END'"
        )
        session.execute(
            "CREATE OR REPLACE TRIGGER gate BEFORE INSERT OR UPDATE ON publish_ledger FOR EACH ROW"
            f" WHEN (NEW.period = '{period}') EXECUTE FUNCTION wait_at_gate()"
        )
        session.execute("SELECT pg_advisory_lock(4711)")
        yield session
        session.execute("SELECT pg_advisory_unlock_all()")


def wait_for_waiting(session: psycopg.Connection, count: int = 1) -> list[int]:
    """Wait until so many of the project's sessions wait for a lock; returns their process ids."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'telecom_assets' AND datname = current_database()"
        " AND wait_event_type = 'Lock'"
    )
    polling = Retrying(
        retry=retry_if_result(lambda pids: len(pids) != count), stop=stop_after_delay(60), wait=wait_fixed(0.01)
    )
    return polling(lambda: [pid for (pid,) in session.execute(query).fetchall()])


def start(work: Callable[[], T]) -> Future[T]:
    """Run in a thread that does not keep a failing test from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def test_a_period_is_published_whole_typed_and_with_its_ledger_row(
    connection: PostgresConnection, execute: Execute
) -> None:
    table = bills(5, "10.10")
    result = publish(connection, table, 7)
    assert (result.outcome, result.rows, result.deleted, result.inserted) == ("published", 5, 0, 5)
    assert read_table(connection, "facturation_complete", BILLS.arrow_schema(), order_by=["customer_id"]).equals(table)
    columns = execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'facturation_complete'::regclass AND attnum > 0"
    )
    types = {column[0]: column[1] for column in columns}
    assert list(types) == BILLS.column_names
    assert (types["amount_due"], types["rounding_difference"]) == ("numeric(18,2)", "numeric(18,6)")
    assert (types["customer_id"], types["voice_count"]) == ("text", "bigint")
    assert execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'facturation_complete'::regclass AND contype = 'p'"
    ) == [("PRIMARY KEY (billing_period, customer_id, holder_no)",)]
    entry = read_ledger_entry(connection, "facturation_complete", PERIOD)
    assert entry is not None
    assert (entry.delta_table_id, entry.delta_version, entry.rows) == ("delta", 7, 5)
    assert entry.sums == sums_of(table)
    assert published_totals(connection, BILLS, PERIOD, MONEY) == (5, sums_of(table))


def test_only_the_period_is_replaced(connection: PostgresConnection) -> None:
    publish(connection, bills(4, "1.00", OTHER_PERIOD), 1, period=OTHER_PERIOD)
    publish(connection, bills(3, "10.00"), 1)
    publish(connection, bills(2, "20.00"), 2)
    assert published(connection) == (2, Decimal("40.00"))
    assert published(connection, OTHER_PERIOD) == (4, Decimal("4.00"))


def test_an_empty_period_can_be_published(connection: PostgresConnection) -> None:
    publish(connection, bills(3), 1)
    assert publish(connection, bills(0), 2, batches=[]).rows == 0
    assert published(connection) == (0, Decimal(0))


def test_the_same_version_again_writes_no_row(connection: PostgresConnection, execute: Execute) -> None:
    publish(connection, bills(), 1)
    before = execute("SELECT customer_id, xmin::text, ctid::text FROM facturation_complete ORDER BY 1")
    again = publish(connection, bills(), 1)
    assert (again.outcome, again.deleted, again.inserted) == ("published", 0, 0)
    assert execute("SELECT customer_id, xmin::text, ctid::text FROM facturation_complete ORDER BY 1") == before


def test_the_same_version_again_repairs_what_somebody_did(connection: PostgresConnection, execute: Execute) -> None:
    publish(connection, bills(), 1)
    execute("DELETE FROM facturation_complete WHERE customer_id = '212600000000'")
    execute("UPDATE facturation_complete SET amount_due = 0 WHERE customer_id = '212600000001'")
    execute("UPDATE facturation_complete SET customer_id = 'stranger' WHERE customer_id = '212600000002'")
    result = publish(connection, bills(), 1)
    assert (result.outcome, result.deleted, result.inserted) == ("published", 2, 3)
    assert read_table(connection, "facturation_complete", BILLS.arrow_schema(), order_by=["customer_id"]).equals(
        bills()
    )


def test_an_older_version_changes_nothing(connection: PostgresConnection) -> None:
    publish(connection, bills(3, "20.00"), 5)
    result = publish(connection, bills(9, "1.00"), 4)
    assert (result.outcome, result.published, result.rows, result.delta_version) == ("stale", False, 3, 5)
    assert result.sums == sums_of(bills(3, "20.00"))
    assert published(connection) == (3, Decimal("60.00"))


def test_another_delta_table_replaces_whatever_its_version(connection: PostgresConnection) -> None:
    publish(connection, bills(3, "20.00"), 5)
    assert publish(connection, bills(2, "1.00"), 0, table_id="rebuilt").published
    assert published(connection) == (2, Decimal("2.00"))
    entry = read_ledger_entry(connection, "facturation_complete", PERIOD)
    assert entry is not None
    assert (entry.delta_table_id, entry.delta_version) == ("rebuilt", 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expected_rows": 4}, "rows: expected 4, given 3"),
        (
            {"expected_sums": sums_of(bills(3, "20.00")) | {"amount_due": Decimal("60.01")}},
            "sum of amount_due: expected 60.01, given 60.00",
        ),
        (
            {"batches": [*bills(2, "20.00").to_batches(), *bills(3, "20.00", OTHER_PERIOD).slice(2).to_batches()]},
            "1 rows of another billing_period",
        ),
    ],
)
def test_rows_that_do_not_add_up_are_rolled_back(
    connection: PostgresConnection, changes: dict[str, Any], message: str
) -> None:
    publish(connection, bills(3, "10.00"), 1)
    with pytest.raises(PublishMismatch) as raised:
        publish(connection, bills(3, "20.00"), 2, **changes)
    assert message in str(raised.value)
    assert "facturation_complete of 2025-05 was not published" in str(raised.value)
    assert published(connection) == (3, Decimal("30.00"))
    entry = read_ledger_entry(connection, "facturation_complete", PERIOD)
    assert entry is not None
    assert entry.delta_version == 1


def test_a_table_that_alters_its_rows_is_rolled_back(connection: PostgresConnection, execute: Execute) -> None:
    publish(connection, bills(3, "10.00"), 1)
    execute(
        "CREATE FUNCTION discount() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN NEW.amount_due := NEW.amount_due - 1; RETURN NEW; END'"
    )
    execute("CREATE TRIGGER discount BEFORE INSERT ON facturation_complete FOR EACH ROW EXECUTE FUNCTION discount()")
    with pytest.raises(PublishMismatch, match=r"sum of amount_due: expected 60\.00, in the table 57\.00"):
        publish(connection, bills(3, "20.00"), 2)
    assert published(connection) == (3, Decimal("30.00"))


def test_two_bills_of_one_customer_are_refused(connection: PostgresConnection) -> None:
    publish(connection, bills(3, "10.00"), 1)
    with pytest.raises(PostgresError, match="duplicate key value violates unique constraint"):
        publish(connection, pa.concat_tables([bills(2, "20.00"), bills(1, "20.00")]), 2)
    with pytest.raises(PublishMismatch, match="rows: expected 3, in the table 2"):
        publish(connection, pa.concat_tables([bills(2), bills(1)]), 2)
    assert published(connection) == (3, Decimal("30.00"))


def test_a_publisher_that_fails_while_its_rows_come_leaves_the_old_ones(connection: PostgresConnection) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield from bills(2, "20.00").to_batches()
        raise RuntimeError("the warehouse is on fire")

    publish(connection, bills(3, "10.00"), 1)
    with pytest.raises(RuntimeError, match="on fire"):
        publish(connection, bills(3, "20.00"), 2, batches=failing())
    assert published(connection) == (3, Decimal("30.00"))
    assert publish(connection, bills(3, "20.00"), 2).published


def test_a_crash_before_the_commit_leaves_the_old_rows(connection: PostgresConnection, postgres_dsn: str) -> None:
    publish(connection, bills(3, "10.00"), 1)
    with blocked_before_commit(postgres_dsn) as gate:
        crashing = start(lambda: publish(connection, bills(4, "20.00"), 2))
        [pid] = wait_for_waiting(gate)
        gate.execute("SELECT pg_terminate_backend(%s)", [pid])
        with pytest.raises(PostgresUnavailable, match="went away while publishing facturation_complete of 2025-05"):
            crashing.result(timeout=60)
    assert published(connection) == (3, Decimal("30.00"))
    entry = read_ledger_entry(connection, "facturation_complete", PERIOD)
    assert entry is not None
    assert entry.delta_version == 1
    assert publish(connection, bills(4, "20.00"), 2).published
    assert published(connection) == (4, Decimal("80.00"))


def test_a_reader_sees_the_old_rows_until_the_commit(connection: PostgresConnection, postgres_dsn: str) -> None:
    publish(connection, bills(3, "10.00"), 1)
    with blocked_before_commit(postgres_dsn) as gate:
        writing = start(lambda: publish(connection, bills(4, "20.00"), 2))
        wait_for_waiting(gate)
        assert published(connection) == (3, Decimal("30.00"))
    assert writing.result(timeout=60).published
    assert published(connection) == (4, Decimal("80.00"))


def test_readers_never_see_a_mixture(connection: PostgresConnection, postgres_dsn: str) -> None:
    versions = [bills(50, f"{amount}.00") for amount in (1, 2)]
    publish(connection, versions[1], 0)
    done = threading.Event()

    def read() -> set[tuple[Any, ...] | None]:
        seen = set()
        with psycopg.connect(postgres_dsn, autocommit=True) as session:
            while not done.is_set():
                seen.add(session.execute("SELECT count(*), sum(amount_due) FROM facturation_complete").fetchone())
        return seen

    reading = [start(read) for _ in range(2)]
    for version in range(1, 11):
        publish(connection, versions[version % 2], version)
    done.set()
    seen = set().union(*(one.result(timeout=60) for one in reading))
    assert seen <= {(50, Decimal("50.00")), (50, Decimal("100.00"))}
    assert seen


def test_a_stale_publisher_that_wakes_late_does_nothing(connection: PostgresConnection) -> None:
    """It stops while its rows come; meanwhile a newer version is published."""
    publish(connection, bills(3, "10.00"), 1)
    staging, wake = threading.Event(), threading.Event()

    def slowly() -> Iterator[pa.RecordBatch]:
        staging.set()
        assert wake.wait(timeout=60)
        yield from bills(3, "20.00").to_batches()

    sleeper = start(lambda: publish(connection, bills(3, "20.00"), 2, batches=slowly()))
    assert staging.wait(timeout=60)
    assert publish(connection, bills(4, "30.00"), 3).published
    wake.set()
    result = sleeper.result(timeout=60)
    assert (result.outcome, result.delta_version, result.rows) == ("stale", 3, 4)
    assert published(connection) == (4, Decimal("120.00"))


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
@pytest.mark.parametrize(("first", "second", "outcome"), [(2, 3, "published"), (3, 2, "stale")])
def test_of_two_publishers_at_once_the_newer_version_stays(
    postgres_dsn: str, isolation: str, first: int, second: int, outcome: str
) -> None:
    """The second one waits for the first, whatever isolation the server gives by default, and sees what it did."""
    level = isolation.replace(" ", "\\ ")
    connection = PostgresConnection(
        conninfo.make_conninfo(postgres_dsn, options=f"-c default_transaction_isolation={level}")
    )
    publish(connection, bills(3, "10.00"), 1)
    with blocked_before_commit(postgres_dsn) as gate:
        one = start(lambda: publish(connection, bills(first, "10.00"), first))
        wait_for_waiting(gate, 1)
        other = start(lambda: publish(connection, bills(second, "10.00"), second))
        wait_for_waiting(gate, 2)
    assert one.result(timeout=60).outcome == "published"
    assert other.result(timeout=60).outcome == outcome
    assert published(connection) == (3, Decimal("30.00"))
    entry = read_ledger_entry(connection, "facturation_complete", PERIOD)
    assert entry is not None
    assert (entry.delta_version, entry.rows) == (3, 3)


def test_periods_do_not_wait_for_each_other(connection: PostgresConnection, postgres_dsn: str) -> None:
    publish(connection, bills(3, "10.00"), 1)
    with blocked_before_commit(postgres_dsn, PERIOD) as gate:
        blocked = start(lambda: publish(connection, bills(3, "20.00"), 2))
        wait_for_waiting(gate)
        other = bills(2, "5.00", OTHER_PERIOD)
        assert publish(connection, other, 2, period=OTHER_PERIOD, lock_timeout_seconds=10).published
        assert not blocked.done()
    assert blocked.result(timeout=60).published


def test_waiting_for_another_publisher_has_an_end(connection: PostgresConnection, postgres_dsn: str) -> None:
    publish(connection, bills(3, "10.00"), 1)
    with blocked_before_commit(postgres_dsn) as gate:
        blocked = start(lambda: publish(connection, bills(3, "20.00"), 2))
        wait_for_waiting(gate)
        with pytest.raises(PostgresError, match="gave up publishing facturation_complete of 2025-05: another session"):
            start(lambda: publish(connection, bills(3), 3, lock_timeout_seconds=0.05)).result(timeout=60)
        gate.execute("SELECT pg_advisory_unlock_all()")
        assert blocked.result(timeout=60).published
    assert published(connection) == (3, Decimal("60.00"))


def test_many_may_publish_into_an_empty_database_at_once(connection: PostgresConnection) -> None:
    periods = [f"2025-{month:02}" for month in range(1, 7)]
    barrier = threading.Barrier(len(periods))

    def work(period: str) -> PublishResult:
        barrier.wait(timeout=60)
        return publish(connection, bills(2, "1.00", period), 1, period=period)

    with ThreadPoolExecutor(len(periods)) as pool:
        assert all(result.published for result in pool.map(work, periods))
    assert [published(connection, period) for period in periods] == [(2, Decimal("2.00"))] * len(periods)


def test_a_period_that_the_statistics_do_not_know_is_republished_quickly(postgres_dsn: str, execute: Execute) -> None:
    """Estimated at one row, the period used to be compared with the stage row by row: minutes at this size."""
    connection = PostgresConnection(conninfo.make_conninfo(postgres_dsn, options="-c statement_timeout=10s"))
    publish(connection, bills(100, "1.00", OTHER_PERIOD), 1, period=OTHER_PERIOD)
    execute("ALTER TABLE facturation_complete SET (autovacuum_enabled = off)")
    execute("ANALYZE facturation_complete")
    many = bills(60_000, "1.00")
    publish(connection, many, 1)
    assert publish(connection, many, 2).inserted == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("DROP COLUMN sms_total", r"no column sms_total \(numeric\(18,2\)\)"),
        ("ALTER COLUMN tax TYPE numeric(18,1)", r"column tax is numeric\(18,1\), expected numeric\(18,2\)"),
        (
            "DROP CONSTRAINT facturation_complete_pkey",
            r"its primary key is not \(billing_period, customer_id, holder_no\)",
        ),
    ],
)
def test_a_table_that_has_drifted_is_told_with_the_statement_that_mends_it(
    connection: PostgresConnection, execute: Execute, damage: str, message: str
) -> None:
    publish(connection, bills(3, "10.00"), 1)
    execute(f"ALTER TABLE facturation_complete {damage}")
    with pytest.raises(TableDrift, match=message) as raised:
        publish(connection, bills(3, "20.00"), 2)
    remedy = re.search("`(ALTER TABLE .*)`", str(raised.value))
    assert remedy is not None
    execute(remedy[1])
    assert publish(connection, bills(3, "20.00"), 2).published
    assert published(connection) == (3, Decimal("60.00"))


def test_a_column_of_the_readers_own_is_left_alone(connection: PostgresConnection, execute: Execute) -> None:
    publish(connection, bills(3, "10.00"), 1)
    execute("ALTER TABLE facturation_complete ADD COLUMN paid boolean NOT NULL DEFAULT false")
    execute("UPDATE facturation_complete SET paid = true")
    publish(connection, bills(4, "10.00"), 2)
    assert execute("SELECT paid FROM facturation_complete ORDER BY customer_id") == [(True,)] * 3 + [(False,)]


def test_totals_of_what_was_never_published(connection: PostgresConnection) -> None:
    with pytest.raises(TableMissing, match=r"facturation_complete does not exist at .*: nothing was published yet"):
        published_totals(connection, BILLS, PERIOD, MONEY)
    assert read_ledger_entry(connection, "facturation_complete", PERIOD) is None
    publish(connection, bills(), 1)
    assert published_totals(connection, BILLS, OTHER_PERIOD, MONEY) == (0, dict.fromkeys(MONEY, Decimal(0)))
    assert read_ledger_entry(connection, "facturation_complete", OTHER_PERIOD) is None


def test_only_a_table_with_a_period_can_be_published(connection: PostgresConnection) -> None:
    with pytest.raises(ValueError, match="has no period column"):
        publish_period(
            connection,
            replace(BILLS, partition_by=None),
            PERIOD,
            [],
            delta_table_id="delta",
            delta_version=1,
            expected_rows=0,
            expected_sums={},
        )


# -- a published table of an earlier version -------------------------------------------------------------------------


def test_a_published_table_follows_its_contract_and_keeps_its_rows(
    connection: PostgresConnection, execute: Execute
) -> None:
    """It has fewer digits than the contract, and lacks a column that may be empty; bills are published into it again."""
    assert follow_contract(connection, BILLS) == [], "publishing makes it"
    publish(connection, bills(), 1)
    execute("ALTER TABLE facturation_complete ALTER COLUMN amount_due TYPE numeric(9,2), DROP COLUMN currency")
    drifts = ["column amount_due is numeric(9,2), expected numeric(18,2)", "no column currency (text)"]
    with pytest.raises(TableDrift, match=re.escape(drifts[0])):
        publish(connection, bills(), 2)
    assert sorted(follow_contract(connection, BILLS, dry_run=True)) == sorted(drifts)
    assert sorted(follow_contract(connection, BILLS)) == sorted(drifts)
    assert published(connection) == (3, Decimal("30.00"))
    assert follow_contract(connection, BILLS) == []
    assert publish(connection, bills(), 2).published


def test_a_published_table_gets_the_key_of_its_contract(connection: PostgresConnection, execute: Execute) -> None:
    """It has one bill a number, as before anybody asked for holders; its rows are of the first one."""
    publish(connection, bills(), 1)
    execute(
        "ALTER TABLE facturation_complete DROP CONSTRAINT facturation_complete_pkey, DROP COLUMN holder_no,"
        " ADD CONSTRAINT one_bill PRIMARY KEY (billing_period, customer_id)"
    )
    drifts = [
        "no column holder_no (integer)",
        "its primary key is not (billing_period, customer_id, holder_no)",
    ]
    with pytest.raises(TableDrift, match=re.escape(", ".join(drifts))):
        publish(connection, bills(), 2)
    assert follow_contract(connection, BILLS, {"holder_no": "1"}, dry_run=True) == drifts
    assert follow_contract(connection, BILLS, {"holder_no": "1"}) == drifts
    assert execute("SELECT holder_no, count(*) FROM facturation_complete GROUP BY 1") == [(1, 3)]
    assert follow_contract(connection, BILLS) == []
    assert publish(connection, bills(), 2).published


def test_a_table_that_cannot_follow_is_told(connection: PostgresConnection, execute: Execute) -> None:
    """Somebody's view reads the column."""
    publish(connection, bills(), 1)
    execute("ALTER TABLE facturation_complete ALTER COLUMN amount_due TYPE numeric(9,2)")
    execute("CREATE VIEW due AS SELECT amount_due FROM facturation_complete")
    with pytest.raises(
        PostgresError, match=r"failed while altering facturation_complete: cannot alter type of a column used by a view"
    ):
        follow_contract(connection, BILLS)
