"""An Athena result as a DuckDB relation, wherever Athena put it.

A SELECT leaves a CSV in S3 or, in a workgroup with managed results, pages of GetQueryResults; an UNLOAD
leaves Parquet files that its data manifest lists. All three give the same rows in the same types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel

from athena_reports.aws.errors import REFUSED, call_verdict
from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError, S3Error
from athena_reports.errors import ResultError
from athena_reports.rows.athena_csv import Reading, csv_line, read, read_csv
from athena_reports.rows.columns import Column, literal, quoted, result_columns, rewritten, table_type
from athena_reports.rows.engine import Engine, reason

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType
    from mypy_boto3_athena import AthenaClient

PublishedColumns = Callable[[], Sequence[Column] | None]
_AGAIN = "Clear run_query and its downstream tasks."
_READ_AGAIN = "The query need not run again: clear transform and its downstream tasks."


class FinishedQuery(BaseModel, frozen=True):
    """A query that has succeeded."""

    id: str
    statement: str = "SELECT"  # Athena's SubstatementType
    output_location: str = ""  # empty for a managed result
    data_manifest: str = ""  # `s3://` location of the list of the files that an UNLOAD wrote


class ResultRows(NamedTuple):
    """The rows of a result.

    Attributes:
        relation: The rows.
        ordered: Whether they come in the order of the query; an UNLOAD writes them in parallel.
        has_published_columns: Whether there are no rows, and the columns are those of the published table: an UNLOAD
            without rows writes no file, and so no columns.
    """

    relation: DuckDBPyRelation
    ordered: bool
    has_published_columns: bool = False


def read_result(
    query: FinishedQuery, *, engine: Engine, athena: AthenaClient, s3: S3, published_columns: PublishedColumns
) -> ResultRows:
    """Download a result and return its rows, with the table's columns for an UNLOAD that wrote no file.

    Raises:
        ResultError: The result cannot be read; `retryable` if Athena did not serve the call.
        S3Error: S3 refused the call, or did not serve it.
    """
    try:
        if query.statement == "UNLOAD":
            uris = _unloaded_uris(query, athena, s3)
            if not uris:
                nothing = _nothing(query, engine, published_columns())
                return ResultRows(nothing, ordered=False, has_published_columns=True)
            return ResultRows(_unloaded(query, uris, engine, s3), ordered=False)
        return ResultRows(_selected(query, engine, athena, s3), ordered=True)
    except (MissingObjectError, ConditionError) as error:
        problem = f"its result is missing or expired, or was replaced: {error}"
        raise ResultError(f"Query {query.id}: {problem} {_AGAIN}") from error
    except S3Error as error:
        raise S3Error(f"Query {query.id}: {error}", retryable=error.retryable) from error


def _selected(query: FinishedQuery, engine: Engine, athena: AthenaClient, s3: S3) -> DuckDBPyRelation:
    path = engine.folder / "result.csv"
    pages = _pages(query, athena, MaxResults=1 if query.output_location else 1000)
    page = next(pages)
    if query.output_location:
        s3.download(query.output_location, path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            for rows in (each["ResultSet"]["Rows"] for each in (page, *pages)):
                file.writelines(csv_line(datum.get("VarCharValue") for datum in row["Data"]) for row in rows)
    try:
        columns = result_columns(page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"])
    except ValueError as error:
        raise ResultError(f"Query {query.id}: {error}") from error
    expected = csv_line(columns).encode()
    with path.open("rb") as file:
        beginning = file.read(len(expected))
    if beginning != expected:
        found = beginning.decode(errors="replace")
        problem = f"it begins with {found!r:.200}, but its metadata names the columns {list(columns)}"
        raise ResultError(f"Query {query.id}: its result cannot be read: {problem}. {_AGAIN}")
    return read_csv(path, columns, engine, about=f"Query {query.id}")


def _pages(query: FinishedQuery, athena: AthenaClient, **options: Any) -> Iterator[Mapping[str, Any]]:
    request = {"QueryExecutionId": query.id, **options}
    try:
        while True:
            page = athena.get_query_results(**request)
            yield page
            if "NextToken" not in page:
                return
            request["NextToken"] = page["NextToken"]
    except (ClientError, BotoCoreError) as error:
        problem = f"Query {query.id}: GetQueryResults does not return its result: {error}"
        verdict = call_verdict(error)
        if verdict == REFUSED:
            raise ResultError(f"{problem}. Athena keeps a managed result for 24 hours. {_AGAIN}") from error
        advice = f"{verdict.hint} {_READ_AGAIN}"
        raise ResultError(f"{problem} [{verdict.meaning}]. {advice}", retryable=verdict.retryable) from error


def _unloaded_uris(query: FinishedQuery, athena: AthenaClient, s3: S3) -> list[str]:
    lines: list[str] = []
    if query.data_manifest:
        lines = s3.read(query.data_manifest)[0].decode().splitlines()
    elif not query.output_location:  # a managed result
        pages = _pages(query, athena, MaxResults=1000, QueryResultType="DATA_MANIFEST")
        rows = (row for page in pages for row in page["ResultSet"]["Rows"])
        lines = [row["Data"][0].get("VarCharValue", "") for row in rows]
    uris = (line.strip().strip('"') for line in lines)
    return sorted(uri for uri in uris if uri.startswith("s3://"))


def _unloaded(query: FinishedQuery, uris: Sequence[str], engine: Engine, s3: S3) -> DuckDBPyRelation:
    import duckdb

    columns: dict[str, DuckDBPyType] = {}
    paths = [str(engine.folder / f"unloaded-{number:06}.parquet") for number in range(len(uris))]
    for uri, path in zip(uris, paths, strict=True):
        s3.download(uri, Path(path))
        try:
            file = engine.connection.from_parquet(path)
        except duckdb.Error as error:
            problem = f"file {uri} does not read as Parquet: {reason(error)}"
            raise ResultError(f"Query {query.id}, {problem}. {_AGAIN}") from error
        found = dict(zip(file.columns, file.types, strict=True))
        columns = columns or found
        if list(found.items()) != list(columns.items()):
            shown, first = (", ".join(f"{name} {kind}" for name, kind in each.items()) for each in (found, columns))
            problem = f"file {uri} has the columns ({shown}), the first file has ({first})"
            raise ResultError(f"Query {query.id}, {problem}. CAST them in the SQL. {_AGAIN}")
    source = f"read_parquet([{', '.join(map(literal, paths))}])"
    readings = {name: _stored(kind) for name, kind in columns.items()}
    return read(source, list(map(quoted, columns)), readings, engine, about=f"Query {query.id}")


def _stored(kind: DuckDBPyType) -> Reading:
    """A timestamp of an UNLOAD has no zone, however it is stored, and is of milliseconds, as in a CSV."""
    plain = rewritten(kind, lambda leaf: "TIMESTAMP_MS" if leaf.startswith("TIMESTAMP") else leaf)
    if plain == rewritten(kind, str):
        return Reading(plain)
    value = f"{{c}}::{plain}"
    return Reading(plain, value, f"({value})::{kind} IS DISTINCT FROM {{c}}", "it is finer than timestamp(3)")


def _nothing(query: FinishedQuery, engine: Engine, columns: Sequence[Column] | None) -> DuckDBPyRelation:
    if columns is None:
        raise ResultError(
            f"Query {query.id} unloaded no rows and so no columns, and the report has no table yet. "
            f"Publish one period with rows first, or declare unload=False."
        )
    values = ", ".join(f"NULL::{table_type(column.glue)} AS {quoted(column.name)}" for column in columns)
    return engine.connection.sql(f"SELECT {values} WHERE false")
