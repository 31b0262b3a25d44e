"""Clocks of IANA time zones: when they read midnight, and which dates they show."""

from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from athena_reports.errors import PeriodError

_DAY, _SECOND, _INSTANT = timedelta(days=1), timedelta(seconds=1), timedelta(microseconds=1)
_NOT_PORTABLE = ("localtime", "posixrules", "posix/", "right/")  # zones that differ from machine to machine


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name; PeriodError if it is unknown, or not the same on every machine."""
    try:
        if not name.startswith(_NOT_PORTABLE):
            return ZoneInfo(name)
    except (AttributeError, KeyError, ValueError, OSError):  # no text; unknown; malformed; a folder
        pass
    known = {zone.casefold(): zone for zone in available_timezones() if not zone.startswith(_NOT_PORTABLE)}
    wanted = str(name).casefold().replace(" ", "_")
    cities = [key for key in sorted(known) if key.endswith(f"/{wanted}")]
    matches = [known[key] for key in cities or get_close_matches(wanted, known)]
    hint = f"; did you mean {' or '.join(matches[:3])}?" if matches else ""
    raise PeriodError(
        f"timezone {name!r} is not the name of an IANA time zone such as Asia/Tokyo or UTC "
        f"(offsets and the machine's own zone are not accepted){hint}"
    )


def to_utc(instant: datetime) -> datetime:
    """Return an aware datetime in UTC; PeriodError for a naive one."""
    if not isinstance(instant, datetime) or instant.utcoffset() is None:
        raise PeriodError(f"{instant!r} is not an instant: pass a datetime with a time zone")
    return instant.astimezone(UTC)


@lru_cache(maxsize=65_536)
def midnight(zone: ZoneInfo, day: date, fold: int = 0) -> datetime:
    """Return when a clock in the zone reads a date's midnight, first (fold 0) or last (fold 1), or is put over it."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone, fold=fold)
    instant = local.astimezone(UTC)
    # Two datetimes of one zone compare by what the clock shows, which is wanted here.
    if instant.astimezone(zone) == local:
        return instant
    # In a gap, PEP 495 gives the offset before the change for fold 0 and the one after it for fold 1. The change
    # lies between the two resulting instants, the later included. Offsets change at whole seconds.
    earlier, later = (local.replace(fold=fold).astimezone(UTC) for fold in (1, 0))
    seconds = range(int((later - earlier).total_seconds()))
    until = bisect_left(seconds, local, key=lambda second: (earlier + second * _SECOND).astimezone(zone))
    return earlier + until * _SECOND


def dates_shown(zone: ZoneInfo, start: datetime, end: datetime) -> list[date]:
    """Return the dates that a clock in the zone shows in [start, end), two instants in UTC."""
    first, last = (instant.astimezone(zone).date() for instant in (start, end))
    # A stretch in which the clock shows one date begins or ends at a midnight, first or last, or at one of the two
    # ends. The midnight after the last date counts: that date may be shown for the second time.
    days = [first + _DAY * n for n in range((last - first).days + 2)]
    edges = {midnight(zone, day, fold) for day in days for fold in (0, 1)}
    readings = {start, end - _INSTANT, *edges, *(edge - _INSTANT for edge in edges)}
    return sorted({reading.astimezone(zone).date() for reading in readings if start <= reading < end})
