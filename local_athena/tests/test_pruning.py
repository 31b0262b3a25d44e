"""Pruning against brute force: it changes no answer, and reads no more than it must."""

# ruff: noqa: E501 - a row of a table stands on a line

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_athena.athena import results
from local_athena.athena.catalog import Table
from local_athena.athena.dialect import parse
from local_athena.athena.engine import Engine
from local_athena.athena.translate import Translation, translate
from local_athena.athena.types import BIGINT, INTEGER, VARCHAR

DAYS = [f"2024-01-{day:02}" for day in range(1, 8)]
SHOPS = [1, 2]
PARTITIONS = [(day, shop) for day in DAYS for shop in SHOPS] + [(None, 1)]
TABLE = Table(
    "db", "t", {"k": BIGINT, "v": BIGINT, "w": BIGINT}, {"dt": VARCHAR, "shop": INTEGER}, ""
)
TRIPLED = [partition for partition in PARTITIONS for _ in range(3)]
ROWS = pa.table(
    {
        "k": pa.array([i % 5 for i in range(len(TRIPLED))], pa.int64()),
        "v": pa.array(range(len(TRIPLED)), pa.int64()),
        "w": pa.array([None] * len(TRIPLED), pa.int64()),
        "dt": pa.array([day for day, _ in TRIPLED], pa.string()),
        "shop": pa.array([shop for _, shop in TRIPLED], pa.int32()),
    }
)
VALUES = ROWS.select(["dt", "shop"]).take(list(range(0, len(ROWS), 3)))


class OneTable:
    def table(self, database: str, name: str) -> Table:
        return TABLE


def _translate(sql: str) -> Translation:
    return translate(parse(sql), OneTable(), "db")


