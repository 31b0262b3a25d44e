"""The formats in which a report can be published, and how a column's value is written in each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from athena_reports.rows.columns import children, duckdb_literal, is_number
from athena_reports.rows.engine import Engine
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

Format = Literal["parquet", "csv", "csv_for_spreadsheets", "jsonl"]

CONTENT_TYPES: dict[Format, str] = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
    "csv_for_spreadsheets": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
}
# A cell that begins so is a formula in a spreadsheet. The wide characters begin one where Japanese
# or Chinese is set.
_FORMULA = re.compile(r"^([=+@\t\r\n＝＋－＠-])")
_ESCAPED_FORMULA = r"'\1"

_COPY = "COPY (SELECT {values} FROM {source}) TO {path} ({options})"
# JSON has no number for these three: they become texts.
_JSON_FLOAT = """
CASE
    WHEN isnan({value}) THEN to_json('NaN')
    WHEN isinf({value}) AND {value} > 0 THEN to_json('Infinity')
    WHEN isinf({value}) THEN to_json('-Infinity')
    ELSE {finite}
END
"""
_JSON_MAP = """
map_from_entries(list_transform(
    map_entries({value}),
    lambda {entry}: struct_pack(key := {json_key}::VARCHAR, value := {json_value})
))
"""
_JSON_STRUCT = "CASE WHEN {value} IS NOT NULL THEN struct_pack({fields}) END"
# With milliseconds, as Athena prints a timestamp, unless they lose something.
_TIMESTAMP_TEXT = """
CASE
    WHEN epoch_us({timestamp}) % 1000 = 0 THEN strftime({timestamp}, '{form}.%g{zone}')
    ELSE strftime({timestamp}, '{form}.%f{zone}')
END
"""


def copy_rows(source: str, format: Format, path: Path, engine: Engine) -> None:
    """Write rows into a file of another format than Parquet."""
    rows = engine.connection.sql(f"FROM {source}")
    values = []
    text_headers = []
    for name, kind in zip(rows.columns, rows.types, strict=True):
        header = _header(format, name)
        values.append(f"{_value(format, name, kind)} AS {header}")
        if kind.id in ("varchar", "blob"):
            text_headers.append(header)
    options = "FORMAT json"
    if format != "jsonl":
        options = "FORMAT csv, HEADER true"
        # A text has quotes, also an empty one. NULL is an empty field without quotes.
        if text_headers:
            options += f", FORCE_QUOTE ({', '.join(text_headers)})"
    sql = _COPY.format(
        values=", ".join(values),
        source=source,
        path=duckdb_literal(str(path)),
        options=options,
    )
    engine.connection.execute(sql)


def _header(format: Format, name: str) -> str:
    if format == "csv_for_spreadsheets":
        name = _FORMULA.sub(_ESCAPED_FORMULA, name)
    return quoted(name)


def _value(format: Format, name: str, kind: DuckDBPyType) -> str:
    column = quoted(name)
    if format == "jsonl":
        return _json_value(column, kind)
    value = _csv_value(column, kind)
    if format == "csv" or is_number(str(kind)):
        return value
    formula = duckdb_literal(_FORMULA.pattern)
    escaped = duckdb_literal(_ESCAPED_FORMULA)
    return f"regexp_replace({value}::VARCHAR, {formula}, {escaped})"


def _csv_value(column: str, kind: DuckDBPyType) -> str:
    if children(kind):
        return json_text(column, kind)
    if kind.id == "blob":
        return f"to_base64({column})"
    return _timestamp_text(column, kind, date_separator=" ")


def json_text(value: str, kind: DuckDBPyType) -> str:
    """Return the expression for a value as the text that a file of `jsonl` has for it."""
    return f"CASE WHEN {value} IS NOT NULL THEN to_json({_json_value(value, kind)})::VARCHAR END"


def _json_value(value: str, kind: DuckDBPyType, depth: int = 0) -> str:
    # `depth` is the number of lambdas around the value: each has a variable of its own.
    if kind.id == "double":
        return _JSON_FLOAT.format(value=value, finite=f"to_json({value})")
    if kind.id == "float":
        # Not to_json, which makes a double of it, with digits that the float does not have.
        return _JSON_FLOAT.format(value=value, finite=f"{value}::VARCHAR::JSON")
    if kind.id == "decimal":
        # COPY writes a decimal of few digits as a double.
        scale = dict(kind.children)["scale"]
        return f"{value}::DECIMAL(38,{scale})"
    if kind.id == "blob":
        return f"to_base64({value})"
    if kind.id in ("list", "array"):
        return _json_list(value, kind, depth)
    if kind.id == "map":
        return _json_map(value, kind, depth)
    if kind.id == "struct":
        return _json_struct(value, kind, depth)
    return _timestamp_text(value, kind, date_separator="T")


def _json_list(value: str, kind: DuckDBPyType, depth: int) -> str:
    element = f"x{depth}"
    _, element_type = children(kind)[0]
    json_element = _json_value(element, element_type, depth + 1)
    return f"list_transform({value}, lambda {element}: {json_element})"


def _json_map(value: str, kind: DuckDBPyType, depth: int) -> str:
    entry = f"x{depth}"
    types = dict(children(kind))
    json_key = _json_value(f"{entry}.key", types["key"], depth + 1)
    json_value = _json_value(f"{entry}.value", types["value"], depth + 1)
    return _JSON_MAP.format(value=value, entry=entry, json_key=json_key, json_value=json_value)


def _json_struct(value: str, kind: DuckDBPyType, depth: int) -> str:
    fields = []
    for name, field_type in children(kind):
        field = f"struct_extract({value}, {duckdb_literal(name)})"
        json_field = _json_value(field, field_type, depth)
        fields.append(f"{quoted(name)} := {json_field}")
    return _JSON_STRUCT.format(value=value, fields=", ".join(fields))


def _timestamp_text(value: str, kind: DuckDBPyType, date_separator: str) -> str:
    if not kind.id.startswith("timestamp"):
        return value
    return _TIMESTAMP_TEXT.format(
        timestamp=f"{value}::TIMESTAMP",
        form=f"%Y-%m-%d{date_separator}%H:%M:%S",
        zone="Z" if kind.id == "timestamp with time zone" else "",
    )
