"""Stands for an Airflow's REST API: it answers what a test says, and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

TOKEN = "token"


@dataclass
class RestApi:
    """An API: the status of each request that it knows, such as `GET /api/v2/pools/athena`.

    Others are not found, and those without the token are not authorized.
    """

    statuses: Mapping[str, HTTPStatus]
    url: str = ""
    requests: list[tuple[str, Any]] = field(default_factory=list)
    """Method with path, and body, of each request, in order."""

    def status(self, request: str, authorization: str | None) -> HTTPStatus:
        if authorization != f"Bearer {TOKEN}":
            return HTTPStatus.UNAUTHORIZED
        return self.statuses.get(request, HTTPStatus.NOT_FOUND)


@contextmanager
def rest_api(statuses: Mapping[str, HTTPStatus]) -> Iterator[RestApi]:
    """Serve an API for as long as the context lasts."""
    api = RestApi(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def answer(self) -> None:
            request = f"{self.command} {self.path}"
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            api.requests.append((request, body))
            self.send_response(api.status(request, self.headers["Authorization"]))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
