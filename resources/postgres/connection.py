"""The connection to PostgreSQL and the errors of this boundary.

Belongs here: how a session is opened, which failures are worth a retry, how a failure is told.
Does not belong here: SQL.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import IsolationLevel, conninfo
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from resources.expected_errors import ExpectedError

_EXPECTED_DSN = (
    "expected postgresql://user:password@host:port/database, special characters of the password percent-encoded "
    "(@ as %40, / as %2F), or a libpq string such as: host=… port=… dbname=… user=… password='…'"
)
#: Parts of a connection string that are told.
_ADDRESS = ("host", "hostaddr", "port", "dbname", "user")


class PostgresError(ExpectedError):
    """PostgreSQL did not do what was asked. The message names the server, the work and the reason; never a secret."""


class PostgresUnavailable(PostgresError):
    """PostgreSQL cannot be reached or went away. The message names host:port/database and what to do."""


@dataclass(frozen=True)
class PostgresConnection:
    """One database, by its libpq connection string or URL. Opens sessions; holds none.

    `dsn` holds the password and is never shown: not by `repr`, not in an error.
    `retry_seconds` is how long a server that refuses connections or is still starting up is waited for. `setting` is
    where its address comes from.
    """

    dsn: str = field(repr=False)
    retry_seconds: float = 4.0
    connect_timeout_seconds: int = 10
    setting: str = "TELECOM_POSTGRES_DSN"

    def __repr__(self) -> str:
        try:
            return f"PostgresConnection({self.address})"
        except PostgresUnavailable:
            return "PostgresConnection(unreadable connection string)"

    @property
    def address(self) -> str:
        """host:port/database, for people. Raises PostgresUnavailable when the connection string cannot be read."""
        parameters = self._parameters()
        host = parameters.get("host") or parameters.get("hostaddr") or os.environ.get("PGHOST") or "local socket"
        port = parameters.get("port") or os.environ.get("PGPORT") or "5432"
        database = parameters.get("dbname") or os.environ.get("PGDATABASE") or parameters.get("user") or "default"
        return f"{host}:{port}/{database}"

    def connect(self) -> psycopg.Connection:
        """Open a session: autocommit (a transaction is always explicit, READ COMMITTED), UTC, ISO dates, UTF-8.

        Raises PostgresUnavailable. Only a refused connection and a server that is starting up are tried again.
        """
        self._parameters()
        attempts = Retrying(
            retry=retry_if_exception(_may_come_up),
            stop=stop_after_delay(self.retry_seconds),
            wait=wait_exponential_jitter(multiplier=0.1, max=1.0, jitter=0.1),
            reraise=True,
        )
        try:
            return attempts(self._connect_once)
        except psycopg.Error as error:
            raise PostgresUnavailable(
                f"PostgreSQL at {self.address} cannot be reached ({self._redacted(_reason(error))}); {self._what_to_do}"
            ) from None

    @contextmanager
    def session(self, doing: str) -> Iterator[psycopg.Connection]:
        """A session for one piece of work, closed at its end. `doing` completes "PostgreSQL failed while …".

        Turns every psycopg error into PostgresError (PostgresUnavailable when the server went away).
        """
        connection = self.connect()
        try:
            yield connection
        except psycopg.errors.LockNotAvailable as error:
            raise PostgresError(
                f"PostgreSQL at {self.address}: gave up {doing}: another session holds a lock on it for too long; "
                "see pg_stat_activity and pg_locks, end that session or wait, and try again"
            ) from error
        except psycopg.Error as error:
            if connection.broken or isinstance(error, psycopg.errors.AdminShutdown):
                raise PostgresUnavailable(
                    f"PostgreSQL at {self.address} went away while {doing} ({_reason(error)}); {self._what_to_do}"
                ) from error
            raise PostgresError(f"PostgreSQL at {self.address} failed while {doing}: {_reason(error)}") from error
        finally:
            connection.close()

    def _connect_once(self) -> psycopg.Connection:
        timeout = self._parameters().get("connect_timeout") or self.connect_timeout_seconds
        connection = psycopg.connect(
            self.dsn,
            autocommit=True,
            prepare_threshold=None,  # a pooler in transaction mode does not know our prepared statements
            application_name="telecom_assets",
            client_encoding="UTF8",
            connect_timeout=timeout,
        )
        # Whatever the server's default: who waits for a lock has to see what its holder did.
        connection.isolation_level = IsolationLevel.READ_COMMITTED
        try:
            connection.execute("SET TIME ZONE 'UTC'; SET datestyle = 'ISO, YMD'")
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def _what_to_do(self) -> str:
        return f"start it (`telecom up` for the local one) or set {self.setting} to your own"

    def _redacted(self, reason: str) -> str:
        """A reason without what the connection string holds besides the address: libpq quotes what it cannot use."""
        for name, value in self._parameters().items():
            if name not in _ADDRESS:
                reason = reason.replace(f'"{value}"', '"…"')
        return reason

    def _parameters(self) -> dict[str, str | int | None]:
        """The connection string, taken apart. An unreadable one is never quoted: it may hold the password anywhere."""
        try:
            parameters = conninfo.conninfo_to_dict(self.dsn)
        except psycopg.ProgrammingError:
            raise PostgresUnavailable(f"{self.setting} cannot be read; {_EXPECTED_DSN}") from None
        # An unencoded @ or / in a password makes libpq take the rest of it for the host, port or database.
        host, port, database = (str(parameters.get(name) or "") for name in ("host", "port", "dbname"))
        if "@" in host + database or not (port or "5432").replace(",", "").isdigit():
            raise PostgresUnavailable(f"{self.setting} cannot be read; {_EXPECTED_DSN}")
        return parameters


def _may_come_up(error: BaseException) -> bool:
    """A refused connection, or "the database system is starting up" (in recovery mode, not yet accepting …).

    By the text, for libpq tells a failed connection no other way; PQping would tell, but holds Python's lock meanwhile.
    """
    message = str(error)
    return isinstance(error, psycopg.OperationalError) and (
        "Connection refused" in message or "the database system is " in message
    )


def _reason(error: psycopg.Error) -> str:
    """One line: the server's primary message, with its detail where that holds no row; else libpq's text."""
    if primary := error.diag.message_primary:
        detail = error.diag.message_detail if isinstance(error, psycopg.errors.UniqueViolation) else None
        return f"{primary} ({detail})" if detail else primary
    return " ".join(str(error).split()) or type(error).__name__
