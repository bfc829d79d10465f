"""Class path, options and environment of every JVM of Apache Spark.

The JVMs are started directly: Spark's own launchers require a Java module that the runtime from pip does not have.

Belongs here: the common part of a Connect server, a master and a worker. Does not belong here: which of them run, and their
configuration (`spark`).
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from resources.s3 import S3Storage
from telecom_assets.local_stack.errors import LocalStackError
from telecom_assets.local_stack.jvm import fetch_jars, java_environment
from telecom_assets.local_stack.service import Report

JAVA_VERSIONS = (17, 21)
#: An option that Spark gives to every JVM that it starts itself; the runtime from pip does not have the module.
_LACKING_MODULE = "--add-modules=jdk.incubator.vector"
_DELTA = ("io.delta:delta-spark_4.1_2.13:4.3.0",)
#: The Hadoop that pyspark brings, and the AWS SDK that it was built with: the modules that S3A loads, 10 MB, instead of
#: the bundle of all services, 600 MB.
_HADOOP, _AWS = "3.4.2", "2.29.52"
_AWS_MODULES = (
    *("annotations", "apache-client", "arns", "auth", "aws-core", "aws-query-protocol", "aws-xml-protocol"),
    *("checksums", "checksums-spi", "crt-core", "endpoints-spi", "http-auth", "http-auth-aws"),
    *("http-auth-aws-eventstream", "http-auth-spi", "http-client-spi", "identity-spi", "json-utils", "metrics-spi"),
    *("netty-nio-client", "profiles", "protocol-core", "regions", "retries", "retries-spi", "s3"),
    *("s3-transfer-manager", "sdk-core", "sts", "third-party-jackson-core", "utils"),
)
_S3 = (
    f"org.apache.hadoop:hadoop-aws:{_HADOOP}",
    *(f"software.amazon.awssdk:{module}:{_AWS}" for module in _AWS_MODULES),
    "software.amazon.eventstream:eventstream:1.0.1",
    "org.reactivestreams:reactive-streams:1.0.4",
)
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


def spark_home() -> Path:
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise LocalStackError("no Apache Spark: the package pyspark is not installed")
    home = Path(spec.origin).parent
    if not (home / "jars").is_dir():
        raise LocalStackError(f"{home}: has no jars/; install the full package (`pip install pyspark[connect]`)")
    return home


def spark_jars(title: str, report: Report, *, s3: bool) -> list[Path]:
    """The jars that Spark needs besides its own: Delta, and for S3 its client."""
    own = {re.sub(r"-\d[^/]*\.jar$", "", jar.name) for jar in (spark_home() / "jars").glob("*.jar")}
    jars = fetch_jars(_DELTA, title, report, exclude=own)
    if s3:
        jars += fetch_jars(_S3, title, report, exclude=own, transitive=False)
    return jars


def cluster_settings(s3: S3Storage | None) -> dict[str, str]:
    """The settings that a warehouse needs on any Apache Spark. Credentials are in the environment of its JVMs."""
    settings = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        # Delta's default of 50 makes small commits take 6-9 s.
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    }
    if s3 is not None:
        settings |= {f"spark.hadoop.{name}": value for name, value in s3.hadoop_properties().items()}
    return settings


def jvm_arguments(folder: Path, scratch: Path, memory_mb: int, jars: Sequence[Path]) -> list[str]:
    """Java's arguments up to the class that is run; logging is configured in `folder`."""
    log4j = folder / "log4j2.properties"
    log4j.write_text(_LOG4J, encoding="ascii")
    return [
        f"-Xmx{memory_mb}m",
        *_JAVA_OPTIONS,
        "-XX:-UsePerfData",
        "-Djava.awt.headless=true",
        "-Dfile.encoding=UTF-8",
        "-Duser.timezone=UTC",
        f"-Dlog4j2.configurationFile={log4j.as_uri()}",
        f"-Djava.io.tmpdir={scratch}",
        f"-Dderby.system.home={folder / 'derby'}",
        "-cp",
        os.pathsep.join([str(spark_home() / "jars" / "*"), *(str(jar) for jar in jars)]),
    ]


def spark_environment(more: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without variables that configure Spark, and with the path that its Python workers import from."""
    inherited = {key: value for key, value in java_environment().items() if not key.startswith(("SPARK_", "PYSPARK_"))}
    packages = []
    for package in ("resources", "telecom_assets"):
        spec = find_spec(package)
        for location in (spec.submodule_search_locations or []) if spec else []:
            packages.append(str(Path(location).parent))
    path = [*dict.fromkeys(packages), *filter(None, [os.environ.get("PYTHONPATH")])]
    return inherited | {
        "SPARK_HOME": str(spark_home()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "localhost",
        "SPARK_SCALA_VERSION": "2.13",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(path),
        **more,
    }


def forgiving_java_home(folder: Path, java: Path) -> Path:
    """A JAVA_HOME with which workers start executors: its `java` leaves out the option for the missing module."""
    program = folder / "java" / "bin" / "java"
    program.parent.mkdir(parents=True, exist_ok=True)
    quoted = str(java).replace("'", "'\\''")
    program.write_text(
        "#!/bin/sh\n"
        "for argument do\n"
        "  shift\n"
        f'  [ "$argument" = {_LACKING_MODULE} ] || set -- "$@" "$argument"\n'
        "done\n"
        f"exec '{quoted}' \"$@\"\n",
        encoding="utf-8",
    )
    program.chmod(0o700)
    return program.parents[1]
