"""When dates begin, worked out from the compiled time zone files, for comparison with `periods.calendar`.

Nothing is shared with the code under test, not even `zoneinfo`: the TZif files (RFC 9636) are decoded here,
the POSIX rule at their end is expanded, and dates are read off by walking through the stretches of constant
offset. All arithmetic is on integers: seconds and days since 1970-01-01 UTC.
"""

import re
import struct
import zoneinfo
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path

DAY = 86_400
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_FOREVER = 1 << 60
_LAST_RULE_YEAR = 2102

_TZ_NAME = "(?:<[^>]+>|[A-Za-z]+)"
_TZ_TIME = r"[+-]?[0-9]+(?::[0-9]+){0,2}"
_TZ_RULE = rf"M([0-9]+)\.([0-9]+)\.([0-9]+)(?:/({_TZ_TIME}))?"
_TZ_STRING = re.compile(
    f"{_TZ_NAME}(?P<std>{_TZ_TIME})(?:{_TZ_NAME}(?P<dst>{_TZ_TIME})?,(?P<begins>[^,]+),(?P<ends>[^,]+))?"
)


@dataclass(frozen=True)
class Stretch:
    """A span [begin, end) of UTC seconds in which a zone's clocks are `offset` seconds ahead of UTC."""

    begin: int
    end: int
    offset: int


def zone_bytes(name: str) -> bytes:
    """The compiled file of a zone, looked for where `zoneinfo` looks."""
    for folder in zoneinfo.TZPATH:
        file = Path(folder, name)
        if file.is_file():
            return file.read_bytes()
    return resources.files("tzdata.zoneinfo").joinpath(*name.split("/")).read_bytes()


@cache
def stretches(name: str) -> tuple[Stretch, ...]:
    """All stretches of constant offset of a zone, the first without beginning and the last without end."""
    offset, changes, rule = _decode(zone_bytes(name))
    for at, to in _expand(rule, after=changes[-1][0] if changes else -_FOREVER):
        changes.append((at, to))
    found = []
    begin = -_FOREVER
    for at, to in [*changes, (_FOREVER, 0)]:
        if to != offset or at == _FOREVER:
            found.append(Stretch(begin, at, offset))
            begin, offset = at, to
    return tuple(found)


def stretches_within(name: str, begin: int, end: int) -> tuple[Stretch, ...]:
    """The stretches of a zone cut off at two UTC seconds."""
    clipped = ((max(begin, known.begin), min(end, known.end), known.offset) for known in stretches(name))
    return tuple(Stretch(since, until, offset) for since, until, offset in clipped if since < until)


def day_starts(name: str, first: int, last: int) -> list[int]:
    """When the dates from `first` to `last` begin: each at the first second that shows it or a later one."""
    starts: list[int] = []
    for stretch in stretches_within(name, (first - 2) * DAY, (last + 2) * DAY):
        shown_at_once = (stretch.begin + stretch.offset) // DAY
        starts += [stretch.begin] * (shown_at_once + 1 - first - len(starts))
        day = first + len(starts)
        starts += range(day * DAY - stretch.offset, stretch.end, DAY)
    return starts[: last + 1 - first]


def dates_shown(name: str, begin: int, end: int) -> list[str]:
    """The dates that a zone's clocks show in [begin, end), in ISO format and in order."""
    days: set[int] = set()
    for stretch in stretches_within(name, begin, end):
        shown_first = (stretch.begin + stretch.offset) // DAY
        shown_last = (stretch.end - 1 + stretch.offset) // DAY
        days.update(range(shown_first, shown_last + 1))
    return [iso_date(day) for day in sorted(days)]


def changes_between(name: str, begin: int, end: int) -> list[int]:
    """The seconds in [begin, end) at which a zone's offset changes."""
    return [stretch.begin for stretch in stretches(name) if begin <= stretch.begin < end]


@cache
def iso_date(day: int) -> str:
    """A number of days since 1970 as YYYY-MM-DD."""
    return date.fromordinal(EPOCH_ORDINAL + day).isoformat()


def _decode(data: bytes) -> tuple[int, list[tuple[int, int]], str]:
    """The offset before any change, the changes as (second, new offset), and the rule for later years."""
    header = struct.Struct(">4s c 15x 6l")

    def counts_at(position: int) -> tuple[int, ...]:
        magic, version, *counts = header.unpack_from(data, position)
        assert magic == b"TZif", "not a time zone file"
        assert version >= b"2", "a version 1 file has no 64-bit data"
        return tuple(counts)

    utc, std, leaps, times, types, chars = counts_at(0)
    second_header = header.size + times * 5 + types * 6 + chars + leaps * 8 + std + utc
    utc, std, leaps, times, types, chars = counts_at(second_header)
    assert leaps == 0, "POSIX time has no leap seconds"
    position = second_header + header.size
    instants = struct.unpack_from(f">{times}q", data, position)
    kinds = data[position + times * 8 : position + times * 9]
    position += times * 9
    offsets = [struct.unpack_from(">l", data, position + 6 * kind)[0] for kind in range(types)]
    position += types * 6 + chars + std + utc
    rule = data[position:].decode("ascii").strip("\n")
    return offsets[0], [(at, offsets[kind]) for at, kind in zip(instants, kinds, strict=True)], rule


def _expand(rule: str, after: int) -> list[tuple[int, int]]:
    """The changes that a POSIX TZ string describes, later than `after`."""
    match = _TZ_STRING.fullmatch(rule)
    assert match, f"cannot read the rule {rule!r}"
    standard = -_seconds(match["std"])
    if match["begins"] is None:
        return []
    summer = -_seconds(match["dst"]) if match["dst"] else standard + 3600
    changes = []
    for year in range(1970, _LAST_RULE_YEAR + 1):
        changes.append((_rule_second(match["begins"], year) - standard, summer))
        changes.append((_rule_second(match["ends"], year) - summer, standard))
    return sorted(change for change in changes if change[0] > after)


def _rule_second(rule: str, year: int) -> int:
    """The local second at which a rule such as M3.2.0/2 (second Sunday of March, 02:00) strikes in a year."""
    match = re.fullmatch(_TZ_RULE, rule)
    assert match, f"cannot read the rule {rule!r}"
    month, week, weekday = (int(match[n]) for n in (1, 2, 3))
    days = [
        ordinal
        for ordinal in range(date(year, month, 1).toordinal(), date(year, month, 28).toordinal() + 4)
        if date.fromordinal(ordinal).month == month and ordinal % 7 == weekday
    ]
    return (days[min(week, len(days)) - 1] - EPOCH_ORDINAL) * DAY + _seconds(match[4] or "2")


def _seconds(text: str) -> int:
    """A TZ string's hh[:mm[:ss]] with its sign, as seconds."""
    parts = [int(part) for part in text.lstrip("+-").split(":")] + [0, 0]
    seconds = parts[0] * 3600 + parts[1] * 60 + parts[2]
    return -seconds if text.startswith("-") else seconds
