"""Every zone of the time zone database, 1970 to 2100, against the oracle.

Many zones are one and the same clock under several names, or differ only before: each clock is walked once.
"""

from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import get_args
from zoneinfo import ZoneInfo, available_timezones

import pytest

from athena_reports.errors import PeriodError
from athena_reports.periods.calendar import (
    Cadence,
    Period,
    Weekday,
    daily,
    monthly,
    quarterly,
    weekly,
    yearly,
)
from tests.library.periods import period_oracle as oracle

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNTIL = datetime(2101, 1, 1, tzinfo=UTC)
END_DAY = (UNTIL - EPOCH).days
MARGIN = 400
"""Days that are known on either side of the span, so that its outer periods are known whole."""

NAMES = sorted(available_timezones() - {"localtime"})
CLOCKS: dict[tuple[oracle.Stretch, ...], str] = {}
for name in NAMES:
    CLOCKS.setdefault(oracle.stretches_within(name, -MARGIN * oracle.DAY, (END_DAY + MARGIN) * oracle.DAY), name)
ZONES = list(CLOCKS.values())
WEEKDAYS = get_args(Weekday)

Expected = tuple[str, int, int]
"""A period's id, and the seconds since 1970 at which it starts and ends."""


class Calendar:
    """The oracle's dates of one zone, by their number since 1970."""

    def __init__(self, zone: str) -> None:
        self.starts = oracle.day_starts(zone, -MARGIN, END_DAY + MARGIN)

    def start(self, day: int) -> int:
        return self.starts[day + MARGIN]

    def day_at(self, second: int) -> int:
        """The date that has begun last; of several that begin at once, the one that was not skipped."""
        return bisect_right(self.starts, second) - 1 - MARGIN


def seconds(instant: datetime) -> int:
    delta = instant - EPOCH
    return delta.days * oracle.DAY + delta.seconds


def at(second: int) -> datetime:
    return EPOCH + timedelta(seconds=second)


def facts(period: Period) -> Expected:
    return str(period), seconds(period.start_utc), seconds(period.end_utc)


def nominal(key: Callable[[date], str]) -> list[tuple[str, int]]:
    """The ids and first days of all periods, the days being grouped by what an id is written from."""
    days = [date(1970, 1, 1) + timedelta(days=day) for day in range(-MARGIN, END_DAY + MARGIN)]
    groups = [(id, next(group)) for id, group in groupby(days, key)]
    return [(id, (first - date(1970, 1, 1)).days) for id, first in groups[1:]]


DAYS = nominal(date.isoformat)
WEEKS = {first: [(id, day) for id, day in DAYS if (day + 3) % 7 == n] for n, first in enumerate(WEEKDAYS)}
MONTHS = nominal(lambda day: f"{day:%Y-%m}")
QUARTERS = nominal(lambda day: f"{day:%Y}-Q{'111222333444'[day.month - 1]}")
YEARS = nominal(lambda day: f"{day:%Y}")


def check_span(cadence: Cadence, calendar: Calendar, ids: list[tuple[str, int]]) -> None:
    starts = [calendar.start(day) for _, day in ids]
    expected = [
        (id, start, end)
        for (id, _), start, end in zip(ids, starts, starts[1:], strict=False)
        if 0 <= start < END_DAY * oracle.DAY
    ]
    found = [facts(period) for period in cadence.between(EPOCH, UNTIL)]
    wrong = [pair for pair in zip(found, expected, strict=False) if pair[0] != pair[1]][:3]
    assert not wrong, f"{cadence.description}: found and expected differ first at {wrong}"
    assert len(found) == len(expected), cadence.description
    assert len(found) >= 130  # in 1970 London was an hour ahead, and that year began before the span


def test_every_zone_is_walked() -> None:
    assert len(NAMES) > 590
    assert len(ZONES) > 300
    assert {"America/New_York", "America/Sao_Paulo", "Pacific/Apia"} <= set(ZONES)


