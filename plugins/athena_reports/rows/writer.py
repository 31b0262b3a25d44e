"""Writes the rows of a report once, as Parquet, and makes every other format of that file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from athena_reports.errors import PublishError, TransformError
from athena_reports.rows.columns import (
    TableColumn,
    children,
    columns_of,
    duckdb_literal,
    is_number,
    read_parquet,
    refuse_duplicates,
    rewritten,
)
from athena_reports.rows.engine import Engine, reason
from athena_reports.rows.formats import Format
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

# A cell that begins so is a formula in a spreadsheet. The wide characters begin one where Japanese
# or Chinese is set.
_FORMULA = re.compile(r"^([=+@\t\r\n＝＋－＠-])")
_ESCAPED_FORMULA = r"'\1"

# A row group is held in memory until it is written: 122,880 rows, or fewer if they are wide.
_WRITE_PARQUET = """
COPY (FROM athena_reports_table) TO {path}
(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE_BYTES 16777216)
"""
_WRITE_OTHER_FORMAT = "COPY (SELECT {values} FROM {source}) TO {path} ({options})"
# Rows are compared by their hashes, since DuckDB does not spill whole rows with nested columns to
# the disk. EXCEPT ALL spills, and a GROUP BY does not.
_HASHES = "SELECT hash({values}) FROM {source}"
_COUNT_DIFFERENCES = """
SELECT
    (SELECT count(*) FROM ({new_hashes} EXCEPT ALL {old_hashes})) AS added,
    (SELECT count(*) FROM ({new_hashes})) AS new_rows,
    (SELECT count(*) FROM ({old_hashes})) AS old_rows
"""
# A sum does not depend on the order of the rows, and counts each of several equal ones.
_DIGEST = "SELECT coalesce(sum(hash({values})), 0) FROM {source}"
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
# The types that have no form in JSON.
_NOT_IN_JSON = ("interval", "time with time zone", "timestamp_ns", "bit", "variant", "geometry")
# With milliseconds, as Athena prints a time, unless they lose something.
_TEXT_OF_TIME = """
CASE
    WHEN epoch_us({timestamp}) % 1000 = 0 THEN strftime({timestamp}, '{form}.%g{zone}')
    ELSE strftime({timestamp}, '{form}.%f{zone}')
