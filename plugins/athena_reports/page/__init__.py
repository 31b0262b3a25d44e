"""The Reports page: what is published of each report, and what is to be done about it.

The page is static; its data come from `app`, which Airflow's API server mounts. Every component of Airflow
loads its plugins, so nothing else is imported here before the first request comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

PREFIX = "/athena-reports"
"""Where the page is mounted in Airflow's API server."""

_Message = MutableMapping[str, Any]


class ReportsPage:
    """The ASGI application of the page, made at the first request."""

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer a request."""
        await _app()(scope, receive, send)


@cache
def _app() -> Any:
    from athena_reports.page.app import create_app

    return create_app()
