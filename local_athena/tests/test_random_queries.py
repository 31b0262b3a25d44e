"""Random queries over random tables, against SQLite.

Each piece of a query is a pair of texts: Athena's, and SQLite's.
"""

from __future__ import annotations

import json
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
    day: int
    tags: list[int | None] | None


ROWS = st.builds(
    Row,
    id=st.just(0),
    g=st.sampled_from(["a", "b", "", None]),
    h=st.sampled_from(["p", "q", None]),
    x=st.none() | st.integers(-9, 9),
    y=st.none() | st.integers(-3, 3),
    day=st.integers(1, 28),
    tags=st.none() | st.lists(st.none() | st.integers(0, 5), max_size=4),
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


LEAVES = st.sampled_from(["x", "y", "id"]).map(lambda name: Pair(name, name)) | st.integers(
    0, 7
).map(lambda n: Pair(str(n), str(n)))
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


def _both(text: str, *inner: Pair) -> Pair:
    return _with(text)(*inner)


@st.composite
def queries(draw: st.DrawFn) -> Pair:
    """A query with an order that decides all but equal rows."""
    number, other = draw(NUMBERS), draw(NUMBERS)
    aggregate = draw(AGGREGATES)(number)
    kind = draw(st.integers(0, 5))
    if kind == 0:
        text = (
            "SELECT g, {0}, count(*) FROM t WHERE {1} IS NOT NULL GROUP BY g ORDER BY g NULLS LAST"
        )
        return _both(text, aggregate, other)
    if kind == 1:
        grouped = "SELECT {keys}, {0} FROM t{by}"
        levels = [("g, h", " GROUP BY g, h"), ("g, NULL", " GROUP BY g"), ("NULL, NULL", "")]
        parts = [grouped.format("{0}", keys=keys, by=by) for keys, by in levels]
        order = " ORDER BY 1 NULLS LAST, 2 NULLS LAST, 3 NULLS LAST"
        athena = f"SELECT g, h, {aggregate.athena} FROM t GROUP BY ROLLUP (g, h){order}"
        sqlite = " UNION ALL ".join(part.format(aggregate.sqlite) for part in parts) + order
        return Pair(athena, sqlite)
    if kind == 2:
        frame = f"{draw(st.integers(0, 3))} PRECEDING AND CURRENT ROW"
        text = (
            "SELECT id, sum({0}) OVER (PARTITION BY g ORDER BY id ROWS BETWEEN "
            + frame
            + "), lag({1}, 1, 0) OVER (ORDER BY id),"
            " first_value({1}) OVER (PARTITION BY h ORDER BY id) FROM t ORDER BY id"
        )
        return _both(text, number, other)
    if kind == 3:
        days = draw(st.integers(0, 9))
        text = (
            "SELECT id, sum({0}) OVER (ORDER BY %s RANGE BETWEEN %s PRECEDING AND CURRENT ROW)"
            " FROM t ORDER BY id"
        )
        athena = text % ("d", f"INTERVAL '{days}' DAY")
        return Pair(athena.format(number.athena), (text % ("day", str(days))).format(number.sqlite))
    if kind == 4:
        athena = (
            "SELECT id, v, {0} FROM t CROSS JOIN UNNEST(tags) AS u (v) ORDER BY id, v NULLS LAST"
        )
        sqlite = "SELECT t.id, v.value, {0} FROM t, json_each(t.tags) AS v ORDER BY 1, 2 NULLS LAST"
        renamed = number.sqlite.replace("id", "t.id")
        return Pair(athena.format(number.athena), sqlite.format(renamed))
    text = (
        "WITH a AS (SELECT g, {0} AS k FROM t), b AS (SELECT h, {1} AS k FROM t)"
        " SELECT a.g, count(b.k), count(*) FROM a LEFT JOIN b ON a.k = b.k AND a.g < b.h"
        " GROUP BY a.g ORDER BY a.g NULLS LAST"
    )
    return _both(text, number, other)


def _sqlite(rows: Sequence[Row], sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (id, g, h, x, y, day, tags)")
    for row in rows:
        tags = None if row.tags is None else json.dumps(row.tags)
        connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", (*row[:6], tags))
    return connection.execute(sql).fetchall()


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    return "NULL" if value is None else str(value)


def _as_values(rows: Sequence[Row]) -> str:
    listed = []
    for row in rows:
        tags = "NULL" if row.tags is None else f"ARRAY[{', '.join(map(_literal, row.tags))}]"
        cells = ", ".join(map(_literal, row[:5]))
        listed.append(f"({cells}, DATE '2026-11-{row.day:02}', CAST({tags} AS array(bigint)))")
    typed = "CAST(x AS bigint) AS x, CAST(y AS bigint) AS y, CAST(id AS bigint) AS id"
    texts = "CAST(g AS varchar) AS g, CAST(h AS varchar) AS h, d, tags"
    values = f"(VALUES {', '.join(listed)}) AS v (id, g, h, x, y, d, tags)"
    return f"SELECT {typed}, {texts} FROM {values}"


def _csv(rows: Sequence[tuple[Any, ...]]) -> str:
    return "".join(
        ",".join("" if value is None else f'"{value}"' for value in row) + "\n" for row in rows
    )


@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.full)])
def test_random_queries_answer_as_sqlite_does(compute: Compute, count: int) -> None:
    @given(rows=TABLES, query=queries())
    @settings(max_examples=count, database=None)
    def check(rows: list[Row], query: Pair) -> None:
        expected = _csv(_sqlite(rows, query.sqlite))
        sql = query.athena
        head, with_, rest = sql.partition("WITH ")
        whole = f"WITH t AS ({_as_values(rows)})" + (
            f", {rest}" if with_ and not head else f" {sql}"
        )
        assert compute(whole) == expected

    check()
