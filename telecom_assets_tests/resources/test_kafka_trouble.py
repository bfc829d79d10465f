"""Why Kafka cannot be used: one sentence each, from what librdkafka says beside the request that timed out."""

import datetime as dt
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from socket import socket
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from resources.kafka import KafkaConnection, KafkaUnavailable, Watermarks
from resources.kafka_producer import MessageProducer
from resources.kafka_trouble import Heard, trouble

#: Enough for librdkafka to be refused, not enough for anybody to wait.
SECONDS = 1.5


def message_of(
    connection: KafkaConnection, ask: Callable[[KafkaConnection], object] = KafkaConnection.topic_state
) -> str:
    """What is said of a connection, in one line."""
    with pytest.raises(KafkaUnavailable) as caught:
        ask(connection)
    assert "\n" not in str(caught.value)
    return str(caught.value)


TLS_WANTED = {"security.protocol": "SASL_SSL"}
WRONG = {"sasl.password": "a wrong one"}


def other(kafka: KafkaConnection, options: Mapping[str, str], servers: str | None = None) -> KafkaConnection:
    """The same connection with other options, and perhaps another address."""
    return KafkaConnection(servers or kafka.bootstrap_servers, kafka.topic, {**kafka.options, **options}, SECONDS)


# -- the real broker -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask", [KafkaConnection.topic_state, KafkaConnection.topic_id, MessageProducer], ids=["state", "id", "producer"]
)
def test_a_wrong_password_says_so(kafka_connection: KafkaConnection, ask: Callable[[KafkaConnection], object]) -> None:
    assert message_of(other(kafka_connection, WRONG), ask) == (
        f"Kafka at {kafka_connection.bootstrap_servers} cannot be used (it refuses the login: SASL authentication error: "
        "Authentication failed: Invalid username or password); check sasl.username, sasl.password and sasl.mechanism in "
        "TELECOM_KAFKA_OPTIONS"
    )


def test_another_mechanism_says_which_the_broker_has(kafka_connection: KafkaConnection) -> None:
    said = message_of(other(kafka_connection, {"sasl.mechanism": "SCRAM-SHA-256"}))
    assert "it refuses the login: SASL SCRAM-SHA-256 mechanism handshake failed" in said
    assert "supported mechanisms: PLAIN)" in said
    assert "check sasl.username, sasl.password and sasl.mechanism" in said


def test_a_broker_that_wants_a_login_and_gets_none(kafka_connection: KafkaConnection) -> None:
    stranger = KafkaConnection(kafka_connection.bootstrap_servers, kafka_connection.topic, {}, SECONDS)
    assert message_of(stranger) == (
        f"Kafka at {kafka_connection.bootstrap_servers} cannot be used (it closes the connection unanswered, as one that "
        "wants TLS or a login does); check security.protocol in TELECOM_KAFKA_OPTIONS"
    )


def test_tls_to_a_port_without_it(kafka_connection: KafkaConnection) -> None:
    assert message_of(other(kafka_connection, TLS_WANTED)) == (
        f"Kafka at {kafka_connection.bootstrap_servers} cannot be used (it does not speak TLS at this port); check the "
        "port in TELECOM_KAFKA_BOOTSTRAP_SERVERS and security.protocol in TELECOM_KAFKA_OPTIONS"
    )


def test_of_several_addresses_the_one_that_explains_it_is_named(kafka_connection: KafkaConnection) -> None:
    servers = f"no-such-host.invalid:9092,127.0.0.1:1,{kafka_connection.bootstrap_servers}"
    said = message_of(other(kafka_connection, WRONG, servers))
    assert f"({kafka_connection.bootstrap_servers}: it refuses the login:" in said


def test_what_a_client_heard_is_not_said_of_the_next(kafka_connection: KafkaConnection) -> None:
    """The password was wrong, and is mended; then the topic goes: only that is said."""
    connection = other(kafka_connection, WRONG)
    assert "refuses the login" in message_of(connection)
    connection.options = {**kafka_connection.options}
    assert connection.topic_state().topic_id == kafka_connection.topic_id()
    connection.topic = "no-such-topic"
    assert message_of(connection).startswith("Kafka topic 'no-such-topic' does not exist")


# -- other ends of the line ----------------------------------------------------------------------------------------------


def test_nobody_listens(kafka_connection: KafkaConnection) -> None:
    assert message_of(other(kafka_connection, {}, "127.0.0.1:1")) == (
        "Kafka at 127.0.0.1:1 cannot be used (nothing listens there: Connection refused); start it (`telecom up` for the "
        "local one) or check TELECOM_KAFKA_BOOTSTRAP_SERVERS"
    )


