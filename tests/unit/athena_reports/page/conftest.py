"""Published reports in a Glue and an S3 of this process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from sqlalchemy.orm import Session

from tests.support.calendars import WEEKS
from tests.support.page_publisher import Publisher
from tests.unit.athena_reports.page import metadata
from tests.unit.athena_reports.page.account import Account


@pytest.fixture
def account(s3_endpoint: str, s3: Any, database: str, bucket: str) -> Account:
    """Its client of Glue is one that a test may break."""
    return Account(s3, boto3.client("glue", endpoint_url=s3_endpoint), database, bucket)


@pytest.fixture
def publisher(account: Account) -> Publisher:
    return account.publisher("scores", WEEKS)


@pytest.fixture(scope="session")
def filled_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that needs the database of `metadata` keeps it."""
    return tmp_path_factory.mktemp("metadata") / "airflow.db"


@pytest.fixture
def session(sql_folder: Path, tmp_path: Path, filled_database: Path) -> Iterator[Session]:
    """Of a database in which the DAG processor has stored the DAGs of `metadata`."""
    with metadata.database(tmp_path, filled_database) as session:
        yield session
