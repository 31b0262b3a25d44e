"""Which partitions can hold the events of a period, held against clocks read one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from athena_reports.inputs.layout import bounds_of_events
from tests.support.calendars import WEEK
from tests.unit.athena_reports.inputs.clocks import (
    LAYOUTS,
    ROUNDS,
    Case,
    KeysOfTime,
    days_of_change,
    hours_on_a_clock,
    random_case,
    some_layouts,
    stretches,
)


def assert_partitions(case: Case, keys: KeysOfTime) -> None:
    layout = keys.source(zone=case.zone).layout
    start, end = case.period.start_utc, case.period.end_utc + case.late_by
    hours = hours_on_a_clock(case.zone, start, end)
    expected = list(dict.fromkeys(map(keys.values, hours)))
    assert layout.partitions(start, end) == expected, (case, str(keys))


@pytest.mark.parametrize("seeds", ROUNDS, ids=str)
def test_the_partitions_are_those_whose_hours_a_clock_shows(seeds: range) -> None:
    cases = [random_case(seed) for seed in seeds]
    assert len({case.zone for case in cases}) > min(len(seeds) / 2, 400)
    for case in cases:
        for keys in some_layouts(case.seed):
            assert_partitions(case, keys)


def minutes_of_a_clock(zone: str, start: datetime, end: datetime) -> set[datetime]:
    """The hours that a clock shows, read every second minute and at the last instant."""
    readings = [start, end - timedelta(microseconds=1)]
    while readings[-2] < end - timedelta(minutes=2):
        readings.insert(-1, readings[-2] + timedelta(minutes=2))
    shown = {reading.astimezone(ZoneInfo(zone)) for reading in readings}
    return {face.replace(tzinfo=None, minute=0, second=0, microsecond=0, fold=0) for face in shown}


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe"])
def test_the_clocks_that_this_is_held_against_are_read_right(zone: str) -> None:
    start = datetime(2011, 12, 20, 3, 7, tzinfo=UTC)
    end = datetime(2012, 1, 5, 11, 1, tzinfo=UTC)
    assert set(hours_on_a_clock(zone, start, end)) == minutes_of_a_clock(zone, start, end)


@pytest.mark.parametrize(
    ("zone", "start", "end", "first", "last", "count"),
    [
        # Half past an hour of UTC: both border hours.
        ("UTC", "2025-06-20T18:30", "2025-06-21T18:30", "2025-06-20T18", "2025-06-21T18", 25),
        (
            "Asia/Kolkata",
            "2025-06-21T00:00",
            "2025-06-22T00:00",
            "2025-06-21T05",
            "2025-06-22T05",
            25,
        ),
        (
            "Asia/Kathmandu",
            "2025-06-20T18:15",
            "2025-06-21T18:15",
            "2025-06-21T00",
            "2025-06-21T23",
            24,
        ),
        # A day of 23 hours, one of 25 hours in which a clock shows an hour twice.
        (
            "America/New_York",
            "2025-03-09T05:00",
            "2025-03-10T04:00",
            "2025-03-09T00",
            "2025-03-09T23",
            23,
        ),
        (
            "America/New_York",
            "2025-11-02T04:00",
            "2025-11-03T05:00",
            "2025-11-02T00",
            "2025-11-02T23",
            24,
        ),
        # The clock goes back by half an hour, from 2:00 to 1:30.
        (
            "Australia/Lord_Howe",
            "2025-04-05T13:00",
            "2025-04-06T13:30",
            "2025-04-06T00",
            "2025-04-06T23",
            24,
        ),
        # There was no 30th of December.
        (
            "Pacific/Apia",
            "2011-12-30T09:00",
            "2011-12-30T11:00",
            "2011-12-29T23",
            "2011-12-31T00",
            2,
        ),
        # Until 1911 the clocks of Paris were 9 minutes and 21 seconds before Greenwich.
        (
            "Europe/Paris",
            "1905-06-01T23:50:38",
            "1905-06-01T23:50:40",
            "1905-06-01T23",
            "1905-06-02T00",
            2,
        ),
    ],
)
def test_hours_of_unusual_clocks(
    zone: str, start: str, end: str, first: str, last: str, count: int
) -> None:
    """Written by hand, from what is known of these clocks."""
    datehour = next(keys for keys in LAYOUTS if keys.names == ["datehour"])
    layout = datehour.source(zone=zone).layout
    hours = layout.partitions(
        datetime.fromisoformat(start).replace(tzinfo=UTC),
        datetime.fromisoformat(end).replace(tzinfo=UTC),
    )
    assert (hours[0], hours[-1], len(hours)) == (
        (f"{datetime.fromisoformat(first):%Y/%m/%d/%H}",),
        (f"{datetime.fromisoformat(last):%Y/%m/%d/%H}",),
        count,
    )


@pytest.mark.parametrize(
    "zone",
    [
        "Australia/Lord_Howe",  # by half an hour
        "Antarctica/Troll",  # by two hours
        "Asia/Kathmandu",  # by a quarter, in 1986
        "Asia/Pyongyang",
        "America/Caracas",
        "Antarctica/Casey",  # by three hours, and back
        "Pacific/Apia",  # over a date
        "Pacific/Kwajalein",  # back by 23 hours, and over a date
        "Africa/Monrovia",  # by 44 minutes and 30 seconds, in 1972
        "America/St_Johns",  # at a minute past midnight
    ],
)
def test_the_hours_around_a_change_are_seen_from_any_minute_on(zone: str) -> None:
    datehour = next(keys for keys in LAYOUTS if keys.names == ["datehour"])
    layout = datehour.source(zone=zone).layout
    changes = 0
    for year in range(1968, 2030):
        for day in days_of_change(zone, year):
            change = next(
                begin
                for begin, _, _ in stretches(ZoneInfo(zone), day, day + timedelta(days=1))
                if begin > day
            )
            changes += 1
            for minutes in range(0, 120, 13):
                start = change - timedelta(minutes=minutes, seconds=7)
                end = start + timedelta(hours=2)
                expected = [datehour.values(hour) for hour in hours_on_a_clock(zone, start, end)]
                assert layout.partitions(start, end) == expected, start
    assert changes > 0


@pytest.mark.parametrize("keys", LAYOUTS, ids=str)
def test_no_time_has_no_partitions(keys: KeysOfTime) -> None:
    at = datetime(2025, 6, 21, tzinfo=UTC)
    assert keys.source().layout.partitions(at, at) == []


def test_events_land_until_late_by_has_passed_and_never_before_the_end() -> None:
    late_by = timedelta(hours=9)
    assert bounds_of_events(WEEK, late_by) == (WEEK.start_utc, WEEK.end_utc + late_by)
    assert bounds_of_events(WEEK, timedelta(0)) == (WEEK.start_utc, WEEK.end_utc)
    with pytest.raises(ValueError, match=r"^late_by .* is negative: it is how long after the end"):
        bounds_of_events(WEEK, timedelta(microseconds=-1))
