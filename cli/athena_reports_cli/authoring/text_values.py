"""Values that a file writes as text: which type a column has, and which value is none of its type.

A column without a declared type has the first type that prints all of its values as the file writes
them. So `007`, `1E5`, `0x1F` and `NO` stay text.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from athena_reports.rows.columns import duckdb_literal, table_type
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

DATE_TYPES = ("date", "timestamp")
# What a column can be, in order. It is a string if it has no value, or is none of the others.
TYPES_OF_TEXT = ("string", *DATE_TYPES)
TYPES_OF_CSV = ("string", "boolean", "bigint", "decimal(38,0)", "double", *DATE_TYPES)

_INTEGER = r"[+-]?\d+|0[xX][0-9a-fA-F]+"
_DATE = r"\d{4}-\d{2}-\d{2}"
_ZONE = r" ?(Z|UTC|[+-]\d{2}(:?\d{2})?)"
# How a value is written. CAST reads more, and rounds it or drops a part of it without an error.
_FORMS = {
    "BOOLEAN": "(?i)true|false",
    "TINYINT": _INTEGER,
    "SMALLINT": _INTEGER,
    "INTEGER": _INTEGER,
    "BIGINT": _INTEGER,
    "DATE": _DATE,
    "TIMESTAMP_MS": rf"{_DATE}([ T]\d{{2}}:\d{{2}}(:\d{{2}}(\.\d+)?)?({_ZONE})?)?",
}
_DECIMAL = re.compile(r"DECIMAL\(\d+,(?P<scale>\d+)\)")
_EXPECTED = {
    "boolean": "boolean, such as true",
    "date": "date, such as 2025-06-15",
    "timestamp": "timestamp, such as 2025-06-15 09:30:00",
}
_MISSING = "the value is missing, but the table is partitioned by this column. "
# Whether a value has a type: a number if it prints as its text; a double, apart from zeros at the
# end.
_TESTS = {
    "string": "{text} IS NULL",
    "bigint": "TRY_CAST({text} AS BIGINT)::VARCHAR = {text}",
    "decimal(38,0)": "TRY_CAST({text} AS DECIMAL(38,0))::VARCHAR = {text}",
    "double": """(
        TRY_CAST({text} AS DOUBLE)::VARCHAR = {text}
        OR rtrim(TRY_CAST({text} AS DOUBLE)::VARCHAR, '0')
            = rtrim(concat({text}, CASE WHEN NOT contains({text}, '.') THEN '.' END), '0')
    )""",
}
_FEW_ROWS = 1_000
_ROW = '"row number"'  # no column of a table has such a name
# A value, or an error of DuckDB that `explained_errors` knows.
_CHECKED = """
CASE
    WHEN {value} IS NULL AND {text} IS NOT NULL
    THEN error(concat('row ', {row}, {expected}, '; found "', left({text}, 60), '". ', {advice}))
    WHEN {value} IS NULL AND {is_required} THEN error(concat('row ', {row}, {missing}, {advice}))
    ELSE {value}
END
"""


def infer_types(
    rows: "DuckDBPyRelation", candidates: Mapping[str, Sequence[str]], *, date_format: str = ""
) -> dict[str, str]:
    """Return Glue's types for columns of text, by the values of all rows.

    `candidates` are the types that a column may have, in order; if none fits, it is a string.
    `date_format` is another format of dates and timestamps than ISO 8601, as `strptime` has it.
    """
    # Most columns of text are told by a few rows.
    possible = _fitting(rows.limit(_FEW_ROWS), candidates, date_format)
    fitting = _fitting(rows, possible, date_format)
    return {column: next(iter(kinds), "string") for column, kinds in fitting.items()}


def read_values(
    rows: "DuckDBPyRelation",
    types: Mapping[str, str],
    *,
    required: Collection[str],
    advice: str,
    date_format: str = "",
) -> "DuckDBPyRelation":
    """Return rows with the values that their texts stand for. Other columns stay as they are.

    A value of a type other than string has no blanks around it, and an empty one is NULL. For a
    value that does not fit its type, or is missing in a `required` column, reading the rows raises
    an error of DuckDB with the row and the advice, which `explained_errors` translates.
    """
    values = []
    for column in rows.columns:
        value = quoted(column)
        text = _trimmed(column)
        kind = types.get(column, "")
        if kind == "string":
            text = f"{quoted(column)}::VARCHAR"
        if kind:
            value = _value(text, kind, date_format)
        if kind or column in required:
            value = _CHECKED.format(
                value=value,
                text=text,
                row=_ROW,
                expected=duckdb_literal(f", column {column}: expected {_EXPECTED.get(kind, kind)}"),
                is_required=column in required,
                missing=duckdb_literal(f", column {column}: {_MISSING}"),
                advice=duckdb_literal(advice),
            )
        values.append(f"{value} AS {quoted(column)}")
    return rows.select(f"row_number() OVER () AS {_ROW}, *").select(", ".join(values))


def milliseconds(timestamp: str) -> str:
    """Return SQL that makes a timestamp one of Athena: in UTC, with milliseconds.

    What is below is cut off, because rounding could move an event into the next partition.
    """
    return f"date_trunc('milliseconds', {timestamp}::TIMESTAMP)::TIMESTAMP_MS"


def _fitting(
    rows: "DuckDBPyRelation", candidates: Mapping[str, Sequence[str]], date_format: str
) -> dict[str, list[str]]:
    """Return those of the types, by the names of columns, that each value of the rows has."""
    tests = {}
    for column, kinds in candidates.items():
        text = quoted(column)
        for kind in kinds:
            fits = f"{_value(text, kind, date_format)} IS NOT NULL"
            if kind in _TESTS:
                fits = _TESTS[kind].format(text=text)
            tests[column, kind] = f"bool_and({text} IS NULL OR coalesce({fits}, false))"
    fitting: dict[str, list[str]] = {column: [] for column in candidates}
    if tests:
        texts = [f"{_trimmed(column)} AS {quoted(column)}" for column in candidates]
        columns = rows.select(", ".join(texts))
        (results,) = columns.aggregate(", ".join(tests.values())).fetchall()
        for (column, kind), fits in zip(tests, results, strict=True):
            if fits:
                fitting[column].append(kind)
    return fitting


def _trimmed(column: str) -> str:
    return f"nullif(trim({quoted(column)}::VARCHAR), '')"


def _value(text: str, kind: str, date_format: str) -> str:
    """Return SQL that reads a text as a value of a type of Glue, and is NULL if it is none."""
    duckdb_type = table_type(kind)
    value = f"TRY(CAST({text} AS {duckdb_type}))"
    if kind == "timestamp":  # without a zone it is in UTC
        value = f"TRY(CAST({text} AS TIMESTAMP WITH TIME ZONE)::TIMESTAMP)"
    form = _FORMS.get(duckdb_type, "")
    decimal = _DECIMAL.fullmatch(duckdb_type)
    if decimal is not None:
        form = rf"[+-]?\d*(\.\d{{0,{decimal['scale']}}}0*)?"
    if form:
        value = f"CASE WHEN regexp_full_match({text}, {duckdb_literal(form)}) THEN {value} END"
    if date_format and kind in DATE_TYPES:
        moment = f"try_strptime({text}, {duckdb_literal(date_format)})"
        if kind == "date":  # of midnight alone, since nothing may be lost
            moment = f"CASE WHEN {moment} = {moment}::DATE THEN {moment}::DATE END"
        value = f"coalesce({value}, {moment})"
    if kind == "timestamp":
        value = milliseconds(value)
    return value