def test_a_host_that_nobody_knows(kafka_connection: KafkaConnection) -> None:
    said = message_of(other(kafka_connection, {}, "no-such-host.invalid:9092"))
    assert said.startswith(
        "Kafka at no-such-host.invalid:9092 cannot be used (its host is not known: Failed to resolve "
        "'no-such-host.invalid:9092'"
    )
    assert said.endswith("; check TELECOM_KAFKA_BOOTSTRAP_SERVERS")


def test_one_that_accepts_and_never_answers(kafka_connection: KafkaConnection) -> None:
    with socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said = message_of(other(kafka_connection, {}, f"127.0.0.1:{silent.getsockname()[1]}"))
    assert "cannot be used (it does not answer within 1.5 s); start it" in said


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[int]:
    """A port that speaks TLS, with a certificate for `localhost` that no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def shake_hands() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return  # the test is over
                try:
                    with context.wrap_socket(client, server_side=True) as tls:
                        tls.recv(1)
                except OSError:
                    client.close()

        threading.Thread(target=shake_hands, daemon=True).start()
        yield listening.getsockname()[1]


def test_a_certificate_that_no_known_authority_signed(kafka_connection: KafkaConnection, tls_port: int) -> None:
    assert message_of(other(kafka_connection, TLS_WANTED, f"localhost:{tls_port}")) == (
        f"Kafka at localhost:{tls_port} cannot be used (its certificate cannot be verified: no known authority signed it, "
        "or it is for another host name); let ssl.ca.location in TELECOM_KAFKA_OPTIONS name the authority's certificate, and "
        "TELECOM_KAFKA_BOOTSTRAP_SERVERS the host as the certificate does"
    )


def test_no_tls_to_a_port_with_it(kafka_connection: KafkaConnection, tls_port: int) -> None:
    said = message_of(other(kafka_connection, {}, f"localhost:{tls_port}"))
    assert "it closes the connection unanswered, as one that wants TLS or a login does" in said


# -- which of many is said: pure -------------------------------------------------------------------------------------------

LOGIN = (KafkaError._AUTHENTICATION, "sasl_ssl://b:2/bootstrap: SASL no (after 300ms in state AUTH_REQ)")
TLS = (KafkaError._SSL, "ssl://b:2/1: SSL handshake failed: odd (after 3ms in state SSL_HANDSHAKE)")
REFUSED = (
    KafkaError._TRANSPORT,
    "ssl://a:1/1: Connect to ipv4#1.2.3.4:1 failed: Connection refused (after 0ms in state UP)",
)
UNKNOWN = (KafkaError._RESOLVE, "ssl://a:1/1: Failed to resolve 'a:1': unknown (after 0ms in state CONNECT)")
DOWN = (KafkaError._ALL_BROKERS_DOWN, "2/2 brokers are down")


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ([LOGIN, DOWN, REFUSED, TLS], "it refuses the login: SASL no"),
        ([DOWN, REFUSED, TLS, REFUSED, DOWN], "TLS fails: SSL handshake failed: odd"),
        ([DOWN, UNKNOWN, REFUSED, DOWN], "its host is not known: Failed to resolve 'a:1': unknown"),
        ([DOWN, REFUSED, DOWN], "nothing listens there: Connection refused"),
        ([DOWN], "it closes the connection unanswered, as one that wants TLS or a login does"),
        ([], "it does not answer within 3 s"),
    ],
)
def test_what_explains_most_is_said(errors: list[tuple[int, str]], reason: str) -> None:
    heard = Heard()
    for code, text in errors:
        heard.hear(code, text)
    assert trouble(heard, seconds=3.0).reason == reason


def test_a_later_error_of_the_same_kind_takes_the_place_of_an_earlier() -> None:
    heard = Heard()
    heard.hear(KafkaError._AUTHENTICATION, "sasl://b:2/bootstrap: first")
    heard.hear(KafkaError._AUTHENTICATION, "sasl://b:2/bootstrap: second")
    assert trouble(heard, seconds=3.0).reason == "it refuses the login: second"


@pytest.mark.parametrize(
    "code", [KafkaError.FENCED_LEADER_EPOCH, KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.LEADER_NOT_AVAILABLE]
)
def test_an_answer_that_passes_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, new_kafka_topic: Callable[..., KafkaConnection], code: int
) -> None:
    """A broker that comes back after it was away says such things of the leaders for a moment."""
    kafka, answers, ask = new_kafka_topic(partitions=1), [], KafkaConnection._offsets

    def flapping(self: KafkaConnection, *args: Any) -> Any:
        answers.append(code)
        if len(answers) < 3:
            raise KafkaException(KafkaError(code))
        return ask(self, *args)

    monkeypatch.setattr(KafkaConnection, "_offsets", flapping)
    assert kafka.topic_state().partitions[0] == Watermarks(0, 0)
    assert len(answers) == 4, "twice in vain, then both ends"
