"""Athena's CSV in DuckDB: nothing is guessed, and errors name the row, the column and the value.

Athena quotes every value. NULL is an unquoted empty field, the empty string is `""`, and line
breaks can stand inside quotes. What DuckDB would take without a word, such as the year 10000 or a
microsecond, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from athena_reports.errors import ResultError
from athena_reports.rows.columns import duckdb_literal
from athena_reports.rows.engine import Engine, reason
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

MAX_ROW_BYTES = 16 * 1024 * 1024  # the longest row that is sure to be read, as text


class Reading(NamedTuple):
    """How a column is read; `{c}` stands for the column."""

    read_as: str  # DuckDB's type in which the source has the column
    value: str = "{c}"  # the expression that gives the value
    refused: str = ""  # the condition that is true for a value that is refused; empty for none
    problem: str = ""  # what is wrong with a refused value


_YEARS = "it is not in the years 0001 to 9999"
_READINGS = {
    "DATE": Reading(
        read_as="DATE",
        value="{c}",
        refused="{c} < '0001-01-01' OR {c} > '9999-12-31'",
        problem=_YEARS,
    ),
    "TIMESTAMP_MS": Reading(
        read_as="TIMESTAMP",
        value="{c}::TIMESTAMP_MS",
        refused="epoch_us({c}) % 1000 <> 0 OR {c} < '0001-01-01' OR {c} >= '10000-01-01'",
        problem=f"it is finer than timestamp(3), or {_YEARS}",
    ),
    "TIMESTAMP WITH TIME ZONE": Reading(
        read_as="VARCHAR",
        value="athena_instant({c})",
        refused="athena_refuses({c}, athena_instant({c}), athena_wall({c}))",
        problem=(
            f"it is not a timestamp(3) with a time zone, or {_YEARS}, "
            "or its zone has this time twice or never: use AT TIME ZONE 'UTC'"
        ),
    ),
    "BLOB": Reading(
        read_as="VARCHAR",
        value="unhex(replace({c}, ' ', ''))",
        refused="NOT regexp_full_match({c}, '([0-9a-f]{2}( [0-9a-f]{2})*)?')",
        problem="it is not hexadecimal",
    ),
}
# `x` is a text such as `2026-11-24 21:00:00.000 Asia/Tokyo`, `... UTC` or `... +09:00`. `wall` is
# what its clock shows, and `t` its instant: DuckDB takes an offset only without the space before
# it. A zone has a wall time twice when its clock is set back. So `athena_twice` takes the zone's
# offset from a day later, or a day earlier. If it is not the offset at `t`, and with it another
# instant shows the same wall time, then the text does not tell which of the two instants it means.
_MACROS = r"""
CREATE OR REPLACE TEMP MACRO athena_wall(x) AS
    try_cast(regexp_extract(x, '^(\S+ \S+) \S+$', 1) AS TIMESTAMP);
CREATE OR REPLACE TEMP MACRO athena_instant(x) AS
    try_cast(regexp_replace(x, ' ([+-])', '\1') AS TIMESTAMPTZ);
CREATE OR REPLACE TEMP MACRO athena_twice(zone, t, wall, day) AS
    timezone(zone, t + day) - day <> wall
    AND timezone(zone, t + (wall - (timezone(zone, t + day) - day))) = wall;
CREATE OR REPLACE TEMP MACRO athena_refuses(x, t, wall) AS CASE
    WHEN x IS NULL THEN false
    WHEN t IS NULL OR wall IS NULL OR epoch_us(t) % 1000 <> 0 THEN true
    WHEN t < '0001-01-01 00:00:00+00' OR t >= '10000-01-01 00:00:00+00' THEN true
    WHEN regexp_matches(x, ' (UTC|[+-]\S+)$') THEN false
    ELSE timezone(split_part(x, ' ', 3), t) <> wall
        OR athena_twice(split_part(x, ' ', 3), t, wall, INTERVAL '24 hours')
        OR athena_twice(split_part(x, ' ', 3), t, wall, INTERVAL '-24 hours')
    END;
