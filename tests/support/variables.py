"""The variables of this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from athena_reports.settings import settings

if TYPE_CHECKING:
    from athena_reports_cli.local.services import Services


@contextmanager
def kept_environment() -> Iterator[None]:
    """Put the variables back at the end: a command sets some, as if its process ended with it."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def reaching(services: Services, **variables: str) -> Iterator[None]:
    """Let clients of AWS reach the services, with `variables`, of which the settings follow."""
    try:
        with kept_environment():
            os.environ.update(services.environment)
            os.environ.update(variables)
            settings.cache_clear()
            yield
    finally:
        settings.cache_clear()