def test_every_name_makes_a_cadence_and_the_machine_s_own_zone_does_not() -> None:
    assert [daily(name).timezone for name in NAMES] == NAMES
    for name in ("localtime", "local", "posixrules", "posix/Asia/Tokyo", "right/Asia/Tokyo"):
        with pytest.raises(PeriodError, match="is not the name of an IANA time zone"):
            daily(name)
    with pytest.raises(PeriodError, match=r"are not accepted\)$"):
        daily("localtim")


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.full) for part in range(1, 4))])
def test_weeks_months_quarters_and_years_over_the_whole_span(part: int) -> None:
    for number, zone in list(enumerate(ZONES))[part::4]:
        calendar = Calendar(zone)
        first_day = WEEKDAYS[number % 7]
        check_span(weekly(first_day, zone), calendar, WEEKS[first_day])
        check_span(monthly(zone), calendar, MONTHS)
        check_span(quarterly(zone), calendar, QUARTERS)
        check_span(yearly(zone), calendar, YEARS)


def test_days_and_weeks_around_every_change_of_offset() -> None:
    """Daily periods and weeks from any day, looked up by instants on both sides of the change."""
    skipped = set()
    for zone in ZONES:
        calendar = Calendar(zone)
        days = daily(zone)
        weeks = [weekly(first_day, zone) for first_day in WEEKDAYS]
        for change in oracle.changes_between(zone, 0, END_DAY * oracle.DAY):
            first, last = calendar.day_at(change) - 2, calendar.day_at(change) + 2
            numbers = range(first, last + 1)
            expected = [
                (oracle.iso_date(day), calendar.start(day), calendar.start(day + 1))
                for day in numbers
                if calendar.start(day) < calendar.start(day + 1)
            ]
            skipped |= {(zone, oracle.iso_date(d)) for d in numbers} - {(zone, id) for id, _, _ in expected}
            begin, end = calendar.start(first), calendar.start(last + 1)
            assert [facts(day) for day in days.between(at(begin), at(end))] == expected, zone

            backwards = [days.containing(at(end - 1))]
            while backwards[-1].start_utc > at(begin):
                backwards.append(backwards[-1].previous)
            assert [facts(day) for day in reversed(backwards)] == expected, zone
            for instant in (change - 3600, change - 1, change, change + 59, change + 3600):
                id = oracle.iso_date(calendar.day_at(instant))
                assert str(days.containing(at(instant))) == id, (zone, instant)
            for weekday, cadence in enumerate(weeks):
                today = calendar.day_at(change)
                begun = today - (today + 3 - weekday) % 7  # day 0 was a Thursday
                week = (oracle.iso_date(begun), calendar.start(begun), calendar.start(begun + 7))
                assert facts(cadence.containing(at(change))) == week, (cadence.description, change)
    assert {date for _, date in skipped} == {"1993-08-21", "1994-12-31", "2011-12-30"}
    assert len(skipped) == 5


def test_dates_shown_around_every_change_of_offset() -> None:
    """The dates on which a period's events can be filed, in its own zone and in UTC.

    Until 2040: by then every rule in force has been seen at work for years.
    """
    for zone in ZONES:
        calendar = Calendar(zone)
        for change in oracle.changes_between(zone, 0, 70 * 365 * oracle.DAY):
            number = calendar.day_at(change)
            begin, end = calendar.start(number), calendar.start(number + 1)
            period = daily(zone).containing(at(change))
            for other in (zone, "UTC"):
                shown = [day.isoformat() for day in period.dates_in(other)]
                assert shown == oracle.dates_shown(other, begin, end), (zone, other, period)


@pytest.mark.parametrize(
    ("zone", "id"),
    [
        ("America/Sao_Paulo", "2018-11-04"),
        ("America/Sao_Paulo", "2018-02-18"),
        ("America/Havana", "2024-11-03"),
        ("America/St_Johns", "2010-11-07"),
        ("Pacific/Apia", "2011-12-31"),
        ("Pacific/Kwajalein", "1993-08-22"),
        ("Africa/Casablanca", "2025-02-23"),
        ("Antarctica/Troll", "2025-03-30"),
    ],
)
def test_the_oracle_agrees_with_reading_a_clock_every_minute(zone: str, id: str) -> None:
    day = date.fromisoformat(id)
    number = day.toordinal() - oracle.EPOCH_ORDINAL
    minutes = range((number - 2) * oracle.DAY, (number + 3) * oracle.DAY, 60)
    clock = ZoneInfo(zone)
    first = next(second for second in minutes if at(second).astimezone(clock).date() >= day)
    assert oracle.day_starts(zone, number, number) == [first]
