"""Every zone of the time zone database, 2012 to 2037, against an oracle that reads clocks.

The oracle asks for the offset at an instant of UTC and never what a wall time means; all else is
integers: seconds and days since 1970. Many zones are one clock under several names: each clock is
walked once.
"""

from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest

from athena_reports.errors import PeriodError
from athena_reports.periods.calendar import daily, weekly
from athena_reports.periods.zones import dates_shown, hours_shown, midnight

HOUR = 3_600
DAY = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_DAY, LAST_DAY = ((date(year, 1, 1) - EPOCH.date()).days for year in (2012, 2038))
NAMES = sorted(available_timezones() - {"localtime"})
TELLING_NAMES = [
    "America/Havana",  # one midnight a year comes twice
    "America/Sao_Paulo",  # until 2018, summer began at a midnight that clocks did not show
    "Antarctica/Casey",  # clocks went from 00:01 to 03:01
    "Asia/Kathmandu",  # 5:45 ahead of UTC
    "Asia/Tokyo",  # no daylight saving time since 1951
    "Australia/Lord_Howe",  # clocks change by half an hour
    "Europe/Berlin",
]

Stretch = tuple[int, int, int]
"""The seconds at which a clock begins and ceases to be so many seconds ahead of UTC."""


def stretches_of(name: str) -> tuple[Stretch, ...]:
    zone = ZoneInfo(name)

    def offset(second: int) -> int:
        return int(
            (datetime.fromtimestamp(second, zone).utcoffset() or timedelta()).total_seconds()
        )

    begin, end = (FIRST_DAY - 1) * DAY, (LAST_DAY + 2) * DAY
    edges = [begin]
    # No zone has kept an offset for less than a day.
    for before, after in pairwise(range(begin, end + 1, DAY)):
        if offset(before) != offset(after):
            old = offset(before)
            edge = bisect_left(
                range(before, after), True, key=lambda at, old=old: offset(at) != old
            )
            edges.append(before + edge)
    return tuple((first, last, offset(first)) for first, last in pairwise([*edges, end]))


def starts_of(stretches: tuple[Stretch, ...]) -> dict[int, int]:
    """Of each date the first second at which the clock shows it."""
    starts: dict[int, int] = {}
    for begin, end, ahead in stretches:
        for day in range((begin + ahead) // DAY, (end - 1 + ahead) // DAY + 1):
            starts.setdefault(day, max(begin, day * DAY - ahead))
    return starts


def shown(stretches: tuple[Stretch, ...], start: int, end: int, step: int) -> list[datetime]:
    """The dates or hours that the clock shows in [start, end), in order."""
    numbers: set[int] = set()
    for begin, stop, ahead in stretches:
        first, last = max(begin, start), min(stop, end) - 1
        if first <= last:
            numbers.update(range((first + ahead) // step, (last + ahead) // step + 1))
    return [(EPOCH + timedelta(seconds=n * step)).replace(tzinfo=None) for n in sorted(numbers)]


def at(second: int) -> datetime:
    return EPOCH + timedelta(seconds=second)


def require_as_clocks_show(names: list[str]) -> None:
    """Compare every midnight, and what clocks show around every change of offset."""
    for stretches, name in {stretches_of(name): name for name in reversed(names)}.items():
        zone, starts = ZoneInfo(name), starts_of(stretches)
        for day in range(FIRST_DAY, LAST_DAY):
            assert midnight(zone, date.fromordinal(719_163 + day)) == at(starts[day]), (name, day)
        for change, *_ in stretches[1:]:
            today = bisect_left(range(FIRST_DAY, LAST_DAY), change, key=starts.__getitem__)
            for number in range(FIRST_DAY + today - 2, FIRST_DAY + today + 1):
                start, end = starts[number], starts[number + 1]
                day = daily(name).containing(at((start + end) // 2))
                assert (day.start_utc, day.end_utc) == (at(start), at(end)), (name, day)
                for instant in (start, change - 1, change, change + 1, end - 1):
                    assert (day == daily(name).containing(at(instant))) == (start <= instant < end)
                week = weekly(weekday_of(number), name).containing(at(end - 1))
                assert (week.id, week.start_utc) == (day.id, at(start)), (name, week)
                for since, until in (
                    (start, end),
                    (start - HOUR, change + 100),
                    (start, end + 2 * DAY),
                ):
                    hours = shown(stretches, since, until, HOUR)
                    dates = [moment.date() for moment in shown(stretches, since, until, DAY)]
                    assert hours_shown(zone, at(since), at(until)) == hours, (name, at(since))
                    assert dates_shown(zone, at(since), at(until)) == dates, (name, at(since))


def weekday_of(day: int) -> Any:
    return date.fromordinal(719_163 + day).strftime("%A").lower()


def test_midnights_dates_and_hours_of_telling_zones_are_what_clocks_show() -> None:
    assert set(TELLING_NAMES) < set(NAMES)
    require_as_clocks_show(TELLING_NAMES)


@pytest.mark.full
def test_midnights_dates_and_hours_of_every_zone_are_what_clocks_show() -> None:
    assert len(NAMES) > 590
    require_as_clocks_show(NAMES)


def test_a_time_that_has_not_begun_shows_nothing() -> None:
    zone, noon = ZoneInfo("Asia/Tokyo"), datetime(2026, 11, 15, 3, tzinfo=UTC)
    for end in (noon, noon - timedelta(minutes=1)):
        assert dates_shown(zone, noon, end) == hours_shown(zone, noon, end) == []


def test_every_zone_makes_a_cadence() -> None:
    assert [daily(name).timezone for name in NAMES] == NAMES


@pytest.mark.parametrize(
    "name",
    [
        *("JST", "GMT+9", "Asia", "", "/etc/passwd", "../UTC", "UTC\0"),
        *("localtime", "posixrules", "posix/Asia/Tokyo", "right/Asia/Tokyo"),
    ],
)
def test_a_zone_that_is_no_iana_name_is_rejected(name: str) -> None:
    with pytest.raises(PeriodError) as error:
        daily(name)
    assert str(error.value) == (
        f"timezone {name!r} is not an IANA time zone. Use a name such as Asia/Tokyo or UTC"
    )
