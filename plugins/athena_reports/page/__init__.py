"""The Reports page: what is published of each report, what is missing, and how to fill it.

Airflow's API server mounts `ReportsPage`. Every component of Airflow loads its plugins, so the application is
imported at the first request only.
"""

from __future__ import annotations

from functools import cache
from typing import Any

PREFIX = "/athena-reports"
"""Where the page is mounted in Airflow's API server."""


class ReportsPage:
    """The ASGI application of the page."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        await _app()(scope, receive, send)


@cache
def _app() -> Any:
    from athena_reports.page.app import create_app

    return create_app()