def _run(
    engine: Engine, sql: str, *, prune: bool
) -> tuple[list[bytes], list[list[tuple[str | None, int]]]]:
    """The rows of a query, and the partitions that each scan reads."""
    translation = _translate(sql)
    datasets: dict[str, Any] = {}
    read = [engine.satisfying(VALUES, scan.predicates) for scan in translation.scans]
    for scan, kept in zip(translation.scans, read, strict=True):
        of_partitions = pa.array([i // 3 for i in range(len(ROWS))])
        is_kept = pc.is_in(of_partitions, pa.array(kept, pa.int64()))
        datasets[scan.name] = ROWS.filter(is_kept) if prune else ROWS
    batches = engine.run(translation.sql, datasets)
    lines = b"".join(bytes(results.csv_rows(batch, translation.types)) for batch in batches)
    return sorted(lines.splitlines()), [[PARTITIONS[i] for i in kept] for kept in read]


def _days(*numbers: int) -> list[tuple[str | None, int]]:
    return [(day, shop) for day, shop in PARTITIONS if day is not None and int(day[-2:]) in numbers]


SQL = [
    ("SELECT v FROM t WHERE dt = '2024-01-03'", [_days(3)]),
    ("SELECT v FROM t WHERE dt BETWEEN '2024-01-03' AND '2024-01-04' AND v > 0", [_days(3, 4)]),
    ("SELECT v FROM t WHERE (dt = '2024-01-03' OR dt = '2024-01-05')", [_days(3, 5)]),
    ("SELECT v FROM t WHERE dt = '2024-01-03' OR v = 1", [PARTITIONS]),
    ("SELECT v FROM t WHERE dt IN ('2024-01-01') AND shop = 2", [[("2024-01-01", 2)]]),
    ("SELECT v FROM t WHERE dt IS NULL", [[(None, 1)]]),
    ("SELECT v FROM t WHERE NOT dt < '2024-01-07'", [_days(7)]),
    ("SELECT v FROM t WHERE day(date(dt)) + shop = 4 AND dt IS NOT NULL", [[("2024-01-02", 2), ("2024-01-03", 1)]]),
    ("SELECT v FROM t WHERE substr(dt, 9) LIKE '%2' AND dt || 'x' <> ''", [_days(2)]),
    ("SELECT v FROM t WHERE dt = '2024-09-09'", [[]]),
    ("SELECT count(*) FROM t AS x WHERE X.DT = '2024-01-03'", [_days(3)]),
    ("SELECT v FROM (SELECT v, dt AS d FROM t) WHERE d = '2024-01-03'", [_days(3)]),
    ("SELECT v FROM (SELECT v, date(dt) AS d FROM t) WHERE d > DATE '2024-01-06'", [_days(7)]),
    ("WITH a AS (SELECT * FROM t), b AS (SELECT * FROM a) SELECT v FROM b WHERE dt = '2024-01-03'", [_days(3)]),
    ("WITH a AS (SELECT * FROM t) SELECT x.v FROM a AS x JOIN a AS y USING (k) WHERE x.dt = '2024-01-03' AND y.dt = '2024-01-04'", [_days(3), _days(4)]),
    ("SELECT x.v FROM t AS x JOIN t AS y ON x.k = y.k AND y.dt = '2024-01-04'", [PARTITIONS, _days(4)]),
    ("SELECT x.v FROM t AS x LEFT JOIN t AS y ON x.k = y.k AND y.dt = '2024-01-04' AND x.dt = '2024-01-03'", [PARTITIONS, _days(4)]),
    ("SELECT x.v FROM t AS x LEFT JOIN t AS y ON x.k = y.k WHERE y.dt = '2024-01-04'", [PARTITIONS, _days(4)]),
    ("SELECT x.v FROM t AS x LEFT JOIN t AS y ON x.k = y.v WHERE coalesce(y.dt, 'none') = 'none'", [PARTITIONS, PARTITIONS]),
    ("SELECT x.v FROM t AS x FULL JOIN t AS y ON x.k = y.k AND y.dt = '2024-01-04'", [PARTITIONS, PARTITIONS]),
    ("SELECT * FROM (SELECT y.dt AS d FROM t AS x LEFT JOIN t AS y ON x.v = y.k) WHERE d IS NULL", [PARTITIONS, PARTITIONS]),
    ("SELECT dt, n FROM (SELECT dt, count(*) AS n FROM t GROUP BY dt) WHERE dt = '2024-01-03'", [_days(3)]),
    ("SELECT n FROM (SELECT dt, sum(v) OVER (ORDER BY v) AS n FROM t) WHERE dt = '2024-01-03'", [PARTITIONS]),
    ("SELECT v FROM (SELECT dt, v FROM t ORDER BY v LIMIT 9) WHERE dt = '2024-01-03'", [PARTITIONS]),
    ("SELECT v FROM (SELECT dt, v FROM t UNION ALL SELECT dt, k FROM t) WHERE dt = '2024-01-03'", [_days(3), _days(3)]),
    ("SELECT v FROM (SELECT dt, v FROM t EXCEPT SELECT dt, k FROM t) WHERE dt = '2024-01-03'", [PARTITIONS, PARTITIONS]),
    ("SELECT v FROM t WHERE v IN (SELECT k FROM t WHERE dt = '2024-01-02')", [PARTITIONS, _days(2)]),
    ("SELECT v FROM t WHERE EXISTS (SELECT 1 FROM t AS u WHERE u.k = t.v AND t.dt = '2024-01-02' AND u.dt = '2024-01-03')", [PARTITIONS, _days(3)]),
    ("SELECT v FROM t WHERE dt = (SELECT max(dt) FROM t)", [PARTITIONS, PARTITIONS]),
    ("SELECT a.v FROM (t AS a JOIN t AS b ON a.k = b.k AND b.dt = '2024-01-02') WHERE a.dt = '2024-01-01'", [_days(1), _days(2)]),
    ("SELECT s.a FROM t AS s (a, b, c, d, e) WHERE d = '2024-01-05'", [_days(5)]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "partitions"), SQL)
def test_partitions(engine: Engine, sql: str, partitions: list[list[tuple[str, int]]]) -> None:
    pruned, read = _run(engine, sql, prune=True)
    assert read == partitions
    assert pruned == _run(engine, sql, prune=False)[0]


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT count(*) FROM t", [set()]),
        ("SELECT count(*) FROM t WHERE dt = 'x' AND v > 1", [{"v"}]),
        ("SELECT * FROM t", [{"k", "v", "w"}]),
        ("SELECT k FROM (SELECT * FROM t)", [{"k"}]),
        ("SELECT k FROM (SELECT * FROM t WHERE v > 1 ORDER BY w)", [{"k", "v", "w"}]),
        ("SELECT count(*) FROM (SELECT DISTINCT k, v FROM t)", [{"k", "v"}]),
        ("SELECT k FROM (SELECT k, sum(v) AS s, max(w) AS m FROM t GROUP BY k) WHERE s > 1", [{"k", "v"}]),
        ("SELECT a.k FROM t AS a JOIN t AS b ON a.k = b.v", [{"k"}, {"v"}]),
        ("SELECT a.v FROM t AS a JOIN t AS b USING (k)", [{"k", "v"}, {"k"}]),
        ("WITH a AS (SELECT * FROM t) SELECT x.k FROM a AS x, a AS y WHERE y.v = 1", [{"k"}, {"v"}]),
        ("WITH a AS (SELECT * FROM t) SELECT 1", []),
        ("SELECT k FROM (SELECT k, v FROM t UNION ALL SELECT v, w FROM t)", [{"k"}, {"v"}]),
        ("SELECT k FROM (SELECT k, v FROM t UNION SELECT v, w FROM t)", [{"k", "v"}, {"v", "w"}]),
        ("SELECT k FROM t WHERE EXISTS (SELECT v, w FROM t AS u WHERE u.k = t.v)", [{"k", "v"}, {"k"}]),
        ("SELECT (SELECT max(w) FROM t) FROM t AS u", [set(), {"w"}]),
        ("SELECT max_by(k, ROW(v, dt)) FILTER (WHERE w > 1) FROM t", [{"k", "v", "w"}]),
        ("SELECT rank() OVER (PARTITION BY k ORDER BY v) FROM t", [{"k", "v"}]),
    ],
)  # fmt: skip
def test_columns(sql: str, columns: list[set[str]]) -> None:
    assert [scan.columns for scan in _translate(sql).scans] == columns


