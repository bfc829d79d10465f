"""Apache Spark of the local stack: one Connect server on loopback, with a token.

The JVM is started directly: Spark's own launcher insists on a Java module that the runtime from pip lacks. One server,
never one JVM per step: on a local file system two JVMs that write one Delta table can lose commits silently.
"""

import contextlib
import os
import re
import shutil
import sys
import threading
import uuid
from importlib.util import find_spec
from pathlib import Path
from signal import SIGKILL, SIGTERM

import psutil

from resources.stack_state import SparkState
from telecom_assets.local_stack.errors import LocalStackError
from telecom_assets.local_stack.jvm import fetch_jars, java_environment, java_program, write_arguments, write_properties
from telecom_assets.local_stack.layout import Kept, Layout
from telecom_assets.local_stack.processes import Command, ServerProcess
from telecom_assets.local_stack.service import NotReady, Report, Service

_JARS = ("io.delta:delta-spark_4.1_2.13:4.3.0",)
_JAVA_VERSIONS = (17, 21)
_OPENED = (
    *("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util"),
    *("java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs"),
    *("sun.security.action", "sun.util.calendar"),
)
_JAVA_OPTIONS = (  # org.apache.spark.launcher.JavaModuleOptions of Spark 4.1, without --add-modules
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
    "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-Djdk.reflect.useDirectMethodHandle=false",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.allocator.type=pooled",
    "-Dio.netty.handler.ssl.defaultEndpointVerificationAlgorithm=NONE",
)
_LOG4J = """\
status = WARN
shutdownHook = disable
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd HH:mm:ss.SSS}{UTC} %-5p %c{1}: %m%n%ex
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
logger.connect.name = org.apache.spark.sql.connect.service.SparkConnectServer
logger.connect.level = INFO
"""


class Spark(Service):
    """Apache Spark 4.1 with Delta 4.3 behind a Spark Connect address."""

    name = "spark"
    title = "Apache Spark"
    ready_seconds = 240
    stop_signals = ((SIGTERM, 20), (SIGKILL, 10))

    def __init__(self, layout: Layout, kept: Kept) -> None:
        super().__init__(layout, kept)
        self._java = Path()
        self._jars: list[Path] = []

    def entry(self) -> SparkState:
        # `localhost` by name: only for that name do clients send a token without TLS.
        return SparkState(remote=f"sc://localhost:{self.port}/;token={self.kept.value('spark_token')}")

    def prepare(self, report: Report) -> None:
        self._java = java_program(_JAVA_VERSIONS)
        own = {re.sub(r"-\d[^/]*\.jar$", "", jar.name) for jar in (_spark_home() / "jars").glob("*.jar")}
        self._jars = fetch_jars(_JARS, self.title, report, exclude=own)
        self.prepare_folder()
        self.kept.make("spark_token")

    def launch(self, cancel: threading.Event) -> ServerProcess:
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700)
        log4j = self.folder / "log4j2.properties"
        log4j.write_text(_LOG4J, encoding="ascii")
        properties = self.folder / "spark.properties"
        write_properties(properties, self._configuration())
        arguments = [
            f"-Xmx{_memory_gb()}g",
            *_JAVA_OPTIONS,
            "-XX:-UsePerfData",
            "-Djava.awt.headless=true",
            "-Dfile.encoding=UTF-8",
            "-Duser.timezone=UTC",
            f"-Dlog4j2.configurationFile={log4j.as_uri()}",
            f"-Djava.io.tmpdir={self._scratch}",
            f"-Dderby.system.home={self.folder / 'derby'}",
            "-cp",
            os.pathsep.join([str(_spark_home() / "jars" / "*"), *(str(jar) for jar in self._jars)]),
            "org.apache.spark.deploy.SparkSubmit",
            "--properties-file",
            str(properties),
            "--class",
            "org.apache.spark.sql.connect.service.SparkConnectServer",
            "spark-internal",
        ]
        argv: list[str | Path] = [self._java, write_arguments(self.folder / "spark.args", arguments)]
        return ServerProcess.start(Command(argv, self.folder, _environment()), self.log, self.record, cancel)

    def ask(self) -> None:
        """Open a session and ask for the version: that needs the token, the driver and the session's catalog."""
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

    def furnish(self) -> None:
        """Nothing: its tables live in the warehouse folder."""

    @property
    def _scratch(self) -> Path:
        return self.folder / "tmp"

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
            "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
            "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
            # Delta's default of 50 makes small commits take 6-9 s.
            "spark.databricks.delta.snapshotPartitions": 2,
            "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
            "spark.sql.shuffle.partitions": cores,
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.ansi.enabled": "true",
            "spark.pyspark.python": sys.executable,
            "spark.pyspark.driver.python": sys.executable,
        }


def _spark_home() -> Path:
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise LocalStackError("no Apache Spark: the package pyspark is not installed")
    home = Path(spec.origin).parent
    if not (home / "jars").is_dir():
        raise LocalStackError(f"{home}: has no jars/; install the full package (`pip install pyspark[connect]`)")
    return home


def _environment() -> dict[str, str]:
    """The caller's environment without what would steer Spark, and with what its Python workers import."""
    inherited = {key: value for key, value in java_environment().items() if not key.startswith(("SPARK_", "PYSPARK_"))}
    packages = []
    for package in ("resources", "telecom_assets"):
        spec = find_spec(package)
        for location in (spec.submodule_search_locations or []) if spec else []:
            packages.append(str(Path(location).parent))
    path = [*dict.fromkeys(packages), *filter(None, [os.environ.get("PYTHONPATH")])]
    return inherited | {
        "SPARK_HOME": str(_spark_home()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "localhost",
        "SPARK_SCALA_VERSION": "2.13",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(path),
    }


def _memory_gb() -> int:
    with contextlib.suppress(OSError):
        return 3 if psutil.virtual_memory().total >= 8 * 2**30 else 2
    return 2


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
