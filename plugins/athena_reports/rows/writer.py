"""Writes the rows of a report once, as Parquet, and makes every other format of that file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from athena_reports.errors import TransformError
from athena_reports.rows.columns import (
    TableColumn,
    columns_of,
    duckdb_literal,
    read_parquet,
    refuse_duplicates,
    rewritten,
    stored_type,
)
from athena_reports.rows.engine import Engine, reason
from athena_reports.rows.formats import Format, copy_rows
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

# A row group is held in memory until it is written: 122,880 rows, or fewer if they are wide.
_WRITE_PARQUET = """
COPY (FROM athena_reports_table) TO {path}
(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE_BYTES 16777216)
"""
# A sum does not depend on the order of the rows, and counts each of several equal ones.
_DIGEST = "SELECT coalesce(sum(hash({values})), 0) FROM {source}"


class LocalTable(BaseModel, frozen=True):
    """The rows of a report as one Parquet file."""

    path: Path
    rows: int
    columns: tuple[TableColumn, ...]
    private_columns: frozenset[str] = frozenset()  # in lower case; no message quotes their values

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
    bytes: int
    sha256: str


def write_table(
    relation: DuckDBPyRelation, engine: Engine, *, private_columns: frozenset[str] = frozenset()
) -> LocalTable:
    """Run a relation, once, into one Parquet file, in types that Athena reads.

    TransformError if the rows cannot be computed, or two columns have one name.
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
        if engine.explain(error) is not None:
            raise  # `open_engine` raises the explained error in its place
        raise TransformError(
            f"{engine.about}: could not compute the rows: {reason(error)}."
        ) from error
    return LocalTable(
        path=path,
        rows=counts[0][0],
        columns=columns_of(table),
        private_columns=private_columns,
    )


def _cast_for_athena(relation: DuckDBPyRelation) -> DuckDBPyRelation:
    values = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        column = quoted(name)
        stored = rewritten(kind, stored_type)
        values.append(f"{column}::{stored} AS {column}")
    return relation.project(", ".join(values))


def write_file(table: LocalTable, format: Format, engine: Engine) -> LocalFile:
    """Return the rows as a file of a format. The Parquet file is the table's own."""
    path = table.path.with_suffix(f".{format}")
    if format != "parquet":
        copy_rows(table.source, format, path, engine)
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return LocalFile(
        format=format,
        path=path,
        bytes=path.stat().st_size,
        sha256=digest,
    )


def digest_of(table: LocalTable, engine: Engine, *, without: Sequence[str] = ()) -> str:
    """Return a digest of the rows, in any order, without some columns, in any case.

    It is the same for equal rows as long as DuckDB's `hash` is, which may change with its version.
    """
    left_out = {name.lower() for name in without}
    names = [column.name for column in table.columns if column.name.lower() not in left_out]
    values = ["true", *map(quoted, names)]  # rows without any other column are counted too
    sql = _DIGEST.format(values=", ".join(values), source=table.source)
    total = engine.connection.execute(sql).fetchall()[0][0]
    return f"{table.rows:x}-{int(total):x}"
