"""An account with reports that the page shows."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from athena_reports.aws.s3 import S3
from athena_reports.page.published_reports import PublishedReports
from athena_reports.page.runs import ReportDag
from athena_reports.scheduling.timetable import PeriodTimetable
from tests.support.calendars import WEEKS
from tests.support.page_publisher import Publisher

WEEK = WEEKS.period("2026-03-01")


def report_dag(report: str, cadence: Any = WEEKS, **facts: Any) -> ReportDag:
    timetable = PeriodTimetable(cadence, timedelta(minutes=5))
    return ReportDag(
        f"{report}_{cadence.unit}", timetable, WEEK.start_utc, **{"is_paused": False} | facts
    )


@dataclass(frozen=True)
class Account:
    """The services of one test: a database and a bucket of its own."""

    s3: Any
    glue: Any
    database: str
    bucket: str

    @property
    def reports(self) -> PublishedReports:
        return PublishedReports(
            self.database, self.bucket, self.glue, S3(self.s3), "https://console.example/"
        )

    def publisher(self, report: str, cadence: object) -> Publisher:
        return Publisher(self, report, cadence, self.database, self.bucket)  # type: ignore[arg-type]
