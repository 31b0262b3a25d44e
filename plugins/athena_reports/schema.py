"""One place for the names of types: Athena's in a result, Arrow's, and Glue's in a table.

A result's types are Trino's ("Data types in Amazon Athena" in the user guide), a table's are Hive's. What a
CSV carries only as printed text, such as an array, is text in Arrow too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

MAX_PRECISION = 38
"""Digits of Athena's widest decimal."""

_ARROW: Mapping[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "real": pa.float32(),
    "double": pa.float64(),
    "char": pa.string(),
    "varchar": pa.string(),
    "string": pa.string(),
    "varbinary": pa.binary(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "time": pa.time32("ms"),
    "timestamp": pa.timestamp("ms"),
    "timestamp with time zone": pa.timestamp("ms", "UTC"),
}
_PRINTED = frozenset(
    {
        "array",
        "map",
        "row",
        "struct",
        "json",
        "uuid",
        "ipaddress",
        "time with time zone",
        "interval day to second",
        "interval year to month",
        "unknown",
    }
)
_GLUE: Mapping[pa.DataType, str] = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.binary(): "binary",
    pa.large_binary(): "binary",
    pa.date32(): "date",
}
_ARGUMENTS = re.compile(r"\s*[(<].*[)>]", re.DOTALL)
_DECIMAL = re.compile(r"decimal\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_FIELD_NAME = re.compile(r"\w+")


def arrow_type(name: str) -> pa.DataType:
    """Return the Arrow type of a column that Athena describes as `name`.

    Args:
        name: Such as `bigint`, `decimal(10,2)`, `timestamp(3) with time zone`, `array(varchar)`.

    Raises:
        ValueError: There is none, or the decimal is none.
    """
    lowered = name.strip().lower()
    decimal = _DECIMAL.fullmatch(lowered)
    if decimal is not None:
        return _decimal(int(decimal[1]), int(decimal[2] or 0))
    base = " ".join(_ARGUMENTS.sub("", lowered).split())
    if base in _PRINTED:
        return pa.string()
    if base not in _ARROW:
        raise ValueError(
            f"its type is {name}, which is not known here. CAST it in the SQL, to varchar for example."
        )
    return _ARROW[base]


def result_schema(columns: Sequence[Mapping[str, Any]]) -> pa.Schema:
    """Return the schema of a result.

    Args:
        columns: ResultSetMetadata.ColumnInfo of GetQueryResults.

    Raises:
        ValueError: A name stands twice, or a type is not known; the message names the column.
    """
    refuse_duplicates([column["Name"] for column in columns])
    return pa.schema([pa.field(column["Name"], _column_type(column)) for column in columns])


def refuse_duplicates(names: Sequence[str]) -> None:
    """Check that each column has a name of its own.

    Raises:
        ValueError: One has not.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"the column {', '.join(twice)} stands twice in the result. "
            f"Name each column of the SELECT differently (AS)."
        )


def glue_type(type_: pa.DataType) -> str:
    """Return what a Glue table calls the type, as Athena reads it from Parquet.

    A timestamp is a `timestamp` there whether or not it has a zone: Athena reads the UTC instant.

    Raises:
        ValueError: Athena has no type for it.
    """
    if type_ in _GLUE:
        return _GLUE[type_]
    if pa.types.is_timestamp(type_):
        return "timestamp"
    if (
        pa.types.is_decimal(type_)
        and type_.precision <= MAX_PRECISION
        and 0 <= type_.scale <= type_.precision
    ):
        return f"decimal({type_.precision},{type_.scale})"
    if pa.types.is_dictionary(type_):
        return glue_type(type_.value_type)
    if pa.types.is_map(type_):
        return f"map<{glue_type(type_.key_type)},{glue_type(type_.item_type)}>"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"array<{glue_type(type_.value_type)}>"
    if pa.types.is_struct(type_):
        return f"struct<{','.join(_glue_field(field) for field in type_)}>"
    raise ValueError(
        f"Glue has no type for {type_}. CAST the column in the SQL, to varchar or bigint for example."
    )


def _column_type(column: Mapping[str, Any]) -> pa.DataType:
    try:
        if column["Type"].lower() == "decimal":
            return _decimal(column["Precision"], column["Scale"])
        return arrow_type(column["Type"])
    except ValueError as error:
        raise ValueError(f"the column {column['Name']!r}: {error}") from error


def _decimal(precision: int, scale: int) -> pa.DataType:
    if not 1 <= precision <= MAX_PRECISION or not 0 <= scale <= precision:
        raise ValueError(
            f"there is no decimal({precision},{scale}). It has 1 to {MAX_PRECISION} digits, and no more of "
            f"them stand after the point."
        )
    return pa.decimal128(precision, scale)


def _glue_field(field: pa.Field) -> str:
    if _FIELD_NAME.fullmatch(field.name) is None:
        raise ValueError(
            f"Glue has no type for a struct with the field {field.name!r}. "
            f"Name it with letters, digits and _ in the SQL."
        )
    return f"{field.name}:{glue_type(field.type)}"
