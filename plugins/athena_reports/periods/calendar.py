"""Calendar periods in a time zone: the days, weeks, months, quarters and years of reports.

A period is half-open, [start, end), and begins at the local midnight of its first date. So the
periods of a cadence tile time without gap or overlap, also where a midnight does not exist or comes
twice. This is exact for every IANA zone from 2012 on. Before that, an empty day stands for a date
that a zone skipped, such as 2011-12-30 in Pacific/Apia.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import total_ordering
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

from athena_reports.errors import PeriodError
from athena_reports.periods.zones import midnight, to_utc, zone_of

Unit = Literal["daily", "weekly", "monthly", "quarterly", "yearly"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

# The years in which a period may begin.
FIRST_YEAR = 1900
LAST_YEAR = 2199

_WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
_NOUNS = {
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "quarterly": "quarter",
    "yearly": "year",
}
_DAYS = {"daily": 1, "weekly": 7}  # how many a period has
_MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}
_ID_FORMATS = {"monthly": "%Y-%m", "yearly": "%Y"}  # of other units the whole first date
# How many periods back the same time of the year before lies, of days on the same weekday.
_PERIODS_OF_A_YEAR = {"daily": 364, "weekly": 52, "monthly": 12, "quarterly": 4, "yearly": 1}
_EXAMPLE_DATE = date(2026, 11, 15)


@dataclass(frozen=True)
class Cadence:
    """How time is cut into periods; PeriodError if a field is wrong.

    It is made by `daily`, `weekly`, `monthly`, `quarterly` or `yearly`.

    Attributes:
        unit: The length of a period: `daily`, `weekly`, `monthly`, `quarterly` or `yearly`.
        timezone: IANA name of the zone at whose midnights periods begin.
        first_day: The day that weeks begin with, such as `sunday`; None unless the unit is weekly.
    """

    unit: Unit
    timezone: str = "UTC"
    first_day: Weekday | None = None

    def __post_init__(self) -> None:
        if self.unit not in _NOUNS:  # such as that of a DAG that a later release has stored
            raise PeriodError(f"unit {self.unit!r} is not valid. Use one of {', '.join(_NOUNS)}")
        if self.unit == "weekly" and self.first_day not in _WEEKDAYS:
            raise PeriodError(
                f"first_day {self.first_day!r} is not valid. Use one of {', '.join(_WEEKDAYS)}"
            )
        zone_of(self.timezone)

    @property
    def noun(self) -> str:
        """What one period is called: "week"."""
        return _NOUNS[self.unit]

    @property
    def description(self) -> str:
        """The cadence for people: "Weekly from Sunday, Asia/Tokyo"."""
        unit = self.unit.capitalize()
        if self.first_day is None:
            return f"{unit}, {self.timezone}"
        return f"{unit} from {self.first_day.capitalize()}, {self.timezone}"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone at whose midnights periods begin."""
        return ZoneInfo(self.timezone)

    def period(self, id: str) -> "Period":
        """Return the period of an id; PeriodError if there is none.

        Ids are such as "2026-11-15" (a day or a week), "2026-11", "2026-Q4" or "2026".
        """
        closest = self._with_date(_EXAMPLE_DATE)
        with suppress(ValueError):  # not written as a date, or of a year out of range
            closest = self._with_date(self._parse(id))
        # Python also parses other texts, such as 20261115, and not every date begins a week.
        if closest.id != id:
            raise PeriodError(
                f"{id!r} is not the id of a {self.noun} ({self.description})."
                f" Use an id such as {closest}"
            )
        return closest

    def containing(self, instant: datetime) -> "Period":
        """Return the period with start <= instant < end.

        PeriodError if the instant has no time zone, or lies outside the supported years.
        """
        return self._with_date(to_utc(instant).astimezone(self.zone).date())

    def last_complete(self, at: datetime) -> "Period":
        """Return the latest period with end <= at; errors as for `containing`."""
        return self.containing(at).previous

    def first_from(self, at: datetime) -> "Period":
        """Return the earliest period with start >= at; errors as for `containing`."""
        period = self.containing(at)
        return period if period.start_utc == to_utc(at) else period.next

    def between(self, start: datetime, end: datetime) -> Iterator["Period"]:
        """Yield the periods that start in [start, end), in order; errors as for `containing`."""
        period = self.first_from(start)
        end_utc = to_utc(end)
        while period.start_utc < end_utc:
            yield period
            period = period.next

    def overlapping(self, period: "Period") -> Iterator["Period"]:
        """Yield the periods that overlap with a period of any cadence, in order.

        Errors are those of `containing`.
        """
        first = self.containing(period.start_utc)
        return self.between(first.start_utc, period.end_utc)

    def _parse(self, id: str) -> date:
        if self.unit == "quarterly":
            year, quarter = id.split("-Q")
            return date(int(year), 3 * int(quarter) - 2, 1)
        return date.fromisoformat(f"{id}-01-01"[: len("2026-01-01")])

    def _id(self, first_date: date) -> str:
        if self.unit == "quarterly":
            quarter = (first_date.month + 2) // 3
            return f"{first_date.year}-Q{quarter}"
        return first_date.strftime(_ID_FORMATS.get(self.unit, "%Y-%m-%d"))

    def _with_date(self, day: date) -> "Period":
        return self._period_at(self._index(day))

    def _period_at(self, index: int) -> "Period":
        first_date = self._first_date(index)
        if not FIRST_YEAR <= first_date.year <= LAST_YEAR:
            raise PeriodError(
                f"year {first_date.year} is out of range. Use a year from {FIRST_YEAR} to"
                f" {LAST_YEAR}"
            )
        return Period(cadence=self, first_date=first_date)

    def _index(self, day: date) -> int:
        if self.unit in _MONTHS:
            return (day.year * 12 + day.month - 1) // _MONTHS[self.unit]
        return (day.toordinal() - self._first_weekday) // _DAYS[self.unit]

    def _first_date(self, index: int) -> date:
        if self.unit in _MONTHS:
            year, month_from_0 = divmod(index * _MONTHS[self.unit], 12)
            return date(year, month_from_0 + 1, 1)
        return date.fromordinal(index * _DAYS[self.unit] + self._first_weekday)

    @property
    def _first_weekday(self) -> int:
        # The ordinal of the first date on which a period begins. In Python, 1 is a Monday.
        return _WEEKDAYS.index(self.first_day or "monday") + 1

    def _start(self, index: int) -> datetime:
        return midnight(self.zone, self._first_date(index))


