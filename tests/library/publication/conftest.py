from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from athena_reports.publication.glue_table import Table
from athena_reports.s3 import S3
from tests.library.publication.publishing import Place, week

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def place(s3: S3Client, bucket: str) -> Place:
    """A week in an empty bucket, of a report without a table."""
    return Place(S3(s3), week(bucket))


@pytest.fixture
def tabled(place: Place, glue: GlueClient, database: str) -> Place:
    """The same of a report with a table."""
    return Place(place.s3, place.location, Table(database, place.location, glue))
