"""A webhook to tell things to: a real web server that notes what it gets."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import tenacity

from telecom_assets.runs.sensors import webhook as webhooks


@dataclass
class Webhook:
    """A web server that notes what it gets and answers what it is told: a status for each call, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    calls: list[tuple[str, dict[str, object]]] = field(default_factory=list)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    made = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.calls.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(made.answers.pop(0) if made.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        made.url = f"http://127.0.0.1:{server.server_port}/hook"
        monkeypatch.setattr(webhooks.post.retry, "wait", tenacity.wait_none())
        yield made
        server.shutdown()
