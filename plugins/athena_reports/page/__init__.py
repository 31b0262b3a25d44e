"""The Reports page: what is published of each report, what is missing, and how to fill it."""

from typing import Any


class ReportsPage:
    """The ASGI application.

    It is imported at the first request, since every component of Airflow loads its plugins.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        from athena_reports.page.app import app

        await app(scope, receive, send)
