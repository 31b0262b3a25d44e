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
from athena_reports.inputs.date_pattern import DatePattern
from athena_reports.inputs.layout import Layout, PartitionKey

# Bounds of a range that move with the time, such as NOW-3YEARS. A year and a month have their
# longest length in days.
_RELATIVE_BOUND = re.compile(
    r"\s*NOW\s*(?:([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY|HOUR|MINUTE|SECOND)S?)?\s*",
    re.IGNORECASE,
)
_LONGEST_OF_UNIT = {
    "YEAR": timedelta(days=366),
    "MONTH": timedelta(days=31),
    "WEEK": timedelta(weeks=1),
    "DAY": timedelta(days=1),
    "HOUR": timedelta(hours=1),
    "MINUTE": timedelta(minutes=1),
    "SECOND": timedelta(seconds=1),
}
# Units of the interval between two dates: those that have one length, and those made of months.
_STEP_OF_UNIT = {
    "MILLISECONDS": timedelta(milliseconds=1),
    "SECONDS": timedelta(seconds=1),
    "MINUTES": timedelta(minutes=1),
    "HOURS": timedelta(hours=1),
    "DAYS": timedelta(days=1),
    "WEEKS": timedelta(weeks=1),
}
_MONTHS_OF_UNIT = {"MONTHS": 1, "YEARS": 12}
_USUAL_UNIT = {"day": "DAYS", "month": "MONTHS", "year": "YEARS"}
_DAYS_OF_SHORTEST_MONTH = 28

