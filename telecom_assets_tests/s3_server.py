"""An S3 server of the tests: moto on loopback in a process of its own, forgotten when it ends.

In the tests' own process it would answer nobody while a client written in Rust holds the interpreter and waits for it.
"""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests

from resources.s3 import S3Storage


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
def s3_server() -> Iterator[S3Server]:
    """Start a server on a free port, and stop it."""
    command = [sys.executable, "-m", "telecom_assets_tests.s3_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield S3Server(S3Storage(f"http://127.0.0.1:{port}", "us-east-1", "key", "secret"))
        finally:
            process.terminate()


def _serve() -> None:
    from moto.moto_server.werkzeug_app import create_backend_app  # noqa: PLC0415  (slow, and of use here alone)
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

    class KeepAlive(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

    server = make_server("127.0.0.1", 0, create_backend_app("s3"), threaded=True, request_handler=KeepAlive)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve()
