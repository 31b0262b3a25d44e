"""What clocks show and which partitions can hold the events of a period, found without the library.

A clock is read through `zoneinfo` alone, every quarter of an hour. Between two changes of its
offset from UTC it runs as a clock in UTC does, so the hours that it shows follow from where each
such stretch begins and ends.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest

from athena_reports import Input
from athena_reports.periods.calendar import (
    Cadence,
    Period,
    daily,
    monthly,
    quarterly,
    weekly,
    yearly,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
STEP = timedelta(minutes=15)

# Those of the machine itself are not the same everywhere.
ZONES = sorted(
    name
    for name in available_timezones()
    if not name.startswith(("localtime", "posixrules", "posix/", "right/"))
)


def offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    found = instant.astimezone(zone).utcoffset()
    assert found is not None
    return found


def stretches(
    zone: ZoneInfo, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """The pieces of [start, end) in which the clock has one offset from UTC, and the offset."""
    begin = start
    before = offset(zone, start)
    reading = start
    while reading < end:
        after_step = min(reading + STEP, end)
        if offset(zone, after_step - INSTANT) != before:
            second = reading.replace(microsecond=0)
            while offset(zone, second) == before:
                second += timedelta(seconds=1)
            yield begin, second, before
            begin, before = second, offset(zone, second)
            reading = second
        else:
            reading = after_step
    if begin < end:
        yield begin, end, before


def hours_on_a_clock(zone_name: str, start: datetime, end: datetime) -> list[datetime]:
    """The hours that a clock shows in [start, end), by its face, in the order of its faces."""
    zone = ZoneInfo(zone_name)
    hours: set[datetime] = set()
    for begin, stop, utcoffset in stretches(zone, start, end):
        first_face = (begin + utcoffset).replace(tzinfo=None)
        last_face = (stop - INSTANT + utcoffset).replace(tzinfo=None)
        hour = first_face.replace(minute=0, second=0, microsecond=0)
        while hour <= last_face:
            hours.add(hour)
            hour += HOUR
    return sorted(hours)


def is_shown(zone: ZoneInfo, face: datetime) -> bool:
    """Whether a clock ever shows some time within an hour; halves and quarters suffice."""
    for minutes in (0, 15, 30, 45, 59):
        for fold in (0, 1):
            local = (face + timedelta(minutes=minutes)).replace(tzinfo=zone, fold=fold)
            shown = local.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0)
            if shown == face + timedelta(minutes=minutes):
                return True
    return False


@dataclass(frozen=True)
class KeysOfTime:
    """A way to partition a table.

    Attributes:
        declared: What an Input says of it.
        forms: How each of its keys writes an hour on a clock, without `strftime`.
        types: The types of its keys in a database.
    """

    declared: Mapping[str, Any]
    forms: tuple[str, ...]
    types: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.declared.items())

    @property
    def names(self) -> list[str]:
        columns = self.declared["columns"]
        return [columns] if isinstance(columns, str) else list(columns)

    def values(self, hour: datetime) -> tuple[str, ...]:
        """The values of its keys for an hour on a clock."""
        parts = {"y": hour.year, "m": hour.month, "d": hour.day, "h": hour.hour}
        return tuple(form.format(**parts) for form in self.forms)

    def source(self, **fields: Any) -> Input:
        return Input("plays", **self.declared, **fields)


def keys(
    columns: str | tuple[str, ...], *forms: str, types: str = "VARCHAR", **declared: Any
) -> KeysOfTime:
    """Keys of one type, or of several, separated by spaces."""
    types_of_keys = types.split() if " " in types else [types] * len(forms)
    return KeysOfTime({"columns": columns, **declared}, forms, tuple(types_of_keys))


PARTS = ("year", "month", "day", "hour")
DATE, COMPACT = "{y}-{m:02}-{d:02}", "{y}{m:02}{d:02}"
NUMBERS = ("{y}", "{m}", "{d}", "{h}")
LAYOUTS = [
    # A date in one key.
    keys("dt", DATE),
    keys("dt", "{d:02}-{m:02}-{y}", format="%d-%m-%Y"),
    keys("dt", "{d}.{m}.{y}", format="%-d.%-m.%Y"),
    keys("dt", DATE, types="DATE", kind="date"),
    keys("dt", COMPACT, types="INTEGER", kind="integer"),
    # Hours in one key.
    keys("datehour", "{y}/{m:02}/{d:02}/{h:02}", format="%Y/%m/%d/%H"),
    keys("datehour", COMPACT + "{h:02}", types="BIGINT", format="%Y%m%d%H", kind="integer"),
    keys("datehour", "{d:02}-{m:02}-{y}-{h:02}", format="%d-%m-%Y-%H"),
    keys("datehour", "{y}-{m:02}-{d:02}-{h}", format="%Y-%m-%d-%-H"),
    # Hours in several keys.
    keys(PARTS, "{y}", "{m:02}", "{d:02}", "{h:02}"),
    keys(PARTS, *NUMBERS, format=("%Y", "%-m", "%-d", "%-H")),
    keys(PARTS, *NUMBERS, types="INTEGER", kind="integer"),
    keys(("dt", "hour"), DATE, "{h:02}", format=("%Y-%m-%d", "%H")),
    keys(
        *(("dt", "hour"), DATE, "{h}"),
        types="DATE INTEGER",
        format=("%Y-%m-%d", "%H"),
        kind=("date", "integer"),
    ),
    keys(("hour", "dt"), "{h:02}", "{d:02}.{m:02}.{y}", format=("%H", "%d.%m.%Y")),
    keys(("month", "day_hour"), "{y}-{m:02}", "{d:02}-{h:02}", format=("%Y-%m", "%d-%H")),
    keys(("month", "dt", "hour"), "{m:02}", DATE, "{h:02}", format=("%m", "%Y-%m-%d", "%H")),
    # A date in several keys.
    keys(PARTS[:3], *NUMBERS[:3], types="INTEGER", kind="integer"),
    # Months and years.
    keys(PARTS[:2], "{y}", "{m:02}"),
    keys("billing_period", "{y}-{m:02}", format="%Y-%m"),
    keys("year", "{y}", types="INTEGER", format="%Y", kind="integer"),
]


# The numbers of cases. `make test` takes the first ones, CI some more, each night has all 10,000.
ROUNDS = [
    range(8),
    pytest.param(range(8, 20), marks=pytest.mark.ci),
    *(
        pytest.param(range(first, first + 1_000), marks=pytest.mark.full)
        for first in range(0, 10_000, 1_000)
    ),
]


def some_layouts(seed: int) -> list[KeysOfTime]:
    """Six of the layouts, others for each number."""
    return random.Random(seed).sample(LAYOUTS, 6)


@dataclass(frozen=True)
class Case:
    """A period, and how a table is read for it.

    Attributes:
        period: The period.
        zone: The zone of the table's partitions.
        late_by: How late events may land.
        previous: Whether the period before is read.
        last_year: Whether the period of the year before is read.
    """

    period: Period
    zone: str
    late_by: timedelta
    previous: bool
    last_year: bool
    seed: int = field(compare=False)

    @property
    def read(self) -> list[Period]:
        periods = [self.period]
        if self.previous:
            periods.append(self.period.previous)
        if self.last_year:
            periods.append(self.period.last_year)
        return periods

    @cached_property
    def hours(self) -> list[datetime]:
        """The hours of the table's clock in which an event can land."""
        hours: set[datetime] = set()
        for period in self.read:
            hours.update(
                hours_on_a_clock(self.zone, period.start_utc, period.end_utc + self.late_by)
            )
        return sorted(hours)

    @cached_property
    def hours_around(self) -> list[datetime]:
        """Further hours of the table's clock.

        All of some days around each of its borders, and one of each day of the years around.
        """
        zone = ZoneInfo(self.zone)
        around: set[datetime] = set()
        for period in self.read:
            for border in (period.start_utc, period.end_utc, period.end_utc + self.late_by):
                around.update(hours_on_a_clock(self.zone, border - 3 * DAY, border + 3 * DAY))
        first = min(around) - timedelta(days=400)
        last = max(around) + timedelta(days=400)
        face = first.replace(hour=0)
        while face < last:
            if is_shown(zone, face):
                around.add(face)
            face += 25 * HOUR
        return sorted(around)


