"""Calendar periods in a time zone: which days, weeks, months, quarters and years a report is made for.

A `Cadence` says how time is cut ("weekly from Sunday, in Asia/Tokyo"), a `Period` is one of the pieces.
Both are plain values: no clock is read, and everything here follows from the arguments and the
IANA time zone database alone.

A period is half-open, [start, end), and begins at local midnight of its first date. Precisely: **a date
begins at the first instant at which a clock in the zone reads that date's midnight or later.** This one
definition settles every odd case, and makes the periods of a cadence tile time without gap or overlap:

- a midnight that does not exist (clocks go forward over it): the date begins at the next instant that exists;
- a midnight that comes twice (clocks go back over it): the date begins at the first, and the part of the
  previous date that is read again belongs to the new one;
- a date that does not exist (a zone moved across the date line): it would begin and end at the same instant,
  so it is no daily period. A longer period that starts with it keeps its nominal id.

Instants are compared in UTC throughout: Python compares and subtracts two datetimes of the same zone by their
wall time, which is wrong whenever the offset changes between them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property, lru_cache, total_ordering
from typing import TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict

from athena_reports.errors import PeriodError

FIRST_YEAR, LAST_YEAR = 1900, 2199
"""The years in which a period may begin."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_INSTANT = timedelta(microseconds=1)

_MACHINE_ZONES = ("localtime", "posixrules")
_ZONE_VARIANTS = ("posix/", "right/")


class Unit(StrEnum):
    """How long the periods of a cadence are; the value is the cadence's name."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"


class Weekday(StrEnum):
    """The day that a week begins with."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


@dataclass(frozen=True)
class _IdForm:
    """What a unit's period is called and how its id is written."""

    noun: str
    text: str
    example: str
    pattern: re.Pattern[str]


_YEAR = "(?P<year>[0-9]{4})"
_MONTH = f"{_YEAR}-(?P<month>[0-9]{{2}})"
_DATE = re.compile(f"{_MONTH}-(?P<day>[0-9]{{2}})")
_ID_FORMS = {
    Unit.DAILY: _IdForm("day", "YYYY-MM-DD", "2026-11-15", _DATE),
    Unit.WEEKLY: _IdForm("week", "the YYYY-MM-DD of its first day", "2026-11-15", _DATE),
    Unit.MONTHLY: _IdForm("month", "YYYY-MM", "2026-11", re.compile(_MONTH)),
    Unit.QUARTERLY: _IdForm("quarter", "YYYY-Qn", "2026-Q4", re.compile(f"{_YEAR}-Q(?P<quarter>[0-9])")),
    Unit.YEARLY: _IdForm("year", "YYYY", "2026", re.compile(_YEAR)),
}
_DAYS = {Unit.DAILY: 1, Unit.WEEKLY: 7}
_MONTHS = {Unit.MONTHLY: 1, Unit.QUARTERLY: 3, Unit.YEARLY: 12}
_WEEKDAYS = tuple(Weekday)

_Choice = TypeVar("_Choice", Unit, Weekday)


def _choice(kind: type[_Choice], value: str | None, field: str) -> _Choice:
    try:
        return kind(str(value))
    except ValueError:
        raise PeriodError(f"{field} {value!r} is not one of {', '.join(kind)}") from None


