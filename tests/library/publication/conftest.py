from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import boto3
import pytest

from athena_reports.publication.glue_table import Table
from athena_reports.s3 import S3
from tests.library.publication.publishing import Place, week

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

_databases = count(1)


@pytest.fixture(scope="session")
def glue(s3_endpoint: str) -> GlueClient:
    return boto3.session.Session().client("glue", endpoint_url=s3_endpoint)


@pytest.fixture
def database(glue: GlueClient) -> str:
    """A new and empty Glue database."""
    name = f"reports_{next(_databases)}"
    glue.create_database(DatabaseInput={"Name": name})
    return name


@pytest.fixture
def place(s3: S3Client, bucket: str) -> Place:
    """A week in an empty bucket, of a report without a table."""
    return Place(S3(s3), week(bucket))


@pytest.fixture
def tabled(place: Place, glue: GlueClient, database: str) -> Place:
    """The same of a report with a table."""
    return Place(place.s3, place.location, Table(database, place.location, glue))
