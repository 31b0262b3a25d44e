"""pytest's fixture `local_aws`: S3, Glue and Athena on this machine, empty for each test.

pytest finds it by itself where the package is installed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_athena.server import LocalAws


@pytest.fixture(scope="session")
def local_aws_of_session() -> Iterator[LocalAws]:
    """The services, which start when the first test asks for them and end with the last test."""
    with LocalAws.start() as aws:
        yield aws


@pytest.fixture
def local_aws(local_aws_of_session: LocalAws, monkeypatch: pytest.MonkeyPatch) -> LocalAws:
    """The services without buckets, tables, queries and faults.

    While the test runs, a client of boto3 that names no endpoint, credentials or region has theirs.
    """
    local_aws_of_session.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", local_aws_of_session.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return local_aws_of_session
