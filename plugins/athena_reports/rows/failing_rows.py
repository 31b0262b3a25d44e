"""Finds the rows that do not satisfy a check: how many there are, and the first few as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from athena_reports.rows.engine import Engine
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from athena_reports.rows.writer import LocalTable

_ROW_NUMBER = "row number"  # what a shown row calls its number
_SHOWN_ROWS = 5
_SHOWN_COLUMNS = 20
_SHOWN_CHARACTERS = 80

# An author's column may have any name. So no SELECT here has both the names of the rows and names
# of its own, and `(FROM ...)` hides the columns that DuckDB adds to a file, such as filename.
# The line ends after an author's condition, which may end in a comment.
_NOT_SATISFYING = """
SELECT number
FROM (
    SELECT
        row_number() OVER (),
        ({condition}
        ) IS TRUE
    FROM (FROM {source})
) AS checked(number, is_true)
WHERE NOT is_true
"""
# A window spills where a GROUP BY over many values runs out of memory.
_REPEATED = """
SELECT number
FROM (
    SELECT row_number() OVER (), {columns}
    FROM (FROM {source})
) AS keyed(number, {keys})
QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY number) > 1
"""
# The second value is a list: `min` with a number n gives the n least values.
_COUNT = """
SELECT count(*), min(number, {shown_rows})
FROM ({failing_rows})
"""
# The alias names the first column only, which is all that the outer SELECT calls by name.
_SHOW = """
SELECT *
FROM (
    SELECT {values}
    FROM (FROM {source})
) AS file(number)
WHERE number IN ({numbers})
ORDER BY number
"""


class FailingRows(NamedTuple):
    """The rows that do not satisfy a check."""

    total: int
    examples: tuple[dict[str, str], ...]  # the first ones, with their `row number`, from 1


def not_satisfying(
    condition: str, first_columns: Sequence[str], table: LocalTable, engine: Engine
) -> FailingRows:
    """Return the rows of which a condition is false or NULL; examples begin with some columns."""
    sql = _NOT_SATISFYING.format(condition=condition, source=table.source)
    return _failing_rows(sql, first_columns, table, engine)


def repeating(columns: Sequence[str], table: LocalTable, engine: Engine) -> FailingRows:
    """Return the rows whose values in some columns an earlier row has too."""
    keys = [f"key_{place}" for place in range(len(columns))]
    sql = _REPEATED.format(
        columns=", ".join(map(quoted, columns)), keys=", ".join(keys), source=table.source
    )
    return _failing_rows(sql, columns, table, engine)


def _failing_rows(
    sql: str, first_columns: Sequence[str], table: LocalTable, engine: Engine
) -> FailingRows:
    count_sql = _COUNT.format(shown_rows=_SHOWN_ROWS, failing_rows=sql)
    count, first_numbers = engine.connection.execute(count_sql).fetchall()[0]
    if count == 0:
        return FailingRows(0, ())
    return FailingRows(count, _examples(first_numbers, first_columns, table, engine))


def _examples(
    numbers: Sequence[int], first_columns: Sequence[str], table: LocalTable, engine: Engine
) -> tuple[dict[str, str], ...]:
    all_columns = [column.name for column in table.columns]
    names = dict.fromkeys([*first_columns, *all_columns])  # each once
    public = [name for name in names if name != _ROW_NUMBER and not table.is_private(name)]
    shown = public[:_SHOWN_COLUMNS]
    values = ["row_number() OVER ()", *map(_short_text, shown)]
    sql = _SHOW.format(
        values=", ".join(values),
        source=table.source,
        numbers=", ".join(map(str, numbers)),
    )
    examples = []
    for number, *texts in engine.connection.execute(sql).fetchall():
        example = {_ROW_NUMBER: str(number)}
        example.update(zip(shown, texts, strict=True))
        examples.append(example)
    return tuple(examples)


def _short_text(column: str) -> str:
    return f"left(coalesce({quoted(column)}::VARCHAR, 'NULL'), {_SHOWN_CHARACTERS})"
