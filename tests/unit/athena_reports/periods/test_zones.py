"""Zones of the time zone database, 1970 to 2040, against an oracle that reads clocks.

The oracle asks for the offset at an instant of UTC and never what a wall time means; all else is
integers: seconds and days since 1970. By 2040 each rule in force has been at work for years. Many
zones are one clock under several names: each clock is walked once.
"""

from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo, available_timezones

import pytest

from athena_reports.errors import PeriodError
from athena_reports.periods.calendar import Period, Weekday, daily, weekly
from athena_reports.periods.zones import dates_shown, hours_shown

DAY = 86_400
WEEK = 7 * DAY
"""No zone has kept an offset for a shorter time."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END_DAY = (datetime(2040, 1, 1, tzinfo=UTC) - EPOCH).days
MARGIN = 20
"""Days that are known on either side of the span."""
WEEKDAYS = get_args(Weekday)
NAMES = sorted(available_timezones() - {"localtime"})
TELLING_NAMES = [
    "America/New_York",  # daylight saving time, as most zones know it
    "America/Sao_Paulo",  # the first day of summer began at 01:00
    "America/St_Johns",  # clocks changed at 00:01
    "Asia/Kathmandu",  # 5:45 ahead of UTC
    "Asia/Tokyo",  # no daylight saving time since 1951
    "Australia/Lord_Howe",  # clocks change by half an hour
    "Pacific/Apia",  # there was no 2011-12-30
]

Stretch = tuple[int, int, int]
"""The seconds at which a zone's clocks begin and cease to be so many seconds ahead of UTC."""


def stretches_of(name: str) -> tuple[Stretch, ...]:
    zone = ZoneInfo(name)

    def offset(second: int) -> int:
        return int(
            (datetime.fromtimestamp(second, zone).utcoffset() or timedelta()).total_seconds()
        )

    edges = [-MARGIN * DAY]
    samples = range(edges[0], (END_DAY + MARGIN) * DAY + WEEK, WEEK)
    for (before, old), (after, new) in pairwise((second, offset(second)) for second in samples):
        if old != new:
            seconds = range(before, after)
            edges.append(
                before
                + bisect_left(seconds, True, key=lambda second, old=old: offset(second) != old)
            )
    return tuple((begin, end, offset(begin)) for begin, end in pairwise([*edges, samples[-1]]))


