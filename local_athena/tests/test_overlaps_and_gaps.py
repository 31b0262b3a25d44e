"""Which instant a local time is where the clocks of a zone go back or forward.

Trino reads texts by java.time, and computes by Joda-Time. The instants are computed by zoneinfo.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Compute = Callable[..., str]

ZONES = (
    "America/New_York",
    "America/Sao_Paulo",  # its clocks changed at midnight
    "Atlantic/Azores",  # from +00:00 to -01:00
    "Europe/London",
    "Europe/Dublin",  # has winter time as the one that is saved
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",  # left out a day
)
FIRST, LAST = dt.datetime(2011, 1, 1, tzinfo=dt.UTC), dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
AROUND = [MINUTE * minutes for minutes in (-75, -60, -31, -30, -29, -1, 0, 1, 15, 29, 30, 59, 60)]


def wall_of(instant: dt.datetime, zone: str) -> dt.datetime:
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def transitions(zone: str) -> list[dt.datetime]:
    """The instants at which the offset of a zone changes."""
    found = []
    hour = FIRST
    while hour < LAST:
        following = hour + dt.timedelta(hours=1)
        if following - hour != wall_of(following, zone) - wall_of(hour, zone):
            found.append(following)
        hour = following
    return found


def earlier(wall: dt.datetime, zone: str) -> dt.datetime:
    """As java.time has it, and zoneinfo by default (PEP 495)."""
    return wall.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(dt.UTC)


def near(wall: dt.datetime, zone: str, instant: dt.datetime) -> dt.datetime:
    """The offset of an instant is kept where the local time has it, as Joda-Time does."""
    kept = instant + (wall - wall_of(instant, zone))
    return kept if wall_of(kept, zone) == wall else earlier(wall, zone)


def as_utc(wall: dt.datetime) -> dt.datetime:
    return wall.replace(tzinfo=dt.UTC)


TABLES = {zone: transitions(zone) for zone in ZONES}


def walls(zone: str) -> list[dt.datetime]:
    """Local times around each change of a zone, on both clocks."""
    shifted = [each + shift for each in TABLES[zone] for shift in (-MINUTE, dt.timedelta())]
    return sorted({wall_of(each, zone) + around for each in shifted for around in AROUND})


def instants(compute: Compute, moment: str, rows: Sequence[str]) -> list[dt.datetime]:
    """The instants of an expression over `x`, in the order of the rows."""
    listed = ", ".join(f"({number}, {row})" for number, row in enumerate(rows))
    text = compute(f"SELECT to_unixtime({moment}) FROM (VALUES {listed}) AS t (n, x) ORDER BY n")
    return [dt.datetime.fromtimestamp(float(line), dt.UTC) for line in re.findall('"(.*)"', text)]


@pytest.mark.parametrize("zone", ZONES)
def test_a_text_has_the_earlier_offset(compute: Compute, zone: str) -> None:
    local = walls(zone)
    texts = [f"'{wall} {zone}'" for wall in local]
    expected = [earlier(wall, zone) for wall in local]
    assert instants(compute, "CAST(x AS timestamp with time zone)", texts) == expected
    some = slice(0, 40)
    literals = [f"TIMESTAMP {text}" for text in texts]
    assert instants(compute, "x", literals[some]) == expected[some]


@pytest.mark.parametrize("zone", ZONES)
def test_with_timezone_has_the_offset_of_the_same_time_in_utc(compute: Compute, zone: str) -> None:
    local = walls(zone)
    rows = [f"TIMESTAMP '{wall}'" for wall in local]
    expected = [near(wall, zone, as_utc(wall)) for wall in local]
    assert instants(compute, f"with_timezone(x, '{zone}')", rows) == expected


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("days", [-7, 7])
def test_a_sum_keeps_the_offset_of_its_moment(compute: Compute, zone: str, days: int) -> None:
    """On either side of the change; the zone may be known from the text, or differ by row."""
    starts = [near(wall, zone, as_utc(wall)) - dt.timedelta(days=days) for wall in walls(zone)]
    expected = [
        near(wall_of(start, zone) + dt.timedelta(days=days), zone, start) for start in starts
    ]
    rows = [f"{start.timestamp():.0f}" for start in starts]
    for known in (f"'{zone}'", f"if(x IS NULL, 'UTC', '{zone}')"):
        moved = f"date_add('day', {days}, at_timezone(from_unixtime(x), {known}))"
        assert instants(compute, moved, rows) == expected


@settings(max_examples=40, database=None)
@given(
    zone=st.sampled_from(ZONES),
    months=st.integers(-14, 14),
    start=st.datetimes(dt.datetime(2012, 1, 1), dt.datetime(2022, 1, 1)),  # noqa: DTZ001
)
def test_truncated_and_moved_by_months(
    compute: Compute, zone: str, months: int, start: dt.datetime
) -> None:
    instant = as_utc(start.replace(microsecond=0))
    wall = wall_of(instant, zone)
    day = wall.replace(hour=0, minute=0, second=0)
    year, month = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    day_of_month = min(wall.day, calendar.monthrange(year, month + 1)[1])
    moved = wall.replace(year=year, month=month + 1, day=day_of_month)
    given = f"at_timezone(from_unixtime({instant.timestamp():.0f}), '{zone}')"
    expected = {
        f"date_trunc('day', {given})": day,
        f"date_trunc('month', {given})": day.replace(day=1),
        f"date_trunc('year', {given})": day.replace(month=1, day=1),
        f"{given} + INTERVAL '{months}' MONTH": moved,
        f"date_add('month', {months}, {given})": moved,
    }
    found = instants(compute, "x", list(expected))
    assert found == [near(each, zone, instant) for each in expected.values()]
