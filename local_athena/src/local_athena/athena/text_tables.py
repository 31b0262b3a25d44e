"""Tables whose files are lines of text: JSON and CSV, as Athena's SerDes read them.

Athena user guide, "Supported SerDes": OpenCSVSerDe, LazySimpleSerDe, and the two of JSON.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.types import Type, is_float, is_integer

_JSON = ("org.openx.data.jsonserde.jsonserde", "org.apache.hive.hcatalog.data.jsonserde")
_CSV = "org.apache.hadoop.hive.serde2.opencsvserde"
_LAZY = "org.apache.hadoop.hive.serde2.lazy.lazysimpleserde"


@dataclass(frozen=True)
class TextFormat:
    """How a table's lines are read.

    Attributes:
        serde: The SerDe's class, in lower case.
        header_lines: How many lines of each file are left out.
    """

    serde: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    header_lines: int = 0

    @classmethod
    def of(cls, serde: str, parameters: Mapping[str, str], table: Mapping[str, str]) -> TextFormat:
        """Read the format of a table from its SerDe, and the parameters of both."""
        known: Sequence[str]
        if serde.lower() in _JSON:
            known = ("serialization.format", "ignore.malformed.json", "case.insensitive")
        elif serde.lower() == _CSV:
            known = ("serialization.format", "separatorchar", "quotechar", "escapechar")
        elif serde.lower() == _LAZY:
            known = ("serialization.format", "field.delim", "line.delim")
        else:
            raise not_supported(f"tables of the SerDe {serde or 'that is not named'}")
        lower = {name.lower(): value for name, value in parameters.items()}
        unknown = [name for name in lower if name not in known]
        if unknown:
            raise not_supported(f"the parameter {unknown[0]} of {serde}")
        return cls(serde.lower(), lower, int(table.get("skip.header.line.count", "0")))

    def rows(self, content: bytes, path: str, columns: Mapping[str, Type]) -> list[dict[str, Any]]:
        """Return the rows of a file, as Arrow takes them."""
        if path.endswith(".gz"):
            content = gzip.decompress(content)
        lines = content.decode("utf-8", errors="replace").split("\n")[self.header_lines :]
        lines = [line.removesuffix("\r") for line in lines]
        if lines and not lines[-1]:
            lines.pop()
        if self.serde in _JSON:
            return [self._json_row(line, columns) for line in lines if line.strip()]
        if self.serde == _CSV:
            return [self._csv_row(line, columns) for line in lines]
        return [self._delimited_row(line, columns) for line in lines]

    def _json_row(self, line: str, columns: Mapping[str, Type]) -> dict[str, Any]:
        try:
            value = json.loads(line, parse_float=Decimal)
            if not isinstance(value, dict):
                raise TypeError
        except (ValueError, TypeError):
            if self.parameters.get("ignore.malformed.json", "").lower() == "true":
                return dict.fromkeys(columns)
            message = f"Row is not a valid JSON Object: {line[:100]}"
            raise QueryFailed("HIVE_CURSOR_ERROR", message) from None
        return {name: _of_json(member, columns[name]) for name, member in _members(value, columns)}

    def _csv_row(self, line: str, columns: Mapping[str, Type]) -> dict[str, Any]:
        quote = self.parameters.get("quotechar", '"')
        separator = self.parameters.get("separatorchar", ",")
        escape = self.parameters.get("escapechar", "\\")
        reader = csv.reader(
            [line], delimiter=separator, quotechar=quote, escapechar=escape, doublequote=True
        )
        cells = next(reader, [])
        return _converted(cells, columns, _of_csv)

    def _delimited_row(self, line: str, columns: Mapping[str, Type]) -> dict[str, Any]:
        default = self.parameters.get("serialization.format", "\x01")
        delimiter = self.parameters.get("field.delim", default)
        delimiter = {"\\t": "\t", "1": "\x01", "9": "\t"}.get(delimiter, delimiter)
        return _converted(line.split(delimiter), columns, _of_delimited)


def _converted(
    cells: Sequence[str], columns: Mapping[str, Type], convert: Callable[[str, Type], Any]
) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(columns)
    for (name, type_), cell in zip(columns.items(), cells, strict=False):
        row[name] = convert(cell, type_)
    return row


def _members(value: Mapping[str, Any], names: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The members of an object by the names that are wanted, whatever their case."""
    lower = {name.lower(): member for name, member in value.items()}
    return [(name, lower.get(name.lower())) for name in names]


def _of_csv(cell: str, type_: Type) -> Any:
    if type_.base in ("varchar", "char"):
        return cell
    if is_integer(type_) or is_float(type_):
        return _number(cell, type_)
    raise not_supported(f"a column of type {type_} in a CSV table (declare it as string)")


def _of_delimited(cell: str, type_: Type) -> Any:
    """A cell as its type; what cannot be read is NULL."""
    if cell == "\\N":
        return None
    if type_.base in ("varchar", "char"):
        return cell
    try:
        return _scalar(cell, type_)
    except (ValueError, InvalidOperation, QueryFailed):
        return None


def _number(text: str, type_: Type) -> Any:
    try:
        return _scalar(text, type_)
    except (ValueError, InvalidOperation):
        message = f"Error parsing field value '{text}' as {type_}"
        raise QueryFailed("HIVE_BAD_DATA", message) from None


def _scalar(text: str, type_: Type) -> Any:
    """A value from its text."""
    if is_integer(type_):
        return int(text)
    if is_float(type_):
        return float(text)
    if type_.base == "decimal":
        return round(Decimal(text), type_.digits[1])
    if type_.base == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if type_.base == "date":
        return date.fromisoformat(text)
    if type_.base == "timestamp":
        return datetime.fromisoformat(text)
    raise not_supported(f"a column of type {type_} in a table of texts")


def _of_json(value: Any, type_: Type) -> Any:
    if value is None:
        return None
    try:
        if type_.base == "array":
            return [_of_json(each, type_.of[0]) for each in value]
        if type_.base == "map":
            return [(key, _of_json(member, type_.of[1])) for key, member in value.items()]
        if type_.base == "row":
            types = dict(zip(type_.fields, type_.of, strict=True))
            return {name: _of_json(each, types[name]) for name, each in _members(value, types)}
        if type_.base in ("varchar", "char"):
            return value if isinstance(value, str) else json.dumps(value, default=str)
        if type_.base == "boolean":
            return bool(value)
        return _scalar(str(value), type_)
    except (ValueError, TypeError, AttributeError, InvalidOperation):
        message = f"Error parsing field value '{value}' as {type_}"
        raise QueryFailed("HIVE_BAD_DATA", message) from None
