"""The present, as queries see it: that of this machine, or an instant at which it stands still.

Over HTTP, at the endpoint of all services:

    PUT    /_local/clock    {"now": "2026-11-15T00:05:00+09:00"}: queries that are submitted from
                            now on take this for the present
    GET    /_local/clock    {"now": ...}, null if it is the present of this machine
    DELETE /_local/clock    it is so again

In Python, `Clock(endpoint_url).set(instant)` does the same.
"""

from __future__ import annotations

import datetime as dt
import json
import urllib.request
from typing import Any

PATH = "/_local/clock"


class ServiceClock:
    """The present of the queries of one service."""

    def __init__(self) -> None:
        self.fixed: dt.datetime | None = None

    def now(self) -> dt.datetime:
        """Return the present, in UTC."""
        return self.fixed or dt.datetime.now(dt.UTC)

    def answer(self, method: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Answer a request: HTTP status and JSON."""
        if method == "PUT":
            try:
                self.fixed = _instant(json.loads(body)["now"])
            except (ValueError, KeyError, TypeError) as error:
                return 400, {"message": f"now is not an instant with its offset: {error}"}
        elif method == "DELETE":
            self.fixed = None
        elif method != "GET":
            return 405, {"message": "PUT the present, GET it, or DELETE it"}
        return 200, {"now": self.fixed.isoformat() if self.fixed is not None else None}


def _instant(text: str) -> dt.datetime:
    instant = dt.datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return instant.astimezone(dt.UTC)


class Clock:
    """The clock of a local AWS, over HTTP."""

    def __init__(self, endpoint_url: str) -> None:
        self._url = endpoint_url.rstrip("/") + PATH
        # A proxy of the environment is not for this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def set(self, now: dt.datetime) -> None:
        """Let the present stand still at an instant."""
        if now.tzinfo is None:
            raise ValueError(f"{now} has no zone")
        self._send("PUT", json.dumps({"now": now.isoformat()}).encode())

    def clear(self) -> None:
        """Let the present be that of the machine again."""
        self._send("DELETE")

    def _send(self, method: str, body: bytes | None = None) -> None:
        request = urllib.request.Request(self._url, body, method=method)
        with self._opener.open(request) as answer:
            answer.read()
