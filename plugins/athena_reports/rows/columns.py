"""One place for the names of types: Athena's in a result, DuckDB's, and Glue's in a table.

A result's types are Trino's ("Data types in Amazon Athena" in the user guide), a table's are Hive's. What a
CSV carries only as printed text, such as an array, is text in DuckDB too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

_GLUE = {name.upper(): name for name in ("boolean", "tinyint", "smallint", "bigint", "float", "double", "date")}
_GLUE |= {"INTEGER": "int", "VARCHAR": "string", "BLOB": "binary", "TIMESTAMP_MS": "timestamp"}
_TYPES = {glue: name for name, glue in _GLUE.items()}
_TYPES |= {"integer": "INTEGER", "real": "FLOAT", "char": "VARCHAR", "varchar": "VARCHAR", "varbinary": "BLOB"}
_TYPES |= {"time": "TIME", "timestamp with time zone": "TIMESTAMP WITH TIME ZONE"}
_SQL = {"list": "{}[]", "array": "{}[]", "map": "MAP({})", "struct": "STRUCT({})"}
_PRINTED = re.compile(r"array|map|row|struct|json|uuid|ipaddress|time with time zone|interval .*|unknown")
_ARGUMENTS = re.compile(r"\s*[(<].*[)>]", re.DOTALL)
_LEAF = re.compile(r"\w+(\([\d,]+\))?(?![\w:<(])")
_NESTED = re.compile(r"(array|map|struct)<([^<>]+)>")
_FIELD = re.compile(r"(\w+):")
_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)")
_DECIMAL = re.compile(r"decimal\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")


class Column(BaseModel, frozen=True):
    """A column: its name, its type in DuckDB, and in Glue; `glue` is empty if Glue has no such type."""

    name: str
    type: str
    glue: str
    description: str = ""  # as the report declares it, with its unit


def is_number(kind: str) -> bool:
    """Return whether a type of DuckDB is one of numbers."""
    return _NUMBER.fullmatch(kind) is not None


def duckdb_type(name: str) -> str:
    """Return DuckDB's type for a type of an Athena result, such as `decimal(10,2)`; ValueError if there is none."""
    lowered = name.strip().lower()
    if decimal := _DECIMAL.fullmatch(lowered):
        precision, scale = int(decimal[1]), int(decimal[2] or 0)
        if not max(scale, 1) <= precision <= 38:
            raise ValueError(f"{name} is not a valid type; it has 1 to 38 digits.")
        return f"DECIMAL({precision},{scale})"
    base = " ".join(_ARGUMENTS.sub("", lowered).split())
    if kind := "VARCHAR" if _PRINTED.fullmatch(base) else _TYPES.get(base):
        return kind
    raise ValueError(f"its type {name} is not known. CAST it in the SQL, to varchar for example.")


def table_type(glue: str) -> str:
    """Return DuckDB's type for a type of a Glue table, such as `array<struct<a:int>>`."""
    kind = _LEAF.sub(lambda leaf: duckdb_type(leaf[0]), glue)
    while nested := _NESTED.search(kind):  # from the innermost one outwards
        kind = kind.replace(nested[0], _SQL[nested[1]].format(_FIELD.sub(r'"\1" ', nested[2])))
    if "<" in kind or ">" in kind:
        raise ValueError(f"{glue} is not a type of a table.")
    return kind


def glue_name(name: str) -> str:
    """Return what a Glue table calls a type of Athena or Glue; ValueError if it has none."""
    lowered = name.strip().lower()
    if re.match(r"(array|map|row|struct)\b", lowered):
        if "<" not in lowered or re.search(r"(array|map|row)\s*\(", lowered) or not table_type(lowered):
            raise ValueError(f"{name}: write it as a table has it, such as array<string>.")
        return lowered.replace(" ", "")
    kind = duckdb_type(lowered)
    found = kind.lower() if kind.startswith("DECIMAL") else _GLUE.get(kind.replace(" WITH TIME ZONE", "_MS"), "")
    if not found:
        raise ValueError(f"a table has no type {name}. CAST it in the SQL, to varchar for example.")
    return found


def result_columns(described: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return DuckDB's type for each name of ResultSetMetadata.ColumnInfo; ValueError names a wrong column."""
    refuse_duplicates(column["Name"] for column in described)
    types = {}
    for column in described:
        kind = column["Type"]
        if kind.lower() == "decimal":
            kind = f"decimal({column['Precision']},{column['Scale']})"
        try:
            types[column["Name"]] = duckdb_type(kind)
        except ValueError as error:
            raise ValueError(f"the column {column['Name']!r}: {error}") from error
    return types


def refuse_duplicates(names: Iterable[str]) -> None:
    """Raise ValueError if two names are the same or, as Glue sees them, differ in case only."""
    folded = [name.casefold() for name in names]
    if twice := sorted({name for name in folded if folded.count(name) > 1}):
        raise ValueError(f"the column {', '.join(twice)} occurs twice. Name each column differently (AS).")


def columns_of(relation: DuckDBPyRelation) -> tuple[Column, ...]:
    """Return the columns of a relation."""
    types = zip(relation.columns, relation.types, strict=True)
    return tuple(Column(name=name, type=str(kind), glue=_glue_type(kind)) for name, kind in types)


def _glue_type(kind: DuckDBPyType) -> str:
    if kind.id == "decimal":
        return str(kind).lower()
    if kind.id.startswith("timestamp"):  # Athena reads one with a zone as its UTC instant.
        return "timestamp"
    inner = [(name, _glue_type(child)) for name, child in children(kind)]
    if not all(glue and re.fullmatch(r"\w+", name) for name, glue in inner):
        return ""
    parts = ",".join(f"{name}:{glue}" if kind.id == "struct" else glue for name, glue in inner)
    return f"{kind.id.replace('list', 'array')}<{parts}>" if inner else _GLUE.get(kind.id.upper(), "")


def children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    """Return the names and types of the parts of a nested type; of another type, none."""
    nested = kind.children if kind.id in _SQL else []
    return [(name, child) for name, child in nested if not isinstance(child, int | list)]


def rewritten(kind: DuckDBPyType, leaf: Callable[[str], str]) -> str:
    """Return the name of a type whose innermost types are replaced by what `leaf` makes of their names."""
    inner = [(name, rewritten(child, leaf)) for name, child in children(kind)]
    parts = ", ".join(f"{quoted(name)} {child}" if kind.id == "struct" else child for name, child in inner)
    return _SQL[kind.id].format(parts) if inner else leaf(str(kind))


def quoted(name: str) -> str:
    """Return a name as an identifier in SQL, or a text as a value of Athena's CSV."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a literal in SQL."""
    return "'" + text.replace("'", "''") + "'"