@total_ordering
class Period(BaseModel, frozen=True):
    """One period of a cadence: [start, end).

    Cadences make it. Only periods of one cadence have an order. It is its own wire form:
    `model_validate` reads what `model_dump(mode="json")` gives. For people who read that in
    Airflow's UI, it also has the id, and the bounds as ISO 8601 texts, which are not read back.

    Attributes:
        cadence: How time is cut into periods.
        first_date: The local first date.
    """

    cadence: Cadence
    first_date: date

    @model_serializer(mode="wrap")
    def _to_wire(self, fields_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {
            **fields_of(self),
            "id": self.id,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "start_utc": self.start_utc.isoformat(),
            "end_utc": self.end_utc.isoformat(),
        }

    def __str__(self) -> str:
        return self.id

    def __lt__(self, other: object) -> bool:
        if isinstance(other, Period) and other.cadence == self.cadence:
            return self.first_date < other.first_date
        return NotImplemented

    @property
    def id(self) -> str:
        """The first date as the cadence writes it: "2026-11-15", "2026-11", "2026-Q4", "2026"."""
        return self.cadence._id(self.first_date)

    @property
    def index(self) -> int:
        """The number of the period. It counts up by one from period to period."""
        return self.cadence._index(self.first_date)

    @property
    def last_date(self) -> date:
        """The local last date, inclusive."""
        return self.cadence._first_date(self.index + 1) - timedelta(days=1)

    @property
    def start_utc(self) -> datetime:
        """The first instant of the period, in UTC."""
        return self.cadence._start(self.index)

    @property
    def end_utc(self) -> datetime:
        """The first instant after the period, in UTC."""
        return self.cadence._start(self.index + 1)

    @property
    def start(self) -> datetime:
        """The first instant of the period, in the cadence's zone.

        Do arithmetic on `start_utc` instead: here Python would add to what the clock shows.
        """
        return self.start_utc.astimezone(self.cadence.zone)

    @property
    def end(self) -> datetime:
        """The first instant after the period, in the cadence's zone.

        Do arithmetic on `end_utc` instead: here Python would add to what the clock shows.
        """
        return self.end_utc.astimezone(self.cadence.zone)

    @property
    def next(self) -> "Period":
        """The period that begins when this one ends."""
        return self.cadence._period_at(self.index + 1)

    @property
    def previous(self) -> "Period":
        """The period that ends when this one begins."""
        return self.cadence._period_at(self.index - 1)

    @property
    def last_year(self) -> "Period":
        """The same period of the year before: of a month, a quarter or a year the same one.

        Of a week the one 52 weeks before, and of a day too: it is the same weekday.
        """
        return self.cadence._period_at(self.index - _PERIODS_OF_A_YEAR[self.cadence.unit])


def periods_among(cadence: Cadence, ids: Iterable[str]) -> Iterator[Period]:
    """Yield the periods with these ids; skip the ids of none, such as weeks from another day."""
    for id in ids:
        with suppress(PeriodError):
            yield cadence.period(id)


def daily(timezone: str = "UTC") -> Cadence:
    """Return the cadence of days in an IANA time zone."""
    return Cadence("daily", timezone)


def weekly(first_day: Weekday = "sunday", timezone: str = "UTC") -> Cadence:
    """Return the cadence of weeks that begin with a day, in lower case, in an IANA time zone."""
    return Cadence("weekly", timezone, first_day)


def monthly(timezone: str = "UTC") -> Cadence:
    """Return the cadence of calendar months in an IANA time zone."""
    return Cadence("monthly", timezone)


def quarterly(timezone: str = "UTC") -> Cadence:
    """Return the cadence of calendar quarters in an IANA time zone. Q1 is January to March."""
    return Cadence("quarterly", timezone)


def yearly(timezone: str = "UTC") -> Cadence:
    """Return the cadence of calendar years in an IANA time zone."""
    return Cadence("yearly", timezone)