class Clock:
    """The oracle's dates of one zone, by their number since 1970."""

    def __init__(self, stretches: tuple[Stretch, ...]) -> None:
        self.stretches = stretches
        self.changes = [begin for begin, *_ in stretches if 0 <= begin < END_DAY * DAY]
        self.starts: list[int] = []  # of each date the first second that shows it or a later one
        for begin, end, offset in stretches:
            shown_at_once = (begin + offset) // DAY
            self.starts += [begin] * (shown_at_once + 1 + MARGIN - len(self.starts))
            self.starts += range((len(self.starts) - MARGIN) * DAY - offset, end, DAY)

    def start(self, day: int) -> int:
        return self.starts[day + MARGIN]

    def day_at(self, second: int) -> int:
        """The date that began last; of several that began at once, the one that was not skipped."""
        return bisect_right(self.starts, second) - 1 - MARGIN

    def dates_shown(self, begin: int, end: int) -> list[str]:
        """The dates that are shown in [begin, end), in order."""
        within = (
            (max(begin, since), min(end, until), ahead) for since, until, ahead in self.stretches
        )
        days = [
            range((a + ahead) // DAY, (b - 1 + ahead) // DAY + 1) for a, b, ahead in within if a < b
        ]
        return [iso(day) for day in sorted({day for some in days for day in some})]


@cache
def iso(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def at(second: int) -> datetime:
    return EPOCH + timedelta(seconds=second)


def facts(period: Period) -> tuple[str, int, int]:
    start, end = period.start_utc - EPOCH, period.end_utc - EPOCH
    return str(period), int(start.total_seconds()), int(end.total_seconds())


def test_every_zone_makes_a_cadence_but_not_the_machine_s_own() -> None:
    assert len(NAMES) > 590
    assert set(TELLING_NAMES) < set(NAMES)
    assert [daily(name).timezone for name in NAMES] == NAMES
    for name in ("localtime", "local", "posixrules", "posix/Asia/Tokyo", "right/Asia/Tokyo"):
        with pytest.raises(PeriodError, match="is not the name of an IANA time zone"):
            daily(name)


def test_days_weeks_and_dates_shown_around_every_change_of_telling_zones() -> None:
    assert dates_skipped_in(TELLING_NAMES) == {("Pacific/Apia", "2011-12-30")}


@pytest.mark.full
def test_days_weeks_and_dates_shown_around_every_change_of_every_zone() -> None:
    skipped = dates_skipped_in(NAMES)
    assert {date for _, date in skipped} == {"1993-08-21", "1994-12-31", "2011-12-30"}
    assert len(skipped) == 5


def dates_skipped_in(names: list[str]) -> set[tuple[str, str]]:
    """Compare the days and weeks around every change of offset with the oracle's.

    They are looked up by instants on both sides of the change. The dates in whose partitions the
    events of a day lie are compared too.

    Returns:
        Pairs of a zone and a date that its clocks never showed. Zones with the same clocks count
        once.
    """
    zones = {stretches_of(name): name for name in reversed(names)}
    skipped: set[tuple[str, str]] = set()
    utc = Clock(stretches_of("UTC"))
    for stretches, zone in zones.items():
        clock, days = Clock(stretches), daily(zone)
        for change in clock.changes:
            today = clock.day_at(change)
            numbers = range(today - 2, today + 3)
            bounds = [(day, clock.start(day), clock.start(day + 1)) for day in numbers]
            expected = [(iso(day), start, end) for day, start, end in bounds if start < end]
            skipped |= {(zone, iso(day)) for day, start, end in bounds if start == end}
            begin, end = bounds[0][1], bounds[-1][2]
            assert [facts(day) for day in days.between(at(begin), at(end))] == expected, zone

            backwards = [days.containing(at(end - 1))]
            while backwards[-1].start_utc > at(begin):
                backwards.append(backwards[-1].previous)
            assert [facts(day) for day in reversed(backwards)] == expected, zone
            for instant in (change - 3600, change - 1, change, change + 59, change + 3600):
                assert str(days.containing(at(instant))) == iso(clock.day_at(instant)), (
                    zone,
                    instant,
                )
            weekday = change // 3600 % 7
            begun = today - (today + 3 - weekday) % 7  # day 0 was a Thursday
            week = (iso(begun), clock.start(begun), clock.start(begun + 7))
            assert facts(weekly(WEEKDAYS[weekday], zone).containing(at(change))) == week, (
                zone,
                weekday,
                change,
            )
            period = days.containing(at(change))
            for other, name in ((clock, zone), (utc, "UTC")):
                shown = other.dates_shown(clock.start(today), clock.start(today + 1))
                assert [day.isoformat() for day in period.dates_in(name)] == shown, (
                    zone,
                    name,
                    period,
                )
    return skipped


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2010-11-06T15:00", "2010-11-07T02:45", (6, 7)),
        ("2010-11-06T15:00", "2010-11-07T02:30", (6,)),
        ("2010-11-07T02:30", "2010-11-07T02:31", (7,)),
        ("2010-11-07T02:30", "2010-11-07T02:32", (6, 7)),
        ("2010-11-07T02:30", "2010-11-07T04:00", (6, 7)),
        ("2010-11-07T02:31", "2010-11-07T03:30", (6,)),
        ("2010-11-07T02:45", "2010-11-07T04:00", (6, 7)),
        ("2010-11-07T03:30", "2010-11-08T03:30", (7,)),
    ],
)
def test_a_date_that_clocks_show_for_a_minute_before_they_go_back_over_midnight_is_shown(
    start: str, end: str, days: tuple[int, ...]
) -> None:
    """St. John's, 2010: at 00:01 on 7 November, 02:31 in UTC, it was 23:01 on the 6th again."""
    zone = ZoneInfo("America/St_Johns")
    from_, until = (datetime.fromisoformat(f"{text}Z") for text in (start, end))
    assert dates_shown(zone, from_, until) == [date(2010, 11, day) for day in days]


@pytest.mark.parametrize(
    ("zone", "start", "end", "hours"),
    [
        # Clocks go back from 02:00 to 01:00.
        ("America/New_York", "2026-11-01T04:20", "2026-11-01T07:10", ("01T00", "01T01", "01T02")),
        ("America/New_York", "2026-11-01T05:20", "2026-11-01T07:00", ("01T01",)),
        ("Asia/Kathmandu", "2026-11-01T00:00", "2026-11-01T02:00", ("01T05", "01T06", "01T07")),
        ("Asia/Kathmandu", "2026-11-01T17:15", "2026-11-01T18:15", ("01T23",)),
    ],
)
def test_the_hours_shown_are_full_ones_in_order_and_once(
    zone: str, start: str, end: str, hours: tuple[str, ...]
) -> None:
    from_, until = (datetime.fromisoformat(f"{text}Z") for text in (start, end))
    shown = hours_shown(ZoneInfo(zone), from_, until)
    assert [hour.isoformat() for hour in shown] == [f"2026-11-{hour}:00:00" for hour in hours]
