"""Writes the rows of a report once, as Parquet, and makes every other format of that file.

| column | JSON Lines | CSV |
| --- | --- | --- |
| NULL | `null` | an empty field; the empty string is `""` |
| integer, decimal | a number with all its digits | the same |
| float, double | the shortest number that reads back the same; else `"NaN"`, `"-Infinity"` | `nan`, `-inf` |
| date, time | `"2026-11-24"`, `"01:02:03.000"` | the same, without quotes |
| timestamp | `"2026-11-24T01:02:03.000"`, with a zone as UTC: `"...Z"` | a space for the `T` |
| varbinary | Base64 text | refused |
| array, row, map | an array, an object, an object whose keys are text | refused |
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from athena_reports.errors import PublishError, TransformError
from athena_reports.rows.columns import (
    MAX_PRECISION,
    Column,
    children,
    columns_of,
    literal,
    quoted,
    refuse_duplicates,
    rewritten,
)
from athena_reports.rows.engine import reason

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

    from athena_reports.rows.engine import Engine

Format = Literal["parquet", "csv", "jsonl"]

CONTENT_TYPES: dict[Format, str] = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
}
"""Content-Type of each format."""

_NOT_JSON = frozenset({"interval", "time with time zone", "timestamp_ns", "bit", "variant", "geometry"})
# A row group is held in memory until it is written: 122,880 rows, or fewer if they are wide.
_GROUP_BYTES = 16 * 1024 * 1024


class LocalTable(BaseModel, frozen=True):
    """The rows of a report as one Parquet file in the engine's folder."""

    path: Path
    rows: int
    columns: tuple[Column, ...]

    @property
    def source(self) -> str:
        """The rows as a table in SQL."""
        return f"read_parquet({literal(str(self.path))})"


class LocalFile(BaseModel, frozen=True):
    """The rows of a report in one format; `sha256` is in hexadecimal."""

    format: Format
    path: Path
    rows: int
    bytes: int
    sha256: str


def require_formats(relation: DuckDBPyRelation, formats: Sequence[Format], engine: Engine) -> None:
    """Raise PublishError if a format cannot hold a column. No row is read."""
    for name, kind in zip(relation.columns, relation.types, strict=True):
        for format in (format for format in formats if not _holds(format, kind)):
            raise PublishError(
                f"{engine.about}: the column {name!r} is a {kind}, which {format!r} does not hold. CAST it "
                f"to text in the SQL or the transform, or leave {format!r} out of the report's outputs.",
                retryable=False,
            )


def write_table(relation: DuckDBPyRelation, engine: Engine) -> LocalTable:
    """Run the relation, once, into one Parquet file.

    Types that Athena does not read become ones that it does: HUGEINT, which sum() of integers returns, is
    DECIMAL(38,0); UUID, JSON and ENUM are VARCHAR.

    Raises:
        TransformError: Two columns have the same name, or the SQL of a transform fails on a row.
        ResultError: A value of the result cannot be read.
        MemoryLimitError: A step needs more memory.
        DiskFullError: The disk is full.
    """
    import duckdb

    path = engine.folder / "table.parquet"
    columns = zip(map(quoted, relation.columns), relation.types, strict=True)
    try:
        refuse_duplicates(relation.columns)
        values = (f"{name}::{rewritten(kind, _stored)} AS {name}" for name, kind in columns)
        table = relation.project(", ".join(values))
        table.write_parquet(str(path), compression="zstd", row_group_size_bytes=_GROUP_BYTES)
    except (ValueError, duckdb.Error) as error:
        failed = TransformError(f"{engine.about}: the rows cannot be computed: {reason(error)}.")
        raise engine.explain(error) or failed from error
    metadata = f"SELECT num_rows FROM parquet_file_metadata({literal(str(path))})"
    rows = engine.connection.execute(metadata).fetchall()[0][0]
    return LocalTable(path=path, rows=rows, columns=columns_of(table))


def write_files(table: LocalTable, formats: Sequence[Format], engine: Engine) -> list[LocalFile]:
    """Return the rows as one file for each format; the Parquet file is the table's own.

    Raises:
        DiskFullError: The disk is full.
    """
    texts = ", ".join(quoted(column.name) for column in table.columns if column.type == "VARCHAR")
    files = []
    for format in formats:
        path = table.path.with_suffix(f".{format}")
        if format == "csv":
            force_quote = f", FORCE_QUOTE ({texts})" if texts else ""
            _copy(table, path, engine, _csv_value, f"FORMAT csv, HEADER true{force_quote}")
        elif format == "jsonl":
            _copy(table, path, engine, _json_value, "FORMAT json")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        files.append(LocalFile(format=format, path=path, rows=table.rows, bytes=size, sha256=digest))
    return files


