"""What the tests on the local services share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from athena_reports_cli.local.services import Services
from local_athena.faults import Faults
from tests.support.inbox import Inbox


@pytest.fixture
def inbox(services: Services) -> Iterator[Inbox]:
    """What arrives at the topic `reports-dev` during a test."""
    inbox = Inbox.create(services, "reports-dev")
    inbox.take()
    yield inbox
    inbox.take()


@pytest.fixture
def faults(services: Services) -> Iterator[Faults]:
    """The faults of the services, which end with the test."""
    faults = Faults(services.endpoint_url)
    yield faults
    faults.clear()