def random_cadence(zone: str, chance: random.Random) -> Cadence:
    """Mostly days and weeks, at times longer ones."""
    unit = chance.choices(["day", "week", "month", "quarter", "year"], [40, 35, 18, 4, 3])[0]
    match unit:
        case "day":
            return daily(zone)
        case "week":
            return weekly(chance.choice(["sunday", "monday", "wednesday"]), zone)
        case "month":
            return monthly(zone)
        case "quarter":
            return quarterly(zone)
    return yearly(zone)


@lru_cache(maxsize=4096)
def days_of_change(zone_name: str, year: int) -> list[datetime]:
    """The days of a year, in UTC, within which the offset of a clock changes."""
    zone = ZoneInfo(zone_name)
    days = [datetime(year, 1, 1, tzinfo=UTC) + number * DAY for number in range(365)]
    return [day for day in days if offset(zone, day) != offset(zone, day + DAY)]


def random_case(seed: int) -> Case:
    """A case of a number: the same one each time. Half of them lie where a clock changes."""
    chance = random.Random(seed)
    table_zone = chance.choice(ZONES)
    zone = table_zone if chance.random() < 0.3 else chance.choice(ZONES)
    year = chance.choice(range(2012, 2050))
    at = datetime(year, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(365 * 86_400))
    if chance.random() < 0.5:
        changes = days_of_change(chance.choice([zone, table_zone]), year)
        if changes:
            at = chance.choice(changes) + timedelta(hours=chance.randrange(-24, 48))
    late_by = chance.choice(
        [
            timedelta(0),
            timedelta(0),
            timedelta(microseconds=1),
            timedelta(minutes=chance.randrange(1, 120)),
            timedelta(hours=chance.randrange(1, 100)),
            timedelta(days=chance.randrange(1, 12)),
        ]
    )
    return Case(
        random_cadence(zone, chance).containing(at),
        table_zone,
        late_by,
        previous=chance.random() < 0.3,
        last_year=chance.random() < 0.15,
        seed=seed,
    )
