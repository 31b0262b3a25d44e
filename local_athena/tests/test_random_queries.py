"""Random expressions, groups and joins over random tables, against SQLite.

Each piece of a query is a pair of texts: Athena's, and SQLite's. test_random_functions.py has the
functions, windows and UNNEST.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Compute = Callable[..., str]


class Pair(NamedTuple):
    """A piece of SQL for Athena, and the same for SQLite."""

    athena: str
    sqlite: str


class Row(NamedTuple):
    """A row of the table `t`."""

    id: int
    g: str | None
    h: str | None
    x: int | None
    y: int | None


ROWS = st.builds(
    Row,
    id=st.just(0),
    g=st.sampled_from(["a", "b", "", None]),
    h=st.sampled_from(["p", "q", None]),
    x=st.none() | st.integers(-9, 9),
    y=st.none() | st.integers(-3, 3),
)
TABLES = st.lists(ROWS, min_size=1, max_size=12).map(
    lambda rows: [row._replace(id=i) for i, row in enumerate(rows)]
)


def _with(template: str, **changed: str) -> Callable[..., Pair]:
    """A template for both, apart from the words that SQLite has for Athena's."""
    sqlite = template
    for athena, other in changed.items():
        sqlite = sqlite.replace(athena, other)
    return _as(template, sqlite)


def _as(athena: str, sqlite: str) -> Callable[..., Pair]:
    """Two templates."""
    return lambda *inner: Pair(
        athena.format(*(each.athena for each in inner)),
        sqlite.format(*(each.sqlite for each in inner)),
    )


LEAVES = st.sampled_from(["x", "y", "id", *map(str, range(8))]).map(lambda text: Pair(text, text))
COMBINED = [
    _with("({0} + {1})"),
    _with("({0} - {1} % 5)"),
    _with("({0} * {1})"),
    _with("coalesce({0}, {1})"),
    _with("nullif({0}, {1})"),
    _with("greatest({0}, {1})", greatest="max"),
    _with("least({0}, {1})", least="min"),
    _with("try({0} / {1})", **{"try": ""}),
    _with("try({0} % {1})", **{"try": ""}),
    _with("if({0} < {1}, {0}, {1})", **{"if(": "iif("}),
    _with("CASE WHEN {0} IN ({1}, 2) THEN {0} ELSE -1 END"),
    _with("CASE {0} WHEN {1} THEN 1 ELSE abs({0}) END"),
]
NUMBERS = st.recursive(
    LEAVES,
    lambda inner: st.tuples(st.sampled_from(COMBINED), inner, inner).map(
        lambda drawn: drawn[0](drawn[1], drawn[2])
    ),
    max_leaves=4,
)
AGGREGATES = st.sampled_from(
    [
        _with("sum({0})"),
        _with("count({0})"),
        _with("min({0})"),
        _with("max({0})"),
        _with("count(DISTINCT {0})"),
        _as("approx_distinct({0})", "count(DISTINCT {0})"),
        _as("count_if({0} > 1)", "coalesce(sum({0} > 1), 0)"),
        _as("try(sum({0}) / count_if({0} > 4))", "(sum({0}) / coalesce(sum({0} > 4), 0))"),
        _with("sum({0}) FILTER (WHERE y > 0)"),
    ]
)
GROUPED = "SELECT g, {0}, count(*) FROM t WHERE {1} IS NOT NULL GROUP BY g ORDER BY g NULLS LAST"
JOINED = (
    "WITH a AS (SELECT g, {0} AS k FROM t), b AS (SELECT h, {1} AS k FROM t)"
    " SELECT a.g, count(b.k), count(*) FROM a LEFT JOIN b ON a.k = b.k AND a.g < b.h"
    " GROUP BY a.g ORDER BY a.g NULLS LAST"
)
ORDER = " ORDER BY 1 NULLS LAST, 2 NULLS LAST, 3 NULLS LAST"
ROLLUP = _as(
    "SELECT g, h, {0} FROM t GROUP BY ROLLUP (g, h)" + ORDER,
    "SELECT g, h, {0} FROM t GROUP BY g, h UNION ALL SELECT g, NULL, {0} FROM t GROUP BY g"
    " UNION ALL SELECT NULL, NULL, {0} FROM t" + ORDER,
)


@st.composite
def queries(draw: st.DrawFn) -> Pair:
    """A query with an order that decides all but equal rows."""
    number, other = draw(NUMBERS), draw(NUMBERS)
    aggregate = draw(AGGREGATES)(number)
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return _with(GROUPED)(aggregate, other)
    return ROLLUP(aggregate) if kind == 1 else _with(JOINED)(number, other)


def _sqlite(rows: Sequence[Row], sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (id, g, h, x, y)")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
    return connection.execute(sql).fetchall()


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    return "NULL" if value is None else str(value)


def _as_values(rows: Sequence[Row]) -> str:
    listed = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows)
    numbers = ", ".join(f"CAST({name} AS bigint) AS {name}" for name in ("id", "x", "y"))
    texts = ", ".join(f"CAST({name} AS varchar) AS {name}" for name in ("g", "h"))
    return f"SELECT {numbers}, {texts} FROM (VALUES {listed}) AS v (id, g, h, x, y)"


def _csv(rows: Sequence[tuple[Any, ...]]) -> str:
    return "".join(
        ",".join("" if value is None else f'"{value}"' for value in row) + "\n" for row in rows
    )


@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.full)])
def test_random_queries_answer_as_sqlite_does(compute: Compute, count: int) -> None:
    @given(rows=TABLES, query=queries())
    @settings(max_examples=count, database=None)
    def check(rows: list[Row], query: Pair) -> None:
        table = f"WITH t AS ({_as_values(rows)})"
        sql = query.athena.replace("WITH ", f"{table}, ", 1)
        if sql == query.athena:
            sql = f"{table} {sql}"
        assert compute(sql) == _csv(_sqlite(rows, query.sqlite))

    check()
