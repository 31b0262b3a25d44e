"""The folder of a report belongs to one environment and has one calendar.

Two environments would overwrite each other's reports. The ids of two kinds of week look alike, and
so do those of two time zones. The first run of a report claims its folder.
"""

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel

from athena_reports.aws.s3 import S3
from athena_reports.errors import PublishError
from athena_reports.periods.calendar import Cadence
from athena_reports.publication.documents import read_document, retry_if_contested, write_document
from athena_reports.publication.location import ReportLocation


class CalendarError(PublishError):
    """A folder belongs to another environment, or has periods of another calendar."""

    retryable = False


class PublishedCalendar(BaseModel, frozen=True):
    """`calendar.json`: the environment and the report of a folder, and how its periods are cut."""

    calendar_format: Literal[1] = 1
    environment: str
    report: str
    cadence: Cadence


def find_calendar(location: ReportLocation, s3: S3) -> PublishedCalendar | None:
    """Return the calendar of a folder; None if no run has claimed it."""
    calendar, _ = read_document(PublishedCalendar, location.calendar_uri, s3)
    return calendar


def conflict_in_folder(location: ReportLocation, calendar: PublishedCalendar, s3: S3) -> str:
    """Return why a report cannot publish to a folder; empty if it can."""
    return _conflict(find_calendar(location, s3), calendar, location)


@retry_if_contested
def require_calendar(
    location: ReportLocation,
    calendar: PublishedCalendar,
    s3: S3,
    before_claim: Callable[[], None] | None = None,
) -> None:
    """Require that a folder has a certain calendar, or CalendarError; an unclaimed one gets it.

    `before_claim` is called if the folder is unclaimed, and leaves it so if it raises an error.
    """
    published = find_calendar(location, s3)
    conflict = _conflict(published, calendar, location)
    if conflict:
        raise CalendarError(conflict)
    if published is None:
        if before_claim is not None:
            before_claim()
        write_document(calendar, location.calendar_uri, s3, replacing=None)


def _conflict(
    published: PublishedCalendar | None, calendar: PublishedCalendar, location: ReportLocation
) -> str:
    if published is None or published == calendar:
        return ""
    if published.environment != calendar.environment:
        return (
            f"{location.folder_uri} belongs to environment {published.environment}; this is "
            f"environment {calendar.environment}. Publish to another bucket (ATHENA_REPORTS_BUCKET)"
            " or under another report name. If nothing is published there, delete "
            f"{location.calendar_uri} instead."
        )
    return (
        f"{location.folder_uri} holds periods of report {published.report}, "
        f"{published.cadence.description}; report {calendar.report}, "
        f"{calendar.cadence.description}, would reuse the same period ids. Rename the report or "
        f"restore its cadence. If nothing is published there, delete {location.calendar_uri} "
        "instead."
    )