END
"""


class LocalTable(BaseModel, frozen=True):
    """The rows of a report as one Parquet file in the engine's folder.

    `private_columns` are those whose values no message may quote, in lower case.
    """

    path: Path
    rows: int
    columns: tuple[TableColumn, ...]
    private_columns: frozenset[str] = frozenset()

    @property
    def source(self) -> str:
        """The rows as a table in SQL."""
        return read_parquet(self.path)

    def is_private(self, column: str) -> bool:
        """Whether no message may quote a column. DuckDB takes its name in any case."""
        return column.lower() in self.private_columns


class LocalFile(BaseModel, frozen=True):
    """The rows of a report in one format; `sha256` is in hexadecimal."""

    format: Format
    path: Path
    rows: int
    bytes: int
    sha256: str


def write_table(relation: DuckDBPyRelation, engine: Engine) -> LocalTable:
    """Run a relation, once, into one Parquet file.

    Types that Athena does not read become ones that it does.

    Args:
        relation: The rows. Each use of a relation would run it anew.
        engine: The engine of the relation.

    Raises:
        TransformError: If the rows cannot be computed, or two columns have one name.
        AthenaReportsError: If the engine knows the cause better.
    """
    import duckdb

    path = engine.folder / "table.parquet"
    try:
        refuse_duplicates(relation.columns)
        table = _cast_for_athena(relation)
        table.create_view("athena_reports_table")
        sql = _WRITE_PARQUET.format(path=duckdb_literal(str(path)))
        counts = engine.connection.execute(sql).fetchall()  # COPY returns the number of rows
    except (ValueError, duckdb.Error) as error:
        explained = engine.explain(error)
        if explained is None:
            problem = f"{engine.about}: the rows cannot be computed: {reason(error)}."
            explained = TransformError(problem)
        raise explained from error
    return LocalTable(path=path, rows=counts[0][0], columns=columns_of(table))


def _cast_for_athena(relation: DuckDBPyRelation) -> DuckDBPyRelation:
    values = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        column = quoted(name)
        stored_type = rewritten(kind, _stored_type)
        values.append(f"{column}::{stored_type} AS {column}")
    return relation.project(", ".join(values))


def _stored_type(kind: str) -> str:
    if kind in ("HUGEINT", "UHUGEINT"):  # of a sum of integers
        return "DECIMAL(38,0)"
    if kind in ("UUID", "JSON") or kind.startswith("ENUM"):
        return "VARCHAR"
    return kind


def write_files(table: LocalTable, formats: Sequence[Format], engine: Engine) -> list[LocalFile]:
    """Return the rows as one file for each format, as `write_file` does."""
    return [write_file(table, format, engine) for format in formats]


def write_file(table: LocalTable, format: Format, engine: Engine) -> LocalFile:
    """Return the rows as a file of a format. The Parquet file is the table's own.

    Raises:
        PublishError: If the format has no form for a column's type.
    """
    path = table.path.with_suffix(f".{format}")
    if format != "parquet":
        copy_rows(table.source, format, path, engine)
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return LocalFile(
        format=format,
        path=path,
        rows=table.rows,
        bytes=path.stat().st_size,
        sha256=digest,
    )


def copy_rows(source: str, format: Format, path: Path, engine: Engine) -> None:
    """Write rows into a file of another format than Parquet.

    Args:
        source: The rows as a table in SQL.
        format: The format.
        path: The file, in the engine's folder.
        engine: The engine that writes.

    Raises:
        PublishError: The format has no form for a column's type.
    """
    rows = engine.connection.sql(f"FROM {source}")
    values = []
    text_headers = []
    for name, kind in zip(rows.columns, rows.types, strict=True):
        if not _holds(format, kind):
            raise PublishError(
                f"{engine.about}: the column {name!r} is a {kind}, which {format!r} does not hold. "
                f"CAST it to text in the SQL or the transform, or leave {format!r} out of the "
                "report's outputs.",
                retryable=False,
            )
        header = _header(format, name)
        values.append(f"{_value(format, name, kind)} AS {header}")
        if kind == "VARCHAR":
            text_headers.append(header)
    sql = _WRITE_OTHER_FORMAT.format(
        values=", ".join(values),
        source=source,
        path=duckdb_literal(str(path)),
        options=_copy_options(format, text_headers),
    )
    engine.connection.execute(sql)


def _copy_options(format: Format, text_headers: Sequence[str]) -> str:
    if format == "jsonl":
        return "FORMAT json"
    options = "FORMAT csv, HEADER true"
    # A text has quotes, also an empty one. NULL is an empty field without quotes.
    if text_headers:
        options += f", FORCE_QUOTE ({', '.join(text_headers)})"
    return options


def count_differences(
    engine: Engine, new: Sequence[Path], old: Sequence[Path], columns: Sequence[str] = ()
) -> tuple[int, int]:
    """Return how many rows only the new files have, and how many only the old ones.

    Each of several equal rows counts: a row that is twice in the new files and once in the old ones
    is one that only the new files have.

    Args:
        engine: The engine, in whose folder the files are.
        new: Parquet files.
        old: Parquet files that have what is compared in the same columns.
        columns: The columns that are compared; empty for whole rows.
    """
    values = "*COLUMNS(*)"
    if columns:
        values = ", ".join(map(quoted, columns))
    sql = _COUNT_DIFFERENCES.format(
        new_hashes=_HASHES.format(values=values, source=read_parquet(*new)),
        old_hashes=_HASHES.format(values=values, source=read_parquet(*old)),
    )
    counts = engine.connection.execute(sql).fetchall()
    added, new_rows, old_rows = counts[0]
    kept = new_rows - added
    removed = old_rows - kept
    return added, removed


def digest_of(table: LocalTable, engine: Engine, *, without: Sequence[str] = ()) -> str:
    """Return a digest of the rows, in whatever order they come.

    It is the same for equal rows as long as DuckDB's `hash` is, which may change with its version.

    Args:
        table: The rows.
        engine: The engine that wrote them.
        without: Columns that do not count, in any case of their letters. The rows need not have
            them.
    """
    left_out = {name.lower() for name in without}
    names = [column.name for column in table.columns if column.name.lower() not in left_out]
    if not names:
        return f"{table.rows:x}"
    sql = _DIGEST.format(values=", ".join(map(quoted, names)), source=table.source)
    total = engine.connection.execute(sql).fetchall()[0][0]
    return f"{table.rows:x}-{int(total):x}"


def _holds(format: Format, kind: DuckDBPyType) -> bool:
    """Return whether a format has a form for the values of a type.

    A CSV has none for bytes and for a value that has parts.
    """
    if format == "jsonl":
        return has_json(kind)
    return not children(kind) and kind.id != "blob"


def has_json(kind: DuckDBPyType) -> bool:
    """Return whether the values of a type have a form in JSON."""
    if kind.id in _NOT_IN_JSON:
        return False
    return all(has_json(child) for _, child in children(kind))


def _header(format: Format, name: str) -> str:
    if format == "csv_for_spreadsheets":
        name = _FORMULA.sub(_ESCAPED_FORMULA, name)
    return quoted(name)


def _value(format: Format, name: str, kind: DuckDBPyType) -> str:
    """Return the expression for a column's value in a file of a format that holds it."""
    column = quoted(name)
    if format == "jsonl":
        return _json_value(column, kind)
    value = _text_of_time(column, kind.id, date_separator=" ")
    if format == "csv" or is_number(str(kind)):
        return value
    formula = duckdb_literal(_FORMULA.pattern)
    escaped = duckdb_literal(_ESCAPED_FORMULA)
    return f"regexp_replace({value}::VARCHAR, {formula}, {escaped})"


def json_text(value: str, kind: DuckDBPyType) -> str:
    """Return the expression for a value as the text that a file of `jsonl` has for it.

    Args:
        value: The expression of the value.
        kind: Its type, which has JSON.
    """
    return f"CASE WHEN {value} IS NOT NULL THEN to_json({_json_value(value, kind)})::VARCHAR END"


def _json_value(value: str, kind: DuckDBPyType, depth: int = 0) -> str:
    """Return the expression for a value in JSON.

    `depth` is the number of lambdas around it: each has a variable of its own.
    """
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
    return _text_of_time(value, kind.id, date_separator="T")


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


def _text_of_time(value: str, kind: str, date_separator: str) -> str:
    """Return the expression for a time's text; for a value that is not a time, the value."""
    if kind == "time":
        timestamp = f"DATE '1970-01-01' + {value}"
        form = "%H:%M:%S"
    elif kind.startswith("timestamp"):
        timestamp = f"{value}::TIMESTAMP"
        form = f"%Y-%m-%d{date_separator}%H:%M:%S"
    else:
        return value
    zone = "Z" if kind == "timestamp with time zone" else ""
    return _TEXT_OF_TIME.format(timestamp=timestamp, form=form, zone=zone)
