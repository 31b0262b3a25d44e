"""Clients of the local AWS for its own use, and for tests."""

from __future__ import annotations

import threading
from typing import Any

import boto3
from botocore.config import Config


class Clients:
    """boto3 clients of one endpoint, each made once (they are safe to share between threads)."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def get(self, service: str, region: str = "us-east-1") -> Any:
        """The client of a service in a region."""
        with self._lock:
            if (service, region) not in self._clients:
                session: Any = boto3.Session("local", "local", region_name=region)
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
        """Closes all connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
