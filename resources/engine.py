"""The DataFrame engine: one Spark Connect session a process, whichever engine answers it.

Belongs here: which engine runs, how its session is made and set up. Does not belong here: table reads and writes
(`resources.warehouse`), what the embedded engine gets wrong (`resources.sail_quirks`), rules.
"""

import json
import logging
import os
import re
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from resources import sail_quirks
from resources.expected_errors import ExpectedError
from resources.other_users import other_users_warning
from resources.private_members import do_not_clean_up_ml, make_active, never_forget
from resources.s3 import hadoop_path
from resources.stack_state import read_stack_state
from resources.temporary import is_ours, process_folder

# Expressions are made before a session is: without this, pyspark would want a JVM for them.
os.environ.setdefault("SPARK_CONNECT_MODE_ENABLED", "1")

log = logging.getLogger(__name__)


class EngineUnavailable(ExpectedError):
    """No engine can be reached. The message says which, and what to do."""


_lock = threading.Lock()
#: By address and settings: a session's settings are its own.
_sessions: dict[tuple[object, ...], SparkSession] = {}
_sail_server: Any = None

_SESSION_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # Spark's own default, INT96, has no statistics in a file.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Delta on Spark counts the retention from a version's own commit, and would refuse versions that are older. In this
    # warehouse the retention begins when another version takes its place, and maintenance removes versions from the log when
    # theirs has passed: every version that can be opened has its files.
    "spark.databricks.delta.vacuum.enforceTimeTravelWithinDeletedFileRetentionDuration": "false",
}
#: Debugging of DataFrames is off: with it every expression looks up the caller's line, and IPython. Set for the embedded
#: engine alone: to Apache Spark it is a static setting of the server, which a session cannot change.
_SAIL_SETTINGS = {"spark.python.sql.dataFrameDebugging.enabled": "false"}

#: Folders for the rows that the embedded engine's queries cannot hold in memory, a JSON list. The user's setting, or else a
#: folder of this process.
_SPILLS = "SAIL_RUNTIME__TEMPORARY_FILES__PATHS"

#: The most kept rows that are broadcast in a join: some hundred megabytes.
_SENT_TO_ALL_ROWS = 1_000_000


@dataclass(frozen=True)
class SparkEngine:
    """Spark Connect, whichever engine answers: `engine.spark_session` is the process's one session with its settings.

    kind: `sail` starts the embedded engine inside this process on first use; `spark` talks to `remote`, or to the
    local stack's Spark Connect server when `remote` is not set. memory_mb: the memory that all queries of the embedded
    engine may hold together, MiB; the first engine of a process decides. Beyond it, sorting and grouping use files; a query
    that can use none fails with a message that says so. It knows nothing of Dagster, which has it as `EngineResource`.
    """

    kind: Literal["sail", "spark"] = "sail"
    remote: str | None = field(default=None, repr=False)  # with its token
    stack_file: str | None = None
    memory_mb: int | None = None
    spark_config: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """The engine in force: an address implies Apache Spark."""
        return "spark" if self.remote else self.kind

    @property
    def shuffles(self) -> bool:
        """Whether a join sends rows between processes: then computing a result again may be cheaper than joining with it."""
        return self.name == "spark"

    @property
    def spark_session(self) -> SparkSession:
        """The session. Raises EngineUnavailable with what to do when the engine cannot be reached."""
        with _lock:
            address = self._address()
            key = (address, *sorted(self.spark_config.items()))
            session = _sessions.get(key)
            if session is None or session.is_stopped:  # type: ignore[attr-defined]
                session = _sessions[key] = _connect(self.name, address, self.spark_config)
            return session

    def start_early(self) -> None:
        """Open the session in a thread while the caller does something else. The caller gets an error on first use."""

        def start() -> None:
            with suppress(EngineUnavailable):
                _ = self.spark_session

        threading.Thread(target=start, daemon=True).start()

    def keep(self, rows: DataFrame) -> DataFrame:
        """The same rows, computed once now and kept for the queries that follow: for few rows that many queries need."""
        make_active(rows.sparkSession)
        kept = rows.localCheckpoint()
        never_forget(kept)
        # Apache Spark estimates as many kept rows as there were rows in their source, and would shuffle both sides of a join.
        few = self.shuffles and kept.count() <= _SENT_TO_ALL_ROWS
        return F.broadcast(kept) if few else kept

    def _address(self) -> str:
        if self.name == "sail":
            return _sail_address(self.memory_mb)
        remote = self.remote
        if remote is None and self.stack_file is not None:
            state = read_stack_state(self.stack_file).spark
            remote = state.remote if state else None
        if remote is None:
            raise EngineUnavailable(
                "ENGINE=spark needs a Spark Connect server: start the local one with `ENGINE=spark telecom up`, "
                "or set SPARK_REMOTE=sc://host:port"
            )
        return remote


