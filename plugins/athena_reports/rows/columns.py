"""The types of columns: as Athena calls them in a result, DuckDB, and Glue in a table.

A result's types are Trino's ("Data types in Amazon Athena" in the user guide), a table's are
Hive's. What a CSV carries only as printed text, such as an array, is text in DuckDB too.

The last two functions write texts and files into SQL.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pydantic import BaseModel

from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType


class _Type(NamedTuple):
    duckdb: str
    glue: str


_TEXT = _Type("VARCHAR", "string")
# Every type without parts, by its names in a result and in a Glue table.
_TYPES = {
    "boolean": _Type("BOOLEAN", "boolean"),
    "tinyint": _Type("TINYINT", "tinyint"),
    "smallint": _Type("SMALLINT", "smallint"),
    "int": _Type("INTEGER", "int"),
    "integer": _Type("INTEGER", "int"),
    "bigint": _Type("BIGINT", "bigint"),
    "float": _Type("FLOAT", "float"),
    "real": _Type("FLOAT", "float"),
    "double": _Type("DOUBLE", "double"),
    "date": _Type("DATE", "date"),
    "timestamp": _Type("TIMESTAMP_MS", "timestamp"),
    "timestamp with time zone": _Type("TIMESTAMP WITH TIME ZONE", "timestamp"),
    "binary": _Type("BLOB", "binary"),
    "varbinary": _Type("BLOB", "binary"),
    "string": _TEXT,
    "char": _TEXT,
    "varchar": _TEXT,
    # A table has no such types, so they stay the text that Athena prints.
    "time": _TEXT,
    "time with time zone": _TEXT,
    "interval day to second": _TEXT,
    "interval year to month": _TEXT,
    "json": _TEXT,
    "uuid": _TEXT,
    "ipaddress": _TEXT,
    "unknown": _TEXT,
}
_GLUE_NAMES = {kind.duckdb: kind.glue for kind in _TYPES.values()}
# What a type of DuckDB that Athena does not have is stored as; any other one becomes text.
_STORED_TYPES = {
    "UTINYINT": "SMALLINT",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
    "UBIGINT": "DECIMAL(20,0)",
    "HUGEINT": "DECIMAL(38,0)",  # of a sum of integers
    "UHUGEINT": "DECIMAL(38,0)",
    "TIMESTAMP_NS": "TIMESTAMP",
}
# The types of a Glue table, for an author who needs one; examples of those with parts.
TABLE_TYPES = (
    *dict.fromkeys(_GLUE_NAMES.values()),
    "decimal(10,2)",
    "array<string>",
    "map<string,int>",
    "struct<name:string>",
)
# How DuckDB writes a nested type; its parts stand in the place of `{}`. An array of a fixed length
# is written as a list, since Athena has no lengths.
_NESTED_FORMS = {"list": "{}[]", "array": "{}[]", "map": "MAP({})", "struct": "STRUCT({})"}
_NUMBER_OF_PARTS = {"array": 1, "map": 2}
_NESTED_IN_RESULT = re.compile(r"(array|map|row|struct)\b")
_NESTED_IN_GLUE = re.compile(r"(?P<container>array|map|struct)<(?P<parts>.+)>")
_ARGUMENTS = re.compile(r"\s*\(.*\)")  # such as `(20)`
_DECIMAL = re.compile(r"decimal\s*\(\s*(?P<precision>\d+)\s*(?:,\s*(?P<scale>\d+)\s*)?\)")
_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)")
_FIELD_NAME = re.compile(r"\w+")  # Glue takes no other name in a struct


class NamedColumn(Protocol):
    """A column with a name, and a type as DuckDB calls it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def type(self) -> str:
        """Its type."""


class TableColumn(BaseModel, frozen=True):
    """A column of rows, or of the table that they are published in."""

    name: str
    type: str  # as DuckDB calls it; empty if only Glue's is known
    glue: str  # as Glue calls it; empty if Glue has no such type
    description: str = ""  # as the report declares it, with its unit
    private: bool = False  # whether the report kept its values in S3 when the rows were written


def is_number(kind: str) -> bool:
    """Return whether a type of DuckDB is one of numbers."""
    return _NUMBER.fullmatch(kind) is not None


def duckdb_type(name: str) -> str:
    """Return DuckDB's type for a type of an Athena result, such as `decimal(10,2)`."""
    is_nested = _NESTED_IN_RESULT.match(name.strip().lower())
    return _TEXT.duckdb if is_nested else _plain_type(name).duckdb


def table_type(glue: str) -> str:
    """Return DuckDB's type for a type of a Glue table, such as `array<struct<a:int>>`."""
    return _table_type(glue).duckdb


def glue_name(name: str) -> str:
    """Return Glue's name of a type of Athena or Glue; ValueError if it is not supported."""
    return _table_type(name).glue


def _table_type(name: str) -> _Type:
    nested = _NESTED_IN_GLUE.fullmatch("".join(name.lower().split()))
    if nested is None:
        return _plain_type(name)
    container = nested["container"]
    parts = _split_parts(nested["parts"])
    if container == "struct":
        return _struct_type(parts)
    if len(parts) != _NUMBER_OF_PARTS[container]:
        raise _unsupported(name)
    kinds = [_table_type(part) for part in parts]
    in_duckdb = ", ".join(kind.duckdb for kind in kinds)
    in_glue = ",".join(kind.glue for kind in kinds)
    return _Type(_NESTED_FORMS[container].format(in_duckdb), f"{container}<{in_glue}>")


