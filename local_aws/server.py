"""One endpoint for all of it: Athena's requests to our service, every other service's to moto."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server

from local_aws.athena.api import AthenaApi
from local_aws.athena.clients import Clients
from local_aws.athena.errors import ApiError

HOST = "127.0.0.1"
_ATHENA = "AmazonAthena."
_INSPECT = "/_local/athena/executions/"

StartResponse = Callable[..., Any]


class LocalAws:
    """S3, Glue, STS, SNS and Athena on this machine, served by threads of this process.

    moto keeps its state in the process, so one at a time: starting another one forgets what the first held.

    Attributes:
        endpoint_url: Where they all are.
    """

    def __init__(self, server: BaseWSGIServer, application: _Application) -> None:
        self.endpoint_url = f"http://{HOST}:{server.port}"
        self._server = server
        self._application = application
        self._clients = Clients(self.endpoint_url)
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="local-aws")

    @classmethod
    def start(cls, port: int = 0, *, host: str = HOST, workers: int = 4, verbose: bool = False) -> LocalAws:
        """Serves, with nothing in any service.

        Args:
            port: 0 picks a free one.
            host: Address to listen on; another one than this machine's own is for containers alone, since
                whoever reaches it may do anything.
            workers: How many queries Athena runs at once.
            verbose: Whether to log each request to stderr.

        Raises:
            PortInUseError: If something else listens there.
        """
        # Regions that moto does not know must work too; it reads these at each request.
        os.environ.setdefault("MOTO_ALLOW_NONEXISTENT_REGION", "true")
        application = _Application(workers)
        handler = MotoRequestHandler if verbose else _QuietHandler
        listener = _listen(host, port)
        try:
            server = make_server(
                host, port, application, threaded=True, request_handler=handler, fd=listener.fileno()
            )
        finally:
            listener.close()
        aws = cls(server, application)
        application.open(aws._clients)
        aws._thread.start()
        return aws

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """A boto3 client of this endpoint."""
        return self._clients.get(service, region)

    def reset(self) -> None:
        """Forgets everything, in all services."""
        self._application.open(self._clients)

    def stop(self) -> None:
        """Ends all queries, then the server; the port is free and its threads are gone when it returns."""
        self._application.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._clients.close()

    def __enter__(self) -> LocalAws:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class PortInUseError(Exception):
    """Something else listens on the port."""


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PortInUseError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with PORT="
        ) from error
    return listener


class _QuietHandler(MotoRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Says nothing."""


class _Application:
    """The WSGI application."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._athena: AthenaApi | None = None

    def open(self, clients: Clients) -> None:
        self.close()
        moto_api_backend.reset()
        self._athena = AthenaApi(clients, self._workers)

    def close(self) -> None:
        if self._athena is not None:
            self._athena.close()
            self._athena = None

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        target, path = environ.get("HTTP_X_AMZ_TARGET", ""), environ.get("PATH_INFO", "")
        if not (target.startswith(_ATHENA) or path.startswith(_INSPECT)):
            answer_of_moto: Iterable[bytes] = self._moto(environ, start_response)
            return answer_of_moto
        athena = self._athena
        if athena is None:
            return _respond(start_response, 503, b'{"message": "The local AWS is stopping"}')
        if path.startswith(_INSPECT):
            try:
                facts = athena.inspect(path.removeprefix(_INSPECT))
            except ApiError as error:
                return _respond(start_response, 404, json.dumps({"message": error.message}).encode())
            return _respond(start_response, 200, json.dumps(facts).encode())
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, headers, answer = athena.call(target.removeprefix(_ATHENA), body, _region(environ))
        return _respond(start_response, status, answer, **headers)


def _region(environ: dict[str, Any]) -> str:
    """The region that a request was signed for (Signature Version 4's credential scope)."""
    scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    return scope[1] if scope is not None else "us-east-1"


def _respond(start_response: StartResponse, status: int, body: bytes, **headers: str) -> list[bytes]:
    fields = {"Content-Type": "application/x-amz-json-1.1", "Content-Length": str(len(body)), **headers}
    start_response(f"{status} {'OK' if status == 200 else 'Error'}", list(fields.items()))
    return [body]