def readable_path(engine: SparkEngine, path: str) -> str:
    """The path as the engine can read it: Hadoop has its own name for S3, the embedded engine needs a plain one."""
    if engine.name == "spark":
        return hadoop_path(path)
    if "://" in path or not sail_quirks.encodes_wrongly(path):
        return path
    with _lock:
        return sail_quirks.plain_link(path, _temporary_folder)


def _temporary_folder() -> str:
    """A new private folder, gone with the process, in a path that no engine needs to encode."""
    configured = tempfile.gettempdir()
    return process_folder("/tmp" if sail_quirks.encodes_wrongly(configured) else configured)  # noqa: S108  (it is private)


def _sail_address(memory_mb: int | None) -> str:
    global _sail_server  # noqa: PLW0603  (one server a process)
    if _sail_server is None:
        bounds = {} if memory_mb is None else _memory_bounds(memory_mb)
        for name, value in {**sail_quirks.ENVIRONMENT, **bounds}.items():
            os.environ.setdefault(name, value)
        # Always a folder of this process: an inherited one is removed when the process that made it ends.
        os.environ["SAIL_EXECUTION__CHECKPOINT__PATH"] = Path(_temporary_folder()).as_uri()
        # Rows that a query cannot hold in memory go to a folder of this process too: in the system's temporary folder the files
        # of a killed process would stay for ever.
        spills = os.environ.get(_SPILLS, "[]")
        if spills == "[]" or any(is_ours(path) for path in re.findall(r'[^"]+', spills)):
            os.environ[_SPILLS] = json.dumps([process_folder()])
        from pysail.spark import SparkConnectServer  # noqa: PLC0415  (only where it is used: 0.2 s)

        if (others := other_users_warning()) is not None:
            log.warning("%s", others)
        server = SparkConnectServer("127.0.0.1", 0)
        server.start(background=True)
        _sail_server = server
    host, port = _sail_server.listening_address
    return f"sc://{host}:{port}"


def _memory_bounds(memory_mb: int) -> dict[str, str]:
    """The embedded engine's settings for a pool that no operator takes whole."""
    return {
        "SAIL_RUNTIME__MEMORY_POOL__TYPE": "fair",
        "SAIL_RUNTIME__MEMORY_POOL__FAIR__MAX_SIZE": str(memory_mb * 2**20),
    }


def _connect(name: str, address: str, extra: Mapping[str, Any]) -> SparkSession:
    # Parameters behind the address are not shown: one of them may be a token.
    shown, _, parameters = address.partition("/;")
    try:
        session: SparkSession = SparkSession.builder.remote(address).create()
        for key, value in {**_SESSION_SETTINGS, **(_SAIL_SETTINGS if name == "sail" else {}), **extra}.items():
            session.conf.set(key, str(value))
        session.range(1).count()
        do_not_clean_up_ml(session)
    except PySparkException as error:
        reason = str(error).splitlines()[0][:200]
        for parameter in parameters.split(";"):
            value = parameter.partition("=")[2] or parameter
            reason = reason.replace(value, "…") if value else reason
        raise EngineUnavailable(
            f"engine {name} at {shown} does not answer ({reason}); check SPARK_REMOTE, or run `telecom status`"
        ) from error
    log.debug("engine %s at %s", name, shown)
    return session
