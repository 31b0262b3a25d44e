"""Clocks of IANA time zones: when they read midnight, and which dates and hours they show."""

from bisect import bisect_left
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from athena_reports.errors import PeriodError

_INSTANT = timedelta(microseconds=1)  # the least difference of two datetimes
_HOUR = timedelta(hours=1)
_NOT_PORTABLE = ("localtime", "posixrules", "posix/", "right/")  # differ from machine to machine


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name.

    Raises:
        PeriodError: If the name is unknown, or its zone is not the same on every machine.
    """
    zone = None
    if isinstance(name, str) and not name.startswith(_NOT_PORTABLE):
        with suppress(KeyError, ValueError, OSError):  # unknown; malformed; a folder
            zone = ZoneInfo(name)
    if zone is not None:
        return zone

    problem = (
        f"timezone {name!r} is not the name of an IANA time zone such as Asia/Tokyo or UTC "
        "(offsets and the machine's own zone are not accepted)"
    )
    similar = _similar_names(str(name))
    if similar:
        problem += f"; did you mean {' or '.join(similar)}?"
    raise PeriodError(problem)


def _similar_names(name: str) -> list[str]:
    """Return up to three names of zones: those of a city of this name, else similar ones."""
    known = {}
    for zone in available_timezones():
        if not zone.startswith(_NOT_PORTABLE):
            known[zone.casefold()] = zone
    wanted = name.casefold().replace(" ", "_")
    matches = [key for key in sorted(known) if key.endswith(f"/{wanted}")]
    if not matches:
        matches = get_close_matches(wanted, known)
    return [known[key] for key in matches[:3]]


def to_utc(instant: datetime) -> datetime:
    """Return an aware datetime in UTC; PeriodError for a naive one."""
    if not isinstance(instant, datetime) or instant.utcoffset() is None:
        raise PeriodError(f"{instant!r} is not an instant: pass a datetime with a time zone")
    return instant.astimezone(UTC)


@lru_cache(maxsize=65_536)
def midnight(zone: ZoneInfo, day: date, fold: int = 0) -> datetime:
    """Return when a clock in a zone reads midnight of a date, or is put over it.

    Args:
        zone: The zone of the clock.
        day: The date that begins.
        fold: 0 for the first time that the clock reads midnight, 1 for the last time.

    Returns:
        An instant in UTC. If the clock is put forward over midnight, it is when that happens.
    """
    local = datetime(day.year, day.month, day.day, tzinfo=zone, fold=fold)
    instant = local.astimezone(UTC)
    # Two datetimes of one zone compare by what the clock shows, which is wanted here.
    if instant.astimezone(zone) == local:
        return instant

    # The clock never reads midnight. PEP 495 gives the offset before the change for fold 0 and the
    # one after it for fold 1. The change lies between the two instants, the later one included.
    earlier = local.replace(fold=1).astimezone(UTC)
    later = local.replace(fold=0).astimezone(UTC)

    def shown_at(seconds: int) -> datetime:
        return (earlier + timedelta(seconds=seconds)).astimezone(zone)

    # Offsets change at whole seconds. The change is the first second at which the clock shows a
    # later time than midnight.
    seconds_between = range(int((later - earlier).total_seconds()))
    seconds_to_change = bisect_left(seconds_between, local, key=shown_at)
    return earlier + timedelta(seconds=seconds_to_change)


def dates_shown(zone: ZoneInfo, start: datetime, end: datetime) -> list[date]:
    """Return the dates that a clock in the zone shows in [start, end), two instants in UTC."""
    first = start.astimezone(zone).date()
    last = end.astimezone(zone).date()
    # A stretch in which the clock shows one date begins or ends at a midnight, first or last, or at
    # one of the two ends. The midnight after the last date counts too: a clock that goes back over
    # it shows the last date for the second time.
    readings = {start, end - _INSTANT}
    for number in range((last - first).days + 2):
        day = first + timedelta(days=number)
        for fold in (0, 1):
            edge = midnight(zone, day, fold)
            readings.add(edge)
            readings.add(edge - _INSTANT)
    dates = set()
    for reading in readings:
        if start <= reading < end:
            dates.add(reading.astimezone(zone).date())
    return sorted(dates)


def hours_shown(zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Return the hours that a clock in the zone shows in [start, end), two instants in UTC.

    Each is what the clock shows at the full hour, without a zone, in order and once: a clock that
    is put back shows an hour twice.
    """
    hours: set[datetime] = set()
    piece_start = start
    while piece_start < end:
        piece_end = min(piece_start + _HOUR, end)
        last = piece_end - _INSTANT
        readings = [piece_start, last]
        if piece_start.astimezone(zone).utcoffset() != last.astimezone(zone).utcoffset():
            change = _change_of_offset(zone, piece_start, last)
            readings += [change - _INSTANT, change]
        # Between two readings of one offset lies less than an hour, and so no third hour.
        for reading in readings:
            shown = reading.astimezone(zone)
            hours.add(shown.replace(minute=0, second=0, microsecond=0, tzinfo=None, fold=0))
        piece_start = piece_end
    return sorted(hours)


def _change_of_offset(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first whole second at which the offset is no longer that of `before`.

    Offsets change at whole seconds, and once between the two instants in UTC.
    """
    offset = before.astimezone(zone).utcoffset()
    first = before.replace(microsecond=0)

    def has_changed(seconds: int) -> bool:
        return (first + timedelta(seconds=seconds)).astimezone(zone).utcoffset() != offset

    seconds_between = range(int((after - first).total_seconds()))
    return first + timedelta(seconds=bisect_left(seconds_between, True, key=has_changed))
