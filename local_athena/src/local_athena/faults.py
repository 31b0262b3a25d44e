"""Faults on demand: what this AWS shall do wrong, to which calls, and how often.

Over HTTP, at the endpoint of all services:

    POST   /_local/faults        a fault, {"kind": "Throttle", "action": "GetQueryExecution",
                                 "times": 3}; answers {"id": ...}
    GET    /_local/faults        {"faults": [{"id", "kind", the fault's fields,
                                 "struck": how often yet}]}
    DELETE /_local/faults        clears all of them
    DELETE /_local/faults/<id>   clears one

In Python, `Faults(endpoint_url).add(Throttle(action="GetQueryExecution", times=3))` does the same.
The kinds are the classes below, their fields the keys of the JSON. A fault strikes the next `times`
calls, queries or requests that fit all of its scope (after letting `skip` of them pass), then no
more; it is listed until it is cleared. Where several faults of a kind fit, the oldest that is not
used up strikes. What the local Athena itself asks of S3 and Glue is never struck.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

PATH = "/_local/faults"


@dataclass(frozen=True)
class Call:
    """What a fault's scope looks at.

    Attributes:
        action: Athena's operation; empty for other services.
        sql: The text of the query that it is about; empty if it is about none, or about several.
        glue_action: Glue's operation; empty for other services.
    """

    action: str = ""
    sql: str = ""
    workgroup: str = ""
    state: str = ""
    method: str = ""
    bucket: str = ""
    key: str = ""
    glue_action: str = ""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What all faults have in common.

    Attributes:
        times: How often it strikes; None for until it is cleared.
        skip: How many that fit pass unharmed before.
    """

    times: int | None = 1
    skip: int = 0

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value, hint = getattr(self, field.name), hints[field.name]
            fits = (
                value in get_args(hint) if get_origin(hint) is Literal else isinstance(value, hint)
            )
            if not fits or (isinstance(value, int | float) and value < 0):
                name = f"{type(self).__name__}.{field.name}"
                raise ValueError(f"{name} is {value!r}, and must be {field.type}, at least 0.")

    def fits(self, call: Call) -> bool:
        """Return whether a call is in the scope."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class QueryFault(Fault):
    """A fault of query executions.

    Attributes:
        sql: Text that the query contains.
        workgroup: The query's workgroup; None for any.
    """

    sql: str = ""
    workgroup: str | None = None

    def fits(self, call: Call) -> bool:
        """Return whether the query that a call is about is in the scope."""
        return self.sql in call.sql and self.workgroup in (None, call.workgroup)


@dataclass(frozen=True, kw_only=True)
class CallFault(QueryFault):
    """A fault of Athena's calls.

    Attributes:
        action: The operation, such as GetQueryExecution; None for any.
    """

    action: str | None = None

    def fits(self, call: Call) -> bool:
        """Return whether a call is in the scope."""
        return self.action in (None, call.action) and super().fits(call)


@dataclass(frozen=True, kw_only=True)
class S3Fault(Fault):
    """A fault of requests to S3.

    Attributes:
        method: HTTP method; None for any.
        key_prefix: How the key begins.
    """

    method: str | None = None
    bucket: str | None = None
    key_prefix: str = ""

    def fits(self, call: Call) -> bool:
        """Return whether a request is in the scope."""
        return (
            self.method in (None, call.method)
            and self.bucket in (None, call.bucket)
            and call.key.startswith(self.key_prefix)
        )


@dataclass(frozen=True, kw_only=True)
class Throttle(CallFault):
    """Athena answers that there are too many calls, and does nothing.

    Attributes:
        code: ThrottlingException, or TooManyRequestsException.
        reason: Reason of a TooManyRequestsException, such as CONCURRENT_QUERY_LIMIT_EXCEEDED.
    """

    code: str = "ThrottlingException"
    message: str = "Rate exceeded"
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Refuse(CallFault):
    """Athena refuses a call, and does nothing.

    Attributes:
        code: InvalidRequestException, InternalServerException (HTTP 500), or any other (HTTP 400).
        athena_error_code: AthenaErrorCode of an InvalidRequestException.
    """

    action: str | None = "StartQueryExecution"
    code: str = "InvalidRequestException"
    message: str = "Refused on demand"
    athena_error_code: str = "INVALID_INPUT"


@dataclass(frozen=True, kw_only=True)
class Drop(CallFault):
    """Athena does what a call asks, and resets the connection instead of answering.

    Attributes:
        status: HTTP status, such as 500, of an InternalServerException that it answers with
            instead; None for a reset.
    """

    action: str | None = "StartQueryExecution"
    status: int | None = None


@dataclass(frozen=True, kw_only=True)
class Slow(CallFault):
    """Calls take longer: Athena's, and all others if no action, text or workgroup is given.

    Attributes:
        milliseconds: How much longer.
        times: How often; until it is cleared, unless said otherwise.
    """

    milliseconds: int
    times: int | None = None


@dataclass(frozen=True, kw_only=True)
class End(QueryFault):
    """A query ends so instead of running.

    Attributes:
        state: FAILED or CANCELLED.
        reason: StateChangeReason, and AthenaError's ErrorMessage.
        error_type: AthenaError's ErrorType; None for no AthenaError.
        category: AthenaError's ErrorCategory: 1 system, 2 user, 3 other.
        retryable: AthenaError's Retryable; None leaves it out.
        scanned_bytes: DataScannedInBytes.
    """

    state: Literal["FAILED", "CANCELLED"] = "FAILED"
    reason: str = "Ended on demand"
    error_type: int | None = None
    category: int = 1
    retryable: bool | None = None
    scanned_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Hold(QueryFault):
    """A query stays in a state until the time is over, the fault is cleared, or it is stopped.

    Held QUEUED it takes no worker; held RUNNING it does. `End` may follow: first held, then ended.

    Attributes:
        state: QUEUED or RUNNING.
        seconds: How long; None for until the fault is cleared.
    """

    state: Literal["QUEUED", "RUNNING"] = "RUNNING"
    seconds: int | float | None = None

    def fits(self, call: Call) -> bool:
        """Return whether a query that enters a state is in the scope."""
        return call.state == self.state and super().fits(call)


@dataclass(frozen=True, kw_only=True)
class Report(CallFault):
    """A query has another state in an answer than in truth, and itself goes on.

    Attributes:
        state: Any text; None for no state at all. QUEUED after RUNNING is what a real query may do.
        instead_of: Strikes only while the query's own state is this; None for any.
    """

    state: str | None
    instead_of: str | None = None

    def fits(self, call: Call) -> bool:
        """Return whether a call about a query in some state is in the scope."""
        return self.instead_of in (None, call.state) and super().fits(call)


@dataclass(frozen=True, kw_only=True)
class LeaveUnprocessed(QueryFault):
    """BatchGetQueryExecution succeeds, and leaves a query among UnprocessedQueryExecutionIds."""


@dataclass(frozen=True, kw_only=True)
class ForgetToken(QueryFault):
    """A ClientRequestToken that is known counts as new: the same request starts another query."""


@dataclass(frozen=True, kw_only=True)
class FailResultWrite(QueryFault):
    """A query reads all it needs, and then fails as its result cannot be written.

    Attributes:
        error_type: 401 if the write fails, 402 if the bucket is not there.
    """

    error_type: Literal[401, 402] = 401


@dataclass(frozen=True, kw_only=True)
class ThrottleGlue(Fault):
    """Glue answers that there are too many calls, and does nothing.

    Attributes:
        action: The operation, such as GetTable; None for any.
    """

    action: str | None = None

    def fits(self, call: Call) -> bool:
        """Return whether a call is in the scope."""
        return bool(call.glue_action) and self.action in (None, call.glue_action)


@dataclass(frozen=True, kw_only=True)
class SlowDown(S3Fault):
    """S3 answers 503 SlowDown, and does nothing."""


@dataclass(frozen=True, kw_only=True)
class CutBody(S3Fault):
    """S3 resets the connection in the middle of an object that it sends.

    Attributes:
        after_bytes: How much of the body it sends first; the last byte never is.
    """

    method: str | None = "GET"
    after_bytes: int = 0

    def fits(self, call: Call) -> bool:
        """Return whether a request for an object is in the scope."""
        return bool(call.key) and super().fits(call)


_QUERY_KINDS = (End, Hold, Report, LeaveUnprocessed, ForgetToken, FailResultWrite)
KINDS: dict[str, type[Fault]] = {
    kind.__name__: kind
    for kind in (Throttle, Refuse, Drop, Slow, *_QUERY_KINDS, ThrottleGlue, SlowDown, CutBody)
}

_F = TypeVar("_F", bound=Fault)


def from_json(text: bytes) -> Fault:
    """Read the fault in a request's body; a ValueError says what is wrong with it."""
    fields = json.loads(text)
    if not isinstance(fields, dict) or fields.get("kind") not in KINDS:
        raise ValueError(f"A fault is a JSON object whose kind is one of {', '.join(KINDS)}.")
    kind = KINDS[fields.pop("kind")]
    try:
        return kind(**fields)
    except TypeError as error:
        known = ", ".join(each.name for each in dataclasses.fields(kind))
        raise ValueError(f"{kind.__name__} has the fields {known}: {error}") from None


