"""The folder of a report belongs to one environment and has one calendar.

Both are read and compared here. The first run of a report claims its folder.
"""

from athena_reports.aws.s3 import S3, ConditionError
from athena_reports.publication.commit import newest_manifest, not_ours, read_document
from athena_reports.publication.glue_table import ATTEMPTS, changed_by_others
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.published_calendar import CalendarError, PublishedCalendar


def find_calendar(location: ReportLocation, s3: S3) -> PublishedCalendar | None:
    """Return the calendar of a folder: its `calendar.json`, else that of its newest manifest.

    None if the folder has neither.

    Raises:
        PublishError: One of them is not of this package and folder, or of a newer release.
        S3Error: S3 refused a call, or did not serve it.
    """
    calendar = _read_calendar(location, s3)
    if calendar is not None:
        return calendar
    newest = newest_manifest(location, s3)
    if newest is None:
        return None
    manifest, _ = newest
    return PublishedCalendar.of_facts(manifest)


def conflict_in_folder(location: ReportLocation, calendar: PublishedCalendar, s3: S3) -> str:
    """Say why a report cannot publish to a folder, as its run says it; empty if it can.

    Args:
        location: The folder.
        calendar: The calendar of the report that wants to publish there.
        s3: The client of the report bucket.

    Raises:
        PublishError: As `find_calendar` does.
        S3Error: As `find_calendar` does.
    """
    published = find_calendar(location, s3)
    if published is None:
        return ""
    return _conflict(published, calendar, location, s3)


def require_calendar(location: ReportLocation, calendar: PublishedCalendar, s3: S3) -> None:
    """Require that a folder has a certain calendar. A folder that has none yet gets it.

    If the folder has it in `calendar.json`, this is one call.

    Args:
        location: The folder.
        calendar: The calendar of the report that wants to publish there.
        s3: The client of the report bucket.

    Raises:
        CalendarError: The folder has another environment or calendar. The message names both.
        PublishError: What lies there is not of this package and folder, or of a newer release; or
            others write and delete `calendar.json` each time.
        S3Error: S3 refused a call, or did not serve it.
    """
    for _ in range(ATTEMPTS):
        published = _read_calendar(location, s3)
        if published is not None:
            _refuse_conflict(published, calendar, location, s3)
            return
        newest = newest_manifest(location, s3)
        if newest is not None:  # a release without calendars has published it
            manifest, _ = newest
            _refuse_conflict(PublishedCalendar.of_facts(manifest), calendar, location, s3)
        body = calendar.model_dump_json(indent=2).encode()
        try:
            s3.write(location.calendar_uri, body, "application/json", replacing=None)
        except ConditionError:
            continue  # another run was faster, or S3 did this write and its answer was lost
        return
    raise changed_by_others(location.calendar_uri)


def _refuse_conflict(
    published: PublishedCalendar, calendar: PublishedCalendar, location: ReportLocation, s3: S3
) -> None:
    conflict = _conflict(published, calendar, location, s3)
    if conflict:
        raise CalendarError(conflict)


def _conflict(
    published: PublishedCalendar, calendar: PublishedCalendar, location: ReportLocation, s3: S3
) -> str:
    """Say why a report cannot publish to a folder that has a calendar; empty if it can."""
    conflict = published.conflict_with(calendar, location.folder_uri)
    # A first run that failed has claimed the folder, and published nothing.
    if conflict and newest_manifest(location, s3) is None:
        conflict += (
            " Nothing is published there yet. If no run is about to publish, delete "
            f"{location.calendar_uri} instead."
        )
    return conflict


def _read_calendar(location: ReportLocation, s3: S3) -> PublishedCalendar | None:
    calendar, _ = read_document(PublishedCalendar, location.calendar_uri, s3)
    if calendar is None:
        return None
    if (calendar.report, calendar.cadence) != (location.name, location.cadence_name):
        problem = f"it is of {calendar.report}/{calendar.cadence}"
        raise not_ours(location.calendar_uri, "folder") from ValueError(problem)
    return calendar
