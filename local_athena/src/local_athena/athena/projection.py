"""Partition projection: a table's partitions from its parameters, as Athena's user guide says."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import pendulum

from local_athena.athena.errors import QueryFailed, not_supported

_NOW = re.compile(r"\s*NOW\s*(?:([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY|HOUR|MINUTE|SECOND)S?\s*)?")
_FIELD = re.compile(r"([A-Za-z])\1*")
_JAVA_TO_STRFTIME = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H"}
# What a pattern may write, and the unit of the interval that Athena takes then by itself.
_USUAL_UNITS = {
    ("MM", "dd", "yyyy"): "DAYS",
    ("MM", "yyyy"): "MONTHS",
    ("HH", "MM", "dd", "yyyy"): None,
}
_STEPS = {
    "HOURS": dt.timedelta(hours=1),
    "DAYS": dt.timedelta(days=1),
    "WEEKS": dt.timedelta(weeks=1),
}


def partitions(
    table: str,
    keys: Sequence[str],
    parameters: Mapping[str, str],
    location: str,
    now: dt.datetime,
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each projected partition: its values in the order of the keys, and its S3 prefix."""
    default = f"{location.rstrip('/')}/{'/'.join(f'{key}=${{{key}}}' for key in keys)}/"
    template = parameters.get("storage.location.template", default)
    for values in itertools.product(*(_values(table, key, parameters, now) for key in keys)):
        prefix = template
        for key, value in zip(keys, values, strict=True):
            prefix = prefix.replace(f"${{{key}}}", value)
        yield values, prefix


def _values(table: str, key: str, parameters: Mapping[str, str], now: dt.datetime) -> list[str]:
    def setting(name: str, default: str | None = None) -> str:
        value = parameters.get(f"projection.{key}.{name}", default)
        if value is None:
            raise _invalid(table, f"projection.{key}.{name} is missing")
        return value

    kind = setting("type").strip().lower()
    try:
        if kind == "date":
            return _dates(setting, now)
        if kind == "enum":
            return _enum(setting)
        if kind == "integer":
            return _integers(setting)
    except ValueError as error:
        raise _invalid(table, f"projection.{key}: {error}") from None
    raise not_supported(f"partition projection of the type {kind} ({table}, key {key})")


def _invalid(table: str, what: str) -> QueryFailed:
    return QueryFailed("INVALID_TABLE_PROPERTY", f"Table {table}: {what}")


def _enum(setting: Callable[..., str]) -> list[str]:
    return setting("values").split(",")


def _integers(setting: Callable[..., str]) -> list[str]:
    first, last = map(int, setting("range").split(","))
    digits = int(setting("digits", "0"))
    interval = int(setting("interval", "1"))
    return [f"{value:0{digits}d}" for value in range(first, last + 1, interval)]


def _dates(setting: Callable[..., str], now: dt.datetime) -> list[str]:
    pattern = setting("format")
    letters = tuple(sorted(match[0] for match in _FIELD.finditer(pattern)))
    if letters not in _USUAL_UNITS or "'" in pattern:
        raise not_supported(f"partition projection of dates in the format {pattern}")
    usual_unit = _USUAL_UNITS[letters]
    unit = (
        setting("interval.unit", usual_unit) if usual_unit else setting("interval.unit")
    ).strip()
    unit = unit.upper().removesuffix("S") + "S"
    interval = int(setting("interval", "1"))
    if interval < 1:
        raise ValueError(f"an interval of {interval}")
    written = _FIELD.sub(lambda match: _JAVA_TO_STRFTIME[match[0]], pattern)
    first, last = (_instant(text, written, now) for text in setting("range").split(","))
    texts = []
    if unit in _STEPS:
        while first <= last:
            texts.append(first.strftime(written))
            first += interval * _STEPS[unit]
    elif unit == "MONTHS" and letters == ("MM", "yyyy"):
        while first <= last:
            texts.append(first.strftime(written))
            months = 12 * first.year + first.month - 1 + interval
            first = first.replace(year=months // 12, month=months % 12 + 1)
    else:
        raise not_supported(f"partition projection with an interval of {unit}")
    return texts


def _instant(text: str, written: str, now: dt.datetime) -> dt.datetime:
    relative = _NOW.fullmatch(text)
    if relative is not None:
        sign, count, unit = relative.groups(default="")
        shift = {f"{unit.lower()}s": int(f"{sign}{count}")} if unit else {}
        text = pendulum.instance(now).in_timezone("UTC").add(**shift).strftime(written)
    return dt.datetime.strptime(text.strip(), written).replace(tzinfo=dt.UTC)
