"""A stand-in for the API of Amazon MWAA, which neither moto nor the local services have.

It answers over HTTP, as the AWS client expects it, and holds every request and answer against the shapes of
AWS's service model. An update goes through the states that AWS documents, one look at a time; the first look
after it still shows what was before.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.validate import ParamValidator

ACCOUNT = "123456789012"
REGION = "eu-central-1"

_MODEL = boto3.client("mwaa", region_name=REGION).meta.service_model


@dataclass
class Mwaa:
    """The environments of an account.

    Attributes:
        environments: As GetEnvironment tells them.
        updates: Arguments of every UpdateEnvironment that was taken.
        fails_with: What AWS says of the next update's failure; empty if it succeeds.
        shows_requested: Whether an environment shows the versions that were asked for while it is being
            updated, and after it was restored; AWS does not document it.
        refuses_with: What AWS says against the next update; empty if it takes it.
        on_update: Called when an update begins.
    """

    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    updates: list[dict[str, Any]] = field(default_factory=list)
    fails_with: str = ""
    shows_requested: bool = False
    refuses_with: str = ""
    on_update: Callable[[], None] = lambda: None
    url: str = ""
    _looks: dict[str, Iterator[None]] = field(default_factory=dict)
    _busy: set[str] = field(default_factory=set)
    _clock: int = 1_760_000_000

    def create(self, name: str, bucket: str, **more: Any) -> None:
        """An environment that is AVAILABLE; `more` are fields of its description."""
        self.environments[name] = {
            "Name": name,
            "Status": "AVAILABLE",
            "Arn": f"arn:aws:airflow:{REGION}:{ACCOUNT}:environment/{name}",
            "CreatedAt": self._now(),
            "AirflowVersion": "3.3.1",
            "SourceBucketArn": f"arn:aws:s3:::{bucket}",
            "DagS3Path": "dags",
            "ExecutionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/service-role/{name}",
            "EnvironmentClass": "mw1.small",
            "MinWorkers": 1,
            "MaxWorkers": 2,
            "WebserverAccessMode": "PUBLIC_ONLY",
            **more,
        }

    def get(self, name: str) -> dict[str, Any]:
        for _ in self._looks.get(name, iter(())):
            break
        return {"Environment": self.environments[name]}

    def update(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        environment = self.environments[name]
        if self.refuses_with:
            raise ValueError(self.refuses_with)
        if environment["Status"] not in ("AVAILABLE", "UPDATE_FAILED") or name in self._busy:
            raise ValueError(f"Environment {name} is UPDATING and cannot be updated")
        self._busy.add(name)
        self.updates.append(arguments)
        self.on_update()
        self._looks[name] = self._updating(environment, arguments)
        return {"Arn": environment["Arn"]}

    def settle(self, name: str) -> None:
        """AWS ends an update, whoever waits for it."""
        for _ in self._looks.get(name, iter(())):
            pass

    def _updating(self, environment: dict[str, Any], arguments: dict[str, Any]) -> Iterator[None]:
        began = self._now()
        before = dict(environment)
        failure, self.fails_with = self.fails_with, ""
        yield
        if self.shows_requested:
            environment |= arguments
        environment |= {"Status": "UPDATING", "LastUpdate": {"Status": "PENDING", "CreatedAt": began}}
        yield
        yield
        if failure:
            error = {"ErrorCode": "INCORRECT_CONFIGURATION", "ErrorMessage": failure}
            last = {"Status": "FAILED", "CreatedAt": began, "Error": error}
            environment |= (arguments if self.shows_requested else before) | {"Status": "UPDATE_FAILED"}
        else:
            last = {"Status": "SUCCESS", "CreatedAt": began}
            environment |= arguments | {"Status": "AVAILABLE"}
        environment["LastUpdate"] = last
        self._busy.discard(environment["Name"])
        yield

    def _now(self) -> dt.datetime:
        self._clock += 60
        return dt.datetime.fromtimestamp(self._clock, dt.UTC)

    @contextmanager
    def served(self) -> Iterator[Mwaa]:
        """Serves on 127.0.0.1 for as long as the context lasts."""
        mwaa = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer("GetEnvironment", {}, lambda name, _: mwaa.get(name))

            def do_PATCH(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer("UpdateEnvironment", body, mwaa.update)

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def _answer(
                self,
                operation: str,
                body: dict[str, Any],
                call: Callable[[str, dict[str, Any]], dict[str, Any]],
            ) -> None:
                model = _MODEL.operation_model(operation)
                name = self.path.removeprefix("/environments/")
                _validate(body | {"Name": name}, model.input_shape)
                try:
                    answer = call(name, body)
                except KeyError:
                    self._send(404, {"message": f"Environment {name} not found"}, "ResourceNotFoundException")
                except ValueError as error:
                    self._send(400, {"message": str(error)}, "ValidationException")
                else:
                    _validate(answer, model.output_shape)
                    self._send(200, answer)

            def _send(self, status: int, answer: dict[str, Any], error: str = "") -> None:
                body = json.dumps(answer, default=dt.datetime.timestamp).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                if error:
                    self.send_header("x-amzn-ErrorType", error)
                self.end_headers()
                self.wfile.write(body)

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_port}"
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


def _validate(value: dict[str, Any], shape: Any) -> None:
    report = ParamValidator().validate(value, shape)
    unknown = value.keys() - shape.members.keys()
    assert not report.has_errors(), report.generate_report()
    assert not unknown, f"{unknown} are not in the shape of {shape.name}"
