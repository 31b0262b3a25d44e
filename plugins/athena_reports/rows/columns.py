"""One place for the names of types: Athena's in a result, DuckDB's, and Glue's in a table.

A result's types are Trino's ("Data types in Amazon Athena" in the user guide), a table's are
Hive's. What a CSV carries only as printed text, such as an array, is text in DuckDB too.

The last two functions write texts and files into SQL.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

# DuckDB's name of a type, and the one of a Glue table.
_GLUE_NAMES = {
    "BOOLEAN": "boolean",
    "TINYINT": "tinyint",
    "SMALLINT": "smallint",
    "INTEGER": "int",
    "BIGINT": "bigint",
    "FLOAT": "float",
    "DOUBLE": "double",
    "DATE": "date",
    "VARCHAR": "string",
    "BLOB": "binary",
    "TIMESTAMP_MS": "timestamp",
}
# The types of a Glue table, for an author who asks which there are; of those with parts an example.
TABLE_TYPES = (
    *_GLUE_NAMES.values(),
    "decimal(10,2)",
    "array<string>",
    "map<string,int>",
    "struct<name:string>",
)
# The name of a type in a result or in a Glue table, and DuckDB's.
_DUCKDB_NAMES = {
    "boolean": "BOOLEAN",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "int": "INTEGER",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "real": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP_MS",
    "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    "string": "VARCHAR",
    "char": "VARCHAR",
    "varchar": "VARCHAR",
    "binary": "BLOB",
    "varbinary": "BLOB",
}
# What an author means by a name that Athena has not: by that of Python, pandas or another database.
# Each is a name of a table, which can also stand in an array.
MEANT_NAMES = {
    "bool": "boolean",
    "byte": "tinyint",
    "int8": "tinyint",
    "short": "smallint",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "long": "bigint",
    "float32": "float",
    "float64": "double",
    "number": "bigint or double or decimal(18,2)",
    "numeric": "decimal(18,2)",
    "str": "string",
    "text": "string",
    "bytes": "binary",
    "blob": "binary",
    "datetime": "timestamp",
    "timestamptz": "timestamp",
}
# How DuckDB writes a nested type; its parts stand in the place of `{}`. An array of a fixed length
# is written as a list, since Athena has no lengths.
_NESTED_FORMS = {"list": "{}[]", "array": "{}[]", "map": "MAP({})", "struct": "STRUCT({})"}
# The types of a result that come as printed text.
_PRINTED = re.compile(
    r"array|map|row|struct|json|uuid|ipaddress|time with time zone|interval .*|unknown"
)
_ARGUMENTS = re.compile(r"\s*[(<].*[)>]", re.DOTALL)  # such as `(20)`, or `<int>`
_DECIMAL = re.compile(r"decimal\s*\(\s*(?P<precision>\d+)\s*(?:,\s*(?P<scale>\d+)\s*)?\)")
_OTHER_DECIMAL = re.compile(r"^(numeric|number)\b")
_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)")
# In a Glue type: a type that is not nested, a nested type without another one in it, and the
# beginning of a field.
_GLUE_LEAF = re.compile(r"\w+(\([\d,]+\))?(?![\w:<(])")
_GLUE_NESTED = re.compile(r"(?P<container>array|map|struct)<(?P<parts>[^<>]+)>")
_GLUE_FIELD = re.compile(r"(\w+):")
# A nested type whose parts are `?` in the place of types.
_GLUE_WHOLE = re.compile(r"array<\?>|map<\?,\?>|struct<\w+:\?(,\w+:\?)*>")
_GLUE_FIELD_NAME = re.compile(r"\w+")  # Glue takes no other name in a struct
_BEGINS_NESTED = re.compile(r"(array|map|row|struct)\b")
_TRINO_NESTED = re.compile(r"(array|map|row)\s*\(")  # as Athena's SQL writes it


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
    """Return DuckDB's type for a type of an Athena result, such as `decimal(10,2)`.

    Raises:
        ValueError: If there is none.
    """
    lowered = name.strip().lower()
    decimal = _DECIMAL.fullmatch(lowered)
    if decimal is not None:
        digits = decimal.groupdict(default="0")
        precision = int(digits["precision"])
        scale = int(digits["scale"])
        if not 1 <= precision <= 38 or scale > precision:
            raise ValueError(f"{name} is not a valid type; it has 1 to 38 digits.")
        return f"DECIMAL({precision},{scale})"

    without_arguments = " ".join(_ARGUMENTS.sub("", lowered).split())
    if _PRINTED.fullmatch(without_arguments):
        return "VARCHAR"
    if without_arguments == "decimal":
        raise ValueError(f"its type {name} lacks its digits: write them, such as decimal(18,2).")
    if without_arguments in MEANT_NAMES:
        meant = _with_digits(lowered) or MEANT_NAMES[without_arguments]
        raise ValueError(f"its type {name} is not known: write {meant}.")
    if without_arguments not in _DUCKDB_NAMES:
        raise ValueError(
            f"its type {name} is not known. CAST it in the SQL, to varchar for example."
        )
    return _DUCKDB_NAMES[without_arguments]


def _with_digits(name: str) -> str:
    """Return the decimal that a type such as `numeric(10,2)` means; empty if it is no such type."""
    decimal = _OTHER_DECIMAL.sub("decimal", name)
    if not _DECIMAL.fullmatch(decimal):
        return ""
    duckdb_type(decimal)  # refuses digits that no decimal has
    return decimal


def table_type(glue: str) -> str:
    """Return DuckDB's type for a type of a Glue table, such as `array<struct<a:int>>`.

    Raises:
        ValueError: If no table has such a type.
    """
    kind = _GLUE_LEAF.sub(lambda leaf: duckdb_type(leaf[0]), glue)
    # Each round replaces an innermost nested type. What replaces it has no `<` and `>`, so the type
    # around it is an innermost one then.
    nested = _GLUE_NESTED.search(kind)
    while nested is not None:
        parts = _GLUE_FIELD.sub(r'"\1" ', nested["parts"])
        in_duckdb = _NESTED_FORMS[nested["container"]].format(parts)
        kind = kind.replace(nested[0], in_duckdb)
        nested = _GLUE_NESTED.search(kind)
    if not _is_whole(glue):
        raise ValueError(f"{glue} is not a type of a table.")
    return kind


def _is_whole(glue: str) -> bool:
    """Return whether a type of a Glue table has all of its brackets and parts, and nothing else."""
    shape = "".join(_GLUE_LEAF.sub("?", glue).split())
    outer_shape = _GLUE_WHOLE.sub("?", shape)
    while outer_shape != shape:
        shape = outer_shape
        outer_shape = _GLUE_WHOLE.sub("?", shape)
    return shape == "?"


def glue_name(name: str) -> str:
    """Return what a Glue table calls a type of Athena or Glue.

    Raises:
        ValueError: If a Glue table has no such type.
    """
    lowered = name.strip().lower()
    if _BEGINS_NESTED.match(lowered):
        if "<" not in lowered or _TRINO_NESTED.search(lowered):
            raise ValueError(f"{name}: write it as a table has it, such as array<string>.")
        table_type(lowered)  # refuses one that no table has
        return lowered.replace(" ", "")

    kind = duckdb_type(lowered)
    if kind.startswith("DECIMAL"):
        return kind.lower()
    if kind == "TIMESTAMP WITH TIME ZONE":
        return "timestamp"
    if kind not in _GLUE_NAMES:
        raise ValueError(f"a table has no type {name}. CAST it in the SQL, to varchar for example.")
    return _GLUE_NAMES[kind]


def result_columns(described: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return DuckDB's type for the name of each column of a result.

    Args:
        described: ResultSetMetadata.ColumnInfo of GetQueryResults.

    Raises:
        ValueError: If the type of a column is not known, or two columns have one name.
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
            f"the column {', '.join(repeated)} occurs twice. Name each column differently (AS)."
        )


def columns_of(relation: DuckDBPyRelation) -> tuple[TableColumn, ...]:
    """Return the columns of a relation."""
    columns = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        column = TableColumn(name=name, type=str(kind), glue=_glue_type(kind))
        columns.append(column)
    return tuple(columns)


def as_called(names: Sequence[str], columns: Sequence[TableColumn]) -> tuple[str, ...]:
    """Return names of columns as a table spells them; empty if it lacks one of them.

    DuckDB finds a column in any case of its letters.
    """
    spelt = {column.name.lower(): column.name for column in columns}
    if not all(name.lower() in spelt for name in names):
        return ()
    return tuple(spelt[name.lower()] for name in names)


def _glue_type(kind: DuckDBPyType) -> str:
    """Return what a Glue table calls a type of DuckDB; an empty text if it has none."""
    if kind.id == "decimal":
        return str(kind).lower()
    if kind.id.startswith("timestamp"):  # Athena reads one with a zone as its UTC instant.
        return "timestamp"
    parts = children(kind)
    if not parts:
        return _GLUE_NAMES.get(kind.id.upper(), "")

    glue_parts = []
    for name, child in parts:
        glue = _glue_type(child)
        if not glue or not _GLUE_FIELD_NAME.fullmatch(name):
            return ""
        if kind.id == "struct":
            glue = f"{name}:{glue}"
        glue_parts.append(glue)
    container = "array" if kind.id == "list" else kind.id
    return f"{container}<{','.join(glue_parts)}>"


def children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    """Return the names and types of the parts of a nested type; of another type, none."""
    if kind.id not in _NESTED_FORMS:
        return []
    parts = []
    for name, child in kind.children:
        # An array has its length here too, and only a type that is not nested has a list.
        if isinstance(child, int | list):
            continue
        parts.append((name, child))
    return parts


def rewritten(kind: DuckDBPyType, leaf: Callable[[str], str]) -> str:
    """Return the name of a type whose innermost types are replaced. An array becomes a list.

    Args:
        kind: The type, of which a name is made.
        leaf: Returns what stands for an innermost type, by its name.
    """
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
