"""Calendar periods in a time zone: the days, weeks, months, quarters and years of reports.

A period is half-open, [start, end), and begins with its first date. **A date begins at the first
instant at which a clock in the zone reads that date's midnight or later.** So the periods of a
cadence tile time without gap or overlap, also where a midnight does not exist or comes twice. Of a
date that a zone skipped there is no daily period.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from functools import cached_property, total_ordering
from typing import Any, Literal, NamedTuple, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer, model_validator

from athena_reports.errors import PeriodError
from athena_reports.periods.zones import dates_shown, midnight, to_utc, zone_of

Unit = Literal["daily", "weekly", "monthly", "quarterly", "yearly"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

# The years in which a period may begin.
FIRST_YEAR = 1900
LAST_YEAR = 2199

_BOUNDS = ("start", "end", "start_utc", "end_utc")


class _Naming(NamedTuple):
    """What a period of a unit is called, and how its id is written."""

    noun: str
    form_of_id: str
    example_of_id: str


_NAMING = {
    "daily": _Naming("day", "YYYY-MM-DD", "2026-11-15"),
    "weekly": _Naming("week", "the YYYY-MM-DD of its first day", "2026-11-15"),
    "monthly": _Naming("month", "YYYY-MM", "2026-11"),
    "quarterly": _Naming("quarter", "YYYY-Qn", "2026-Q4"),
    "yearly": _Naming("year", "YYYY", "2026"),
}
_MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}  # how many a period has
# How many periods back the same time of the year before lies, of days on the same weekday.
_PERIODS_OF_A_YEAR = {"daily": 364, "weekly": 52, "monthly": 12, "quarterly": 4, "yearly": 1}


def _require_one_of(choices: object, value: object, field: str) -> None:
    allowed = get_args(choices)
    if value not in allowed:
        raise PeriodError(f"{field} {value!r} is not one of {', '.join(allowed)}")


def _require_weekday(first_day: object) -> None:
    weekdays = get_args(Weekday)
    if first_day in weekdays:
        return
    known = f"first_day {first_day!r} is not one of {', '.join(weekdays)}"
    meant = get_close_matches(str(first_day).strip().lower(), weekdays, n=1)
    if meant:
        raise PeriodError(f"{known}: write weekly({meant[0]!r})")
    raise PeriodError(known)


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
        _require_one_of(Unit, self.unit, "unit")
        if self.unit == "weekly":
            _require_weekday(self.first_day)
        elif self.first_day is not None:
            raise PeriodError(
                f"first_day {self.first_day!r} has no meaning for a {self.unit} cadence:"
                " leave it out"
            )
        zone_of(self.timezone)

    @property
    def name(self) -> str:
        """The cadence in one word: "weekly"."""
        return self.unit

    @property
    def noun(self) -> str:
        """What one period is called: "week"."""
        return noun_of(self.unit)

    @property
    def description(self) -> str:
        """The cadence for people: "Weekly from Sunday, Asia/Tokyo"."""
        unit = self.unit.capitalize()
        if self.first_day is None:
            return f"{unit}, {self.timezone}"
        return f"{unit} from {self.first_day.capitalize()}, {self.timezone}"

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone at whose midnights periods begin."""
        return ZoneInfo(self.timezone)

    def period(self, id: str) -> "Period":
        """Return the period of an id; PeriodError if there is none.

        Args:
            id: Such as "2026-11-15" (a day or a week), "2026-11", "2026-Q4" or "2026".
        """
        first_date = self._read(id)
        if first_date is None:
            naming = _NAMING[self.unit]
            expected = f"expected {naming.form_of_id}, such as {naming.example_of_id!r}"
            raise PeriodError(
                f"{id!r} is not the id of a {naming.noun}: {expected} ({self.description})"
            )
        return self._beginning_on(first_date)

    def containing(self, instant: datetime) -> "Period":
        """Return the period with start <= instant < end.

        Raises:
            PeriodError: The instant has no time zone, or lies outside the supported years.
        """
        utc = to_utc(instant)
        self._check_year(utc.year)
        index = self._index(utc.astimezone(self.zone).date())
        # A clock that goes back over midnight shows the previous date again, although the new one
        # has begun: then the index is one too low.
        while self._start(index + 1) <= utc:
            index += 1
        return self._nearest(index, 1)

    def last_complete(self, at: datetime) -> "Period":
        """Return the latest period with end <= at; errors as for `containing`."""
        return self.containing(at).previous

    def first_from(self, at: datetime) -> "Period":
        """Return the earliest period with start >= at; errors as for `containing`."""
        period = self.containing(at)
        if period.start_utc == to_utc(at):
            return period
        return period.next

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

    def _beginning_on(self, first_date: date) -> "Period":
        """Return the period with a nominal first date; PeriodError if there is none."""
        self._check_year(first_date.year)
        period = self._nearest(self._index(first_date), 1)
        if period.first_date == first_date:
            return period
        after = period
        if period.first_date < first_date:
            after = period.next
        around = f"the {self.noun}s around it are {after.previous} and {after}"
        raise PeriodError(
            f"no {self.noun} begins on {self._id(first_date)!r}; {around} ({self.description})"
        )

    @cached_property
    def _length_in_days(self) -> int:
        """How many days a period has, if its unit is not made of months."""
        return 7 if self.unit == "weekly" else 1

    @cached_property
    def _origin(self) -> int:
        """The ordinal of a date that a period begins on. In Python ordinal 1 is a Monday."""
        if self.first_day is None:
            return 1
        return get_args(Weekday).index(self.first_day) + 1

    def _index(self, day: date) -> int:
        """The number of the nominal period that holds a date; they count up by one."""
        months = _MONTHS.get(self.unit)
        if months is not None:
            return (day.year * 12 + day.month - 1) // months
        return (day.toordinal() - self._origin) // self._length_in_days

    def _first_date(self, index: int) -> date:
        """The nominal first date of the period of a number."""
        months = _MONTHS.get(self.unit)
        if months is not None:
            year, month_from_0 = divmod(index * months, 12)
            return date(year, month_from_0 + 1, 1)
        return date.fromordinal(index * self._length_in_days + self._origin)

    def _start(self, index: int) -> datetime:
        return midnight(self.zone, self._first_date(index))

    def _nearest(self, index: int, step: int) -> "Period":
        """The period of a number; if the zone skipped it, the nearest one in steps of 1 or -1."""
        while self.unit == "daily" and self._start(index) == self._start(index + 1):
            index += step
        first_date = self._first_date(index)
        self._check_year(first_date.year)
        # It needs no validation, which would ask for it here again.
        return Period.model_construct(cadence=self, first_date=first_date, id=self._id(first_date))

    def _id(self, first_date: date) -> str:
        if self.unit == "quarterly":
            quarter = (first_date.month + 2) // 3
            return f"{first_date.year}-Q{quarter}"
        # The other ids are the beginning of the date: all of it, or without the day or the month.
        length = len(_NAMING[self.unit].example_of_id)
        return first_date.isoformat()[:length]

    def _read(self, id: str) -> date | None:
        """The nominal first date that an id stands for; None if it is not written as one."""
        try:
            first_date = self._parse(id)
        except (AttributeError, TypeError, ValueError):  # also for an id that is not a text
            return None
        # Python reads other ways to write a date, too, such as 20261115.
        if self._id(first_date) != id:
            return None
        return first_date

    def _parse(self, id: str) -> date:
        if self.unit == "quarterly":
            year, quarter = id.split("-Q")
            first_month = 3 * int(quarter) - 2
            return date(int(year), first_month, 1)
        if self.unit == "monthly":
            return date.fromisoformat(id + "-01")
        if self.unit == "yearly":
            return date.fromisoformat(id + "-01-01")
        return date.fromisoformat(id)

    def _check_year(self, year: int) -> None:
        if not FIRST_YEAR <= year <= LAST_YEAR:
            years = f"the years {FIRST_YEAR} to {LAST_YEAR} ({self.description})"
            raise PeriodError(f"year {year:04} is out of range: periods begin in {years}")


