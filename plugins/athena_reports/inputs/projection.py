"""Partition projection: Athena computes the partitions of a table, and does not ask Glue for them.

The table's parameters say which there are. The source is "Supported types for partition projection"
in Athena's user guide.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import NoReturn

from athena_reports.errors import InputError
from athena_reports.inputs.layout import Layout, PartitionKey

# Bounds of a range that move with the time, such as NOW-3YEARS. A year and a month have their
# longest length in days.
_RELATIVE_BOUND = re.compile(
    r"NOW\s*(?:([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY|HOUR|MINUTE)S?)?", re.IGNORECASE
)
_DAYS_OF_UNIT = {"YEAR": 366, "MONTH": 31, "WEEK": 7, "DAY": 1, "HOUR": 1 / 24, "MINUTE": 1 / 1440}

# Dates are written with the patterns of Java's DateTimeFormatter.
_PART_OF_PATTERN = re.compile(r"'([^']*)'|(([A-Za-z])\3*)|(.)", re.DOTALL)
_DIRECTIVE_OF_LETTERS = {
    "yyyy": "%Y",
    "uuuu": "%Y",
    "yy": "%y",
    "MM": "%m",
    "M": "%-m",
    "dd": "%d",
    "d": "%-d",
    "HH": "%H",
    "H": "%-H",
    "mm": "%M",
}
_STEP_OF_UNIT = {
    "MINUTES": timedelta(minutes=1),
    "HOURS": timedelta(hours=1),
    "DAYS": timedelta(days=1),
    "WEEKS": timedelta(weeks=1),
}
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
# What clocks show: the texts of two formats that differ do so for one of them.
_EXAMPLES = (datetime(2025, 1, 2, 3), datetime(2026, 11, 12, 13))  # noqa: DTZ001


@dataclass(frozen=True)
class Projection:
    """The partition projection of a table.

    Attributes:
        table: The table with its database, for messages.
        parameters: The parameters of the table in Glue.
    """

    table: str
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, table: str, parameters: Mapping[str, str]) -> "Projection | None":
        """Return the projection that the parameters of a table declare; None if they do not."""
        if parameters.get("projection.enabled", "").lower() != "true":
            return None
        return cls(table, parameters)

    def require(self, layout: Layout) -> None:
        """Raise InputError if the projection writes a key otherwise than the layout.

        The query would find no rows then, and no error.
        """
        for key in layout.keys:
            expected_format = self._format(key)
            if expected_format is None:
                continue
            for example in _EXAMPLES:
                projected = example.strftime(expected_format)
                if key.kind == "integer":
                    projected = str(int(projected))
                if projected != key.text(example):
                    self._refuse_format(layout, key, expected_format)

    def reaches(self, values: Mapping[str, str], now: datetime) -> bool:
        """Return whether there is a partition with some values of some of its keys.

        Any value of a key counts as reached whose type is neither a date, an integer nor an enum.
        """
        return all(self._reaches(key, value, now) for key, value in values.items())

    def folders(
        self, values: Mapping[str, str], keys: Sequence[str], location: str
    ) -> Mapping[str, str]:
        """Return the folders that Athena reads for some values, by the name of the partition.

        There is one for each value of the other keys that are enums. Where another type of key has
        any value there is none, as it is not known which.

        Args:
            values: The values that are known, by key.
            keys: All keys of the table, in Glue's order.
            location: The folder of the table.
        """
        template = self.parameters.get("storage.location.template")
        if template is None:
            below = "/".join(f"{key}=${{{key}}}" for key in keys)
            template = f"{location.rstrip('/')}/{below}/"
        other_keys = [key for key in keys if key not in values]
        choices = [self._enum(key) for key in other_keys]
        folders = {}
        for other_values in product(*choices):
            all_values = {**values, **dict(zip(other_keys, other_values, strict=True))}
            name = "/".join(f"{key}={value}" for key, value in all_values.items())
            folders[name] = _filled(template, all_values)
        return folders

    def _parameter(self, key: str, name: str) -> str:
        return self.parameters.get(f"projection.{key}.{name}", "")

    def _type(self, key: str) -> str:
        return self._parameter(key, "type").lower()

    def _enum(self, key: str) -> list[str]:
        if self._type(key) != "enum":
            return []
        return [value.strip() for value in self._parameter(key, "values").split(",")]

    def _format(self, key: PartitionKey) -> str | None:
        """Return how the projection writes a key (`strftime`); None if its type does not say it."""
        if self._type(key.name) == "date":
            return self._date_format(key.name)
        if self._type(key.name) == "integer" and key.kind == "string":
            return _as_integer(key.format, digits=self._parameter(key.name, "digits"))
        return None

    def _date_format(self, key: str) -> str:
        """Return the format of a key of dates; InputError if its pattern cannot be read."""
        pattern = self._parameter(key, "format") or "yyyy-MM-dd"
        directives = []
        for quoted, letters, _, other in _PART_OF_PATTERN.findall(pattern):
            if letters and letters not in _DIRECTIVE_OF_LETTERS:
                raise InputError(
                    f"The input {self.table}: its partition projection writes {key} as {pattern!r},"
                    f" and {letters!r} is not known here. Leave the Input out, and filter by"
                    " period.contains alone."
                )
            directive = _DIRECTIVE_OF_LETTERS.get(letters, quoted or other)
            directives.append(directive)
        return "".join(directives)

    def _refuse_format(self, layout: Layout, key: PartitionKey, expected_format: str) -> NoReturn:
        formats = [expected_format if other == key else other.format for other in layout.keys]
        written = ", ".join(f'"{format}"' for format in formats)
        if len(formats) > 1:
            written = f"({written})"
        example = _EXAMPLES[0]
        raise InputError(
            f"The input {self.table}: its partition projection writes {key.name} as"
            f" {example.strftime(expected_format)!r}, the report's input as {key.text(example)!r}."
            f" Write format={written}."
        )

    def _reaches(self, key: str, value: str, now: datetime) -> bool:
        match self._type(key):
            case "date":
                return self._reaches_date(key, value, now)
            case "integer":
                first, last = self._bounds(key)
                step = int(self._parameter(key, "interval") or "1")
                return (
                    int(first) <= int(value) <= int(last) and (int(value) - int(first)) % step == 0
                )
            case "enum":
                return value in self._enum(key)
        return True

    def _reaches_date(self, key: str, value: str, now: datetime) -> bool:
        first, last = self._bounds(key)
        instant = self._instant(key, value, now)
        first_instant = self._instant(key, first, now)
        if not first_instant <= instant <= self._instant(key, last, now):
            return False
        step = _STEP_OF_UNIT.get(self._parameter(key, "interval.unit").upper())
        if step is None or _RELATIVE_BOUND.fullmatch(first):
            return True  # months and years have no equal steps, and a first date that moves no grid
        interval = step * int(self._parameter(key, "interval") or "1")
        return (instant - first_instant) % interval == timedelta(0)

    def _bounds(self, key: str) -> tuple[str, str]:
        first, _, last = self._parameter(key, "range").partition(",")
        return first.strip(), last.strip()

    def _instant(self, key: str, text: str, now: datetime) -> datetime:
        """Return the instant that a bound or a value of a key of dates stands for."""
        relative = _RELATIVE_BOUND.fullmatch(text)
        if relative:
            return now.astimezone(UTC) + _shift(relative)
        # `strptime` reads texts with and without zeros, and knows no directive without them.
        format = self._date_format(key).replace("%-", "%")
        try:
            return datetime.strptime(text, format).replace(tzinfo=UTC)
        except ValueError as error:
            pattern = self._parameter(key, "format") or "yyyy-MM-dd"
            raise InputError(
                f"The partition projection of {self.table} has the range or value {text!r} of"
                f" {key}, which is not of the form {pattern!r}. Correct the table's parameters."
            ) from error


def _as_integer(format: str, *, digits: str) -> str:
    """Return the format of an integer of so many digits in place of a format of one directive."""
    is_padded = digits not in ("", "1")
    if is_padded:
        return format.replace("%-", "%")
    return re.sub("%([mdHjIUWVu])", r"%-\1", format)


def _shift(relative_bound: re.Match[str]) -> timedelta:
    sign, number, unit = relative_bound.groups()
    if unit is None:
        return timedelta(0)
    shift = timedelta(days=_DAYS_OF_UNIT[unit.upper()]) * int(number)
    if sign == "-":
        return -shift
    return shift


def _filled(template: str, values: Mapping[str, str]) -> str:
    def value_of(placeholder: re.Match[str]) -> str:
        # A placeholder of no partition key stays as it is.
        return values.get(placeholder[1].lower(), placeholder[0])

    return _PLACEHOLDER.sub(value_of, template)
