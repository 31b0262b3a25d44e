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

_FORMAT_OF_ONE_KEY = {"string": "%Y-%m-%d", "date": "%Y-%m-%d", "integer": "%Y%m%d"}
_TIMES_OF_SEVERAL_KEYS = ("year", "month", "day", "hour")
_FORMATS_OF_SEVERAL_KEYS = ("%Y", "%m", "%d", "%H")
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
            formats: A format for each key; for one key the text alone. None for a date of one key,
                and for year, month, day and hour of several.
            kinds: The type of each key, or of all.
            zone: IANA zone.

        Raises:
            ValueError: There is not one format and one type for each key, the formats do not name
                an hour, a day, a month or a year, or the type of a key cannot hold its texts.
        """
        kind_of_keys = _kinds(names, kinds)
        format_of_keys = _formats(names, formats, kind_of_keys[0])
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
    names: Sequence[str], formats: str | Sequence[str] | None, kind: PartitionKind
) -> Sequence[str]:
    if isinstance(formats, str):
        formats = (formats,)
    if formats is not None:
        _require_one_for_each(names, formats, "format")
        return formats
    if len(names) == 1:
        return [_FORMAT_OF_ONE_KEY[kind]]
    _refuse_other_times(names)
    usual_formats = _FORMATS_OF_SEVERAL_KEYS[: len(names)]
    _require_one_for_each(names, usual_formats, "format")
    return usual_formats


def _require_one_for_each(names: Sequence[str], values: Sequence[str], what: str) -> None:
    if len(values) != len(names):
        raise ValueError(
            f"give one {what} for each key: {len(values)} for the {len(names)} keys"
            f" {', '.join(names)}"
        )


def _refuse_other_times(names: Sequence[str]) -> None:
    """Raise ValueError if keys that need a format are called year, month, day or hour."""
    words = [name.lower() for name in names if name.lower() in _TIMES_OF_SEVERAL_KEYS]
    in_order = [word for word in _TIMES_OF_SEVERAL_KEYS if word in words]
    if words != in_order:
        raise ValueError(
            f"the keys {', '.join(names)} are in another order than {', '.join(in_order)}."
            " Give the longest time first; the order in Glue does not matter"
        )
    for name, time in zip(names, _TIMES_OF_SEVERAL_KEYS, strict=False):
        if name.lower() in words and name.lower() != time:
            raise ValueError(
                f"the keys {', '.join(names)} would hold {', '.join(_TIMES_OF_SEVERAL_KEYS)}, and"
                f' {name} is not the {time}. Give the format of each, such as ("%Y-%m-%d", "%H")'
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
