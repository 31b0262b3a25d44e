"""The table of an input as Glue has it, and whether it is laid out as the input says.

A declaration that does not fit is refused, with the one that would. Otherwise the query would find
no rows, or would be paid and fail.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from athena_reports.errors import InputError
from athena_reports.inputs.input import Input
from athena_reports.inputs.layout import Layout
from athena_reports.inputs.projection import Projection

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

# The types of partition keys in Glue, by the kind of the key.
_TYPE_OF_KIND = {
    "string": re.compile(r"string|(varchar|char)( *\( *\d+ *\))?"),
    "integer": re.compile(r"tinyint|smallint|int|integer|bigint"),
    "date": re.compile(r"date"),
}
_KEYS_OF_TIME = ("year", "month", "day", "hour")
_USUAL_FORMATS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y%m%d",
    "%Y-%m-%d-%H",
    "%Y/%m/%d/%H",
    "%Y-%m-%d %H",
    "%Y%m%d%H",
    "%Y-%m",
    "%Y/%m",
    "%Y%m",
    "%d-%m-%Y",
    "%Y",
)

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # of rows whose key is NULL or empty
_EXAMPLE = datetime(2024, 1, 2, 3)  # noqa: DTZ001  # what a clock shows


@dataclass(frozen=True)
class SourceTable:
    """The table of an input.

    Attributes:
        source: The input.
        database: The database of the table; of a view that of the table below it.
        table: The name of the table; of a view that of the table below it.
        keys: Its partition keys with their types, in Glue's order.
        location: Its `s3://` folder; empty for a view.
        projection: How Athena computes its partitions; None if Glue has them.
    """

    source: Input
    database: str
    table: str
    keys: Mapping[str, str]
    location: str
    projection: Projection | None

    @classmethod
    def read(cls, source: Input, database: str, glue: "GlueClient") -> "SourceTable":
        """Return the table of an input.

        Args:
            source: The input.
            database: The database of an input that names none.
            glue: The client that knows the table.

        Raises:
            InputError: Glue has no such table, it is laid out otherwise than the input says, its
                projection cannot be read, or it is waited for and cannot be.
        """
        database = source.database or database
        response = _get_table(source, database, source.table, glue)
        if source.of is not None:
            _require_view(source, database, response)
            *of_database, table = source.of.split(".")
            database = of_database[0] if of_database else database
            response = _get_table(source, database, table, glue)
        keys = {key["Name"]: key.get("Type", "") for key in response.get("PartitionKeys", [])}
        name = f"{database}.{response['Name']}"
        _require_keys(source, name, response)
        _require_types(source, name, keys)
        _require_only(source, name, keys)
        projection = Projection.of(name, response.get("Parameters", {}))
        if projection is not None and source.is_partitioned:
            projection.require(source.layout)
            _require_done(source, name)
        location = response.get("StorageDescriptor", {}).get("Location", "")
        return cls(source, database, response["Name"], keys, location, projection)

    @property
    def name(self) -> str:
        """The table with its database."""
        return f"{self.database}.{self.table}"

    @property
    def selected_keys(self) -> Sequence[str]:
        """The keys whose values the input says: those that tell time, and those of `only`."""
        return [*self.source.columns, *self.source.only]

    @property
    def has_free_keys(self) -> bool:
        """Whether it has keys of which the input says no value."""
        return len(self.keys) > len(self.selected_keys)

    @property
    def kinds(self) -> Sequence[str]:
        """The kind of each of the `selected_keys`."""
        kinds: list[str] = [key.kind for key in self.source.layout.keys]
        kinds += [_kind_of_type(self.keys[key]) for key in self.source.only]
        return kinds

    def require_readable(self, stored: Mapping[str, str]) -> None:
        """Raise InputError if the keys of a stored partition are written otherwise than declared.

        Args:
            stored: The values of any partition, by key.
        """
        for key in self.source.layout.keys:
            value = stored[key.name]
            if key.kind == "integer" or value == _NO_VALUE or _may_be(value, key.format):
                continue
            problem = (
                f"The input {self.name}: Glue has the partition {key.name}={value}, which is not"
                f" written as {key.format!r}."
            )
            usual = [format for format in _USUAL_FORMATS if _may_be(value, format)]
            if usual and len(self.source.columns) == 1 and key.kind == "string":
                raise InputError(f'{problem} Write format="{usual[0]}".')
            raise InputError(f"{problem} Write format= as the table has it.")


def _get_table(source: Input, database: str, table: str, glue: "GlueClient") -> Mapping[str, Any]:
    try:
        response: Mapping[str, Any] = glue.get_table(DatabaseName=database, Name=table)["Table"]
    except glue.exceptions.EntityNotFoundException as error:
        problem = f"The input {database}.{table} is not in Glue."
        if table != source.table:
            problem = f"The table {database}.{table} below the view {source.table} is not in Glue."
        raise InputError(f"{problem} Correct the input, or create the table.") from error
    return response


def _is_view(table: Mapping[str, Any]) -> bool:
    return bool(table.get("TableType") == "VIRTUAL_VIEW")


def _require_view(source: Input, database: str, view: Mapping[str, Any]) -> None:
    """Raise InputError if an input with `of` is not a view with the columns that it names."""
    name = f"{database}.{source.table}"
    if not _is_view(view):
        raise InputError(f"The input {name} is not a view. Leave out of={source.of!r}.")
    columns = [column["Name"] for column in view.get("StorageDescriptor", {}).get("Columns", [])]
    for key in (*source.columns, *source.only):
        if key not in columns:
            raise InputError(
                f"The view {name} has no column {key!r}, so its SQL cannot be filtered by the "
                f"partitions of {source.of}. It has {', '.join(columns)}. Let the view select "
                f"{key}, or read {source.of}."
            )


def _require_keys(source: Input, name: str, table: Mapping[str, Any]) -> None:
    """Raise InputError if the table lacks a key of the input, or the input names none."""
    keys = [key["Name"] for key in table.get("PartitionKeys", [])]
    has_all = set(source.columns) <= set(keys)
    if has_all and bool(keys) == source.is_partitioned:
        return
    if _is_view(table) and source.is_partitioned:
        raise InputError(
            f"The input {name} is a view, which has no partitions. Name the table below it, such "
            f'as Input("{source.table}", of="..."), or write Input("{source.table}", columns=()).'
        )
    stored = ", ".join(keys) or "nothing"
    declared = ", ".join(source.columns) or "nothing"
    raise InputError(
        f"{name} is partitioned by {stored}, the report's input says {declared}."
        f" {_fitting_declaration(source, table)}"
    )


def _fitting_declaration(source: Input, table: Mapping[str, Any]) -> str:
    """Return what to write for the keys of a table, as far as their names and types tell."""
    types = {key["Name"]: key.get("Type", "") for key in table.get("PartitionKeys", [])}
    if not types:
        return f'Write Input("{source.table}", columns=()).'
    names = list(types)
    if len(types) > 1:
        names = [name for name in _KEYS_OF_TIME if name in types]
    kinds = [_kind_of_type(types[name]) for name in names]
    is_alone_of_several = len(names) == 1 and len(types) > 1  # such as `year` beside `region`
    if is_alone_of_several or not _is_layout(names, None, kinds):
        return "Correct the input: name those of its keys that hold the date or the hour."
    listed = ", ".join(f'"{name}"' for name in names)
    kind = ""
    if set(kinds) != {"string"}:
        kind = f", {_as_argument(kinds)}"
    return f'Write Input("{source.table}", columns=[{listed}]{kind}).'


def _is_layout(names: Sequence[str], formats: Any, kinds: Sequence[str]) -> bool:
    """Whether an input may have some keys, formats and kinds."""
    if not names or "" in kinds:
        return False
    known_kinds: Any = kinds
    try:
        Layout.of(names, formats=formats, kinds=known_kinds, zone="UTC")
    except ValueError:
        return False
    return True


def _as_argument(kinds: Sequence[str]) -> str:
    """Return the argument `kind` for the kinds of some keys."""
    if len(set(kinds)) == 1:
        return f'kind="{kinds[0]}"'
    listed = ", ".join(f'"{kind}"' for kind in kinds)
    return f"kind=({listed})"


def _require_types(source: Input, name: str, keys: Mapping[str, str]) -> None:
    """Raise InputError if Athena could not compare a key with what the input says of it."""
    if not source.is_partitioned:
        return
    kinds = []
    for key in source.layout.keys:
        kind = _kind_of_type(keys[key.name])
        kinds.append(kind)
        if not kind:
            raise InputError(
                f"The input {name}: its partition key {key.name} is a {keys[key.name]}, which is"
                " not supported. Leave the Input out, and filter by period.contains alone."
            )
    for key, kind in zip(source.layout.keys, kinds, strict=True):
        if kind == key.kind:
            continue
        way_out = f"Write {_as_argument(kinds)}"
        if not _is_layout(source.columns, source.format, kinds):
            way_out += ", and a format= whose texts are of that kind"
            if _is_layout(source.columns, None, kinds):
                way_out += ", or none"
        raise InputError(
            f"The input {name}: its partition key {key.name} is of type {keys[key.name]} in Glue,"
            f" and the report's input says {key.kind!r}. {way_out}."
        )


def _require_only(source: Input, name: str, keys: Mapping[str, str]) -> None:
    """Raise InputError if `only` names what is not a key, or values that it cannot have."""
    for key, values in source.only.items():
        if key not in keys:
            others = [other for other in keys if other not in source.columns]
            raise InputError(
                f"The input {name}: only= names {key!r}, which is not one of its partition keys."
                f" Its further keys are: {', '.join(others) or 'none'}."
            )
        kind = _kind_of_type(keys[key])
        if kind not in ("string", "integer"):
            raise InputError(
                f"The input {name}: its partition key {key} is of type {keys[key]} in Glue, and"
                " only= knows texts and integers alone. Leave it out of only=, and filter by it in"
                " the SQL."
            )
        expected = int if kind == "integer" else str
        for value in values:
            if type(value) is not expected:
                raise InputError(
                    f"The input {name}: its partition key {key} is of type {keys[key]} in Glue, and"
                    f" only= gives {value!r}. Give {expected.__name__} values."
                )
            if value in ("", _NO_VALUE):
                raise InputError(
                    f"The input {name}: only= gives {value!r} for {key}, which is NULL in Athena,"
                    f" and equals nothing. Leave it out, and filter by {key} in the SQL."
                )


def _require_done(source: Input, name: str) -> None:
    """Raise InputError for a projected table that is waited for without done objects."""
    if source.wait is None or source.done is not None:
        return
    problem = "but its partitions are projected, so Glue does not know which of them are there."
    example = "done='s3://lake/plays/dt={date}/_SUCCESS'"
    raise InputError(
        f"The input {name} has wait=, {problem} Name the object that says that a partition is "
        f"complete, such as {example}, or leave out wait=."
    )


def _kind_of_type(glue_type: str) -> str:
    """Return the kind of a partition key; empty if its type is not known."""
    for kind, pattern in _TYPE_OF_KIND.items():
        if pattern.fullmatch(glue_type.strip().lower()):
            return kind
    return ""


def _may_be(value: str, format: str) -> bool:
    """Whether a format gives a text, as far as that can be told."""
    # `strptime` knows no directive without zeros, and reads texts with and without them.
    format_to_read = format.replace("%-", "%")
    try:
        datetime.strptime(_EXAMPLE.strftime(format_to_read), format_to_read)  # noqa: DTZ007
    except (ValueError, re.error):
        return True  # `strptime` does not read all that `strftime` writes, such as %F
    try:
        moment = datetime.strptime(value, format_to_read)  # noqa: DTZ007
    except ValueError:
        return False
    return moment.strftime(format) == value
