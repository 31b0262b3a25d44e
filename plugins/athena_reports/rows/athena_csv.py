"""Athena's CSV in DuckDB: nothing is guessed, and errors name the row, the column and the value.

Athena quotes every value; NULL is an unquoted empty field, the empty string is `""`; line breaks can stand
inside quotes. What DuckDB would take without a word, such as the year 10000 or a microsecond, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from athena_reports.errors import ResultError
from athena_reports.rows.columns import literal, quoted
from athena_reports.rows.engine import Engine, reason

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

MAX_ROW_BYTES = 16 * 1024 * 1024  # the longest row that is sure to be read, as text
_CAST = "CAST it in the SQL, then clear run_query and its downstream tasks."


class Reading(NamedTuple):
    """How a column is read; `{c}` stands for the column."""

    read_as: str
    value: str = "{c}"
    refused: str = ""  # the condition of the values that are refused
    problem: str = ""  # why they are


_YEARS = "it is not in the years 0001 to 9999"
_NOT_HEX = "NOT regexp_full_match({c}, '([0-9a-f]{2}( [0-9a-f]{2})*)?')"
_NOT_MS = "epoch_us({c}) % 1000 <> 0 OR {c} < '0001-01-01' OR {c} >= '10000-01-01'"
_NOT_AT = "athena_refuses({c}, athena_instant({c}), athena_wall({c}))"
_ZONE = (
    f"a timestamp(3) with a time zone, or {_YEARS}, or its zone has this time twice or never: use AT TIME ZONE 'UTC'"
)
_READINGS = {
    "DATE": Reading("DATE", "{c}", "{c} < '0001-01-01' OR {c} > '9999-12-31'", _YEARS),
    "TIMESTAMP_MS": Reading("TIMESTAMP", "{c}::TIMESTAMP_MS", _NOT_MS, f"it is finer than timestamp(3), or {_YEARS}"),
    "TIMESTAMP WITH TIME ZONE": Reading("VARCHAR", "athena_instant({c})", _NOT_AT, f"it is not {_ZONE}"),
    "BLOB": Reading("VARCHAR", "unhex(replace({c}, ' ', ''))", _NOT_HEX, "it is not hexadecimal"),
}
# A zone has a wall time twice if the offset of a day before, or after, gives another instant with it.
_MACROS = r"""
CREATE OR REPLACE TEMP MACRO athena_wall(x) AS try_cast(regexp_extract(x, '^(\S+ \S+) \S+$', 1) AS TIMESTAMP);
CREATE OR REPLACE TEMP MACRO athena_instant(x) AS try_cast(regexp_replace(x, ' ([+-])', '\1') AS TIMESTAMPTZ);
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
        OR athena_twice(split_part(x, ' ', 3), t, wall, INTERVAL '-24 hours') END;
"""
_REFUSED = re.compile(r"athena_reports: column (\d+)")
_ROW = re.compile(r"CSV Error on Line: (\d+)")
_VALUE = re.compile(r'converting column "c(\d+)"\. Could not convert string "(.*?)" to \'(.*?)\'', re.DOTALL)
_PROBLEMS = {
    "Maximum line size": f"it is longer than {MAX_ROW_BYTES:,} bytes. Select less of its longest column.",
    "unterminated quote": "the file ends inside a quoted value. Clear run_query and its downstream tasks.",
    "Expected Number of Columns": "it has more or fewer values than there are columns.",
    "Invalid unicode": "it is not valid UTF-8. CAST it in the SQL, with from_utf8 for example.",
}


def csv_line(values: Iterable[str | None]) -> str:
    """Return a row as Athena writes it into a CSV."""
    return ",".join("" if value is None else quoted(value) for value in values) + "\n"


def read_csv(path: Path, columns: Mapping[str, str], engine: Engine, *, about: str) -> DuckDBPyRelation:
    """Return the rows of a CSV with DuckDB's types; a value that cannot be read becomes a ResultError."""
    readings = {name: _READINGS.get(kind) or Reading(kind) for name, kind in columns.items()}
    types = ", ".join(f"c{n}: {literal(reading.read_as)}" for n, reading in enumerate(readings.values()))
    source = (
        f"read_csv({literal(str(path))}, header = true, auto_detect = false, delim = ',', quote = '\"', "
        f"escape = '\"', new_line = '\\n', nullstr = '', allow_quoted_nulls = false, "
        f"max_line_size = {MAX_ROW_BYTES}, buffer_size = {MAX_ROW_BYTES}, columns = {{{types}}})"
    )
    engine.connection.execute(_MACROS)
    return read(source, [f"c{n}" for n in range(len(columns))], readings, engine, about=about)


def read(
    source: str, columns: Sequence[str], readings: Mapping[str, Reading], engine: Engine, *, about: str
) -> DuckDBPyRelation:
    """Return what readings make of the columns of a source; the engine explains what they refuse."""
    values = []
    for number, (column, (name, reading)) in enumerate(zip(columns, readings.items(), strict=True)):
        value, refused = (text.replace("{c}", column) for text in (reading.value, reading.refused))
        if refused:
            value = f"CASE WHEN {refused} THEN error('athena_reports: column {number}') ELSE {value} END"
        values.append(f"{value} AS {quoted(name)}")

    def explain(error: Exception) -> ResultError | None:
        text, names = str(error), list(readings)
        if mark := _REFUSED.search(text):
            number = int(mark[1])
            reading = readings[names[number]]
            numbered = f"SELECT row_number() OVER () AS row, {columns[number]} AS c FROM {source}"
            found = f"SELECT row, c::VARCHAR FROM ({numbered}) WHERE {reading.refused.replace('{c}', 'c')} LIMIT 1"
            row, value = engine.connection.execute(found).fetchall()[0]
            problem = f"column {names[number]!r}: {value!r:.200}: {reading.problem}. {_CAST}"
        elif line := _ROW.search(text):
            row = int(line[1]) - 1
            problem = next((_PROBLEMS[words] for words in _PROBLEMS if words in text), f"{reason(error)}.")
            if wrong := _VALUE.search(text):
                problem = f"column {names[int(wrong[1])]!r}: {wrong[2]!r:.200} is not a valid {wrong[3]}. {_CAST}"
        else:
            return None
        return ResultError(f"{about}: its result cannot be read, row {row:,}: {problem}")

    engine.explainers.append(explain)
    return engine.connection.sql(f"SELECT {', '.join(values)} FROM {source}")
