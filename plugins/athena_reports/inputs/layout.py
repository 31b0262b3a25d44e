"""How the partitions of a table tell time: which of them can hold the events of some time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple, Self, TypeAlias

from athena_reports.inputs.partition_format import PartitionUnit, partition_unit
from athena_reports.periods.calendar import Period
from athena_reports.periods.zones import dates_shown, hours_shown, zone_of

PartitionKind = Literal["string", "date", "integer"]

# The values of a table's partition keys, in the order of the keys that its input declares.
Partition: TypeAlias = tuple[str, ...]

DATE_KEYS = frozenset({"dt", "date", "day"})
"""Names of keys that hold a date if no other part of a time stands before them."""

_FORMATS_OF_A_DATE = {"string": "%Y-%m-%d", "date": "%Y-%m-%d", "integer": "%Y%m%d"}
_FORMATS_OF_PARTS = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H"}
_PARTS = tuple(_FORMATS_OF_PARTS)
_EXAMPLE = datetime(2025, 1, 2, 3)  # noqa: DTZ001  # what a clock shows


class PartitionKey(NamedTuple):
    """A partition key that tells time.

    Attributes:
        name: Its name in Glue.
        format: How it writes its part of the time (`strftime`).
        kind: Its type.
    """

    name: str
    format: str
    kind: PartitionKind

    def text(self, moment: date) -> str:
        """Return its value for a moment that a clock shows, as Glue has it."""
        text = moment.strftime(self.format)
        if self.kind == "integer":
            return str(int(text))
        return text


@dataclass(frozen=True)
class Layout:
    """The partition keys that tell time, and the zone of the clock that they follow.

    Attributes:
        keys: The keys, the longest time first.
        zone: IANA zone.
    """

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
        """Return the layout of some keys.

        Args:
            names: The names of the keys, one at least.
            formats: A format for each key; for one key the text alone. None if the keys are named
                after what they hold: a date (`DATE_KEYS`), alone or with an hour, or a year, with
                month, day and hour as far as there are any.
            kinds: The type of each key, or of all.
            zone: IANA zone.

        Raises:
            ValueError: There is not one format and one type for each key, the keys need a format,
                the formats do not name an hour, a day, a month or a year, or the type of a key
                cannot hold its texts.
        """
        kind_of_keys = _kinds(names, kinds)
        format_of_keys = _formats(names, formats, kind_of_keys)
        partition_unit(tuple(format_of_keys))
        keys = []
        for name, format, kind in zip(names, format_of_keys, kind_of_keys, strict=True):
            key = PartitionKey(name, format, kind)
            _require_kind(key)
            keys.append(key)
        return cls(tuple(keys), zone)

    @property
    def unit(self) -> PartitionUnit:
        """What a partition holds: an hour, or dates."""
        return partition_unit(tuple(key.format for key in self.keys))

    def moments(self, start: datetime, end: datetime) -> list[date]:
        """Return the hours or the dates that a clock in the zone shows in [start, end).

        Args:
            start: An instant in UTC.
            end: An instant in UTC.

        Returns:
            Full hours without a zone, or dates, in order.
        """
        zone = zone_of(self.zone)
        if self.unit == "hour":
            return [*hours_shown(zone, start, end)]
        return dates_shown(zone, start, end)

    def partition(self, moment: date) -> Partition:
        """Return the partition of an hour or a date that a clock shows."""
        return tuple(key.text(moment) for key in self.keys)

    def partitions(self, start: datetime, end: datetime) -> list[Partition]:
        """Return the partitions that can hold an event of [start, end), in order and each once.

        Arguments are those of `moments`. A partition may hold several dates, such as a month.
        """
        partitions = [self.partition(moment) for moment in self.moments(start, end)]
        return list(dict.fromkeys(partitions))


def bounds_of_events(period: Period, late_by: timedelta) -> tuple[datetime, datetime]:
    """Return from when until when, in UTC, events of a period land: up to `late_by` after its end.

    Raises:
        ValueError: `late_by` is negative.
    """
    if late_by < timedelta(0):
        raise ValueError(
            f"late_by {late_by!r} is negative: it is how long after the end events may land"
        )
    return period.start_utc, period.end_utc + late_by


def _kinds(
    names: Sequence[str], kinds: PartitionKind | Sequence[PartitionKind]
) -> Sequence[PartitionKind]:
    if isinstance(kinds, str):
        return [kinds] * len(names)
    _require_one_for_each(names, kinds, "type (kind)")
    return kinds


def _formats(
    names: Sequence[str], formats: str | Sequence[str] | None, kinds: Sequence[PartitionKind]
) -> Sequence[str]:
    if formats is None:
        return _default_formats(names, kinds)
    if isinstance(formats, str):
        formats = (formats,)
    _require_one_for_each(names, formats, "format")
    return formats


def _default_formats(names: Sequence[str], kinds: Sequence[PartitionKind]) -> Sequence[str]:
    """Return the formats of keys that are named after what they hold."""
    lower_names = tuple(name.lower() for name in names)
    date_format = _FORMATS_OF_A_DATE[kinds[0]]
    if lower_names[0] in DATE_KEYS and lower_names[1:] in ((), ("hour",)):
        return [date_format, "%H"][: len(names)]
    if lower_names == _PARTS[: len(names)]:
        return [_FORMATS_OF_PARTS[name] for name in lower_names]
    in_order = tuple(part for part in _PARTS if part in lower_names)
    if sorted(lower_names) == sorted(in_order) and lower_names != in_order:
        raise ValueError(
            f"the keys {', '.join(names)} are in another order than {', '.join(in_order)}."
            " Give the longest time first; the order in Glue does not matter"
        )
    if len(names) == 1:
        raise ValueError(
            f'the key {names[0]} has no default format. Write it, such as format="{date_format}"'
        )
    example = [date_format, "%H"]
    if len(names) > len(example):
        example = list(_FORMATS_OF_PARTS.values())[: len(names)]
    listed = ", ".join(f'"{format}"' for format in example)
    raise ValueError(
        f"the keys {', '.join(names)} have no default format. Write the format of each, such as"
        f" format=({listed}), and leave out keys that tell no time"
    )


def _require_one_for_each(names: Sequence[str], values: Sequence[str], what: str) -> None:
    if len(values) != len(names):
        raise ValueError(
            f"give one {what} for each key: {len(values)} for the {len(names)} keys"
            f" {', '.join(names)}"
        )


def _require_kind(key: PartitionKey) -> None:
    """Raise ValueError if the type of a key cannot hold its texts."""
    text = _EXAMPLE.strftime(key.format)
    try:
        match key.kind:
            case "integer":
                int(text)
            case "date":
                date.fromisoformat(text)
            case "string":
                pass
    except ValueError:
        raise ValueError(
            f"the key {key.name} is of kind {key.kind!r}, and its format {key.format!r} gives texts"
            f" such as {text!r}"
        ) from None
