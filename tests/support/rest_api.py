"""Stands for an Airflow's REST API: it answers what a test says, and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import quote, unquote

TOKEN = "token"


RUNS = "/dagRuns"


class Unanswered(Enum):
    """A request whose connection is reset: before Airflow does what is asked, or after."""

    NOT_DONE = "not done"
    DONE = "done"


@dataclass
class RestApi:
    """An API: the status of each request that it knows, such as `GET /api/v2/pools/athena`.

    Others are not found, and those without the token are not authorized. A run that was started can
    be looked up, and a second one of its id is a conflict.
    """

    statuses: Mapping[str, HTTPStatus]
    bodies: Mapping[str, Any] = field(default_factory=dict)
    """What it answers to a request, as JSON; else an empty object."""
    unanswered: list[Unanswered] = field(default_factory=list)
    """What happens to the next starts of runs. They are taken out as it happens."""
    url: str = ""
    requests: list[tuple[str, Any]] = field(default_factory=list)
    """Method with path, and body, of each request, in order."""
    runs: dict[str, Any] = field(default_factory=dict)
    """The runs that were started, by path."""

    def answer(
        self, method: str, path: str, body: Any, authorization: str | None
    ) -> tuple[HTTPStatus, Any] | None:
        """Status and JSON of the response; None for a reset connection."""
        request = f"{method} {path}"
        self.requests.append((request, body))
        if authorization != f"Bearer {TOKEN}":
            return HTTPStatus.UNAUTHORIZED, {}
        if request == f"GET {path}" and path in self.runs:
            return HTTPStatus.OK, self.runs[path]
        status = self.statuses.get(request, HTTPStatus.NOT_FOUND)
        if method != "POST" or not path.endswith(RUNS) or status != HTTPStatus.OK:
            return status, self.bodies.get(request, {})
        fault = self.unanswered.pop(0) if self.unanswered else None
        if fault is Unanswered.NOT_DONE:
            return None
        run_path = f"{path}/{quote(body['dag_run_id'], safe='')}"
        if run_path in self.runs:
            return HTTPStatus.CONFLICT, {"detail": "The run exists."}
        dag_id = unquote(path.removesuffix(RUNS).rpartition("/")[2])
        self.runs[run_path] = run_of(body["dag_run_id"], "queued", dag_id)
        return None if fault else (status, self.runs[run_path])


def run_of(run_id: str, state: str, dag_id: str) -> dict[str, Any]:
    """A run as the API shows it."""
    run: dict[str, Any] = dict.fromkeys(
        (
            *("logical_date", "data_interval_start", "data_interval_end"),
            *("start_date", "end_date", "conf"),
        )
    )
    run |= {"dag_id": dag_id, "dag_run_id": run_id, "run_type": "manual", "state": state}
    return run | {"run_after": "2026-03-08T00:05:00Z"}


def task_of(run_id: str, task_id: str, state: str, tries: int) -> dict[str, Any]:
    """A task instance as the API shows it."""
    task: dict[str, Any] = dict.fromkeys(("operator_name", "start_date", "end_date"))
    task |= {"dag_run_id": run_id, "task_id": task_id, "map_index": -1}
    return task | {"state": state or None, "try_number": tries, "rendered_fields": {}}


@contextmanager
def rest_api(
    statuses: Mapping[str, HTTPStatus],
    bodies: Mapping[str, Any] | None = None,
    *,
    kind: type[RestApi] = RestApi,
) -> Iterator[RestApi]:
    """Serve an API for as long as the context lasts."""
    api = kind(statuses, bodies or {})

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            answer = api.answer(self.command, self.path, body, self.headers["Authorization"])
            if answer is None:
                self.close_connection = True
                return
            status, content = answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        do_GET = do_POST = do_PATCH = respond  # noqa: N815 - http.server calls it by these names

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        # It looks this often whether it is to end.
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
