"""Writes the rows of a report once, as Parquet, and makes every other format of that file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from athena_reports.errors import PublishError, TransformError
from athena_reports.rows.columns import (
    Column,
    children,
    columns_of,
    is_number,
    literal,
    quoted,
    refuse_duplicates,
    rewritten,
)
from athena_reports.rows.engine import Engine, reason

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

Format = Literal["parquet", "csv", "csv_for_spreadsheets", "jsonl"]

CONTENT_TYPES: dict[Format, str] = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
    "csv_for_spreadsheets": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
}
# A cell that begins so is a formula in a spreadsheet; the wide characters are where Japanese or Chinese is set.
_FORMULA = re.compile(r"^([=+@\t\r\n＝＋－＠-])")
_ESCAPE = r"'\1"
# A row group is held in memory until it is written: 122,880 rows, or fewer if they are wide.
_PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE_BYTES 16777216"


class LocalTable(BaseModel, frozen=True):
    """The rows of a report as one Parquet file in the engine's folder."""

    path: Path
    rows: int
    columns: tuple[Column, ...]

    @property
    def source(self) -> str:
        """The rows as a table in SQL."""
        return _parquet(self.path)


class LocalFile(BaseModel, frozen=True):
    """The rows of a report in one format; `sha256` is in hexadecimal."""

    format: Format
    path: Path
    rows: int
    bytes: int
    sha256: str


def write_table(relation: DuckDBPyRelation, engine: Engine) -> LocalTable:
    """Run the relation, once, into one Parquet file. Types that Athena does not read become ones that it does."""
    import duckdb

    path = engine.folder / "table.parquet"
    columns = zip(map(quoted, relation.columns), relation.types, strict=True)
    try:
        refuse_duplicates(relation.columns)
        table = relation.project(", ".join(f"{name}::{rewritten(kind, _stored)} AS {name}" for name, kind in columns))
        table.create_view("athena_reports_table")
        copy = f"COPY (FROM athena_reports_table) TO {literal(str(path))} ({_PARQUET})"
        rows = engine.connection.execute(copy).fetchall()[0][0]
    except (ValueError, duckdb.Error) as error:
        failed = TransformError(f"{engine.about}: the rows cannot be computed: {reason(error)}.")
        raise engine.explain(error) or failed from error
    return LocalTable(path=path, rows=rows, columns=columns_of(table))


def _stored(kind: str) -> str:
    if kind in ("HUGEINT", "UHUGEINT"):  # of a sum of integers
        return "DECIMAL(38,0)"
    return "VARCHAR" if kind in ("UUID", "JSON") or kind.startswith("ENUM") else kind


def write_files(table: LocalTable, formats: Sequence[Format], engine: Engine) -> list[LocalFile]:
    """Return the rows as one file for each format; the Parquet file is the table's own."""
    rows = engine.connection.sql(f"FROM {table.source}")
    files = []
    for format in formats:
        path = table.path.with_suffix(f".{format}")
        if format != "parquet":
            columns = [(_header(format, name), name, kind) for name, kind in zip(rows.columns, rows.types, strict=True)]
            values = ", ".join(f"{_value(format, name, kind, engine)} AS {header}" for header, name, kind in columns)
            texts = ", ".join(header for header, _, kind in columns if kind == "VARCHAR")
            csv = "FORMAT csv, HEADER true" + (f", FORCE_QUOTE ({texts})" if texts else "")
            options = "FORMAT json" if format == "jsonl" else csv
            engine.connection.execute(f"COPY (SELECT {values} FROM {table.source}) TO {literal(str(path))} ({options})")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        files.append(LocalFile(format=format, path=path, rows=table.rows, bytes=size, sha256=digest))
    return files


def count_differences(engine: Engine, new: Sequence[Path], old: Sequence[Path]) -> tuple[int, int]:
    """Return how many rows only the new files have, and how many only the old ones; equal rows count each."""
    # By hash: whole rows with nested columns do not spill. EXCEPT ALL spills, unlike a GROUP BY.
    new_rows, old_rows = (f"SELECT hash(*COLUMNS(*)) FROM {_parquet(*paths)}" for paths in (new, old))
    added, count_new, count_old = engine.connection.execute(
        f"SELECT (SELECT count(*) FROM ({new_rows} EXCEPT ALL {old_rows})), "
        f"(SELECT count(*) FROM ({new_rows})), (SELECT count(*) FROM ({old_rows}))"
    ).fetchall()[0]
    return added, count_old - (count_new - added)


def _parquet(*paths: Path) -> str:
    return f"read_parquet([{', '.join(literal(str(path)) for path in paths)}])"


def _header(format: Format, name: str) -> str:
    return quoted(_FORMULA.sub(_ESCAPE, name) if format == "csv_for_spreadsheets" else name)


def _value(format: Format, name: str, kind: DuckDBPyType, engine: Engine) -> str:
    try:
        if format == "jsonl":
            return _json_value(quoted(name), kind)
        if children(kind) or kind.id == "blob":
            raise NotImplementedError
        value = _text(quoted(name), kind.id, " ")
        if format == "csv" or is_number(str(kind)):
            return value
        return f"regexp_replace({value}::VARCHAR, {literal(_FORMULA.pattern)}, {literal(_ESCAPE)})"
    except NotImplementedError:
        raise PublishError(
            f"{engine.about}: the column {name!r} is a {kind}, which {format!r} does not hold. CAST it "
            f"to text in the SQL or the transform, or leave {format!r} out of the report's outputs.",
            retryable=False,
        ) from None


def _json_value(value: str, kind: DuckDBPyType, depth: int = 0) -> str:
    item, inner = f"x{depth}", children(kind)
    match kind.id:
        case "interval" | "time with time zone" | "timestamp_ns" | "bit" | "variant" | "geometry":
            raise NotImplementedError
        case "float" | "double":
            number = f"to_json({value})" if kind.id == "double" else f"{value}::VARCHAR::JSON"
            words = f"CASE WHEN isnan({value}) THEN 'NaN' WHEN {value} > 0 THEN 'Infinity' ELSE '-Infinity' END"
            return f"CASE WHEN isnan({value}) OR isinf({value}) THEN to_json({words}) ELSE {number} END"
        case "decimal":  # COPY writes one of few digits as a double.
            return f"{value}::DECIMAL(38,{kind.children[1][1]})"
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
    return _text(value, kind.id, "T")


def _text(value: str, kind: str, separator: str) -> str:
    """Return the text of a time, with microseconds where milliseconds lose something; or the value itself."""
    if kind == "time":
        at, form = f"DATE '1970-01-01' + {value}", "%H:%M:%S."
    elif kind.startswith("timestamp"):
        at, form = f"{value}::TIMESTAMP", f"%Y-%m-%d{separator}%H:%M:%S."
    else:
        return value
    zone = "Z" if kind == "timestamp with time zone" else ""
    milliseconds, microseconds = (f"strftime({at}, '{form}{digits}{zone}')" for digits in ("%g", "%f"))
    return f"CASE WHEN epoch_us({at}) % 1000 = 0 THEN {milliseconds} ELSE {microseconds} END"