def _zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name; one object per name, since `ZoneInfo` keeps them.

    Raises:
        PeriodError: The zone is unknown, or means something else on another machine.
    """
    if isinstance(name, str) and name not in _MACHINE_ZONES and not name.startswith(_ZONE_VARIANTS):
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # unknown; malformed or no zone file; a folder
            pass
    names = {known.casefold(): known for known in available_timezones().difference(_MACHINE_ZONES)}
    wanted = str(name).casefold().replace(" ", "_")
    cities = [key for key in sorted(names) if key.rpartition("/")[2] == wanted]
    matches = (cities + [key for key in get_close_matches(wanted, names) if key not in cities])[:3]
    hint = f"; did you mean {' or '.join(names[key] for key in matches)}?" if matches else ""
    raise PeriodError(
        f"timezone {name!r} is not the name of an IANA time zone such as Asia/Tokyo or UTC "
        f"(offsets and the machine's own zone are not accepted){hint}"
    )


def _utc(instant: datetime) -> datetime:
    if not isinstance(instant, datetime) or instant.utcoffset() is None:
        raise PeriodError(f"{instant!r} is not an instant: pass a datetime with a time zone")
    return instant.astimezone(UTC)


@lru_cache(maxsize=65_536)
def _midnight(zone: ZoneInfo, day: date, fold: int) -> datetime:
    """When a clock in the zone reads midnight of a date, in UTC: the first time (fold 0) or the last (1).

    If it never does, because it is put forward over midnight, this is the instant at which that happens.
    """
    local = datetime(day.year, day.month, day.day, tzinfo=zone, fold=fold)
    instant = local.astimezone(UTC)
    # Two datetimes of one zone compare by what the clock shows, which for once is what is wanted.
    if instant.astimezone(zone) == local:
        return instant
    # In a gap PEP 495 gives the offset before the change for fold 0 and the one after it for fold 1: the
    # change lies between the two resulting instants, the later one included. Offsets change at whole seconds.
    earlier = local.replace(fold=1).astimezone(UTC)
    later = local.replace(fold=0).astimezone(UTC)
    seconds = range(int((later - earlier).total_seconds()))
    until = bisect_left(seconds, local, key=lambda second: (earlier + second * _SECOND).astimezone(zone))
    return earlier + until * _SECOND


def _dates_shown(zone: ZoneInfo, start: datetime, end: datetime) -> list[date]:
    """The dates that a clock in the zone shows in [start, end), two instants in UTC.

    It is enough to read the clock at both ends and on both sides of every midnight, first and last: every
    stretch in which it shows one date begins or ends at one of these. The midnight after the date shown at
    the end is among them, since that date may be shown for the second time.
    """
    first, last = (instant.astimezone(zone).date() for instant in (start, end))
    days = [first + _DAY * n for n in range((last - first).days + 2)]
    edges = {_midnight(zone, day, fold) for day in days for fold in (0, 1)}
    readings = {start, end - _INSTANT, *edges, *(edge - _INSTANT for edge in edges)}
    return sorted({reading.astimezone(zone).date() for reading in readings if start <= reading < end})


def _clamped(year: int, month: int, day: int) -> date:
    """The date itself if it exists, else the last one before it, reading months and days as mere numbers."""
    if month < 1:
        return date(year - 1, 12, 31)
    if month > 12:
        return date(year, 12, 31)
    if day < 1:
        return date(year, month, 1) - _DAY
    return date(year, month, min(day, monthrange(year, month)[1]))


@dataclass(frozen=True)
class Cadence:
    """How time is cut into periods: a unit, in a time zone. Made by `daily`, `weekly`, `monthly` and so on.

    Attributes:
        unit: The length of a period.
        timezone: IANA name of the zone at whose midnights periods begin.
        first_day: The day that weeks begin with; None unless the unit is weekly.

    Raises:
        PeriodError: The unit, the zone or the first day does not exist, or a first day is given or missing
            where it should not be.
    """

    unit: Unit
    timezone: str = "UTC"
    first_day: Weekday | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", _choice(Unit, self.unit, "unit"))
        if self.unit is Unit.WEEKLY:
            object.__setattr__(self, "first_day", _choice(Weekday, self.first_day, "first_day"))
        elif self.first_day is not None:
            raise PeriodError(
                f"first_day {self.first_day!r} has no meaning for a {self.unit} cadence: leave it out"
            )
        _zone(self.timezone)

    @property
    def name(self) -> str:
        """The cadence in one word: "weekly"."""
        return self.unit.value

    @property
    def noun(self) -> str:
        """What one period is called: "week"."""
        return _ID_FORMS[self.unit].noun

    @property
    def description(self) -> str:
        """The cadence for people: "Weekly from Sunday, Asia/Tokyo"."""
        first_day = f" from {self.first_day.capitalize()}" if self.first_day else ""
        return f"{self.unit.capitalize()}{first_day}, {self.timezone}"

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone at whose midnights periods begin."""
        return ZoneInfo(self.timezone)

    def period(self, id: str) -> Period:
        """The period with an id: "2026-11-15" for a day or week, "2026-11", "2026-Q4", "2026".

        Args:
            id: The period's nominal first date, in exactly that form.

        Raises:
            PeriodError: It is malformed, or there is no such period; the message names the ones around it.
        """
        form = _ID_FORMS[self.unit]
        match = form.pattern.fullmatch(id) if isinstance(id, str) else None
        if match is None:
            raise PeriodError(
                f"{id!r} is not the id of a {form.noun}: expected {form.text}, such as {form.example!r} "
                f"({self.description})"
            )
        fields = {field: int(digits) for field, digits in match.groupdict().items()}
        year, day = fields["year"], fields.get("day", 1)
        month = 3 * fields["quarter"] - 2 if "quarter" in fields else fields.get("month", 1)
        self._check_year(year)
        nearest = _clamped(year, month, day)
        if (nearest.year, nearest.month, nearest.day) != (year, month, day):
            kind = "date" if "day" in fields else form.noun
            raise PeriodError(f"{id!r} is not a {kind} of the calendar; {self._around(nearest)}")
        return Period(self, nearest)

    def on(self, day: date) -> Period:
        """The period that holds a date of the zone's calendar.

        Raises:
            PeriodError: The cadence is daily and the zone skipped that date, or a datetime was passed: which
                date that is depends on a zone, and `containing` knows which.
        """
        if isinstance(day, datetime):
            raise PeriodError(f"{day!r} is an instant, not a date: use containing()")
        self._check_year(day.year)
        return Period(self, self._first_date(self._index(day)))

    def containing(self, instant: datetime) -> Period:
        """The period with start <= instant < end.

        Raises:
            PeriodError: The datetime is naive, or outside the years that are supported.
        """
        utc = _utc(instant)
        self._check_year(utc.year)
        index = self._index(utc.astimezone(self.zone).date())
        # Where a clock goes back over midnight it shows the previous date again, after the new one has begun.
        while self._start(index + 1) <= utc:
            index += 1
        return Period(self, self._first_date(index))

    def last_complete(self, at: datetime) -> Period:
        """The latest period with end <= at.

        Raises:
            PeriodError: As for `containing`.
        """
        return self.containing(at).previous

    def first_from(self, at: datetime) -> Period:
        """The earliest period with start >= at.

        Raises:
            PeriodError: As for `containing`.
        """
        period = self.containing(at)
        return period if period.start_utc == _utc(at) else period.next

    def between(self, start: datetime, end: datetime) -> Iterator[Period]:
        """Every period that starts in [start, end), in order; none if the range is empty.

        Raises:
            PeriodError: As for `containing`, at the call.
        """
        until = _utc(end)
        self._check_year(until.year)
        return self._walk(self.first_from(start), until)

    def periods(self, first_id: str, last_id: str) -> Iterator[Period]:
        """Every period from one id to another, both included, in order.

        Raises:
            PeriodError: There is no such period, or the last lies before the first; at the call.
        """
        first, last = self.period(first_id), self.period(last_id)
        if last < first:
            raise PeriodError(
                f"the range is inverted: {last_id!r} lies before {first_id!r} ({self.description})"
            )
        return self._walk(first, last.end_utc)

    def to_dict(self) -> dict[str, str]:
        """The cadence as plain strings, for serialisation."""
        fields = {"unit": self.unit.value, "timezone": self.timezone}
        return fields | {"first_day": self.first_day.value} if self.first_day else fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, str]) -> Cadence:
        """The cadence that `to_dict` was called on.

        Raises:
            PeriodError: A field is missing, unknown or wrong.
        """
        try:
            return cls(**fields)  # type: ignore[arg-type]  # strings become members in __post_init__
        except TypeError as error:
            raise PeriodError(f"{dict(fields)!r} does not describe a cadence: {error}") from None

    def _walk(self, period: Period, until: datetime) -> Iterator[Period]:
        while period.start_utc < until:
            yield period
            period = period.next

    @cached_property
    def _months(self) -> int:
        """How many months a period has; 0 if it is counted in days."""
        return _MONTHS.get(self.unit, 0)

    @cached_property
    def _days(self) -> tuple[int, int]:
        """How many days a period has, and the ordinal of a date that one begins on."""
        # Date ordinal 1 is a Monday.
        return _DAYS[self.unit], _WEEKDAYS.index(self.first_day) + 1 if self.first_day else 1

    def _index(self, day: date) -> int:
        """The number of the nominal period that holds a date; consecutive periods count up by one."""
        if self._months:
            return (day.year * 12 + day.month - 1) // self._months
        length, origin = self._days
        return (day.toordinal() - origin) // length

    def _first_date(self, index: int) -> date:
        """The first nominal date of a period, by its number."""
        if self._months:
            year, month = divmod(index * self._months, 12)
            return date(year, month + 1, 1)
        length, origin = self._days
        return date.fromordinal(index * length + origin)

    def _start(self, index: int) -> datetime:
        return _midnight(self.zone, self._first_date(index), 0)

    def _existing(self, index: int, step: int) -> date:
        """The first date of the nearest period that is not skipped, from a number on in steps of 1 or -1."""
        while self.unit is Unit.DAILY and self._start(index) == self._start(index + 1):
            index += step
        return self._first_date(index)

    def _id(self, first_date: date) -> str:
        match self.unit:
            case Unit.MONTHLY:
                return f"{first_date.year:04}-{first_date.month:02}"
            case Unit.QUARTERLY:
                return f"{first_date.year:04}-Q{(first_date.month + 2) // 3}"
            case Unit.YEARLY:
                return f"{first_date.year:04}"
            case _:
                return first_date.isoformat()

    def _around(self, day: date) -> str:
        """Which periods exist at or before a date, and after it."""
        index = self._index(day)
        left, right = self._existing(index, -1), self._existing(index + 1, 1)
        return f"the {self.noun}s around it are {self._id(left)} and {self._id(right)} ({self.description})"

    def _check_year(self, year: int) -> None:
        if not FIRST_YEAR <= year <= LAST_YEAR:
            raise PeriodError(
                f"year {year:04} is out of range: periods begin in the years {FIRST_YEAR} to {LAST_YEAR} "
                f"({self.description})"
            )


