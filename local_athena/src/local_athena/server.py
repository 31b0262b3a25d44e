"""One endpoint for all of it: Athena's requests to our service, every other service's to moto."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server

from local_athena.athena.api import AthenaApi
from local_athena.athena.clients import ACCOUNT, OWN_KEY, Clients
from local_athena.athena.errors import ApiError
from local_athena.athena.executions import Executions
from local_athena.athena.limits import Limits
from local_athena.athena.workers import Workers
from local_athena.faults import PATH as FAULTS
from local_athena.faults import (
    Call,
    CutBody,
    Dropped,
    FaultPlan,
    Slow,
    SlowDown,
    ThrottleGlue,
    from_json,
)

HOST = "127.0.0.1"
_ATHENA = "AmazonAthena."
_GLUE = "AWSGlue."
_INSPECT = "/_local/athena/executions/"
_OWNERS = ("HTTP_X_AMZ_EXPECTED_BUCKET_OWNER", "HTTP_X_AMZ_SOURCE_EXPECTED_BUCKET_OWNER")
_LOOPBACK = re.compile(r"(([^/]+\.)?localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")
_ACLS = ("HTTP_X_AMZ_ACL", "HTTP_X_AMZ_GRANT_")

StartResponse = Callable[..., Any]


class LocalAws:
    """S3, Glue, STS, SNS, SQS and Athena on this machine, served by threads of this process.

    Queries have processes of their own, which end with it. moto keeps its state in this process, so
    one at a time: starting another one forgets what the first held.

    Attributes:
        endpoint_url: Where they all are.
    """

    def __init__(self, server: BaseWSGIServer, application: _Application) -> None:
        self.endpoint_url = f"http://{HOST}:{server.port}"
        self._server = server
        self._application = application
        self._clients = Clients(self.endpoint_url)
        self._own_clients = Clients(self.endpoint_url, OWN_KEY)
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="local-aws")

    @classmethod
    def start(
        cls,
        port: int = 0,
        *,
        host: str = HOST,
        workers: int = 4,
        max_active: int | None = None,
        limits: Limits | None = None,
        verbose: bool = False,
    ) -> LocalAws:
        """Serves, with nothing in any service.

        Args:
            port: 0 picks a free one.
            host: Address to listen on; another one than this machine's own is for containers alone,
                since whoever reaches it may do anything.
            workers: How many queries Athena runs at once.
            max_active: How many queued and running queries Athena takes; None for any number.
            limits: What one query may use; None for the limits that the README names.
            verbose: Whether to log each request to stderr.

        Raises:
            PortInUseError: If something else listens there.
        """
        # Regions that moto does not know must work too; it reads these at each request.
        os.environ.setdefault("MOTO_ALLOW_NONEXISTENT_REGION", "true")
        listener = _listen(host, port)
        application = _Application(
            workers, max_active, limits or Limits(), only_loopback=host == HOST
        )
        handler = MotoRequestHandler if verbose else _QuietHandler
        try:
            server = make_server(
                host,
                port,
                application,
                threaded=True,
                request_handler=handler,
                fd=listener.fileno(),
            )
        finally:
            listener.close()
        aws = cls(server, application)
        application.open(aws._own_clients)
        aws._thread.start()
        return aws

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """Return a boto3 client of this endpoint."""
        return self._clients.get(service, region)

    def reset(self) -> None:
        """Forget everything, in all services, and all faults."""
        self._application.open(self._own_clients)

    def stop(self) -> None:
        """End all queries, then the server.

        When it returns, the port is free, and threads and processes are gone.
        """
        self._application.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._clients.close()
        self._own_clients.close()

    def __enter__(self) -> LocalAws:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
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
            f"Cannot listen on {host}:{port} ({error.strerror}). Set --port to another port."
        ) from error
    return listener


class _QuietHandler(MotoRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


class _Dispatcher(DomainDispatcherApplication):
    """moto's services; without the cache each request looks on the disk which ones there are."""

    @lru_cache(maxsize=1_000)  # noqa: B019 - there is one in a process
    def get_backend_for_host(self, host: str | None) -> Any:
        """Return the service that a host stands for."""
        return super().get_backend_for_host(host)


