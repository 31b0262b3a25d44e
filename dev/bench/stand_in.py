"""Stand-ins of AWS services, over HTTP."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Answers requests of clients, and logs none."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.call(self.headers["X-Amz-Target"].rpartition(".")[2], json.loads(body))

    def call(self, operation: str, parameters: Any) -> None:
        """Answer a call in the JSON protocol."""
        raise NotImplementedError

    def answer(self, text: str, **headers: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log."""


def serve_forever(handler: type[Handler], port: Connection) -> None:
    """Serve on a free port of 127.0.0.1, and send it to the process that waits for it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    port.send(server.server_port)
    server.serve_forever()


@contextmanager
def process_of(serve: Callable[..., None], *arguments: Any) -> Iterator[str]:
    """Call a function that serves in a process of its own; yield its URL.

    The last argument of the function is the connection for `serve_forever`.
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(*arguments, theirs))
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()