class PeriodFacts(BaseModel):
    """A period as tasks hand it on: id, name of the cadence, IANA zone, local and UTC bounds in ISO 8601."""

    model_config = ConfigDict(frozen=True)

    id: str
    cadence: str
    timezone: str
    start: str
    end: str
    start_utc: str
    end_utc: str


@total_ordering
@dataclass(frozen=True)
class Period:
    """One period of a cadence: [start, end), from local midnight to local midnight.

    Periods of one cadence are ordered in time. Comparing those of two cadences raises TypeError.

    Attributes:
        cadence: What the period is a piece of.
        first_date: Its nominal first date, which the id is made of. Nominal, because a zone can skip a date.

    Raises:
        PeriodError: No period of the cadence begins on that date.
    """

    cadence: Cadence
    first_date: date

    def __post_init__(self) -> None:
        cadence, day = self.cadence, self.first_date
        cadence._check_year(day.year)
        index = cadence._index(day)
        if cadence._first_date(index) != day:
            week = f"{cadence.first_day.capitalize()} week" if cadence.first_day else cadence.noun
            raise PeriodError(f"'{day.isoformat()}' is not the first day of a {week}; {cadence._around(day)}")
        if cadence._existing(index, 1) != day:
            raise PeriodError(
                f"'{day.isoformat()}' is not a day in {cadence.timezone}, where that date was skipped; "
                f"{cadence._around(day)}"
            )

    def __str__(self) -> str:
        return self.id

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Period):
            return NotImplemented
        if self.cadence != other.cadence:
            raise TypeError(
                f"periods of two cadences have no order: {self} ({self.cadence.description}) "
                f"and {other} ({other.cadence.description})"
            )
        return self.first_date < other.first_date

    @property
    def id(self) -> str:
        """The nominal first date as the cadence writes it: "2026-11-15", "2026-11", "2026-Q4", "2026"."""
        return self.cadence._id(self.first_date)

    @property
    def start_utc(self) -> datetime:
        """The first instant of the period, in UTC."""
        return _midnight(self.cadence.zone, self.first_date, 0)

    @property
    def end_utc(self) -> datetime:
        """The first instant after the period, in UTC."""
        return _midnight(self.cadence.zone, self.last_date + _DAY, 0)

    @property
    def start(self) -> datetime:
        """The first instant of the period, in the cadence's zone. Do arithmetic on `start_utc` instead."""
        return self.start_utc.astimezone(self.cadence.zone)

    @property
    def end(self) -> datetime:
        """The first instant after the period, in the cadence's zone. Do arithmetic on `end_utc` instead."""
        return self.end_utc.astimezone(self.cadence.zone)

    @property
    def last_date(self) -> date:
        """The nominal last date, inclusive."""
        return self.cadence._first_date(self.cadence._index(self.first_date) + 1) - _DAY

    @property
    def next(self) -> Period:
        """The period that begins when this one ends."""
        return Period(self.cadence, self.cadence._existing(self.cadence._index(self.first_date) + 1, 1))

    @property
    def previous(self) -> Period:
        """The period that ends when this one begins."""
        return Period(self.cadence, self.cadence._existing(self.cadence._index(self.first_date) - 1, -1))

    def contains(self, instant: datetime) -> bool:
        """Whether start <= instant < end.

        Raises:
            PeriodError: The datetime is naive.
        """
        return self.start_utc <= _utc(instant) < self.end_utc

    def dates(self) -> list[date]:
        """The nominal dates, first to last; one that the zone skipped is among them, as on a calendar."""
        return [self.first_date + _DAY * n for n in range((self.last_date - self.first_date).days + 1)]

    @property
    def facts(self) -> PeriodFacts:
        """The period as tasks hand it on."""
        return PeriodFacts(
            id=self.id,
            cadence=self.cadence.name,
            timezone=self.cadence.timezone,
            start=self.start.isoformat(),
            end=self.end.isoformat(),
            start_utc=self.start_utc.isoformat(),
            end_utc=self.end_utc.isoformat(),
        )

    def dates_in(self, timezone: str = "UTC", late_by: timedelta = timedelta(0)) -> list[date]:
        """The calendar dates that clocks in a zone show during [start, end + late_by), in order.

        These are the date partitions that can hold the period's events, if they are dated in that zone. A
        week of Asia/Tokyo meets 8 dates of UTC, not 7.

        Args:
            timezone: IANA name of the zone that dates the partitions.
            late_by: How long after it happened an event may still be filed.

        Raises:
            PeriodError: The zone is unknown, or `late_by` is negative.
        """
        if late_by < timedelta(0):
            raise PeriodError(
                f"late_by {late_by!r} is negative: it is how long after the end events may land"
            )
        return _dates_shown(_zone(timezone), self.start_utc, self.end_utc + late_by)

    def utc_dates(self, late_by: timedelta = timedelta(0)) -> list[date]:
        """The UTC calendar dates that intersect [start, end + late_by): `dates_in` for partitions in UTC."""
        return self.dates_in("UTC", late_by)


def daily(timezone: str = "UTC") -> Cadence:
    """Days in a time zone; a date that the zone skipped is no day."""
    return Cadence(Unit.DAILY, timezone)


def weekly(first_day: str = "sunday", timezone: str = "UTC") -> Cadence:
    """Weeks in a time zone, each beginning with a given day.

    Args:
        first_day: A `Weekday` or its name in lower case.
        timezone: IANA name of the zone.

    Raises:
        PeriodError: The day or the zone does not exist; the message lists the choices or close matches.
    """
    return Cadence(Unit.WEEKLY, timezone, _choice(Weekday, first_day, "first_day"))


def monthly(timezone: str = "UTC") -> Cadence:
    """Calendar months in a time zone."""
    return Cadence(Unit.MONTHLY, timezone)


def quarterly(timezone: str = "UTC") -> Cadence:
    """Calendar quarters in a time zone; Q1 is January to March."""
    return Cadence(Unit.QUARTERLY, timezone)


def yearly(timezone: str = "UTC") -> Cadence:
    """Calendar years in a time zone."""
    return Cadence(Unit.YEARLY, timezone)
