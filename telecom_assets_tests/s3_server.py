"""An S3 server of the tests: moto on loopback in a process of its own, forgotten when it ends.

In the tests' own process it would answer nobody while a client written in Rust holds the interpreter and waits for it.
"""

import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import requests

from resources.s3 import S3Storage

_CONTROL = "/_test/"
_SECONDS = 120


@dataclass(frozen=True)
class S3Server:
    """A server that is up. It takes any credentials."""

    storage: S3Storage

    def new_bucket(self) -> str:
        """Make an empty bucket; returns its name."""
        name = f"telecom-{uuid.uuid4().hex}"
        requests.put(f"{self.storage.endpoint}/{name}", timeout=30).raise_for_status()
        return name

    def environment(self) -> dict[str, str]:
        """What a user sets to reach it."""
        named = self.storage.environment()
        return {name: value for name, value in named.items() if name != "AWS_ALLOW_HTTP"}

    @contextmanager
    def holding(self, ending: str) -> Iterator["HeldRequest"]:
        """Hold the next PUT of a key that ends so, until the block is left."""
        self._ask("hold", ending=ending)
        try:
            yield HeldRequest(self)
        finally:
            self._ask("release")

    @contextmanager
    def refusing(self, code: str, status: int) -> Iterator[None]:
        """Answer every request with one error of S3's, until the block is left."""
        self._ask("refuse", code=code, status=str(status))
        try:
            yield
        finally:
            self._ask("release")

    def _ask(self, what: str, **options: str) -> None:
        url = f"{self.storage.endpoint}{_CONTROL}{what}"
        requests.get(url, params=options, timeout=_SECONDS + 10).raise_for_status()


@dataclass(frozen=True)
class HeldRequest:
    """A request that has come, and that the server has not looked at yet."""

    server: S3Server

    def wait(self) -> None:
        """Until it has come."""
        self.server._ask("wait")


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start a server on a free port, and stop it."""
    command = [sys.executable, "-m", "telecom_assets_tests.s3_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield S3Server(S3Storage(f"http://127.0.0.1:{port}", "us-east-1", "key", "secret"))
        finally:
            process.kill()  # not terminate: who runs the tests may ignore that signal, and then so does this process


class Interposed:
    """A WSGI application before another one, that holds one PUT back, or refuses everything, when it is asked to."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.ending: str | None = None
        self.refusal: tuple[str, str] | None = None
        self.came, self.released = threading.Event(), threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path.startswith(_CONTROL):
            done = self._control(path.removeprefix(_CONTROL), parse_qs(environ["QUERY_STRING"]))
            start_response("200 OK" if done else "504 Gateway Timeout", [("Content-Length", "0")])
            return [b""]
        if self.refusal is not None:
            code, status = self.refusal
            body = f"<Error><Code>{code}</Code><Message>as asked for</Message></Error>".encode()
            headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
            start_response(f"{status} {HTTPStatus(int(status)).phrase}", headers)
            return [body]
        if environ["REQUEST_METHOD"] == "PUT" and self.ending is not None and path.endswith(self.ending):
            self.ending = None
            self.came.set()
            self.released.wait(_SECONDS)
        return self.application(environ, start_response)

    def _control(self, what: str, options: dict[str, list[str]]) -> bool:
        if what == "hold":
            self.came.clear()
            self.released.clear()
            self.ending = options["ending"][0]
        elif what == "refuse":
            self.refusal = (options["code"][0], options["status"][0])
        elif what == "wait":
            return self.came.wait(_SECONDS)
        else:
            self.ending = self.refusal = None
            self.released.set()
        return True


def _serve() -> None:
    from moto.moto_server.werkzeug_app import create_backend_app  # noqa: PLC0415  (slow, and of use here alone)
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

    class KeepAlive(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

    application = Interposed(create_backend_app("s3"))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=KeepAlive)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve()
