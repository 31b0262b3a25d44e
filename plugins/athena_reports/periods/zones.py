"""Clocks of IANA time zones: when a date begins, and which dates and hours they show.

Two facts hold for every zone from 2012 on, and the functions here rely on them. No clock goes
forward from before midnight to after it. No clock goes back over a midnight that it has shown, or
skips a date.
"""

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from athena_reports.errors import PeriodError

_INSTANT = timedelta(microseconds=1)  # the least difference of two datetimes
_NOT_PORTABLE = ("localtime", "posixrules", "posix/", "right/")  # differ from machine to machine


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name; PeriodError if it is not the same on every machine."""
    with suppress(KeyError, TypeError, ValueError, OSError):  # unknown; malformed; a folder
        zone = ZoneInfo(name)
        if not name.startswith(_NOT_PORTABLE):
            return zone
    raise PeriodError(
        f"timezone {name!r} is not an IANA time zone. Use a name such as Asia/Tokyo or UTC"
    )


def to_utc(instant: datetime) -> datetime:
    """Return an aware datetime in UTC; PeriodError for a naive one."""
    if instant.tzinfo is None:
        raise PeriodError(f"{instant!r} has no time zone. Pass an aware datetime")
    return instant.astimezone(UTC)


def midnight(zone: ZoneInfo, day: date) -> datetime:
    """Return the instant, in UTC, at which a date begins."""
    # If a clock reads its midnight twice, the first time. If a clock goes forward at midnight, that
    # moment (PEP 495: `fold=0` takes the offset before the change).
    return datetime.combine(day, time(), zone).astimezone(UTC)


def dates_shown(zone: ZoneInfo, start: datetime, end: datetime) -> list[date]:
    """Return the dates that a clock in the zone shows in [start, end), two instants in UTC."""
    if start >= end:
        return []
    first = start.astimezone(zone).date()
    last = (end - _INSTANT).astimezone(zone).date()
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def hours_shown(zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Return the hours that a clock in the zone shows in [start, end), two instants in UTC.

    Each is the full hour, without a zone, in order and once: a clock that is put back shows an hour
    twice.
    """
    hours = set()
    quarter = start.replace(minute=start.minute // 15 * 15, second=0, microsecond=0)
    while quarter < end:
        next_quarter = quarter + timedelta(minutes=15)
        # A clock may change, or show the next hour, between these two readings, but not both.
        for reading in (max(quarter, start), min(next_quarter, end) - _INSTANT):
            shown = reading.astimezone(zone)
            hours.add(shown.replace(minute=0, second=0, microsecond=0, tzinfo=None, fold=0))
        quarter = next_quarter
    return sorted(hours)