@total_ordering
class Period(BaseModel, frozen=True, extra="forbid"):
    """One period of a cadence: [start, end).

    Cadences make it. Only periods of one cadence have an order.

    It is its own wire form: `model_validate` reads what `model_dump(mode="json")` gives, to an
    equal period. It refuses what is not a period of its cadence, with pydantic's ValidationError.
    The wire form also has the bounds as ISO 8601 texts, for those who read it in Airflow's UI, and
    for what is published. They follow from the cadence and the date, so they are not read back.

    Attributes:
        cadence: How time is cut into periods.
        first_date: The nominal first date. Nominal, because a zone can skip a date.
        id: The nominal first date as the cadence writes it: "2026-11-15", "2026-11", "2026-Q4",
            "2026".
    """

    cadence: Cadence
    first_date: date
    id: str

    @model_serializer(mode="wrap")
    def _with_bounds(self, dump_fields: SerializerFunctionWrapHandler) -> dict[str, Any]:
        wire_form: dict[str, Any] = dump_fields(self)
        for bound in _BOUNDS:
            wire_form[bound] = getattr(self, bound).isoformat()
        return wire_form

    @model_validator(mode="before")
    @classmethod
    def _without_bounds(cls, wire_form: Any) -> Any:
        if not isinstance(wire_form, dict):
            return wire_form
        return {name: value for name, value in wire_form.items() if name not in _BOUNDS}

    @model_validator(mode="after")
    def _require_period_of_its_cadence(self) -> Self:
        if self.cadence._id(self.first_date) != self.id:
            raise PeriodError(
                f"{self.id!r} is not the id of a {self.cadence.noun}"
                f" that begins on {self.first_date} ({self.cadence.description})"
            )
        self.cadence._beginning_on(self.first_date)
        return self

    def __str__(self) -> str:
        return self.id

    def __lt__(self, other: object) -> bool:
        if isinstance(other, Period) and other.cadence == self.cadence:
            return self.first_date < other.first_date
        return NotImplemented

    @property
    def index(self) -> int:
        """The number of the period.

        It counts up by one from period to period, and by two over a date that the zone skipped.
        """
        return self.cadence._index(self.first_date)

    @property
    def last_date(self) -> date:
        """The nominal last date, inclusive."""
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
        return self.cadence._nearest(self.index + 1, 1)

    @property
    def previous(self) -> "Period":
        """The period that ends when this one begins."""
        return self.cadence._nearest(self.index - 1, -1)

    @property
    def last_year(self) -> "Period":
        """The same period of the year before: of a month, a quarter or a year the same one.

        Of a week the one 52 weeks before, and of a day too: it is the same weekday.
        """
        return self.cadence._nearest(self.index - _PERIODS_OF_A_YEAR[self.cadence.unit], -1)

    def dates_in(self, timezone: str = "UTC", late_by: timedelta = timedelta(0)) -> list[date]:
        """Return the dates that clocks in a zone show in [start, end + late_by).

        Args:
            timezone: IANA name of the zone.
            late_by: How long after the end events may land.

        Raises:
            PeriodError: There is no such zone, or `late_by` is negative.
        """
        if late_by < timedelta(0):
            raise PeriodError(
                f"late_by {late_by!r} is negative: it is how long after the end events may land"
            )
        return dates_shown(zone_of(timezone), self.start_utc, self.end_utc + late_by)


def noun_of(unit: Unit) -> str:
    """Return what one period of a unit is called, such as "week"."""
    return _NAMING[unit].noun


def weekday_of(day: date) -> Weekday:
    """Return the day of the week of a date, as `weekly` takes it."""
    weekdays: tuple[Weekday, ...] = get_args(Weekday)
    return weekdays[day.weekday()]


def periods_among(cadence: Cadence, ids: Iterable[str]) -> Iterator[Period]:
    """Yield the periods that have one of the ids.

    Ids of no period, such as those of weeks with another `first_day`, are left out.
    """
    for id in ids:
        try:
            period = cadence.period(id)
        except PeriodError:
            continue
        yield period


def daily(timezone: str = "UTC") -> Cadence:
    """Return the cadence of days in an IANA time zone.

    A date that the zone skipped is not a day.
    """
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
