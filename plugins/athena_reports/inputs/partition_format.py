"""Formats of partition keys: which of them name the hour, the day, the month or the year.

A format is judged by what `strftime` makes of times with it, not by a list of directives: there are
more of them than Python documents, and what they write depends on the machine.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from itertools import pairwise
from typing import Literal

PartitionUnit = Literal["date", "hour"]

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
_FULL_HOURS = [time(hour) for hour in range(24)]
# Times of the first two hours and of the hour after noon. Within an hour they differ in each part
# of a time that is finer.
_TIMES_BY_HOUR = [
    [time(0), time(0, 2, 3, 450_678), time(0, 45, 56, 123_456, _ZONE)],
    [time(1), time(1, 2, 3, 450_678), time(1, 45, 56, 123_456, _ZONE)],
    [time(13), time(13, 2, 3, 450_678), time(13, 45, 56, 123_456, _ZONE)],
]
_DAYS_OF_A_MONTH = 31
# Dates between which the number of the century, or of the year in it, begins anew.
_DATES_FAR_APART = [date(1900, 1, 1), date(1999, 12, 31), date(2000, 1, 1), date(2199, 12, 31)]


@lru_cache(maxsize=1024)
def partition_unit(formats: tuple[str, ...]) -> PartitionUnit:
    """Return what the texts of some formats (`strftime`) name together: an hour, or dates.

    The texts of `date` name a day, a month, a year, or another run of consecutive dates, such as a
    week. It takes some milliseconds, once per formats.

    Raises:
        ValueError: The formats have a directive finer than an hour, their texts stand for dates
            that are a year or more apart, for dates with others between them, or for several hours,
            or `strftime` does not take them.
    """
    try:
        is_finer_than_an_hour = any(
            _are_told_apart(formats, times_of_an_hour) for times_of_an_hour in _TIMES_BY_HOUR
        )
        names_hours = _are_told_apart(formats, _FULL_HOURS)
        same_texts = None
        if not is_finer_than_an_hour:
            if names_hours:
                same_texts = _two_hours_of_one_text(formats)
            else:
                same_texts = _two_dates_of_one_text(formats)
    except ValueError as error:
        raise ValueError(
            f"strftime does not take it: {error}. Give one such as %Y-%m-%d."
        ) from error
    if is_finer_than_an_hour:
        raise ValueError(
            "it has a directive finer than an hour. A partition holds an hour, a day, a month or a"
            " year, as in %Y-%m-%d-%H or %Y-%m-%d."
        )
    if same_texts is None:
        return "hour" if names_hours else "date"
    first, second = same_texts
    text = "/".join(_texts(formats, first))
    if names_hours:
        raise ValueError(
            f"it does not name the hour: {first:%Y-%m-%d %H:%M} and {second:%Y-%m-%d %H:%M} are"
            f" both {text!r}. Name the year, the day and the hour, as in %Y-%m-%d-%H."
        )
    raise ValueError(
        "it does not name the day, month or year of a date:"
        f" {first:%Y-%m-%d} and {second:%Y-%m-%d} are both {text!r}."
        " Name the year, and what lies between it and the day, as in %Y-%m-%d or %Y-%m."
    )


@lru_cache(maxsize=1024)
def sorts_in_time(format: str, *, as_integers: bool) -> bool:
    """Return whether the texts of a format sort as the times that they name.

    Args:
        format: A format that names hours, or dates.
        as_integers: Whether the texts are compared as integers.
    """
    moments = [datetime.combine(day, time(0)) for day in _DATES_FAR_APART[:3]]
    moments += [datetime.combine(_FIRST_DATE, full_hour) for full_hour in _FULL_HOURS]
    moments += [datetime.combine(day, time(0)) for day in _dates_after(_FIRST_DATE)]
    moments.append(datetime.combine(_DATES_FAR_APART[3], time(0)))
    texts = [moment.strftime(format) for moment in moments]
    if as_integers:
        return all(int(earlier) <= int(later) for earlier, later in pairwise(texts))
    return all(earlier <= later for earlier, later in pairwise(texts))


def _dates_after(first: date) -> list[date]:
    return [first + number * _DAY for number in range(1, (_LAST_DATE - first).days + 1)]


def _texts(formats: Sequence[str], moment: datetime) -> tuple[str, ...]:
    return tuple(moment.strftime(format) for format in formats)


def _are_told_apart(formats: Sequence[str], times: Sequence[time]) -> bool:
    """Whether some times of one date have different texts."""
    first, *others = [_texts(formats, datetime.combine(_FIRST_DATE, at)) for at in times]
    return any(texts != first for texts in others)


def _two_hours_of_one_text(formats: Sequence[str]) -> tuple[datetime, datetime] | None:
    """Return two hours of one text; None if there are none."""
    moments = []
    for day in [_FIRST_DATE, *_dates_after(_FIRST_DATE)[: _DAYS_OF_A_MONTH - 1]]:
        moments += [datetime.combine(day, full_hour) for full_hour in _FULL_HOURS]
    moments += [datetime.combine(day, time(0)) for day in _dates_after(moments[-1].date())]
    moments.append(datetime.combine(_SAME_BUT_FOR_THE_YEAR, time(0)))
    moment_of_texts: dict[tuple[str, ...], datetime] = {}
    for moment in moments:
        earlier = moment_of_texts.setdefault(_texts(formats, moment), moment)
        if earlier != moment:
            return earlier, moment
    return None


def _two_dates_of_one_text(formats: Sequence[str]) -> tuple[datetime, datetime] | None:
    """Return two dates of one text that are a year apart, or have another text between them.

    None if there are no two such dates.
    """
    runs: dict[tuple[str, ...], tuple[datetime, datetime]] = {}  # first and last date so far
    for day in [_FIRST_DATE, *_dates_after(_FIRST_DATE)]:
        midnight = datetime.combine(day, time(0))
        texts = _texts(formats, midnight)
        first, last = runs.get(texts, (midnight, midnight))
        if midnight - last > _DAY:
            return last, midnight
        if midnight - first >= _LONGEST:
            return first, midnight
        runs[texts] = (first, midnight)
    first = datetime.combine(_FIRST_DATE, time(0))
    second = datetime.combine(_SAME_BUT_FOR_THE_YEAR, time(0))
    if _texts(formats, first) == _texts(formats, second):
        return first, second
    return None
