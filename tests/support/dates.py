"""Dates of periods, counted without the package."""

import datetime as dt
from zoneinfo import ZoneInfo


def midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time.min, zone)


def weeks(first: dt.date, last: dt.date) -> list[tuple[dt.date, dt.date, dt.date]]:
    """Of each week: the first day of the week before, its own, and that of the week after."""
    week = dt.timedelta(days=7)
    starts = [first + week * n for n in range((last - first) // week + 1)]
    return [(start - week, start, start + week) for start in starts]


def months(year: int, first: int, last: int) -> list[tuple[dt.date, dt.date, dt.date]]:
    def month(number: int) -> dt.date:
        return dt.date(year + (number - 1) // 12, (number - 1) % 12 + 1, 1)

    return [(month(n - 1), month(n), month(n + 1)) for n in range(first, last + 1)]