_INTEGER = re.compile(r"-?[0-9]+")
_PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")
# What clocks show: the texts of two formats that differ do so for one of them.
_EXAMPLES = (datetime(2025, 1, 2, 3), datetime(2026, 11, 12, 13))  # noqa: DTZ001
_WAY_OUT = "Leave the Input out, and filter by period.contains alone."


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
        if parameters.get("projection.enabled", "").strip().lower() != "true":
            return None
        return cls(table, parameters)

    def require(self, layout: Layout) -> None:
        """Raise InputError if the projection writes a key otherwise than the layout.

        The query would find no rows then, and no error.
        """
        for key in layout.keys:
            match self._type(key.name):
                case "date":
                    self._require_dates(layout, key)
                case "integer" if key.kind == "string":
                    self._require_integers(layout, key)

    def reaches(self, values: Mapping[str, str], now: datetime) -> bool:
        """Return whether there is a partition with some values of some of its keys.

        Any value of a key counts as reached whose type is neither a date, an integer nor an enum.

        Raises:
            InputError: A parameter of the table that says so is missing or cannot be read.
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
        choices = [self._enum(key) if self._type(key) == "enum" else [] for key in other_keys]
        folders = {}
        for other_values in product(*choices):
            all_values = {**values, **dict(zip(other_keys, other_values, strict=True))}
            name = "/".join(f"{key}={value}" for key, value in all_values.items())
            texts = {key: self._with_digits(key, value) for key, value in all_values.items()}
            folders[name] = _filled(template, texts)
        return folders

    # --- what the parameters say

    def _parameter(self, key: str, name: str) -> str | None:
        return self.parameters.get(f"projection.{key}.{name}")

    def _type(self, key: str) -> str:
        return (self._parameter(key, "type") or "").strip().lower()

    def _enum(self, key: str) -> list[str]:
        """Return the values of an enum. White space is a part of them."""
        values = self._parameter(key, "values")
        if values is None:
            raise self._invalid(key, "values", "'jp,us'")
        return values.split(",")

    def _positive(self, key: str, name: str) -> int:
        """Return a parameter that is a positive integer, which is 1 if the table has none."""
        text = (self._parameter(key, name) or "1").strip()
        if not text.isdecimal() or int(text) == 0:
            raise self._invalid(key, name, "'1'")
        return int(text)

    def _bounds(self, key: str, example: str) -> tuple[str, str]:
        bounds = (self._parameter(key, "range") or "").split(",")
        if len(bounds) != 2:
            raise self._invalid(key, "range", example)
        return bounds[0].strip(), bounds[1].strip()

    def _pattern(self, key: str) -> DatePattern:
        text = self._parameter(key, "format") or "yyyy-MM-dd"
        try:
            return DatePattern.parse(text)
        except ValueError as error:
            raise InputError(
                f"The input {self.table}: its partition projection writes {key} as {text!r}, and"
                f" {error}. {_WAY_OUT}"
            ) from error

    def _unit(self, key: str, pattern: DatePattern) -> str:
        """Return the unit of the interval between two dates, such as DAYS."""
        unit = (self._parameter(key, "interval.unit") or "").strip().upper()
        if not unit and pattern.finest in _USUAL_UNIT:
            return _USUAL_UNIT[pattern.finest]
        unit = unit.removesuffix("S") + "S"
        if unit not in _STEP_OF_UNIT and unit not in _MONTHS_OF_UNIT:
            raise self._invalid(key, "interval.unit", "'HOURS'")
        return unit

    def _with_digits(self, key: str, value: str) -> str:
        """Return a value as the projection writes it: an integer with its `digits`."""
        if self._type(key) != "integer" or not _INTEGER.fullmatch(value):
            return value
        return value.zfill(self._positive(key, "digits"))

    def _invalid(self, key: str, name: str, example: str) -> InputError:
        value = self._parameter(key, name)
        problem = "is missing" if value is None else f"is {value!r}"
        return InputError(
            f"The partition projection of {self.table} cannot be read: projection.{key}.{name}"
            f" {problem}. Correct the table's parameters: give one such as {example}."
        )

    # --- how keys are written

    def _require_dates(self, layout: Layout, key: PartitionKey) -> None:
        pattern = self._pattern(key.name)
        for example in _EXAMPLES:
            projected = example.strftime(pattern.format)
            if key.kind == "integer":
                if not projected.isdecimal():
                    self._refuse_type(key, projected)
                projected = str(int(projected))
            if projected == key.text(example):
                continue
            if key.kind == "date":
                self._refuse_type(key, projected)
            self._refuse_format(layout, key, projected, example, pattern.format)

    def _require_integers(self, layout: Layout, key: PartitionKey) -> None:
        for example in _EXAMPLES:
            text = key.text(example)
            if not text.isdecimal():
                raise InputError(
                    f"The input {self.table}: its partition projection writes {key.name} as an"
                    f" integer, and the report's input as {text!r}. Write format= with digits"
                    ' alone, such as format="%Y%m%d".'
                )
            projected = self._with_digits(key.name, str(int(text)))
            if projected != text:
                self._refuse_format(layout, key, projected, example, self._integers_format(key))

    def _integers_format(self, key: PartitionKey) -> str | None:
        """Return a format that writes a key of integers as the projection does, if there is one."""
        with_zeros = key.format.replace("%-", "%")
        without_zeros = re.sub("%([mdHjUWV])", r"%-\1", with_zeros)
        for format in (with_zeros, without_zeros):
            texts = [example.strftime(format) for example in _EXAMPLES]
            if all(text == self._with_digits(key.name, str(int(text))) for text in texts):
                return format
        return None

    def _refuse_type(self, key: PartitionKey, projected: str) -> NoReturn:
        raise InputError(
            f"The input {self.table}: its partition projection writes {key.name} as {projected!r},"
            f" which is not of its type in Glue ({key.kind}). Correct the table. Until then: "
            f"{_WAY_OUT[0].lower()}{_WAY_OUT[1:]}"
        )

    def _refuse_format(
        self,
        layout: Layout,
        key: PartitionKey,
        projected: str,
        example: datetime,
        expected_format: str | None,
    ) -> NoReturn:
        problem = (
            f"The input {self.table}: its partition projection writes {key.name} as"
            f" {projected!r}, the report's input as {key.text(example)!r}."
        )
        if expected_format is None:
            raise InputError(f"{problem} No format= writes it so. {_WAY_OUT}")
        formats = [expected_format if other == key else other.format for other in layout.keys]
        written = ", ".join(f'"{format}"' for format in formats)
        if len(formats) > 1:
            written = f"({written})"
        raise InputError(f"{problem} Write format={written}.")

    # --- which values there are

    def _reaches(self, key: str, value: str, now: datetime) -> bool:
        match self._type(key):
            case "date":
                return self._reaches_date(key, value, now)
            case "integer":
                return self._reaches_integer(key, value)
            case "enum":
                return value in self._enum(key)
        return True

    def _reaches_integer(self, key: str, value: str) -> bool:
        first, last = self._bounds(key, "'0,23'")
        if not _INTEGER.fullmatch(first) or not _INTEGER.fullmatch(last):
            raise self._invalid(key, "range", "'0,23'")
        if not _INTEGER.fullmatch(value):
            return False
        steps_from_first = int(value) - int(first)
        is_in_range = int(first) <= int(value) <= int(last)
        return is_in_range and steps_from_first % self._positive(key, "interval") == 0

    def _reaches_date(self, key: str, value: str, now: datetime) -> bool:
        pattern = self._pattern(key)
        first, last = self._bounds(key, "'2025-01-01,NOW'")
        instant = self._instant(key, value, pattern, now)
        first_instant = self._instant(key, first, pattern, now)
        if not first_instant <= instant <= self._instant(key, last, pattern, now):
            return False
        unit = self._unit(key, pattern)
        interval = self._positive(key, "interval")
        if _RELATIVE_BOUND.fullmatch(first):
            return True  # the dates move with it
        if unit in _STEP_OF_UNIT:
            return (instant - first_instant) % (interval * _STEP_OF_UNIT[unit]) == timedelta(0)
        if first_instant.day > _DAYS_OF_SHORTEST_MONTH:
            return True  # in some months there is no such day
        months = 12 * (instant.year - first_instant.year) + instant.month - first_instant.month
        is_same_day = (instant.day, instant.hour) == (first_instant.day, first_instant.hour)
        return is_same_day and months % (interval * _MONTHS_OF_UNIT[unit]) == 0

    def _instant(self, key: str, text: str, pattern: DatePattern, now: datetime) -> datetime:
        """Return the instant that a bound or a value of a key of dates stands for."""
        try:
            relative = _RELATIVE_BOUND.fullmatch(text)
            if relative:
                bound = now.astimezone(UTC) + _shift(relative)
                text = bound.strftime(pattern.format)  # the hour or the date that it lies in
            return pattern.read(text)
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"The partition projection of {self.table} has the range or value {text!r} of"
                f" {key}, which is not of the form {pattern.text!r}. Correct the table's"
                " parameters."
            ) from error


def _shift(relative_bound: re.Match[str]) -> timedelta:
    sign, number, unit = relative_bound.groups()
    if unit is None:
        return timedelta(0)
    shift = _LONGEST_OF_UNIT[unit.upper()] * int(number)
    if sign == "-":
        return -shift
    return shift


def _filled(template: str, values: Mapping[str, str]) -> str:
    def value_of(placeholder: re.Match[str]) -> str:
        # A placeholder of no partition key stays as it is.
        return values.get(placeholder[1].lower(), placeholder[0])

    return _PLACEHOLDER.sub(value_of, template)
