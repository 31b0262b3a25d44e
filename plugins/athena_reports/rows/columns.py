"""One place for the names of types: Athena's in a result, DuckDB's, and Glue's in a table.

A result's types are Trino's ("Data types in Amazon Athena" in the user guide), a table's are Hive's. What a
CSV carries only as printed text, such as an array, is text in DuckDB too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

MAX_PRECISION = 38
"""Digits of Athena's widest decimal."""

_TABLE = {
    "boolean": "BOOLEAN",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "binary": "BLOB",
    "date": "DATE",
    "timestamp": "TIMESTAMP_MS",
}
_RESULT = {
    "integer": "INTEGER",
    "real": "FLOAT",
    "char": "VARCHAR",
    "varchar": "VARCHAR",
    "varbinary": "BLOB",
    "time": "TIME",
    "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
}
_PRINTED = re.compile(r"array|map|row|struct|json|uuid|ipaddress|time with time zone|interval .*|unknown")
_GLUE = {name: glue for glue, name in _TABLE.items()}
_ARGUMENTS = re.compile(r"\s*[(<].*[)>]", re.DOTALL)
_DECIMAL = re.compile(r"decimal\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")


class Column(BaseModel, frozen=True):
    """A column: its name, its type in DuckDB, and in Glue; `glue` is empty if Glue has no such type."""

    name: str
    type: str
    glue: str


def duckdb_type(name: str) -> str:
    """Return DuckDB's type for a type of an Athena result, such as `decimal(10,2)` or `timestamp(3)`.

    Raises:
        ValueError: There is none, or the decimal is not valid.
    """
    lowered = name.strip().lower()
    if decimal := _DECIMAL.fullmatch(lowered):
        return _decimal(int(decimal[1]), int(decimal[2] or 0))
    base = " ".join(_ARGUMENTS.sub("", lowered).split())
    if _PRINTED.fullmatch(base):
        return "VARCHAR"
    if kind := (_TABLE | _RESULT).get(base):
        return kind
    raise ValueError(f"its type {name} is not known. CAST it in the SQL, to varchar for example.")


def table_type(glue: str) -> str:
    """Return DuckDB's type for a type of a Glue table, such as `array<struct<a:int>>`."""
    base, _, inner = glue.partition("<")
    parts = list(_split(inner[:-1]))
    match base:
        case "array":
            return f"{table_type(parts[0])}[]"
        case "map":
            return f"MAP({', '.join(map(table_type, parts))})"
        case "struct":
            fields = (part.partition(":") for part in parts)
            return f"STRUCT({', '.join(f'{quoted(name)} {table_type(kind)}' for name, _, kind in fields)})"
    return duckdb_type(glue)


def result_columns(described: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return DuckDB's type for each name of ResultSetMetadata.ColumnInfo (GetQueryResults).

    Raises:
        ValueError: A name occurs twice, or a type is not known; the message names the column.
    """
    refuse_duplicates([column["Name"] for column in described])
    return {column["Name"]: _result_type(column) for column in described}


def refuse_duplicates(names: Iterable[str]) -> None:
    """Raise ValueError if two names are the same or, as Glue sees them, differ in case only."""
    folded = [name.casefold() for name in names]
    if twice := sorted({name for name in folded if folded.count(name) > 1}):
        raise ValueError(f"the column {', '.join(twice)} occurs twice. Name each column differently (AS).")


def columns_of(relation: DuckDBPyRelation) -> tuple[Column, ...]:
    """Return the columns of a relation."""
    types = zip(relation.columns, relation.types, strict=True)
    return tuple(Column(name=name, type=str(kind), glue=_glue_type(kind)) for name, kind in types)


def children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    """Return the types that a nested type consists of, with the names of its parts; of another type, none."""
    if kind.id not in ("list", "array", "map", "struct"):
        return []
    return [(name, child) for name, child in kind.children if not isinstance(child, int | list)]


def rewritten(kind: DuckDBPyType, leaf: Callable[[str], str]) -> str:
    """Return the name of the type whose innermost types are what `leaf` makes of the names of this one's."""
    inner = [(name, rewritten(child, leaf)) for name, child in children(kind)]
    match kind.id:
        case "list" | "array":
            return f"{inner[0][1]}[]"
        case "map":
            return f"MAP({inner[0][1]}, {inner[1][1]})"
        case "struct":
            return f"STRUCT({', '.join(f'{quoted(name)} {child}' for name, child in inner)})"
    return leaf(str(kind))


def quoted(name: str) -> str:
    """Return a name as an identifier in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a literal in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _glue_type(kind: DuckDBPyType) -> str:
    if kind.id == "decimal":
        return str(kind).lower()
    if kind.id.startswith("timestamp"):  # Athena reads one with a zone as its UTC instant.
        return "timestamp"
    inner = [(name, _glue_type(child)) for name, child in children(kind)]
    if not inner:
        return _GLUE.get(kind.id.upper(), "")
    if not all(glue and re.fullmatch(r"\w+", name) for name, glue in inner):
        return ""
    if kind.id == "struct":
        return f"struct<{','.join(f'{name}:{glue}' for name, glue in inner)}>"
    return f"{'map' if kind.id == 'map' else 'array'}<{','.join(glue for _, glue in inner)}>"


def _split(text: str) -> Iterator[str]:
    """Split at the commas that are not in brackets."""
    depth = start = 0
    for position, character in enumerate(text):
        depth += (character in "<(") - (character in ">)")
        if character == "," and not depth:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _result_type(column: Mapping[str, Any]) -> str:
    try:
        if column["Type"].lower() == "decimal":
            return _decimal(column["Precision"], column["Scale"])
        return duckdb_type(column["Type"])
    except ValueError as error:
        raise ValueError(f"the column {column['Name']!r}: {error}") from error


def _decimal(precision: int, scale: int) -> str:
    if 0 <= scale <= precision and 1 <= precision <= MAX_PRECISION:
        return f"DECIMAL({precision},{scale})"
    raise ValueError(f"decimal({precision},{scale}) is not a valid type; it has 1 to {MAX_PRECISION} digits.")
