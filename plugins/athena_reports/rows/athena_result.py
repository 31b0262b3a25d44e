"""An Athena result as a DuckDB relation, wherever Athena put it.

A SELECT leaves a CSV in S3 or, in a workgroup with managed results, pages of GetQueryResults; an UNLOAD
leaves Parquet files that its data manifest lists. All three give the same rows in the same types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from athena_reports.errors import ResultError
from athena_reports.rows.athena_csv import Reading, csv_line, cut, read, read_csv
from athena_reports.rows.columns import Column, literal, quoted, result_columns, rewritten, table_type
from athena_reports.rows.engine import reason
from athena_reports.s3 import ConditionError, MissingObjectError, S3Error

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType
    from mypy_boto3_athena import AthenaClient

    from athena_reports.rows.engine import Engine
    from athena_reports.s3 import S3

_AGAIN = "Clear run_query with all that is downstream."
_PAGE_ROWS = 1_000  # GetQueryResults returns no more


class FinishedQuery(BaseModel, frozen=True):
    """A query that has succeeded.

    Attributes:
        id: The QueryExecutionId.
        statement: Athena's SubstatementType, such as SELECT or UNLOAD.
        output_location: `s3://` location of the result; empty for a managed result.
        data_manifest: `s3://` location of the list of files that an UNLOAD wrote; empty for none.
    """

    id: str
    statement: str = "SELECT"
    output_location: str = ""
    data_manifest: str = ""


class ResultRows(NamedTuple):
    """Rows, and whether they come in the order of the query: an UNLOAD writes them in parallel."""

    relation: DuckDBPyRelation
    ordered: bool


def read_result(
    query: FinishedQuery,
    *,
    engine: Engine,
    athena: AthenaClient,
    s3: S3,
    published_columns: Callable[[], Sequence[Column] | None],
) -> ResultRows:
    """Download the result of a query and return its rows, which are read when the relation is used.

    Args:
        query: The query.
        engine: Where it is read. There a value that cannot be read becomes a ResultError.
        athena: Client for the columns and, of a managed result, for the rows.
        s3: S3.
        published_columns: Returns the columns of the report's table, for an UNLOAD that wrote no file.

    Raises:
        ResultError: The result is missing, or is not what Athena says it is.
        S3Error: S3 refuses to serve it.
    """
    if query.statement == "UNLOAD":
        uris = _unloaded_uris(query, athena, s3)
        if uris:
            return ResultRows(_unloaded(query, uris, engine, s3), ordered=False)
        return ResultRows(_nothing(query, engine, published_columns()), ordered=False)
    path = engine.folder / "result.csv"
    if query.output_location:
        page = _page(query, athena, MaxResults=1)
        _download(query, query.output_location, path, s3)
    else:
        pages = _pages(query, athena)
        page = next(pages)
        with path.open("w", encoding="utf-8", newline="") as file:
            for rows in (each["ResultSet"]["Rows"] for each in (page, *pages)):
                file.writelines(csv_line(datum.get("VarCharValue") for datum in row["Data"]) for row in rows)
    try:
        columns = result_columns(page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"])
    except ValueError as error:
        raise ResultError(f"Query {query.id}: {error}") from error
    _check_header(query, path, list(columns))
    return ResultRows(read_csv(path, columns, engine, about=f"Query {query.id}", header=True), ordered=True)


def _check_header(query: FinishedQuery, path: Path, names: list[str]) -> None:
    expected = csv_line(names).encode()
    with path.open("rb") as file:
        beginning = file.read(len(expected))
    if beginning != expected:
        raise ResultError(
            f"Query {query.id}: its result cannot be read: it begins with "
            f"{cut(beginning.decode(errors='replace'))}, but its metadata names the columns {names}. {_AGAIN}"
        )


def _unloaded_uris(query: FinishedQuery, athena: AthenaClient, s3: S3) -> list[str]:
    lines: list[str] = []
    if query.data_manifest:
        with _explained(query):
            lines = s3.read(query.data_manifest)[0].decode().splitlines()
    elif not query.output_location:  # a managed result
        pages = _pages(query, athena, QueryResultType="DATA_MANIFEST")
        rows = (row for page in pages for row in page["ResultSet"]["Rows"])
        lines = [row["Data"][0].get("VarCharValue", "") for row in rows]
    uris = [line.strip().strip('"') for line in lines]
    return sorted(uri for uri in uris if uri.startswith("s3://"))


def _unloaded(query: FinishedQuery, uris: Sequence[str], engine: Engine, s3: S3) -> DuckDBPyRelation:
    import duckdb

    paths: list[str] = []
    first: list[tuple[str, DuckDBPyType]] = []
    for uri in uris:
        paths.append(str(engine.folder / f"unloaded-{len(paths):06}.parquet"))
        _download(query, uri, Path(paths[-1]), s3)
        try:
            file = engine.connection.from_parquet(paths[-1])
        except duckdb.Error as error:
            problem = f"file {uri} does not read as Parquet: {reason(error)}"
            raise ResultError(f"Query {query.id}, {problem}. {_AGAIN}") from error
        columns = list(zip(file.columns, file.types, strict=True))
        first = first or columns
        if columns != first:
            problem = f"file {uri} has the columns ({_listed(columns)}), the first file has ({_listed(first)})"
            raise ResultError(f"Query {query.id}, {problem}. CAST them in the SQL. {_AGAIN}")
    source = f"read_parquet([{', '.join(map(literal, paths))}])"
    readings = {name: _stored(kind) for name, kind in first}
    return read(source, [quoted(name) for name, _ in first], readings, engine, about=f"Query {query.id}")


def _stored(kind: DuckDBPyType) -> Reading:
    """A timestamp of an UNLOAD has no zone, however it is stored, and is of milliseconds, as in a CSV."""
    plain = rewritten(kind, lambda leaf: "TIMESTAMP_MS" if leaf.startswith("TIMESTAMP") else leaf)
    if plain == rewritten(kind, str):
        return Reading(plain)
    value = f"{{c}}::{plain}"
    return Reading(plain, value, f"({value})::{kind} IS DISTINCT FROM {{c}}", "it is finer than timestamp(3)")


def _listed(columns: Sequence[tuple[str, DuckDBPyType]]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns)


def _nothing(query: FinishedQuery, engine: Engine, columns: Sequence[Column] | None) -> DuckDBPyRelation:
    if columns is None:
        raise ResultError(
            f"Query {query.id} unloaded no rows and so no columns, and the report has no table yet. "
            f"Publish one period with rows first, or declare unload=False."
        )
    values = ", ".join(f"NULL::{table_type(column.glue)} AS {quoted(column.name)}" for column in columns)
    return engine.connection.sql(f"SELECT {values} WHERE false")


def _pages(query: FinishedQuery, athena: AthenaClient, **options: Any) -> Iterator[Mapping[str, Any]]:
    page = _page(query, athena, MaxResults=_PAGE_ROWS, **options)
    yield page
    while token := page.get("NextToken"):
        page = _page(query, athena, MaxResults=_PAGE_ROWS, NextToken=token, **options)
        yield page


def _page(query: FinishedQuery, athena: AthenaClient, **options: Any) -> Mapping[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return athena.get_query_results(QueryExecutionId=query.id, **options)
    except (ClientError, BotoCoreError) as error:
        raise ResultError(
            f"Query {query.id}: GetQueryResults does not return its result: {error}. Athena keeps a managed "
            f"result for 24 hours. {_AGAIN}"
        ) from error


def _download(query: FinishedQuery, uri: str, path: Path, s3: S3) -> None:
    with _explained(query):
        s3.download(uri, path)


@contextmanager
def _explained(query: FinishedQuery) -> Iterator[None]:
    try:
        yield
    except (MissingObjectError, ConditionError) as error:
        problem = f"its result is missing or expired, or was replaced: {error}"
        raise ResultError(f"Query {query.id}: {problem} {_AGAIN}") from error
    except S3Error as error:
        raise S3Error(f"Query {query.id}: {error}", retryable=error.retryable) from error