def _struct_type(fields: Sequence[str]) -> _Type:
    in_duckdb = []
    in_glue = []
    for field in fields:
        name, _, type_name = field.partition(":")
        if not _FIELD_NAME.fullmatch(name):
            raise _unsupported(f"struct<{field}>")
        kind = _table_type(type_name)
        in_duckdb.append(f"{quoted(name)} {kind.duckdb}")
        in_glue.append(f"{name}:{kind.glue}")
    return _Type(f"STRUCT({', '.join(in_duckdb)})", f"struct<{','.join(in_glue)}>")


def _split_parts(text: str) -> list[str]:
    parts = [""]
    depth = 0
    for character in text:
        if character in "<(":
            depth += 1
        elif character in ">)":
            depth -= 1
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _plain_type(name: str) -> _Type:
    lowered = name.strip().lower()
    decimal = _DECIMAL.fullmatch(lowered)
    if decimal is not None:
        precision = int(decimal["precision"])
        scale = int(decimal["scale"] or 0)
        if 1 <= precision <= 38 and scale <= precision:
            return _Type(f"DECIMAL({precision},{scale})", f"decimal({precision},{scale})")
    without_arguments = " ".join(_ARGUMENTS.sub("", lowered).split())
    if without_arguments not in _TYPES:
        raise _unsupported(name)
    return _TYPES[without_arguments]


def _unsupported(name: str) -> ValueError:
    return ValueError(
        f"{name} is not a supported type. Use one of {', '.join(TABLE_TYPES)},"
        " or CAST it to varchar in the SQL."
    )


def stored_type(kind: str) -> str:
    """Return what DuckDB's type without parts is published as, so that Athena reads it."""
    if kind in _STORED_TYPES:
        return _STORED_TYPES[kind]
    is_of_athena = kind in _GLUE_NAMES or kind.startswith(("DECIMAL", "TIMESTAMP"))
    return kind if is_of_athena else _TEXT.duckdb


def result_columns(described: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return DuckDB's type for each column of a ResultSetMetadata.ColumnInfo of GetQueryResults.

    ValueError if the type of a column is not known, or two columns have one name.
    """
    refuse_duplicates(column["Name"] for column in described)
    types = {}
    for column in described:
        name = column["Name"]
        kind = column["Type"]
        if kind.lower() == "decimal":
            kind = f"decimal({column['Precision']},{column['Scale']})"
        try:
            types[name] = duckdb_type(kind)
        except ValueError as error:
            raise ValueError(f"the column {name!r}: {error}") from error
    return types


def refuse_duplicates(names: Iterable[str]) -> None:
    """Raise ValueError if two names are the same or, as Glue sees them, differ in case only."""
    counts = Counter(name.casefold() for name in names)
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if repeated:
        raise ValueError(
            f"duplicate column {', '.join(repeated)}. Give each column a unique name (AS)."
        )


def columns_of(relation: DuckDBPyRelation) -> tuple[TableColumn, ...]:
    """Return the columns of a relation."""
    types = zip(relation.columns, relation.types, strict=True)
    return tuple(
        TableColumn(name=name, type=str(kind), glue=_glue_type(kind)) for name, kind in types
    )


def resolve_names(names: Sequence[str], columns: Sequence[NamedColumn]) -> tuple[str, ...]:
    """Return names as the columns spell them, in any case as in DuckDB; none if one is missing."""
    spellings = {column.name.lower(): column.name for column in columns}
    lower_names = [name.lower() for name in names]
    if not spellings.keys() >= set(lower_names):
        return ()
    return tuple(spellings[name] for name in lower_names)


def _glue_type(kind: DuckDBPyType) -> str:
    if kind.id == "decimal":
        return str(kind).lower()
    if kind.id.startswith("timestamp"):  # Athena reads one with a time zone as its UTC instant.
        return "timestamp"
    types = {name: _glue_type(child) for name, child in children(kind)}
    if not types:
        return _GLUE_NAMES.get(kind.id.upper(), "")
    for name, glue in types.items():
        if not glue or not _FIELD_NAME.fullmatch(name):
            return ""
    if kind.id == "struct":
        fields = [f"{name}:{glue}" for name, glue in types.items()]
        return f"struct<{','.join(fields)}>"
    container = "array" if kind.id == "list" else kind.id
    return f"{container}<{','.join(types.values())}>"


def children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    """Return the names and types of the parts of a nested type; of another type, none."""
    if kind.id not in _NESTED_FORMS:
        return []
    # An array has its length here too, and only an enum has a list.
    return [(name, child) for name, child in kind.children if not isinstance(child, int | list)]


def rewritten(kind: DuckDBPyType, leaf: Callable[[str], str]) -> str:
    """Return the name of a type whose innermost types are those that `leaf` returns for them."""
    parts = []
    for name, child in children(kind):
        part = rewritten(child, leaf)
        if kind.id == "struct":
            part = f"{quoted(name)} {part}"
        parts.append(part)
    if not parts:
        return leaf(str(kind))
    return _NESTED_FORMS[kind.id].format(", ".join(parts))


def duckdb_literal(text: str) -> str:
    """Return a text as a literal in DuckDB's SQL."""
    return "'" + text.replace("'", "''") + "'"


def read_parquet(*paths: Path) -> str:
    """Return the rows of Parquet files as a table in SQL."""
    names = ", ".join(duckdb_literal(str(path)) for path in paths)
    return f"read_parquet([{names}])"
