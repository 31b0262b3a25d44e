"""Published reports in a Glue and an S3 of this process."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from sqlalchemy.orm import Session

from athena_reports.aws.s3 import S3
from athena_reports.page.lake import Lake
from athena_reports.page.runs import ReportDag
from athena_reports.scheduling.timetable import PeriodTimetable
from tests.e2e.page_state import Publisher
from tests.library.page import metadata
from tests.library.page.partitions import WEEKS

WEEK = WEEKS.period("2026-03-01")


def report_dag(report: str, cadence: Any = WEEKS, **facts: Any) -> ReportDag:
    timetable = PeriodTimetable(cadence, timedelta(minutes=5))
    return ReportDag(
        f"{report}_{cadence.name}", timetable, WEEK.start_utc, **{"is_paused": False} | facts
    )


@dataclass(frozen=True)
class Account:
    """The services of one test: a database and a bucket of its own."""

    s3: Any
    glue: Any
    database: str
    bucket: str

    @property
    def lake(self) -> Lake:
        return Lake(
            self.database, self.bucket, "dev", self.glue, S3(self.s3), "https://console.example/"
        )

    def publisher(self, report: str, cadence: object) -> Publisher:
        return Publisher(self, report, cadence, self.database, self.bucket)  # type: ignore[arg-type]


@pytest.fixture
def account(s3_endpoint: str, s3: Any, database: str, bucket: str) -> Account:
    """Its client of Glue is one that a test may break."""
    return Account(s3, boto3.client("glue", endpoint_url=s3_endpoint), database, bucket)


@pytest.fixture
def publisher(account: Account) -> Publisher:
    return account.publisher("scores", WEEKS)


@pytest.fixture
def session(sql_folder: Path, tmp_path: Path) -> Iterator[Session]:
    """Of a database in which the DAG processor has stored the DAGs of `metadata`."""
    with metadata.database(tmp_path) as session:
        yield session
