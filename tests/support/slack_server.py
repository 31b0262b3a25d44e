"""A stand-in of Slack's API that keeps the messages that it gets, and answers as a test says."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import quote

TOKEN = "xoxb-local"


@dataclass
class SlackServer:
    """What arrived, and how the server answers."""

    port: int = 0
    arrived: list[dict[str, Any]] = field(default_factory=list)
    # Status and body of the next answers, in the place of taking a message.
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    asked: int = 0  # how many requests there were
    breaks_off: bool = False  # in the middle of its answers

    @property
    def connection(self) -> str:
        """The URI of an Airflow connection to it."""
        base_url = quote(f"http://127.0.0.1:{self.port}/api/", safe="")
        return f"slack://:{TOKEN}@/?base_url={base_url}&timeout=10"

    def answer(self, path: str, token: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Take a message, or not."""
        self.asked += 1
        if self.answers:
            return self.answers.pop(0)
        if token != f"Bearer {TOKEN}":
            return 200, {"ok": False, "error": "invalid_auth"}
        if path != "/api/chat.postMessage":
            return 200, {"ok": False, "error": "unknown_method"}
        self.arrived.append(body)
        return 200, {"ok": True, "channel": "C0000001", "ts": f"1750000000.{len(self.arrived):06}"}


@contextmanager
def slack_server() -> Iterator[SlackServer]:
    """Run the stand-in on a free port."""
    slack = SlackServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server calls it by this name
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = slack.answer(self.path, self.headers["Authorization"], body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if status == 429:
                self.send_header("Retry-After", "1")
            self.end_headers()
            if slack.breaks_off:
                content = content[:-1]
                self.close_connection = True
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        slack.port = server.server_port
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield slack
        finally:
            server.shutdown()
            thread.join()
