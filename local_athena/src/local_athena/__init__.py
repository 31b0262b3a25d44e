"""S3, Glue, STS, SNS, SQS and Athena on this machine: one endpoint, real services.

`local-athena serve` serves on 127.0.0.1 until it is stopped; in Python,
`LocalAws.start()` does. Any AWS client reaches it by that endpoint URL and nothing else.
The README of the project says what it does, what it refuses and where it differs from AWS.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_athena.server import LocalAws, PortInUseError

__all__ = ["LocalAws", "PortInUseError"]


def __getattr__(name: str) -> Any:
    # The processes of queries import what is below, and none of the services.
    if name in __all__:
        return getattr(import_module("local_athena.server"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
