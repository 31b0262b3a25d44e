"""Whose a folder is; tests/services/test_folders.py has the runs that this stops."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.aws.s3 import S3
from athena_reports.errors import PublishError
from athena_reports.periods.calendar import Cadence, Unit, Weekday, weekly
from athena_reports.publication.folder import (
    CalendarError,
    PublishedCalendar,
    conflict_in_folder,
    find_calendar,
    require_calendar,
)
from athena_reports.publication.location import ReportLocation
from tests.support.calendars import UTC_WEEKS
from tests.support.memory_store import MemoryS3
from tests.support.publishing import Place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DEV = PublishedCalendar(environment="dev", report="plays", cadence=UTC_WEEKS)
STG = PublishedCalendar(environment="stg", report="plays", cadence=UTC_WEEKS)
LOCATION = ReportLocation.of("reports", "plays", UTC_WEEKS)
# Some of them skipped a date, or put their clocks over midnight.
ZONES = ["UTC", "Asia/Tokyo", "Pacific/Apia", "America/Sao_Paulo", "Asia/Beirut", "Etc/UTC"]


@st.composite
def cadences(draw: st.DrawFn) -> Cadence:
    unit: Unit = draw(st.sampled_from(["daily", "weekly", "monthly"]))
    first_day: Weekday | None = None
    if unit == "weekly":
        first_day = draw(st.sampled_from(["sunday", "monday", "friday"]))
    return Cadence(unit, draw(st.sampled_from(ZONES)), first_day)


class Counted:
    """An S3 in memory, and the names of its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.memory = MemoryS3(self.call)
        self.s3 = S3(self.memory)  # type: ignore[arg-type]

    def call(self, name: str, do: Callable[[], Any]) -> Any:
        self.calls.append(name)
        return do()


@given(cadences(), cadences())
def test_the_second_calendar_is_refused_exactly_if_it_differs(one: Cadence, two: Cadence) -> None:
    s3 = Counted().s3
    first, second = (
        PublishedCalendar(environment="dev", report="plays", cadence=cadence)
        for cadence in (one, two)
    )
    here, there = (ReportLocation.of("reports", "plays", cadence) for cadence in (one, two))
    require_calendar(here, first, s3)
    conflict = conflict_in_folder(there, second, s3)
    if here == there and one != two:
        with pytest.raises(CalendarError) as refused:
            require_calendar(there, second, s3)
        assert not refused.value.retryable
        assert conflict == str(refused.value)
    else:
        assert conflict == ""
        require_calendar(there, second, s3)
        assert find_calendar(there, s3) == second
    assert find_calendar(here, s3) == first


@pytest.mark.parametrize(
    ("published", "problem"),
    [
        (
            STG,
            f"{LOCATION.folder_uri} belongs to environment stg; this is environment dev. Publish to"
            " another bucket (ATHENA_REPORTS_BUCKET) or under another report name. If nothing is"
            f" published there, delete {LOCATION.calendar_uri} instead.",
        ),
        (
            DEV.model_copy(update={"cadence": weekly("monday", "Asia/Tokyo")}),
            f"{LOCATION.folder_uri} holds periods of report plays, Weekly from Monday, Asia/Tokyo;"
            " report plays, Weekly from Sunday, UTC, would reuse the same period ids. Rename the"
            " report or restore its cadence. If nothing is published there, delete"
            f" {LOCATION.calendar_uri} instead.",
        ),
    ],
)
def test_a_conflict_says_what_differs_and_what_to_do(
    published: PublishedCalendar, problem: str
) -> None:
    s3 = Counted().s3
    require_calendar(LOCATION, published, s3)
    assert conflict_in_folder(LOCATION, DEV, s3) == problem


def test_the_bytes_of_a_calendar() -> None:
    calendar = DEV.model_copy(update={"cadence": weekly("sunday", "Asia/Tokyo")})
    body = (
        '{"calendar_format":1,"environment":"dev","report":"plays",'
        '"cadence":{"unit":"weekly","timezone":"Asia/Tokyo","first_day":"sunday"}}'
    )
    assert calendar.model_dump_json() == body
    assert PublishedCalendar.model_validate_json(body) == calendar


def test_a_claimed_folder_takes_one_call_and_a_look_writes_nothing() -> None:
    counted = Counted()
    assert conflict_in_folder(LOCATION, DEV, counted.s3) == ""
    assert counted.memory.objects == {}
    require_calendar(LOCATION, DEV, counted.s3)
    counted.calls.clear()
    require_calendar(LOCATION, DEV, counted.s3)
    assert counted.calls == ["GetObject calendar.json"]


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


def test_a_claim_whose_response_was_lost_is_no_conflict() -> None:
    """S3 has written the calendar, and the client's second try finds that there is one."""
    counted = Counted()

    def lose_the_response(name: str, do: Callable[[], Any]) -> Any:
        if name.startswith("PutObject"):
            do()
        return do()

    counted.memory.call = lose_the_response
    require_calendar(LOCATION, DEV, counted.s3)
    assert find_calendar(LOCATION, counted.s3) == DEV


def test_a_folder_is_not_claimed_if_what_comes_before_fails() -> None:
    s3 = Counted().s3

    def refuse() -> None:
        raise PublishError("not today")

    with pytest.raises(PublishError, match="not today"):
        require_calendar(LOCATION, DEV, s3, before_claim=refuse)
    assert find_calendar(LOCATION, s3) is None
    require_calendar(LOCATION, DEV, s3)
    require_calendar(LOCATION, DEV, s3, before_claim=refuse)


NEWER = DEV.model_dump_json().replace('"calendar_format":1', '"calendar_format":2').encode()


@pytest.mark.parametrize("content", [b"not JSON", b"{}", b'{"calendar_format": 2}', NEWER])
def test_a_calendar_that_is_not_ours_is_not_overwritten(place: Place, content: bytes) -> None:
    uri = place.location.report.calendar_uri
    place.put(uri, content)
    with pytest.raises(PublishError, match=f"^{uri} is not a document of this report") as refused:
        require_calendar(place.location.report, DEV, place.s3)
    assert not refused.value.retryable
    assert place.s3.read(uri)[0] == content
