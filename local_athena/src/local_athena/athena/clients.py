"""Clients of the local AWS for its own use, and for tests."""

from __future__ import annotations

import threading
from typing import Any

import boto3
from botocore.config import Config
from moto.core.models import DEFAULT_ACCOUNT_ID

ACCOUNT: str = DEFAULT_ACCOUNT_ID
"""The account that owns everything here."""

OWN_KEY = "local-athena"
"""Access key of what the local Athena itself asks of S3 and Glue."""


class Clients:
    """boto3 clients of one endpoint, each made once (they are safe to share between threads)."""

    def __init__(self, endpoint_url: str, access_key: str = "local") -> None:
        self.endpoint_url = endpoint_url
        self._access_key = access_key
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def get(self, service: str, region: str = "us-east-1") -> Any:
        """Return the client of a service in a region."""
        with self._lock:
            if (service, region) not in self._clients:
                session: Any = boto3.Session(self._access_key, "local", region_name=region)
                self._clients[service, region] = session.client(
                    service,
                    endpoint_url=self.endpoint_url,
                    config=Config(
                        proxies={},
                        retries={"total_max_attempts": 1},
                        max_pool_connections=32,
                        s3={"addressing_style": "path"},
                    ),
                )
            return self._clients[service, region]

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
