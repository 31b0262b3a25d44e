"""Athena's results in DuckDB: nothing is guessed, and errors name the column and the value.

In a CSV Athena quotes every value. NULL is an unquoted empty field, the empty string is `""`, and
line breaks can stand inside quotes. What DuckDB would take without a word, such as the year 10000
or a microsecond, is rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from athena_reports.rows.columns import duckdb_literal
from athena_reports.rows.engine import REJECTED_VALUE, Engine
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

MAX_ROW_BYTES = 16 * 1024 * 1024  # the longest row that is sure to be read, as text


class Conversion(NamedTuple):
    """How a column is read; `{c}` stands for the column."""

    read_as: str  # DuckDB's type in which the source has the column
    value: str = "{c}"  # the expression that gives the value
    rejected: str = ""  # the condition that is true for a value that is rejected; empty for none
    problem: str = ""  # what is wrong with a rejected value


_YEARS = "is outside the years 0001 to 9999"
_CONVERSIONS = {
    "DATE": Conversion(
        read_as="DATE",
        rejected="{c} < '0001-01-01' OR {c} > '9999-12-31'",
        problem=_YEARS,
    ),
    "TIMESTAMP_MS": Conversion(
        read_as="TIMESTAMP",
        value="{c}::TIMESTAMP_MS",
        rejected="epoch_us({c}) % 1000 <> 0 OR {c} < '0001-01-01' OR {c} >= '10000-01-01'",
        problem=f"has more than millisecond precision, or {_YEARS}",
    ),
    "TIMESTAMP WITH TIME ZONE": Conversion(
        read_as="VARCHAR",
        value="athena_instant({c})",
        rejected="athena_refuses({c}, athena_instant({c}), athena_wall({c}))",
        problem=(
            f"is not a timestamp(3) with a time zone, or {_YEARS}, "
            "or is ambiguous or nonexistent in its time zone: use AT TIME ZONE 'UTC'"
        ),
    ),
    "BLOB": Conversion(
        read_as="VARCHAR",
        value="unhex(replace({c}, ' ', ''))",
        rejected="NOT regexp_full_match({c}, '([0-9a-f]{2}( [0-9a-f]{2})*)?')",
        problem="is not hexadecimal",
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
CASE
    WHEN {rejected} THEN error({column_name} || left({column}::VARCHAR, 200) || {problem})
    ELSE {value}
END
"""


def csv_line(values: Iterable[str | None]) -> str:
    """Return a row as Athena writes it into a CSV."""
    cells = ["" if value is None else quoted(value) for value in values]
    return ",".join(cells) + "\n"


def read_csv(path: Path, columns: Mapping[str, str], engine: Engine) -> DuckDBPyRelation:
    """Return the rows of a CSV; `columns` has DuckDB's type for each name, in the file's order.

    They are read when they are used. Then the engine raises ResultError if a row or a value cannot
    be read.
    """
    conversions = {}
    types = []
    for name, kind in columns.items():
        conversion = _CONVERSIONS.get(kind, Conversion(kind))
        conversions[name] = conversion
        types.append(f"{duckdb_literal(name)}: {duckdb_literal(conversion.read_as)}")
    columns_of_file = ", ".join(types)
    source = _READ_CSV.format(
        path=duckdb_literal(str(path)),
        max_row_bytes=MAX_ROW_BYTES,
        columns=f"{{{columns_of_file}}}",
    )
    engine.connection.execute(_MACROS)
    return read(source, conversions, engine)


def read(source: str, conversions: Mapping[str, Conversion], engine: Engine) -> DuckDBPyRelation:
    """Return what conversions make of the columns of a table, or table function, in DuckDB's SQL.

    The rows are read when they are used. Then the engine raises ResultError for a rejected value.
    """
    values = []
    for name, conversion in conversions.items():
        column = quoted(name)
        value = conversion.value.replace("{c}", column)
        if conversion.rejected:
            rejected = conversion.rejected.replace("{c}", column)
            value = _CHECKED_VALUE.format(
                rejected=rejected,
                column_name=duckdb_literal(f"{REJECTED_VALUE}column {name!r}: "),
                column=column,
                problem=duckdb_literal(f" {conversion.problem}"),
                value=value,
            )
        values.append(f"{value} AS {column}")

    return engine.connection.sql(f"SELECT {', '.join(values)} FROM {source}")
