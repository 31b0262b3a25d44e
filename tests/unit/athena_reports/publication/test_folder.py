"""Whose a folder is; tests/services/test_folders.py has the runs that this stops."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.aws.s3 import S3, split_uri
from athena_reports.errors import PublishError
from athena_reports.periods.calendar import Cadence, monthly, weekly
from athena_reports.publication.folder import (
    conflict_in_folder,
    find_calendar,
    require_calendar,
)
from athena_reports.publication.location import PeriodLocation, ReportLocation
from athena_reports.publication.manifest import Manifest, PublishedPeriod, Version
from athena_reports.publication.published_calendar import CalendarError, PublishedCalendar
from tests.support.calendars import UTC_WEEKS
from tests.support.memory_store import MemoryS3
from tests.support.publishing import Place, facts
from tests.support.wire import CONFLICT, answered, s3_error
from tests.unit.athena_reports.publication.cadences import cadences

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DEV = PublishedCalendar.of("dev", "plays", UTC_WEEKS)
STG = PublishedCalendar.of("stg", "plays", UTC_WEEKS)


class Counted:
    """An S3 in memory, and the names of its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.memory = MemoryS3(self.call)
        self.s3 = S3(self.memory)  # type: ignore[arg-type]

    def call(self, name: str, do: Callable[[], Any]) -> Any:
        self.calls.append(name)
        return do()


def location_of(cadence: Cadence) -> ReportLocation:
    return ReportLocation.of("reports", "plays", cadence)


def put_manifest(s3: S3, cadence: Cadence, period_id: str = "", environment: str = "dev") -> None:
    """Publish a period as a release without calendars did."""
    period = cadence.period(period_id) if period_id else cadence.containing(WEEK_START)
    location = PeriodLocation(location_of(cadence), period.id)
    published = facts(period=PublishedPeriod.of(period), environment=environment)
    version = Version(version="0123456789abcdef", ordered=True, rows=0, columns=(), objects=())
    manifest = Manifest.of(version, published)
    body = manifest.model_dump_json().encode()
    s3.write(location.manifest_uri, body, "application/json", replacing=None)


def test_a_calendar_of_a_newer_release_is_left_alone_and_said() -> None:
    s3 = Counted().s3
    location = location_of(UTC_WEEKS)
    body = DEV.model_dump_json().replace('"calendar_format":1', '"calendar_format":2').encode()
    s3.write(location.calendar_uri, body, "application/json", replacing=None)
    says = f"^{location.calendar_uri} is of a newer release .* has another calendar_format"
    for look in (
        lambda: require_calendar(location, DEV, s3),
        lambda: find_calendar(location, s3),
        lambda: conflict_in_folder(location, DEV, s3),
    ):
        with pytest.raises(PublishError, match=says) as caught:
            look()
        assert not caught.value.retryable


WEEK_START = UTC_WEEKS.period("2026-11-15").start_utc


@given(cadences(), cadences(), st.booleans())
def test_the_second_calendar_is_refused_exactly_if_it_differs(
    one: Cadence, two: Cadence, is_from_before: bool
) -> None:
    s3 = Counted().s3
    first = PublishedCalendar.of("dev", "plays", one)
    if is_from_before:
        put_manifest(s3, one)
    else:
        require_calendar(location_of(one), first, s3)
    second = PublishedCalendar.of("dev", "plays", two)
    shares_folder = one.unit == two.unit
    conflict = conflict_in_folder(location_of(two), second, s3)
    if shares_folder and one != two:
        with pytest.raises(CalendarError) as refused:
            require_calendar(location_of(two), second, s3)
        assert first.description in str(refused.value)
        assert second.description in str(refused.value)
        assert not refused.value.retryable
        assert conflict == str(refused.value)
    else:
        assert conflict == ""
        require_calendar(location_of(two), second, s3)
        assert find_calendar(location_of(two), s3) == second
    require_calendar(location_of(one), first, s3)


def test_a_folder_that_was_only_claimed_may_be_freed() -> None:
    s3 = Counted().s3
    location = location_of(UTC_WEEKS)
    require_calendar(location, DEV, s3)
    ours = PublishedCalendar.of("stg", "plays", UTC_WEEKS)
    advice = (
        " Nothing is published there yet. If no run is about to publish, delete "
        f"{location.calendar_uri} instead."
    )
    assert conflict_in_folder(location, ours, s3).endswith(advice)
    put_manifest(s3, UTC_WEEKS)
    conflict = conflict_in_folder(location, ours, s3)
    assert conflict
    assert advice not in conflict


def test_a_folder_that_has_a_calendar_takes_one_call() -> None:
    counted = Counted()
    require_calendar(location_of(UTC_WEEKS), DEV, counted.s3)
    counted.calls.clear()
    require_calendar(location_of(UTC_WEEKS), DEV, counted.s3)
    assert counted.calls == ["GetObject calendar.json"]


