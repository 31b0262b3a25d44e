"""An Athena result as a DuckDB relation, wherever Athena put it.

A SELECT leaves a CSV in S3 or, in a workgroup with managed results, pages of GetQueryResults; an UNLOAD leaves Parquet
files that its data manifest lists. Athena's CSV quotes every value; NULL is an unquoted empty field, the empty string
is `""`; line breaks can stand inside quotes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from athena_reports.errors import ResultError
from athena_reports.rows.columns import (
    Column,
    literal,
    quoted,
    result_columns,
    rewritten,
    table_type,
)
from athena_reports.rows.engine import reason
from athena_reports.s3 import ConditionError, MissingObjectError, S3Error

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType
    from mypy_boto3_athena import AthenaClient

    from athena_reports.rows.engine import Engine
    from athena_reports.s3 import S3

MAX_ROW_BYTES = 16 * 1024 * 1024
"""The longest row of a CSV that is sure to be read, as text."""

_AGAIN = "If it has expired, clear run_query with all that is downstream."
_CAST = "CAST it in the SQL, then clear run_query with all that is downstream."
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
    """The rows of a result, and whether they come in the order of the query: an UNLOAD writes them in parallel."""

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
    """Download the result of a query and return its rows. They are read when the relation is used.

    Args:
        query: The query.
        engine: Where it is read. A value that cannot be read is explained there, as a ResultError.
        athena: Client for the columns and, of a managed result, for the rows.
        s3: S3.
        published_columns: Returns the columns of the report's table, for an UNLOAD that wrote no file.

    Raises:
        ResultError: The result is missing, or is not what Athena says it is.
        S3Error: S3 refuses to serve it.
    """
    if query.statement == "UNLOAD":
        uris = _unloaded_uris(query, athena, s3)
        relation = (
            _unloaded(query, uris, engine, s3) if uris else _nothing(query, engine, published_columns())
        )
        return ResultRows(relation, ordered=False)
    path = engine.folder / "result.csv"
    if query.output_location:
        page = _page(query, athena, MaxResults=1)
        with _explained(query):
            s3.download(query.output_location, path)
    else:
        pages = _pages(query, athena)
        page = next(pages)
        with path.open("w", encoding="utf-8", newline="") as file:
            for some in (page, *pages):
                rows = (
                    [datum.get("VarCharValue") for datum in row["Data"]] for row in some["ResultSet"]["Rows"]
                )
                file.writelines(csv_line(row) for row in rows)
    try:
        columns = result_columns(page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"])
    except ValueError as error:
        raise ResultError(f"Query {query.id}: {error}") from error
    _check_header(query, path, list(columns))
    return ResultRows(read_csv(path, columns, engine, about=f"Query {query.id}", header=True), ordered=True)


def csv_line(values: Iterable[str | None]) -> str:
    """Return a row as Athena writes it into a CSV."""
    return ",".join("" if value is None else '"' + value.replace('"', '""') + '"' for value in values) + "\n"


class _Reading(NamedTuple):
    """How a column is read: as which type, what is made of it, which values are refused and why; `{c}` is the column."""

    read_as: str
    value: str = "{c}"
    refused: str = ""
    problem: str = ""


_IN_YEARS = "it is not in the years 0001 to 9999"
_READINGS = {
    "DATE": _Reading("DATE", "{c}", "{c} < '0001-01-01' OR {c} > '9999-12-31'", _IN_YEARS),
    "TIMESTAMP_MS": _Reading(
        "TIMESTAMP",
        "{c}::TIMESTAMP_MS",
        "epoch_us({c}) % 1000 <> 0 OR {c} < '0001-01-01' OR {c} >= '10000-01-01'",
        f"it is finer than timestamp(3), or {_IN_YEARS}",
    ),
    "TIMESTAMP WITH TIME ZONE": _Reading(
        "VARCHAR",
        "athena_instant({c})",
        "athena_refuses({c}, athena_instant({c}), athena_wall({c}))",
        "it is not a timestamp(3) with a time zone in the years 0001 to 9999, or its zone has this time twice or "
        "never: use AT TIME ZONE 'UTC'",
    ),
    "BLOB": _Reading(
        "VARCHAR",
        "unhex(replace({c}, ' ', ''))",
        "NOT regexp_full_match({c}, '([0-9a-f]{{2}}( [0-9a-f]{{2}})*)?')",
        "it is not hexadecimal",
    ),
}
# A zone has a wall time twice if the offset of a day before, or after, gives another instant with that wall time.
_MACROS = r"""
CREATE OR REPLACE TEMP MACRO athena_wall(x) AS try_cast(regexp_extract(x, '^(\S+ \S+) \S+$', 1) AS TIMESTAMP);
CREATE OR REPLACE TEMP MACRO athena_instant(x) AS try_cast(regexp_replace(x, ' ([+-])', '\1') AS TIMESTAMPTZ);
CREATE OR REPLACE TEMP MACRO athena_twice(zone, t, wall, day) AS timezone(zone, t + day) - day <> wall
    AND timezone(zone, t + (wall - (timezone(zone, t + day) - day))) = wall;