ATOMS = [
    *("{}.dt = '2024-01-03'", "{}.dt < '2024-01-05'", "{}.dt >= '2024-01-04'"),
    *("{}.dt <> '2024-01-02'", "{}.dt IS NULL", "{}.dt IS NOT NULL", "{}.shop = 1"),
    *("{}.shop = 2", "{}.v % 3 = 1", "coalesce({}.dt, 'z') > '2024-01-06'"),
]
CONDITIONS = st.recursive(
    st.builds(str.format, st.sampled_from(ATOMS), st.sampled_from("xy")),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["AND", "OR"]), inner)
        | st.builds("(NOT {})".format, inner)
    ),
    max_leaves=5,
)
SIDES = st.sampled_from(
    [
        "t",
        "(SELECT *, v AS z FROM t WHERE dt > '2024-01-02')",
        "(SELECT k, v, dt, max(shop) AS shop FROM t GROUP BY k, v, dt)",
        "(SELECT k, v, dt, shop FROM t UNION ALL SELECT v, k, dt, shop FROM t WHERE shop = 1)",
        "(SELECT a.k, a.v, b.dt, b.shop FROM t AS a LEFT JOIN t AS b ON a.v = b.k AND b.shop = 2)",
    ]
)


JOINS = st.sampled_from(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])


@given(left=SIDES, right=SIDES, join=JOINS, on=CONDITIONS, where=CONDITIONS)
@settings(max_examples=40)
def test_pruning_changes_no_result(
    engine: Engine, left: str, right: str, join: str, on: str, where: str
) -> None:
    # The equality first: DuckDB does full joins on equalities alone.
    on = on if join != "FULL JOIN" else "true"
    sql = (
        f"SELECT x.v, x.dt, y.v, y.shop FROM {left} AS x {join} {right} AS y ON x.k = y.v AND {on}"
        f" WHERE {where}"
    )
    assert _run(engine, sql, prune=True)[0] == _run(engine, sql, prune=False)[0]
