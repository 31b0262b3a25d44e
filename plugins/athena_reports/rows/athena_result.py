"""An Athena result as a DuckDB relation, wherever Athena put it.

A SELECT leaves a CSV in S3 or, in a workgroup with managed results, pages of GetQueryResults; an
UNLOAD leaves Parquet files that its data manifest lists. All three give the same rows in the same
types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel

from athena_reports.aws.errors import error_code, error_kind
from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError
from athena_reports.errors import ResultError
from athena_reports.rows.athena_csv import Conversion, csv_line, read, read_csv
from athena_reports.rows.columns import (
    TableColumn,
    read_parquet,
    result_columns,
    rewritten,
    table_type,
)
from athena_reports.rows.engine import Engine
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType
    from mypy_boto3_athena import AthenaClient

PublishedColumns = Callable[[], Sequence[TableColumn] | None]
_ROWS_OF_A_PAGE = 1000  # the most that GetQueryResults returns
_DOWNLOADS_AT_ONCE = 2  # each has 4 connections, and a client of boto3 keeps 10


class FinishedQuery(BaseModel, frozen=True):
    """A query that has succeeded."""

    id: str
    statement: str = "SELECT"  # Athena's SubstatementType
    output_location: str = ""  # empty for a managed result
    data_manifest: str = ""  # `s3://` location of the list of the files that an UNLOAD wrote


class ResultRows(NamedTuple):
    """The rows of a result."""

    relation: DuckDBPyRelation
    ordered: bool  # whether they come in the order of the query; an UNLOAD writes in parallel
    has_published_columns: bool = False  # as an UNLOAD without rows writes no file


def read_result(
    query: FinishedQuery,
    *,
    engine: Engine,
    athena: AthenaClient,
    s3: S3,
    published_columns: PublishedColumns,
) -> ResultRows:
    """Download a result into the engine's folder and return its rows.

    `published_columns` returns the columns of the report's table, or None if there is none yet. It
    is called for an UNLOAD without rows. ResultError if the result cannot be read.
    """
    try:
        if query.statement != "UNLOAD":
            return ResultRows(_selected_rows(query, engine, athena, s3), ordered=True)
        uris = _unloaded_uris(query, athena, s3)
        if uris:
            return ResultRows(_unloaded_rows(uris, engine, s3), ordered=False)
        rows = _no_rows(query, engine, published_columns())
        return ResultRows(rows, ordered=False, has_published_columns=True)
    except (ClientError, BotoCoreError) as error:  # of Athena: those of S3 are S3Errors
        raise _athena_error(query, engine, error) from error
    except (MissingObjectError, ConditionError) as error:
        problem = f"its result is missing, has expired or was replaced: {error}"
        advice = f"{engine.run_again.capitalize()}."
        raise ResultError(f"Query {query.id}: {problem} {advice}") from error


def _athena_error(
    query: FinishedQuery, engine: Engine, error: ClientError | BotoCoreError
) -> ResultError:
    problem = f"Query {query.id}: GetQueryResults failed: {error}"
    # Athena has no code of its own for an expired result.
    if error_code(error) == "InvalidRequestException":
        advice = f"{engine.run_again.capitalize()}."
        return ResultError(f"{problem}. Athena keeps managed results for 24 hours. {advice}")
    kind = error_kind(error)
    advice = f"{kind.advice} {engine.read_again.capitalize()}."
    return ResultError(f"{problem}. {advice}", retryable=kind.retryable)


def _selected_rows(
    query: FinishedQuery, engine: Engine, athena: AthenaClient, s3: S3
) -> DuckDBPyRelation:
    path = engine.folder / "result.csv"
    if query.output_location:
        # The file has the rows, and only a page has the types of the columns.
        first_page = next(_pages(query, athena, page_size=1))
        s3.download(query.output_location, path)
    else:
        pages = _pages(query, athena)
        first_page = next(pages)
        _write_csv(path, chain([first_page], pages))
    try:
        columns = result_columns(first_page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"])
    except ValueError as error:
        raise ResultError(f"Query {query.id}: {error}") from error
    return read_csv(path, columns, engine)


def _pages(
    query: FinishedQuery, athena: AthenaClient, *, page_size: int = _ROWS_OF_A_PAGE, **options: Any
) -> Iterator[Mapping[str, Any]]:
    paginator: Any = athena.get_paginator("get_query_results")
    pages = paginator.paginate(
        QueryExecutionId=query.id, PaginationConfig={"PageSize": page_size}, **options
    )
    return iter(pages)


def _write_csv(path: Path, pages: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for page in pages:
            for row in page["ResultSet"]["Rows"]:
                values = [datum.get("VarCharValue") for datum in row["Data"]]
                file.write(csv_line(values))


def _unloaded_uris(query: FinishedQuery, athena: AthenaClient, s3: S3) -> list[str]:
    lines: list[str] = []  # of the data manifest, an object in S3 or pages; none without rows
    if query.data_manifest:
        content, _ = s3.read(query.data_manifest)
        lines = content.decode().splitlines()
    elif not query.output_location:
        for page in _pages(query, athena, QueryResultType="DATA_MANIFEST"):
            for row in page["ResultSet"]["Rows"]:
                lines.append(row["Data"][0].get("VarCharValue", ""))
    # A line can be empty, a header, or in quotes.
    uris = [line.strip().strip('"') for line in lines]
    return sorted(uri for uri in uris if uri.startswith("s3://"))


def _unloaded_rows(uris: Sequence[str], engine: Engine, s3: S3) -> DuckDBPyRelation:
    paths = [engine.folder / f"unloaded-{number:06}.parquet" for number in range(len(uris))]
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as threads:
        list(threads.map(s3.download, uris, paths))  # after an error the rest is not downloaded
    source = read_parquet(*paths)
    files = engine.connection.sql(f"FROM {source}")
    conversions = {}
    for name, kind in zip(files.columns, files.types, strict=True):
        conversions[name] = _conversion(kind)
    return read(source, conversions, engine)


def _conversion(kind: DuckDBPyType) -> Conversion:
    # A timestamp has no zone, however it is stored, and is of milliseconds, as in a CSV.
    stored_type = rewritten(kind, str)
    value_type = rewritten(kind, _milliseconds_without_zone)
    if value_type == stored_type:
        return Conversion(stored_type)
    value = f"{{c}}::{value_type}"
    return Conversion(
        read_as=stored_type,
        value=value,
        rejected=f"({value})::{kind} IS DISTINCT FROM {{c}}",
        problem="has more than millisecond precision",
    )


def _milliseconds_without_zone(kind: str) -> str:
    return "TIMESTAMP_MS" if kind.startswith("TIMESTAMP") else kind


def _no_rows(
    query: FinishedQuery, engine: Engine, columns: Sequence[TableColumn] | None
) -> DuckDBPyRelation:
    if columns is None:
        raise ResultError(
            f"Query {query.id} unloaded no rows, so its columns are unknown, and the report has no"
            " table yet. First publish a period with rows, or set unload=False."
        )
    values = [f"NULL::{table_type(column.glue)} AS {quoted(column.name)}" for column in columns]
    return engine.connection.sql(f"SELECT {', '.join(values)} WHERE false")