CREATE OR REPLACE TEMP MACRO athena_refuses(x, t, wall) AS CASE
    WHEN x IS NULL THEN false
    WHEN t IS NULL OR wall IS NULL OR epoch_us(t) % 1000 <> 0 THEN true
    WHEN t < '0001-01-01 00:00:00+00' OR t >= '10000-01-01 00:00:00+00' THEN true
    WHEN regexp_matches(x, ' (UTC|[+-]\S+)$') THEN false
    ELSE timezone(split_part(x, ' ', 3), t) <> wall
        OR athena_twice(split_part(x, ' ', 3), t, wall, INTERVAL '24 hours')
        OR athena_twice(split_part(x, ' ', 3), t, wall, INTERVAL '-24 hours') END;
"""
_REFUSED = re.compile(r"athena_reports: column (\d+)")
_ROW = re.compile(r"CSV Error on Line: (\d+)")
_VALUE = re.compile(
    r'Error when converting column "c(\d+)"\. Could not convert string "(.*?)" to \'(.*?)\'', re.DOTALL
)
_PROBLEMS = {
    "Maximum line size": f"it is longer than {MAX_ROW_BYTES:,} bytes. Select less of its longest column.",
    "unterminated quote": "the file ends inside a quoted value. Clear run_query with all that is downstream.",
    "Expected Number of Columns": "it has more or fewer values than there are columns. Clear run_query with all that "
    "is downstream.",
    "Invalid unicode": "it is not valid UTF-8. CAST it in the SQL, with from_utf8 for example.",
}


def read_csv(
    path: Path, columns: Mapping[str, str], engine: Engine, *, about: str, header: bool
) -> DuckDBPyRelation:
    """Return the rows of a CSV in Athena's form; a value that cannot be read is a ResultError of the engine.

    Args:
        path: The file, in the engine's folder.
        columns: For each name DuckDB's type.
        engine: The engine.
        about: The first words of an error.
        header: Whether the first line holds the names.
    """
    readings = {name: _READINGS.get(kind) or _reading(kind) for name, kind in columns.items()}
    types = ", ".join(f"c{n}: {literal(reading.read_as)}" for n, reading in enumerate(readings.values()))
    source = (
        f"read_csv({literal(str(path))}, header = {header}, auto_detect = false, delim = ',', quote = '\"', "
        f"escape = '\"', new_line = '\\n', nullstr = '', allow_quoted_nulls = false, "
        f"max_line_size = {MAX_ROW_BYTES}, buffer_size = {MAX_ROW_BYTES}, columns = {{{types}}})"
    )
    engine.connection.execute(_MACROS)
    return _read(source, [f"c{n}" for n in range(len(columns))], readings, engine, about)


def _read(
    source: str, columns: Sequence[str], readings: Mapping[str, _Reading], engine: Engine, about: str
) -> DuckDBPyRelation:
    """Return what the readings, by name, make of the columns of a source; explain there what they refuse."""
    values = []
    for number, (column, (name, reading)) in enumerate(zip(columns, readings.items(), strict=True)):
        value, refused = (text.format(c=column) for text in (reading.value, reading.refused))
        if refused:
            value = f"CASE WHEN {refused} THEN error('athena_reports: column {number}') ELSE {value} END"
        values.append(f"{value} AS {quoted(name)}")

    def explain(error: Exception) -> ResultError | None:
        text = str(error)
        if mark := _REFUSED.search(text):
            column, (name, reading) = columns[int(mark[1])], list(readings.items())[int(mark[1])]
            numbered = f"SELECT row_number() OVER () AS row, {column} FROM {source}"
            refused = reading.refused.format(c=column)
            found = f"SELECT row, {column}::VARCHAR FROM ({numbered}) WHERE {refused} ORDER BY row LIMIT 1"
            row, value = engine.connection.execute(found).fetchall()[0]
            problem = f"column {name!r}: {_cut(value)}: {reading.problem}. {_CAST}"
        elif line := _ROW.search(text):
            row = int(line[1]) - 1
            problem = next((_PROBLEMS[words] for words in _PROBLEMS if words in text), f"{reason(error)}.")
            if wrong := _VALUE.search(text):
                name, kind = list(readings)[int(wrong[1])], wrong[3]
                problem = f"column {name!r}: {_cut(wrong[2])} is not a valid {kind}. {_CAST}"
        else:
            return None
        return ResultError(f"{about}: its result cannot be read, row {row:,}: {problem}")

    engine.explainers.append(explain)
    return engine.connection.sql(f"SELECT {', '.join(values)} FROM {source}")


def _check_header(query: FinishedQuery, path: Path, names: list[str]) -> None:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        beginning = file.read(1_000_000)
    found = next(csv.reader(beginning.splitlines(keepends=True)), [])
    if found != names:
        raise ResultError(
            f"Query {query.id}: its result cannot be read: it begins with {_cut(beginning)}, but its metadata names "
            f"the columns {names}. Clear run_query with all that is downstream."
        )


def _unloaded_uris(query: FinishedQuery, athena: AthenaClient, s3: S3) -> list[str]:
    lines: list[str] = []
    if query.data_manifest:
        with _explained(query):
            lines = s3.read(query.data_manifest)[0].decode().splitlines()
    elif not query.output_location:  # a managed result
        pages = _pages(query, athena, QueryResultType="DATA_MANIFEST")
        lines = [
            row["Data"][0].get("VarCharValue", "") for page in pages for row in page["ResultSet"]["Rows"]
        ]
    uris = [line.strip().strip('"') for line in lines]
    return sorted(uri for uri in uris if uri.startswith("s3://"))


def _unloaded(query: FinishedQuery, uris: Sequence[str], engine: Engine, s3: S3) -> DuckDBPyRelation:
    import duckdb

    paths: list[str] = []
    first: dict[str, DuckDBPyType] = {}
    for uri in uris:
        paths.append(str(engine.folder / f"unloaded-{len(paths):06}.parquet"))
        with _explained(query):
            s3.download(uri, Path(paths[-1]))
        try:
            relation = engine.connection.from_parquet(paths[-1])
        except duckdb.Error as error:
            raise ResultError(
                f"Query {query.id}, file {uri} does not read as Parquet: {reason(error)}. Clear run_query with all "
                f"that is downstream."
            ) from error
        found = dict(zip(relation.columns, relation.types, strict=True))
        first = first or found
        if list(found.items()) != list(first.items()):
            raise ResultError(
                f"Query {query.id}, file {uri} has the columns ({_listed(found)}), but the first file has "
                f"({_listed(first)}). {_CAST}"
            )
    source = f"read_parquet([{', '.join(map(literal, paths))}])"
    readings = {name: _stored(kind) for name, kind in first.items()}
    return _read(source, [quoted(name) for name in first], readings, engine, f"Query {query.id}")


def _reading(kind: str) -> _Reading:
    if kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(")):  # each_row() writes these as JSON
        escaped = kind.replace("{", "{{").replace("}", "}}")
        return _Reading("VARCHAR", f"{{c}}::JSON::{escaped}")
    return _Reading(kind)


def _stored(kind: DuckDBPyType) -> _Reading:
    """A timestamp of an UNLOAD has no zone, however it is stored, and is of milliseconds, as in a CSV."""
    name = str(kind)
    plain = rewritten(kind, lambda leaf: "TIMESTAMP_MS" if leaf.startswith("TIMESTAMP") else leaf)
    if plain == rewritten(kind, str):
        return _Reading(name)
    value, problem = f"CAST({{c}} AS {plain})", "it is finer than timestamp(3)"
    return _Reading(name, value, f"CAST({value} AS {name}) IS DISTINCT FROM {{c}}", problem)


def _listed(columns: Mapping[str, DuckDBPyType]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def _nothing(query: FinishedQuery, engine: Engine, columns: Sequence[Column] | None) -> DuckDBPyRelation:
    if columns is None:
        raise ResultError(
            f"Query {query.id} unloaded no rows and so no columns, and the report has no table that names them. "
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
            f"Query {query.id}: GetQueryResults does not return its result: {error}. Athena keeps a managed result "
            f"for 24 hours. {_AGAIN}"
        ) from error


@contextmanager
def _explained(query: FinishedQuery) -> Iterator[None]:
    try:
        yield
    except (MissingObjectError, ConditionError) as error:
        raise ResultError(
            f"Query {query.id}: its result is missing, or was replaced: {error} {_AGAIN}"
        ) from error
    except S3Error as error:
        raise S3Error(f"Query {query.id}: {error}", retryable=error.retryable) from error


def _cut(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:200]}..")
