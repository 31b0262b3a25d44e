"""How the partition keys of a table tell time, and which partitions hold the events of a time."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, NamedTuple, Self, TypeAlias

from athena_reports.periods.zones import dates_shown, hours_shown, zone_of

PartitionKind = Literal["string", "date", "integer"]

# The values of a table's partition keys, in the order of the keys that its input declares.
PartitionValues: TypeAlias = tuple[str, ...]

DATE_KEYS = ("dt", "date", "day")
_DATE_FORMATS = {"string": "%Y-%m-%d", "date": "%Y-%m-%d", "integer": "%Y%m%d"}
_FORMATS_OF_PARTS = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H"}
_PARTS = "YmdH"  # of a time, as letters of directives
_DIRECTIVE = re.compile(r"%-?.?", re.DOTALL)
_AMBIGUOUS = re.compile(r"%-(.)[%0-9]")  # `%Y%-m%-d` writes 11 January and 1 November alike
_SUPPORTED = ("%Y", "%m", "%d", "%H", "%-m", "%-d", "%-H")  # directives of `strftime`


class PartitionKey(NamedTuple):
    """A partition key that tells time, as Glue names it; `format` is as for `Input`."""

    name: str
    format: str
    kind: PartitionKind

    @property
    def directives(self) -> list[str]:
        """The directives of its format, in order."""
        return _DIRECTIVE.findall(self.format)

    @property
    def parts(self) -> list[str]:
        """The parts of the time that it tells, as letters of directives, the longest first."""
        told = {directive[-1] for directive in self.directives}
        return [part for part in _PARTS if part in told]

    def value(self, moment: date) -> str:
        """Return its value for an hour or a date that a clock shows, as Glue has it."""
        text = moment.strftime(self.format)
        return str(int(text)) if self.kind == "integer" else text


@dataclass(frozen=True)
class Layout:
    """The partition keys that tell time, the longest first, and the IANA zone of their clock."""

    keys: tuple[PartitionKey, ...]
    zone: str

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        *,
        formats: str | Sequence[str] | None,
        kinds: PartitionKind | Sequence[PartitionKind],
        zone: str,
    ) -> Self:
        """Return the layout of some keys, as `Input` declares them.

        ValueError if a format is not supported.
        """
        if isinstance(kinds, str):
            kinds = [kinds] * len(names)
        if isinstance(formats, str):
            formats = [formats]
        if formats is None:
            formats = _default_formats(names, kinds)
        if not len(names) == len(formats) == len(kinds):
            raise ValueError(f"expected one format and one kind for each key: {', '.join(names)}")
        keys = tuple(map(PartitionKey, names, formats, kinds))
        for key in keys:
            _require_format(key)
        told = {part for key in keys for part in key.parts}
        longest_parts = set(_PARTS[: len(told)])
        if told != longest_parts:
            raise ValueError(
                "the formats must contain the year, then month, day and hour down to the"
                " partition's unit, such as %Y-%m-%d or %Y-%m"
            )
        return cls(keys, zone)

    @property
    def has_hours(self) -> bool:
        """Whether a partition holds an hour. Otherwise it holds a day, a month or a year."""
        return any("H" in key.parts for key in self.keys)

    def partitions(self, start: datetime, end: datetime) -> list[PartitionValues]:
        """Return the partitions that can hold an event of [start, end), in order and each once.

        The bounds are instants in UTC.
        """
        shown = hours_shown if self.has_hours else dates_shown
        moments: Sequence[date] = shown(zone_of(self.zone), start, end)
        partitions = []
        for moment in moments:
            values = [key.value(moment) for key in self.keys]
            partitions.append(tuple(values))
        return list(dict.fromkeys(partitions))  # a month has the value of each of its dates


def partition_name(values: Mapping[str, str]) -> str:
    """Return the name of a partition by the values of its keys, such as `dt=2025-06-29`."""
    return "/".join(f"{key}={value}" for key, value in values.items())


def as_argument(values: Sequence[str]) -> str:
    """Return the value of each key as the argument of an `Input`."""
    listed = ", ".join(f'"{value}"' for value in values)
    return listed if len(values) == 1 else f"({listed})"


def _default_formats(names: Sequence[str], kinds: Sequence[PartitionKind]) -> list[str]:
    first, *others = [name.lower() for name in names]
    date_format = _DATE_FORMATS[kinds[0]]
    if first in DATE_KEYS and others == []:
        return [date_format]
    if first in DATE_KEYS and others == ["hour"]:
        return [date_format, "%H"]
    longest_parts = list(_FORMATS_OF_PARTS)[: len(names)]
    if [first, *others] == longest_parts:
        return [_FORMATS_OF_PARTS[part] for part in longest_parts]
    raise ValueError(
        f"no default format for {', '.join(names)}. Set the format of each key, such as"
        f' format="{date_format}" or format=("%Y-%m-%d", "%H"), and omit keys that are not dates'
        " or times"
    )


def _require_format(key: PartitionKey) -> None:
    for directive in key.directives or [key.format]:
        if directive not in _SUPPORTED:
            raise ValueError(
                f"{directive!r} in the format of key {key.name} is not supported. Use %Y, %m, %d"
                " and %H, or %-m, %-d and %-H without leading zeros. To read a table by weeks, omit"
                " the Input and filter only by period.contains"
            )
    ambiguous = _AMBIGUOUS.search(key.format)
    if ambiguous is not None:
        directive = ambiguous[1]
        raise ValueError(
            f"%-{directive} in the format of key {key.name} is ambiguous. Use %{directive}"
        )
    digits = _DIRECTIVE.sub("", key.format)
    if key.kind == "integer" and digits and not digits.isdecimal():
        raise ValueError(
            f"the key {key.name} is an integer. Use a format of digits only, such as %Y%m%d"
        )
    if key.kind == "date" and key.format != "%Y-%m-%d":
        raise ValueError(f"the key {key.name} is a date. Use %Y-%m-%d")