class _Application:
    """The WSGI application."""

    def __init__(
        self, queries_at_once: int, max_active: int | None, limits: Limits, *, only_loopback: bool
    ) -> None:
        self._only_loopback = only_loopback
        self._queries_at_once = queries_at_once
        self._max_active = max_active
        self._workers = Workers(limits, queries_at_once)
        self._faults = FaultPlan()
        self._moto = _Dispatcher(create_backend_app)
        # moto checks a condition and then writes; S3 does both at once.
        self._s3_writes = threading.Lock()
        self._athena: AthenaApi | None = None

    def open(self, clients: Clients) -> None:
        self._end_queries()
        moto_api_backend.reset()
        self._faults = FaultPlan()
        executions = Executions(
            clients=clients,
            faults=self._faults,
            workers=self._workers,
            queries_at_once=self._queries_at_once,
            max_active=self._max_active,
        )
        self._athena = AthenaApi(clients, self._faults, executions)

    def close(self) -> None:
        self._end_queries()
        self._workers.close()

    def _end_queries(self) -> None:
        if self._athena is not None:
            self._athena.close()
            self._athena = None

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if self._is_of_a_web_page(environ):
            message = "Requests from web pages are rejected"
            return _respond(start_response, 403, json.dumps({"message": message}).encode())
        path = environ.get("PATH_INFO", "")
        if path == FAULTS or path.startswith(f"{FAULTS}/"):
            id_ = path.removeprefix(FAULTS).removeprefix("/")
            return self._script(environ, start_response, id_)
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if not (target.startswith(_ATHENA) or path.startswith(_INSPECT)):
            return self._call_moto(environ, start_response)
        athena = self._athena
        if athena is None:
            return _respond(start_response, 503, b'{"message": "The local AWS is stopping"}')
        if path.startswith(_INSPECT):
            try:
                facts = athena.inspect(path.removeprefix(_INSPECT))
            except ApiError as error:
                message = json.dumps({"message": error.message})
                return _respond(start_response, 404, message.encode())
            return _respond(start_response, 200, json.dumps(facts).encode())
        region = _Signature.of(environ).region
        try:
            operation = target.removeprefix(_ATHENA)
            status, answer = athena.call(operation, _body(environ), region)
        except Dropped:
            raise _reset(environ) from None
        return _respond(start_response, status, answer)

    def _is_of_a_web_page(self, environ: dict[str, Any]) -> bool:
        """Whether a browser asks for somebody's page.

        It may do so by a name that leads here (DNS rebinding).
        """
        host = environ.get("HTTP_HOST", "")
        origin = environ.get("HTTP_ORIGIN", "")
        is_foreign_host = self._only_loopback and not _LOOPBACK.fullmatch(host)
        return is_foreign_host or bool(origin and urlsplit(origin).netloc != host)

    def _script(
        self, environ: dict[str, Any], start_response: StartResponse, id_: str
    ) -> Iterable[bytes]:
        """Adds, lists and clears faults."""
        method = environ["REQUEST_METHOD"]
        status, answer = 405, {"message": "POST a fault, GET all of them, or DELETE one or all"}
        if method == "POST" and not id_:
            try:
                status, answer = 200, {"id": self._faults.add(from_json(_body(environ)))}
            except ValueError as error:
                status, answer = 400, {"message": str(error)}
        elif method == "GET" and not id_:
            listing = json.dumps({"faults": self._faults.list()})
            return _respond(start_response, 200, listing.encode())
        elif method == "DELETE":
            known = self._faults.clear(id_ or None)
            status, answer = (
                (200, {}) if known else (404, {"message": f"Fault {id_} does not exist"})
            )
        return _respond(start_response, status, json.dumps(answer).encode())

    def _call_moto(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        signature = _Signature.of(environ)
        is_of_another = any(environ.get(owner) not in (None, ACCOUNT) for owner in _OWNERS)
        if signature.service == "s3" and is_of_another:
            return _refuse(environ, start_response, 403, "AccessDenied", "Access Denied")
        if signature.access_key == OWN_KEY:
            return self._pass_on(signature, environ, start_response)
        # WSGI hands over the path's bytes as Latin-1.
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        bucket, _, key = path.removeprefix("/").partition("/")
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        glue_action = target.removeprefix(_GLUE) if target.startswith(_GLUE) else ""
        call = Call(
            method=environ["REQUEST_METHOD"], bucket=bucket, key=key, glue_action=glue_action
        )
        slow = self._faults.take(Slow, call)
        if slow is not None:
            time.sleep(slow.milliseconds / 1000)
        if self._faults.take(ThrottleGlue, call) is not None:
            _body(environ)  # what the client still sends is read, or it would never see the answer
            error = {"__type": "ThrottlingException", "message": "Rate exceeded"}
            return _respond(start_response, 400, json.dumps(error).encode())
        if signature.service != "s3":
            return self._pass_on(signature, environ, start_response)
        if self._faults.take(SlowDown, call) is not None:
            message = "Please reduce your request rate."
            return _refuse(environ, start_response, 503, "SlowDown", message)
        if any(name.startswith(_ACLS) for name in environ):
            message = "The bucket does not allow ACLs"
            return _refuse(environ, start_response, 400, "AccessControlListNotSupported", message)
        cut = self._faults.take(CutBody, call)
        answer = self._pass_on(signature, environ, start_response)
        return answer if cut is None else _cut(environ, b"".join(answer), cut.after_bytes)

    def _pass_on(
        self, signature: _Signature, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        answer: Iterable[bytes]
        if signature.service != "s3" or environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            answer = self._moto(environ, start_response)
            return answer
        # A slow sender keeps no other waiting.
        environ["wsgi.input"] = io.BytesIO(_body(environ))
        with self._s3_writes:
            answer = self._moto(environ, start_response)
        return answer


class _Signature(NamedTuple):
    """Who asks which service in which region (Signature Version 4's credential scope)."""

    access_key: str = ""
    region: str = "us-east-1"
    service: str = ""

    @classmethod
    def of(cls, environ: dict[str, Any]) -> _Signature:
        """Return the signature in a request's header, or in a presigned URL."""
        text = environ.get("HTTP_AUTHORIZATION") or unquote(environ.get("QUERY_STRING", ""))
        scope = re.search(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/", text)
        return cls(*scope.groups()) if scope is not None else cls()


def _body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return body


def _refuse(
    environ: dict[str, Any], start_response: StartResponse, status: int, code: str, message: str
) -> list[bytes]:
    """S3's way to say no; what the client still sends is read, or it would never see the answer."""
    _body(environ)
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    body = b"" if environ["REQUEST_METHOD"] == "HEAD" else error
    return _respond(start_response, status, body, **{"Content-Type": "application/xml"})


def _cut(environ: dict[str, Any], body: bytes, after_bytes: int) -> Iterator[bytes]:
    yield body[: min(after_bytes, max(len(body) - 1, 0))]
    raise _reset(environ)


def _reset(environ: dict[str, Any]) -> ConnectionResetError:
    """Reset the connection of a request; return the error that makes the server forget it.

    Its file descriptor then belongs to a socket at its end,
    so that the server's clean-up finds no other's.
    """
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ended, other = socket.socketpair()
    other.close()
    with ended:
        os.dup2(ended.fileno(), connection.fileno())
    return ConnectionResetError("reset on demand")


def _respond(
    start_response: StartResponse, status: int, body: bytes, **headers: str
) -> list[bytes]:
    fields = {
        "Content-Type": "application/x-amz-json-1.1",
        "Content-Length": str(len(body)),
        **headers,
    }
    start_response(f"{status} {'OK' if status == 200 else 'Error'}", list(fields.items()))
    return [body]