def test_looking_at_a_folder_writes_nothing() -> None:
    counted = Counted()
    assert find_calendar(location_of(UTC_WEEKS), counted.s3) is None
    put_manifest(counted.s3, UTC_WEEKS)
    before = dict(counted.memory.objects)
    assert find_calendar(location_of(UTC_WEEKS), counted.s3) == DEV
    assert counted.memory.objects == before


def test_the_newest_manifest_decides_about_a_folder_from_before() -> None:
    """The folder has weeks of two kinds, other folders, and versions that were not published."""
    s3 = Counted().s3
    mondays = weekly("monday")
    put_manifest(s3, UTC_WEEKS, "2026-11-01")
    put_manifest(s3, mondays, "2026-11-16")
    put_manifest(s3, UTC_WEEKS, "2026-11-08", environment="stg")
    folder = location_of(UTC_WEEKS).folder_uri
    for name in ("2026-11-23/versions/x/csv/part-0.csv", "notes/read-me.txt"):
        s3.write(f"{folder}{name}", b"", "text/plain", replacing=None)

    with pytest.raises(CalendarError, match=r"has weeks from Monday in UTC, and this .* Sunday"):
        require_calendar(location_of(UTC_WEEKS), DEV, s3)
    calendar = PublishedCalendar.of("dev", "plays", mondays)
    require_calendar(location_of(mondays), calendar, s3)
    assert find_calendar(location_of(mondays), s3) == calendar


def test_of_first_runs_at_once_those_of_one_environment_win(
    new_s3_client: Callable[[], S3Client], bucket: str
) -> None:
    """Each finds no calendar, and writes its own on the condition that there is none."""
    location = ReportLocation.of(bucket, "plays", UTC_WEEKS)
    s3 = S3(new_s3_client())

    def run(calendar: PublishedCalendar) -> str:
        try:
            require_calendar(location, calendar, s3)
        except CalendarError:
            return ""
        return calendar.environment

    with ThreadPoolExecutor(16) as threads:
        calendars = [DEV, STG] * 8
        won = list(threads.map(run, calendars))
    present = find_calendar(location, s3)
    assert present is not None
    assert won == [calendar.environment if calendar == present else "" for calendar in calendars]


def test_an_answer_that_was_lost_is_no_conflict() -> None:
    """S3 has written the calendar, and the client's second try finds that there is one."""
    counted = Counted()

    def lose_the_answer(name: str, do: Callable[[], Any]) -> Any:
        if name.startswith("PutObject"):
            do()
        return do()

    counted.memory.call = lose_the_answer
    require_calendar(location_of(UTC_WEEKS), DEV, counted.s3)
    assert find_calendar(location_of(UTC_WEEKS), counted.s3) == DEV


@pytest.mark.parametrize("is_of_another", [False, True])
def test_a_calendar_whose_write_conflicts_with_another_one_is_read_again(
    place: Place, is_of_another: bool
) -> None:
    """S3 answers 409: another run writes the calendar at the same time."""
    report = place.location.report
    written = STG if is_of_another else DEV

    def write_first(**_: Any) -> AWSResponse:
        events.unregister("before-send.s3.PutObject", write_first)
        place.put(report.calendar_uri, written.model_dump_json().encode())
        return s3_error(*CONFLICT)

    events = place.s3.client.meta.events
    events.register("before-send.s3.PutObject", write_first)
    if is_of_another:
        with pytest.raises(CalendarError, match="belongs to the environment stg"):
            require_calendar(report, DEV, place.s3)
    else:
        require_calendar(report, DEV, place.s3)
    assert find_calendar(report, place.s3) == written


def test_a_calendar_that_others_change_at_each_attempt_is_a_retryable_error(
    place: Place,
) -> None:
    conflicts = [s3_error(*CONFLICT) for _ in range(10)]
    with (
        answered(place.s3.client, "PutObject", *conflicts) as requests,
        pytest.raises(
            PublishError, match=r"calendar\.json was changed by others at each of 10"
        ) as caught,
    ):
        require_calendar(place.location.report, DEV, place.s3)
    assert caught.value.retryable
    assert len(requests) == 10
    assert place.everything() == {}


@pytest.mark.parametrize(
    "content", [b"not JSON", b"[]", b"{}", monthly("UTC").description.encode()]
)
def test_a_calendar_that_is_not_ours_is_not_overwritten(place: Place, content: bytes) -> None:
    uri = place.location.report.calendar_uri
    place.put(uri, content)
    with pytest.raises(PublishError, match="is not of this package and folder") as refused:
        require_calendar(place.location.report, DEV, place.s3)
    assert uri in str(refused.value)
    assert not refused.value.retryable
    assert place.everything()[split_uri(uri)[1]] == content


@pytest.mark.parametrize(
    "other",
    [
        PublishedCalendar.of("dev", "flights", UTC_WEEKS),
        PublishedCalendar.of("dev", "plays", monthly()),
    ],
)
def test_a_calendar_of_another_folder_is_not_ours(place: Place, other: PublishedCalendar) -> None:
    uri = place.location.report.calendar_uri
    place.put(uri, other.model_dump_json().encode())
    with pytest.raises(PublishError, match="is not of this package and folder"):
        find_calendar(place.location.report, place.s3)
