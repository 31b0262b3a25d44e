"""Periods by their days, worked out without the package."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

TOKYO, NEW_YORK = ZoneInfo("Asia/Tokyo"), ZoneInfo("America/New_York")


@dataclass(frozen=True)
class Period:
    """A period, with the id that the package gives it."""

    id: str
    previous: dt.date  # first day of the period before
    first: dt.date
    end: dt.date  # the day after the last one
    zone: ZoneInfo

    def midnight(self, day: dt.date) -> dt.datetime:
        return dt.datetime.combine(day, dt.time.min, self.zone)

    @property
    def start(self) -> dt.datetime:
        return self.midnight(self.first)


def weeks(first: dt.date, number: int, zone: ZoneInfo) -> list[Period]:
    week = dt.timedelta(days=7)
    starts = [first + week * n for n in range(number)]
    return [Period(day.isoformat(), day - week, day, day + week, zone) for day in starts]


def months(year: int, zone: ZoneInfo) -> list[Period]:
    firsts = [
        dt.date(year - 1, 12, 1),
        *(dt.date(year, n, 1) for n in range(1, 13)),
        dt.date(year + 1, 1, 1),
    ]
    bounds = zip(firsts, firsts[1:], firsts[2:], strict=False)
    return [Period(f"{first:%Y-%m}", previous, first, end, zone) for previous, first, end in bounds]


def sunday_of(instant: dt.datetime) -> dt.date:
    """The Sunday with which the week of an instant has begun."""
    return instant.date() - dt.timedelta(days=(instant.weekday() + 1) % 7)
