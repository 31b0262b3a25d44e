"""Partition projection: Athena computes the partitions of a table, and does not ask Glue for them.

The table's parameters say which exist. The source is "Supported types for partition projection" in
Athena's user guide.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product

from athena_reports.errors import InputError
from athena_reports.inputs.layout import Layout, PartitionKey, as_argument, partition_name

# Bounds of a range that move with the time, such as NOW-3YEARS. A year and a month have their
# longest length in days.
_RELATIVE_BOUND = re.compile(
    r"NOW\s*(?:([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY|HOUR)S?)?", re.IGNORECASE
)
_LONGEST_OF_UNIT = {
    "YEAR": timedelta(days=366),
    "MONTH": timedelta(days=31),
    "WEEK": timedelta(weeks=1),
    "DAY": timedelta(days=1),
    "HOUR": timedelta(hours=1),
}
_UNITS = {"Y": "YEAR", "m": "MONTH", "d": "DAY", "H": "HOUR"}  # by the part of the time

_PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")
# A text in quotes (two quotes are one), or equal letters.
_TOKEN = re.compile(r"'([^']*)'|(([A-Za-z])\3*)")
# The letters of Java's DateTimeFormatter, and how `strftime` writes the same.
_DIRECTIVES = {
    "yyyy": "%Y",
    "uuuu": "%Y",
    "MM": "%m",
    "M": "%-m",
    "dd": "%d",
    "d": "%-d",
    "HH": "%H",
    "H": "%-H",
}
_EXAMPLE = datetime(2025, 1, 2, 3)  # noqa: DTZ001  # what a clock shows
_WAY_OUT = "Omit the Input, and filter only by period.contains."


@dataclass(frozen=True)
class Projection:
    """The partition projection of a table, as the table's parameters in Glue declare it."""

    table: str
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, table: str, parameters: Mapping[str, str]) -> "Projection | None":
        """Return the projection that the parameters of a table declare; None if they do not."""
        if parameters.get("projection.enabled", "").strip().lower() != "true":
            return None
        return cls(table, parameters)

    def require(self, layout: Layout) -> None:
        """Raise InputError if the projection writes or spaces a key otherwise than the layout."""
        formats = [self._format(key) for key in layout.keys]
        for key, format in zip(layout.keys, formats, strict=True):
            if format != key.format:
                projected = _EXAMPLE.strftime(format)
                declared = _EXAMPLE.strftime(key.format)
                raise InputError(
                    f"The input {self.table}: its partition projection formats {key.name} as"
                    f" {projected!r}, but the input declares {declared!r}."
                    f" Set format={as_argument(formats)}."
                )
            self._require_every_partition(key)

    def reaches(self, values: Mapping[str, str], now: datetime) -> bool:
        """Return whether a partition exists that has some values of some of its keys.

        A key that is neither a date, an integer nor an enum has any value. InputError if a range of
        the table cannot be read.
        """
        for key, value in values.items():
            try:
                if not self._has_value(key, value, now):
                    return False
            except (ValueError, OverflowError):
                bounds = self._parameter(key, "range")
                raise InputError(
                    f"The partition projection of {self.table} is not valid:"
                    f" projection.{key}.range is {bounds!r}. Correct the table's parameters."
                ) from None
        return True

    def folders(
        self, values: Mapping[str, str], keys: Sequence[str], location: str
    ) -> Mapping[str, str]:
        """Return the folders that Athena reads for some values, by the name of the partition.

        There is one for each value of the other keys that are enums, and none if another key is of
        another type. `keys` are all keys of the table, in Glue's order.
        """
        template = self.parameters.get("storage.location.template")
        if template is None:
            below = "/".join(f"{key}=${{{key}}}" for key in keys)
            template = f"{location.rstrip('/')}/{below}/"
        other_keys = [key for key in keys if key not in values]
        folders = {}
        for other_values in product(*map(self._enum, other_keys)):
            all_values = dict(values)
            all_values.update(zip(other_keys, other_values, strict=True))
            texts = {key: value.zfill(self._digits(key)) for key, value in all_values.items()}
            folders[partition_name(all_values)] = _filled(template, texts)
        return folders

    def _parameter(self, key: str, name: str, default: str = "") -> str:
        return self.parameters.get(f"projection.{key}.{name}", default)

    def _type(self, key: str) -> str:
        return self._parameter(key, "type").strip().lower()

    def _enum(self, key: str) -> list[str]:
        if self._type(key) != "enum":
            return []
        return self._parameter(key, "values").split(",")  # white space is a part of them

    def _digits(self, key: str) -> int:
        digits = self._parameter(key, "digits").strip()
        return int(digits) if digits.isdecimal() else 1

    def _date_format(self, key: str) -> str:
        pattern = self._parameter(key, "format", "yyyy-MM-dd")

        def directive(token: re.Match[str]) -> str:
            quoted, letters, _ = token.groups()
            return _DIRECTIVES[letters] if letters else quoted or "'"

        try:
            return _TOKEN.sub(directive, pattern)
        except KeyError as letters:
            raise InputError(
                f"The input {self.table}: its partition projection formats {key} as {pattern!r},"
                f" and {letters} is not supported. {_WAY_OUT}"
            ) from None

    def _format(self, key: PartitionKey) -> str:
        type_of_key = self._type(key.name)
        if type_of_key == "date":
            return self._date_format(key.name)
        if type_of_key == "integer" and key.kind == "string":
            return self._integer_format(key)
        return key.format

    def _integer_format(self, key: PartitionKey) -> str:
        digits_only = "".join(key.directives)
        if self._digits(key.name) > 1:
            return digits_only.replace("%-", "%")
        return re.sub("^%([mdH])", r"%-\1", digits_only)

    def _require_every_partition(self, key: PartitionKey) -> None:
        usual = _UNITS[key.parts[-1]]
        declared_unit = self._parameter(key.name, "interval.unit", usual)
        unit = declared_unit.strip().upper().removesuffix("S")
        interval = self._parameter(key.name, "interval", "1").strip()
        if (interval, unit) != ("1", usual):
            raise InputError(
                f"The input {self.table}: its partition projection has an interval of"
                f" {interval} {unit} for {key.name}, which is not supported. {_WAY_OUT}"
            )

    def _has_value(self, key: str, value: str, now: datetime) -> bool:
        match self._type(key):
            case "date":
                format = self._date_format(key)
                bounds = self._parameter(key, "range").split(",")
                start, end = (_instant(bound, format, now) for bound in bounds)
                return start <= _instant(value, format, now) <= end
            case "integer":
                first, last = self._parameter(key, "range").split(",")
                return int(first) <= int(value) <= int(last)
            case "enum":
                return value in self._enum(key)
        return True


def _filled(template: str, values: Mapping[str, str]) -> str:
    def value_of(placeholder: re.Match[str]) -> str:
        # Glue has the names of keys in lower case, and the template as it was written.
        return values.get(placeholder[1].lower(), placeholder[0])

    return _PLACEHOLDER.sub(value_of, template)


def _instant(text: str, format: str, now: datetime) -> datetime:
    text = text.strip()
    relative = _RELATIVE_BOUND.fullmatch(text)
    if relative is not None:
        sign, number, unit = relative.groups()
        bound = now.astimezone(UTC)
        if unit is not None:
            bound += int(f"{sign}{number}") * _LONGEST_OF_UNIT[unit.upper()]
        text = bound.strftime(format)  # the hour or the date that it lies in
    parsed_format = format.replace("%-", "%")  # `strptime` takes numbers without zeros too
    return datetime.strptime(text, parsed_format).replace(tzinfo=UTC)