"""
_READ_CSV = """
read_csv(
    {path},
    header = true, auto_detect = false,
    delim = ',', quote = '"', escape = '"', new_line = '\\n',
    nullstr = '', allow_quoted_nulls = false,
    max_line_size = {max_row_bytes}, buffer_size = {max_row_bytes},
    columns = {columns}
)
"""
_CHECKED_VALUE = """
CASE WHEN {refused} THEN error('athena_reports: column {number}') ELSE {value} END
"""
_FIRST_REFUSED = """
SELECT row, value::VARCHAR
FROM (SELECT row_number() OVER () AS row, {column} AS value FROM {source})
WHERE {refused}
LIMIT 1
"""
# What an error of DuckDB says: the number of a column in `_CHECKED_VALUE`, the line of a file, or a
# value that is not of its column's type.
_REFUSED = re.compile(r"athena_reports: column (\d+)")
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_WRONG_VALUE = re.compile(
    r"converting column \"c(?P<number>\d+)\"\. "
    r"Could not convert string \"(?P<value>.*?)\" to '(?P<type>.*?)'",
    re.DOTALL,
)
# Words of DuckDB's error about a row, and what is wrong with the row.
_WRONG_ROWS = {
    "Maximum line size": (
        f"it is longer than {MAX_ROW_BYTES:,} bytes. Select less of its longest column."
    ),
    "unterminated quote": "the file ends inside a quoted value. {Run_again}.",
    "Expected Number of Columns": "it has more or fewer values than there are columns.",
    "Invalid unicode": "it is not valid UTF-8. CAST it in the SQL, with from_utf8 for example.",
}


def csv_line(values: Iterable[str | None]) -> str:
    """Return a row as Athena writes it into a CSV."""
    cells = []
    for value in values:
        cell = "" if value is None else quoted(value)
        cells.append(cell)
    return ",".join(cells) + "\n"


def read_csv(
    path: Path, columns: Mapping[str, str], engine: Engine, *, about: str
) -> DuckDBPyRelation:
    """Return the rows of a CSV with DuckDB's types.

    The rows are read when they are used. The engine raises a ResultError then if a row or a value
    cannot be read.

    Args:
        path: The file, in the engine's folder.
        columns: DuckDB's type for each name, in the order of the file.
        engine: The engine that reads.
        about: The query, the first words of an error.
    """
    readings = {}
    csv_names = []
    csv_types = []
    for number, (name, kind) in enumerate(columns.items()):
        reading = _READINGS.get(kind, Reading(kind))
        readings[name] = reading
        csv_names.append(f"c{number}")
        csv_types.append(f"c{number}: {duckdb_literal(reading.read_as)}")
    source = _READ_CSV.format(
        path=duckdb_literal(str(path)),
        max_row_bytes=MAX_ROW_BYTES,
        columns="{" + ", ".join(csv_types) + "}",
    )
    engine.connection.execute(_MACROS)
    return read(source, csv_names, readings, engine, about=about)


def read(
    source: str,
    columns: Sequence[str],
    readings: Mapping[str, Reading],
    engine: Engine,
    *,
    about: str,
) -> DuckDBPyRelation:
    """Return what readings make of the columns of a source.

    The rows are read when they are used. The engine raises a ResultError then if a reading refuses
    a value.

    Args:
        source: A table, or a function that gives one, in DuckDB's SQL.
        columns: The columns of the source as SQL has them, quoted where they need it.
        readings: How each column is read, by the name that it gets, in the order of `columns`.
        engine: The engine that reads.
        about: The query, the first words of an error.
    """
    values = []
    for number, (column, name) in enumerate(zip(columns, readings, strict=True)):
        reading = readings[name]
        value = reading.value.replace("{c}", column)
        if reading.refused:
            refused = reading.refused.replace("{c}", column)
            value = _CHECKED_VALUE.format(refused=refused, number=number, value=value)
        values.append(f"{value} AS {quoted(name)}")

    def explain(error: Exception) -> ResultError | None:
        problem = _problem(error, source, columns, readings, engine)
        if problem is None:
            return None
        return ResultError(
            f"{about}: its result cannot be read, row {problem.row:,}: {problem.text}"
        )

    engine.explainers.append(explain)
    return engine.connection.sql(f"SELECT {', '.join(values)} FROM {source}")


class _Problem(NamedTuple):
    row: int  # counted from 1, without the header
    text: str


def _problem(
    error: Exception,
    source: str,
    columns: Sequence[str],
    readings: Mapping[str, Reading],
    engine: Engine,
) -> _Problem | None:
    """Return what an error of DuckDB says of the rows; None if it is about something else."""
    names = list(readings)
    refused = _REFUSED.search(str(error))
    if refused is not None:
        number = int(refused[1])
        name = names[number]
        return _refused_value(source, columns[number], name, readings[name], engine)
    line = _LINE.search(str(error))
    if line is not None:
        # A line is a row: DuckDB does not count the line breaks in values. The first is the header.
        row = int(line[1]) - 1
        return _Problem(row, _wrong_row(error, names, engine))
    return None


def _refused_value(
    source: str, column: str, name: str, reading: Reading, engine: Engine
) -> _Problem:
    """Return the first value that a reading refuses. The error does not tell which one it is."""
    refused = reading.refused.replace("{c}", "value")
    sql = _FIRST_REFUSED.format(column=column, source=source, refused=refused)
    row, value = engine.connection.execute(sql).fetchall()[0]
    problem = f"column {name!r}: {value!r:.200}: {reading.problem}"
    return _Problem(row, f"{problem}. CAST it in the SQL, then {engine.run_again}.")


def _wrong_row(error: Exception, names: Sequence[str], engine: Engine) -> str:
    """Return what is wrong with a row that DuckDB does not read."""
    text = str(error)
    wrong_value = _WRONG_VALUE.search(text)
    if wrong_value is not None:
        name = names[int(wrong_value["number"])]
        value = wrong_value["value"]
        problem = f"column {name!r}: {value!r:.200} is not a valid {wrong_value['type']}"
        return f"{problem}. CAST it in the SQL, then {engine.run_again}."
    for words, problem in _WRONG_ROWS.items():
        if words in text:
            return problem.replace("{Run_again}", engine.run_again.capitalize())
    return f"{reason(error)}."
