"""Why Kafka cannot be used, in words: what librdkafka says of its brokers while a request only times out.

Belongs here: which of many errors explains the others, and the sentence for it. Does not belong here: who asks
(`resources.kafka`, `resources.kafka_source`). A wrong password, a certificate that cannot be verified, an unknown host and a
closed port reach the error callback alone. This module is sent to executors by value, so it needs nothing but Python.
"""

import re
from dataclasses import dataclass, field

# Numbers of rd_kafka_resp_err_t.
_AUTHENTICATION = -169
_SSL = -181
_RESOLVE = -193
_TRANSPORT = -195
_ALL_BROKERS_DOWN = -187
#: The first of these that was heard explains the others: a login is refused only by a broker that was reached.
_TELLING = (_AUTHENTICATION, _SSL, _RESOLVE, _TRANSPORT, _ALL_BROKERS_DOWN)

_ADDRESS = "TELECOM_KAFKA_BOOTSTRAP_SERVERS"
_OPTIONS = "TELECOM_KAFKA_OPTIONS"
_START = f"start it (`telecom up` for the local one) or check {_ADDRESS}"


@dataclass
class Heard:
    """Errors of one client, as its callback hears them. librdkafka repeats them several times a second."""

    by_code: dict[int, str] = field(default_factory=dict)

    def hear(self, code: int, text: str) -> None:
        """Keep an error: code of rd_kafka_resp_err_t and librdkafka's text. The newest of a code is kept."""
        self.by_code[code] = text

    @property
    def most_telling(self) -> tuple[int, str] | None:
        """Code and text of the error that explains the others."""
        return next(((code, self.by_code[code]) for code in _TELLING if code in self.by_code), None)


@dataclass(frozen=True)
class Trouble:
    """Why Kafka cannot be used, what to do about it, and the address that said so, where one did."""

    reason: str
    advice: str
    address: str = ""

    def among(self, servers: str) -> str:
        """The reason, with the address where it is one of several."""
        return f"{self.address}: {self.reason}" if self.address and "," in servers else self.reason


def trouble(heard: Heard, seconds: float) -> Trouble:
    """What is wrong when a request got no answer within `seconds`."""
    reported = heard.most_telling
    if reported is None:
        return Trouble(f"it does not answer within {seconds:g} s", f"{_START} and {_OPTIONS}")
    code, text = reported
    address, said = _taken_apart(text)
    if code == _AUTHENTICATION:
        found = (
            f"it refuses the login: {said}",
            f"check sasl.username, sasl.password and sasl.mechanism in {_OPTIONS}",
        )
    elif code == _RESOLVE:
        found = (f"its host is not known: {said}", f"check {_ADDRESS}")
    elif code == _ALL_BROKERS_DOWN:
        # A broker that is not there is heard of as such. One that hangs up on what it does not understand is not.
        found = (
            "it closes the connection unanswered, as one that wants TLS or a login does",
            f"check security.protocol in {_OPTIONS}",
        )
        address = ""
    else:
        found = _connection_trouble(code, said)
    return Trouble(*found, address)


def _connection_trouble(code: int, said: str) -> tuple[str, str]:
    """Reason and advice of a connection that does not come about."""
    if "certificate verify failed" in said:
        return (
            "its certificate cannot be verified: no known authority signed it, or it is for another host name",
            f"let ssl.ca.location in {_OPTIONS} name the authority's certificate, and {_ADDRESS} the host as the "
            "certificate does",
        )
    if "PLAINTEXT broker listener" in said:
        return (
            "it does not speak TLS at this port",
            f"check the port in {_ADDRESS} and security.protocol in {_OPTIONS}",
        )
    if code == _SSL:
        return f"TLS fails: {said}", f"check the ssl.* options in {_OPTIONS}"
    if refused := re.search(
        r"Connect to \S+ failed: (Connection refused|No route to host|Network is unreachable)", said
    ):
        return f"nothing listens there: {refused[1]}", _START
    return said, f"{_START} and {_OPTIONS}"


def _taken_apart(text: str) -> tuple[str, str]:
    """The address, and what is said of it, of `protocol://host:port/broker: said (after 3ms in state CONNECT)`."""
    found = re.match(r"(?:\S+?://)?(\S+?)/\w+: (.*)", text, re.S)
    address, said = (found[1], found[2]) if found else ("", text)
    return address, re.sub(r" \(after \d+ms in state \w+.*\)$", "", said).strip()
