"""How often a query scans its tables; tests/services/test_estimate.py asks Athena the same."""

from __future__ import annotations

import pytest

from athena_reports_cli.authoring.table_uses import table_uses

FILTER = "(dt IN ('2025-06-01', '2025-06-02'))"
FILTERS = {"plays": {FILTER}, "users": {FILTER}, "own.plays": {FILTER}}
W = f"WHERE {FILTER}"
P = FILTER.replace("dt", "p.dt")
U = FILTER.replace("dt", "u.dt")
QUOTED = FILTER.replace("dt", '"P".DT')
BOTH = {"plays": 1, "users": 1}


@pytest.mark.parametrize(
    ("sql", "number", "are_filtered"),
    [
        (f"SELECT * FROM plays {W}", {"plays": 1}, True),
        (f'select * from "Plays" where {FILTER} and a > 1 order by a, b', {"plays": 1}, True),
        (f'SELECT * FROM Plays AS "P" WHERE {QUOTED}', {"plays": 1}, True),
        (f'SELECT * FROM "DB"."Plays" {W}', {"db.plays": 1}, False),
        (
            f"WITH a AS (SELECT * FROM plays {W}) SELECT * FROM a x JOIN a y USING (id)",
            {"plays": 2},
            True,
        ),
        (
            f"WITH a AS (SELECT 1 FROM plays {W}), b (n) AS (SELECT * FROM a, a AS c)"
            " SELECT * FROM b UNION ALL SELECT * FROM b INTERSECT SELECT 1",
            {"plays": 4},
            True,
        ),
        # A name inside hides one outside, and one with a database is never a CTE.
        (
            f"WITH plays AS (SELECT 1 FROM db.plays {W}) SELECT * FROM plays",
            {"db.plays": 1},
            False,
        ),
        (
            f"WITH a AS (SELECT 1 FROM plays {W}) SELECT * FROM (WITH a AS (SELECT 2) SELECT * FROM"
            " a) z",
            {},
            True,
        ),
        (
            f"WITH plays AS (SELECT 1 FROM users {W}) SELECT * FROM plays, db.plays",
            {"users": 1, "db.plays": 1},
            False,
        ),
        # More than the filter leaves.
        ("SELECT * FROM plays", {"plays": 1}, False),
        (f"SELECT * FROM plays {W} OR a = 1", {"plays": 1}, False),
        (f"SELECT * FROM plays WHERE NOT {FILTER}", {"plays": 1}, False),
        (f"SELECT * FROM plays WHERE {FILTER} = false", {"plays": 1}, False),
        (f"SELECT * FROM plays WHERE a AND {FILTER} IS NULL", {"plays": 1}, False),
        (f"SELECT * FROM plays WHERE f{FILTER}", {"plays": 1}, False),
        (
            f"SELECT * FROM plays WHERE CASE WHEN a AND {FILTER} AND b THEN c ELSE d END",
            {"plays": 1},
            False,
        ),
        (
            f"SELECT * FROM TABLE(system.query(query => 'SELECT 1')), plays {W}",
            {"plays": 1},
            False,
        ),
        # No more than the filter leaves.
        (f"SELECT * FROM plays {W} AND (a = 1 OR b = 2)", {"plays": 1}, True),
        (f"SELECT * FROM plays WHERE a IS NOT NULL AND {FILTER} LIMIT 3;", {"plays": 1}, True),
        (f"SELECT * FROM plays a, plays b {W}", {"plays": 2}, False),
        (f"SELECT * FROM plays {W} UNION SELECT * FROM plays", {"plays": 2}, False),
        (
            f"SELECT * FROM awsdatacatalog.db.other, plays {W}",
            {"db.other": 1, "plays": 1},
            False,
        ),
        (
            f"WITH RECURSIVE a (n) AS (SELECT 1 FROM plays {W} UNION ALL SELECT n + 1 FROM a)"
            " SELECT * FROM a",
            {"plays": 1},
            False,
        ),
        (
            "SELECT * FROM (WITH RECURSIVE a (n) AS ("
            f"SELECT 1 FROM plays {W} UNION ALL SELECT n + 1 FROM a) SELECT * FROM a) z",
            {"plays": 1},
            False,
        ),
        (f"SELECT * FROM plays WHERE ((a = 1 AND {FILTER}) AND b = 2)", {"plays": 1}, True),
        (f"SELECT * FROM own.plays WHERE {FILTER}", {"own.plays": 1}, True),
        (
            f"SELECT * FROM own.plays WHERE {FILTER.replace('dt', 'own.plays.dt')}",
            {"own.plays": 1},
            True,
        ),
        # What is no table.
        (
            "SELECT EXTRACT(YEAR FROM at), TRIM(BOTH ' ' FROM b) FROM plays"
            f" CROSS JOIN UNNEST(c, d) AS t (e, f) {W} AND g IS DISTINCT FROM h",
            {"plays": 1},
            True,
        ),
        (
            f"SELECT ' FROM a', \" FROM b\" -- FROM c\n/* JOIN d */ FROM plays {W}",
            {"plays": 1},
            True,
        ),
        (
            "SELECT ARRAY[a, b] FROM plays JOIN users ON ARRAY[plays.a, users.b] = plays.c"
            f" {W} GROUP BY m['a'], n",
            {"plays": 1, "users": 1},
            True,
        ),
        # Where tables may stand.
        (
            f"SELECT * FROM (plays CROSS JOIN (SELECT id FROM users {W}) u) {W}",
            {"plays": 1, "users": 1},
            True,
        ),
        (
            f"SELECT (SELECT MAX(a) FROM users {W}) FROM plays {W} AND a IN (SELECT b FROM plays"
            f" {W})",
            {"plays": 2, "users": 1},
            True,
        ),
        ("SELECT 1", {}, True),
        # By the alias of a table, so that two tables may have the same key.
        (f"SELECT * FROM plays p JOIN users AS u ON p.a = u.a WHERE {P} AND {U}", BOTH, True),
        (f"SELECT * FROM plays p JOIN users AS u ON p.a = u.a AND {U} WHERE {P}", BOTH, True),
        (f"SELECT * FROM plays p INNER JOIN users u ON p.a = u.a AND {U} WHERE {P}", BOTH, True),
        (f"SELECT * FROM plays p INNER JOIN users u ON {P} AND {U}", BOTH, True),
        (
            f"SELECT * FROM plays p LEFT OUTER JOIN users u ON p.a = u.a AND {U} WHERE {P}",
            BOTH,
            True,
        ),
        (f"SELECT * FROM plays p LEFT JOIN users u ON p.a = u.a AND {U} WHERE {P}", BOTH, True),
        (f"SELECT * FROM plays p LEFT JOIN users u ON p.a = u.a AND {P} WHERE {U}", BOTH, False),
        (f"SELECT * FROM plays p RIGHT JOIN users u ON p.a = u.a AND {U} WHERE {P}", BOTH, False),
        (f"SELECT * FROM plays p FULL JOIN users u ON {U} AND {P}", BOTH, False),
        (f"SELECT * FROM plays p, users u WHERE {P} AND {P}", BOTH, False),
        (f"SELECT * FROM plays p, plays u WHERE {P} AND {U}", {"plays": 2}, True),
        (f"SELECT * FROM plays p, plays u WHERE {P}", {"plays": 2}, False),
        (
            f"SELECT * FROM db.plays WHERE {FILTER.replace('dt', 'plays.dt')}",
            {"db.plays": 1},
            False,
        ),
        # Without partitions.
        (f"SELECT * FROM plays p CROSS JOIN products WHERE {P}", {"plays": 1, "products": 1}, True),
        ("SELECT * FROM products, plays", {"plays": 1, "products": 1}, False),
        ("SELECT * FROM db.products", {"db.products": 1}, False),
        ("SELECT * FROM products UNION ALL SELECT * FROM products", {"products": 2}, True),
        # What is not read as a query.
        (f"TABLE plays UNION ALL (SELECT * FROM users {W})", {}, False),
        (f"table plays UNION ALL (SELECT * FROM users {W})", {}, False),
        (f"SELECT 1 FROM plays {W}; SELECT 2 FROM plays {W}", {}, False),
        ("DELETE FROM plays", {}, False),
        # What follows the last semicolon is no query.
        (f"SELECT 1 FROM plays {W};;", {"plays": 1}, True),
        (f"SELECT 1 FROM plays {W}; -- all\n; /* of it */ ;", {"plays": 1}, True),
        (f'SELECT "table" FROM plays {W}', {"plays": 1}, True),
        ("SELECT ((", {}, False),
        (f"SELECT * FROM plays {W}{' AND a = 1' * 3_000}", {}, False),  # too deep for Python
        ("SELECT 1 FROM plays, plays", {"plays": 2}, False),
        ("SELECT ]) FROM plays.", {}, False),
    ],
)
def test_each_scan_is_counted_and_one_that_no_filter_bounds_is_noticed(
    sql: str, number: dict[str, int], are_filtered: bool
) -> None:
    assert table_uses(sql, FILTERS, ["products"]) == (number, are_filtered)
