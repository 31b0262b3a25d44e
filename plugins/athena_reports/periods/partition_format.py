"""Formats of partitions: which of them name the day, the month or the year that holds a date.

A format is judged by what `strftime` makes of dates with it, not by a list of directives: there are
more of them than Python documents, and what they write depends on the machine.
"""

from datetime import date, datetime, timedelta, timezone
from functools import lru_cache

_DAY = timedelta(days=1)
_LONGEST = 366 * _DAY
# A leap year, years in which the last days lie in the first week of the next, and one in which the
# first days lie in the last week of the year before.
_FIRST_DATE = date(2024, 1, 1)
_LAST_DATE = date(2027, 12, 31)
# Weekdays and weeks fall on the same dates again after 28 years, until 2100: only the year tells
# the two dates apart.
_SAME_BUT_FOR_THE_YEAR = date(2052, 1, 1)
_ZONE = timezone(timedelta(hours=9, minutes=31), "ZONE")
_TIMES = [  # of one day; they differ in each part of a time
    datetime(2024, 1, 1, 0, 0, 0, 0),  # noqa: DTZ001
    datetime(2024, 1, 1, 1, 2, 3, 450_678),  # noqa: DTZ001
    datetime(2024, 1, 1, 14, 45, 56, 123_456, _ZONE),
]


@lru_cache(maxsize=1024)
def require_dates(format: str) -> str:
    """Return a format of partitions (`strftime`) whose texts name a day, a month or a year each.

    A text may also name another run of consecutive dates, such as a week. It takes some
    milliseconds, once per format.

    Raises:
        ValueError: The format has a directive finer than a day, its texts stand for dates that are
            a year or more apart or dates with others between them, or `strftime` does not take it.
    """
    try:
        is_finer_than_a_day = _is_finer_than_a_day(format)
        dates_of_one_text = _two_dates_of_one_text(format)
    except ValueError as error:
        raise ValueError(
            f"strftime does not take it: {error}. Give one such as %Y-%m-%d."
        ) from error
    if is_finer_than_a_day:
        raise ValueError(
            "it has a directive finer than a day, and hourly partitions are not supported yet."
            " Read a table with daily partitions, or filter by period.contains alone,"
            " without a filter on partitions and without an Input."
        )
    if dates_of_one_text:
        first, second = dates_of_one_text
        raise ValueError(
            "it does not name the day, month or year of a date:"
            f" {first} and {second} are both {first.strftime(format)!r}."
            " Name the year, and what lies between it and the day, as in %Y-%m-%d or %Y-%m."
        )
    return format


def _is_finer_than_a_day(format: str) -> bool:
    text = _TIMES[0].date().strftime(format)
    return any(time.strftime(format) != text for time in _TIMES)


def _two_dates_of_one_text(format: str) -> tuple[date, date] | None:
    """Return two dates of one text that are a year apart, or have another text between them.

    None if there are no two such dates.
    """
    runs: dict[str, tuple[date, date]] = {}  # first and last date so far
    day = _FIRST_DATE
    while day <= _LAST_DATE:
        text = day.strftime(format)
        first, last = runs.get(text, (day, day))
        if day - last > _DAY:
            return last, day
        if day - first >= _LONGEST:
            return first, day
        runs[text] = (first, day)
        day += _DAY
    if _SAME_BUT_FOR_THE_YEAR.strftime(format) == _FIRST_DATE.strftime(format):
        return _FIRST_DATE, _SAME_BUT_FOR_THE_YEAR
    return None