def count_differences(engine: Engine, new: Sequence[Path], old: Sequence[Path]) -> tuple[int, int]:
    """Return how many rows only the new files have, and how many only the old ones, of the same columns.

    A row that occurs several times counts each time. NULL equals NULL, NaN equals NaN, -0.0 equals 0.0.
    """
    new_rows, old_rows = (
        f"SELECT * FROM read_parquet([{', '.join(literal(str(path)) for path in paths)}])" for paths in (new, old)
    )
    # EXCEPT ALL spills where a GROUP BY over both runs out of memory.
    added, count_new, count_old = engine.connection.execute(
        f"SELECT (SELECT count(*) FROM ({new_rows} EXCEPT ALL {old_rows})), "
        f"(SELECT count(*) FROM ({new_rows})), (SELECT count(*) FROM ({old_rows}))"
    ).fetchall()[0]
    return added, count_old - (count_new - added)


def _stored(kind: str) -> str:
    if kind in ("HUGEINT", "UHUGEINT"):
        return f"DECIMAL({MAX_PRECISION},0)"
    return "VARCHAR" if kind in ("UUID", "JSON") or kind.startswith("ENUM") else kind


def _holds(format: Format, kind: DuckDBPyType) -> bool:
    if format == "csv":
        return not children(kind) and kind.id != "blob"
    nested = all(_holds(format, child) for _, child in children(kind))
    return format == "parquet" or (nested and kind.id not in _NOT_JSON)


def _copy(
    table: LocalTable, path: Path, engine: Engine, value: Callable[[str, DuckDBPyType], str], options: str
) -> None:
    rows = engine.connection.sql(f"FROM {table.source}")
    columns = zip(map(quoted, rows.columns), rows.types, strict=True)
    select = f"SELECT {', '.join(f'{value(name, kind)} AS {name}' for name, kind in columns)} FROM {table.source}"
    engine.connection.execute(f"COPY ({select}) TO {literal(str(path))} ({options})")


def _csv_value(value: str, kind: DuckDBPyType) -> str:
    return _time_text(value, kind.id, " ") or value


def _json_value(value: str, kind: DuckDBPyType, depth: int = 0) -> str:
    """Return what COPY writes as JSON in the way of the table above."""
    item, inner = f"x{depth}", children(kind)
    match kind.id:
        case "float" | "double":
            number = f"to_json({value})" if kind.id == "double" else f"{value}::VARCHAR::JSON"
            words = f"CASE WHEN isnan({value}) THEN 'NaN' WHEN {value} > 0 THEN 'Infinity' ELSE '-Infinity' END"
            return f"CASE WHEN isnan({value}) OR isinf({value}) THEN to_json({words}) ELSE {number} END"
        case "decimal":  # COPY writes one of few digits as a double.
            return f"{value}::DECIMAL({MAX_PRECISION},{kind.children[1][1]})"
        case "blob":
            return f"to_base64({value})"
        case "list" | "array":
            made = _json_value(item, inner[0][1], depth + 1)
            return f"list_transform({value}, lambda {item}: {made})"
        case "map":
            key, held = (_json_value(f"{item}.{name}", child, depth + 1) for name, child in inner)
            entry = f"struct_pack(key := {key}::VARCHAR, value := {held})"
            return f"map_from_entries(list_transform(map_entries({value}), lambda {item}: {entry}))"
        case "struct":
            parts = [(name, child, f"struct_extract({value}, {literal(name)})") for name, child in inner]
            fields = (f"{quoted(name)} := {_json_value(part, child, depth)}" for name, child, part in parts)
            return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({', '.join(fields)}) END"
    return _time_text(value, kind.id, "T") or value


def _time_text(value: str, kind: str, separator: str) -> str:
    """Return the text of a time, with microseconds where milliseconds lose something; or nothing."""
    if kind == "time":
        at, form = f"DATE '1970-01-01' + {value}", "%H:%M:%S.{}"
    elif kind == "timestamp with time zone":
        at, form = f"timezone('UTC', {value})", f"%Y-%m-%d{separator}%H:%M:%S.{{}}Z"
    elif kind.startswith("timestamp"):
        at, form = f"{value}::TIMESTAMP", f"%Y-%m-%d{separator}%H:%M:%S.{{}}"
    else:
        return ""
    milliseconds, microseconds = (f"strftime({at}, '{form.format(digits)}')" for digits in ("%g", "%f"))
    return f"CASE WHEN epoch_us({at}) % 1000 = 0 THEN {milliseconds} ELSE {microseconds} END"