def to_json(fault: Fault) -> dict[str, Any]:
    """Return a fault as `from_json` reads it, as an object."""
    return {"kind": type(fault).__name__, **dataclasses.asdict(fault)}


class Dropped(Exception):  # noqa: N818 - nothing went wrong
    """The connection of a request shall be reset without an answer."""


@dataclass
class _Entry:
    fault: Fault
    met: int = 0
    struck: int = 0


class FaultPlan:
    """The faults of one local AWS. Safe to use from any thread."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._ids = itertools.count(1)
        self._changed = threading.Condition()

    def add(self, fault: Fault) -> str:
        """Add a fault, and return its id."""
        with self._changed:
            id_ = str(next(self._ids))
            self._entries[id_] = _Entry(fault)
            return id_

    def list(self) -> list[dict[str, Any]]:
        """All faults in the order of their coming, with their ids and how often each `struck`."""
        with self._changed:
            return [
                {"id": id_, **to_json(entry.fault), "struck": entry.struck}
                for id_, entry in self._entries.items()
            ]

    def clear(self, id_: str | None = None) -> bool:
        """Clear one fault, or all, and release what it holds; return False if there is none."""
        with self._changed:
            if id_ is not None and id_ not in self._entries:
                return False
            for each in [id_] if id_ is not None else list(self._entries):
                del self._entries[each]
            self._changed.notify_all()
            return True

    def take(self, kind: type[_F], call: Call) -> _F | None:
        """Return the fault of a kind that strikes a call; it counts as struck."""
        with self._changed:
            return self._take(kind, call)[1]

    def hold(self, call: Call, is_over: Callable[[], bool]) -> None:
        """Wait as long as a query is held in the state that it has entered.

        `is_over` is called after each `wake`.
        """
        with self._changed:
            id_, hold = self._take(Hold, call)
            if hold is not None:
                self._changed.wait_for(lambda: id_ not in self._entries or is_over(), hold.seconds)

    def wake(self) -> None:
        """Let those who wait in `hold` look whether they are over."""
        with self._changed:
            self._changed.notify_all()

    def _take(self, kind: type[_F], call: Call) -> tuple[str, _F | None]:
        for id_, entry in self._entries.items():
            fault = entry.fault
            if isinstance(fault, kind) and fault.times != entry.struck and fault.fits(call):
                entry.met += 1
                if entry.met > fault.skip:
                    entry.struck += 1
                    return id_, fault
        return "", None


class Faults:
    """The faults of a local AWS, over HTTP."""

    def __init__(self, endpoint_url: str) -> None:
        self._url = endpoint_url.rstrip("/") + PATH
        # A proxy of the environment is not for this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def add(self, fault: Fault) -> str:
        """Add a fault, and return its id."""
        return str(self._send("POST", "", to_json(fault))["id"])

    def list(self) -> list[dict[str, Any]]:
        """Return all faults, oldest first: `id`, `kind`, its fields, and how often it `struck`."""
        faults: list[dict[str, Any]] = self._send("GET")["faults"]
        return faults

    def clear(self, id_: str | None = None) -> None:
        """Clear one fault, or all, and release what it holds.

        Raises:
            KeyError: If there is no such fault.
        """
        try:
            self._send("DELETE", f"/{id_}" if id_ is not None else "")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            raise KeyError(id_) from None

    def _send(self, method: str, path: str = "", body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self._url}{path}", data, method=method)
        with self._opener.open(request) as answer:
            return json.load(answer)
