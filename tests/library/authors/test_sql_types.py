"""The types that a query returns, as far as they are certain. The local Athena is the judge."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from athena_reports.authors.sql_parser import SqlError
from athena_reports.authors.sql_types import certain_types, returned_types
from athena_reports.rows.columns import glue_name
from local_athena.athena.catalog import Table, glue_type
from local_athena.athena.dialect import parse
from local_athena.athena.translate import translate

TABLES = {
    "plays": {
        "User_id": "string",
        "level": "int",
        "score": "bigint",
        "tiny": "tinyint",
        "price": "decimal(18,2)",
        "ratio": "double",
        "share": "float",
        "code": "char(3)",
        "played_at": "timestamp",
        "day": "date",
        "tags": "array<int>",
    },
}


def glue(database: str, name: str) -> Mapping[str, str] | None:
    return TABLES.get(name) if database == "db" else None


def types_of(sql: str) -> dict[str, str]:
    return certain_types(sql, "db", glue)


def types_of_athena(sql: str) -> dict[str, str]:
    """Glue's names of the types that the local Athena returns."""

    def table(database: str, name: str) -> Table:
        columns = {column: glue_type(kind) for column, kind in TABLES[name].items()}
        return Table(database, name, columns, {}, "s3://lake/", ())

    catalog: Any = SimpleNamespace(table=table)
    translation = translate(parse(sql, ()), catalog, "db")
    return {
        name: glue_name(str(kind))
        for name, kind in zip(translation.names, translation.types, strict=True)
    }


@pytest.mark.parametrize(
    "values",
    [
        "user_id, level, score, tiny, price, ratio, share, code, played_at, day",
        "COUNT(*) AS a, COUNT(DISTINCT code) AS b, COUNT_IF(level > 1) AS c,"
        " APPROX_DISTINCT(code) AS d",
        "SUM(level) AS a, SUM(tiny) AS b, SUM(score) AS c, SUM(price) AS d, SUM(ratio) AS e,"
        " SUM(share) AS f, SUM(DISTINCT level) AS g, SUM(level) FILTER (WHERE tiny > 1) AS h",
        "AVG(level) AS a, AVG(price) AS b, AVG(ratio) AS c, AVG(share) AS d, AVG(DISTINCT price)"
        " AS e",
        "MIN(code) AS a, MAX(played_at) AS b, ARBITRARY(user_id) AS c, ANY_VALUE(day) AS d",
        "RANK() OVER (ORDER BY level) AS a, ROW_NUMBER() OVER (ORDER BY level) AS b, SUM(level)"
        " OVER () AS c, LAG(score) OVER (ORDER BY level) AS d, FIRST_VALUE(day) OVER (ORDER BY"
        " level) AS e",
        "level + 1 AS a, level + score AS b, score / 2 AS c, level % 2 AS d, -price AS e, tiny +"
        " tiny AS f, level * ratio AS g, share + 1 AS h, share + ratio AS i",
        "ROUND(ratio, 2) AS a, ROUND(level) AS b",
        "COALESCE(score, 0) AS a, COALESCE(user_id, 'x') AS b, IF(level > 1, code) AS c, CASE WHEN"
        " level > 1 THEN 1 WHEN level < 0 THEN NULL ELSE 3000000000 END AS d",
        "CAST(level AS DECIMAL(10, 3)) AS a, TRY_CAST(code AS DATE) AS b, DATE '2020-01-01' AS c,"
        " CAST(NULL AS VARCHAR) AS d, CAST(played_at AS TIMESTAMP(3)) AS e",
        "level > 1 AS a, code LIKE 'a%' AS b, level IN (1, 2) AS c, day IS NULL AS d, NOT (level >"
        " 1) AS e, level BETWEEN 1 AND 2 AS f, true AS g, level > 1 AND tiny > 1 AS h",
        "LENGTH(user_id) AS a, LOWER(user_id) AS b, UPPER(code) AS c, 'a' || user_id AS d,"
        " DATE_FORMAT(played_at, '%Y') AS e, DATE_DIFF('day', played_at, played_at) AS f,"
        " EXTRACT(YEAR FROM day) AS g, 1 AS h, 'a' AS i",
    ],
)
def test_a_certain_type_is_that_of_athena(values: str) -> None:
    sql = f"SELECT {values} FROM plays"
    types = types_of(sql)
    assert types
    assert types == types_of_athena(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "WITH a AS (SELECT user_id, SUM(price) AS x FROM plays GROUP BY 1), b (y, z) AS (SELECT * "
        "FROM a) SELECT z, y, RANK() OVER (ORDER BY z) AS r FROM b ORDER BY z",
        "SELECT s.x FROM (SELECT level AS x FROM plays UNION ALL SELECT score FROM plays) AS s",
        "SELECT p.level, q.score FROM plays AS p LEFT JOIN plays AS q ON p.code = q.code",
        "SELECT code FROM plays AS p JOIN plays AS q USING (code)",
        "WITH plays AS (SELECT ratio AS level FROM db.plays) SELECT level FROM plays",
    ],
)
def test_types_are_followed_through_the_query(sql: str) -> None:
    types = types_of(sql)
    assert types
    assert types == types_of_athena(sql)


@pytest.mark.parametrize(
    "value",
    [
        *("price * 2", "ROUND(price, 1)", "1.5", "NULL", "MAX(level, 2)", "tags", "NOBODY(level)"),
        *("COALESCE(price, 0)", "IF(level > 1, ratio, score)", "played_at - INTERVAL '1' DAY"),
        *("LAG(level, 1, score) OVER (ORDER BY day)", "user_id || tags", "code + 1"),
        *("(SELECT MAX(level) FROM plays)", "SUM(day)", "CAST(level AS DECIMAL)", "o.x"),
    ],
)
def test_of_what_is_not_certain_nothing_is_said(value: str) -> None:
    assert types_of(f"SELECT {value} AS x, level FROM plays AS p, other AS o") == {"level": "int"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT n FROM plays CROSS JOIN UNNEST(tags) AS t (n)",
        "SELECT n FROM plays AS p (n)",
        "SELECT level FROM plays FOR VERSION AS OF 1",
        "SELECT v.a FROM (VALUES (1)) AS v (a)",
        "SELECT level AS x FROM plays UNION SELECT code FROM plays",
        "SELECT level FROM plays UNION SELECT 1, 2",
        "(SELECT level FROM plays)",
    ],
)
def test_of_columns_that_are_not_certain_nothing_is_said(sql: str) -> None:
    assert types_of(sql) == {}


def test_sql_that_is_not_understood_is_an_error() -> None:
    with pytest.raises(SqlError, match=r"^sqlglot does not understand the SQL: "):
        types_of("SELECT 1 AS one FROM plays p, users p")


def test_the_types_are_those_of_the_database_that_the_sql_names() -> None:
    def types(database: str, name: str) -> Mapping[str, str]:
        assert name == "plays"
        return {"score": "double" if database == "lake" else "bigint"}

    sql = "SELECT l.score, p.score AS s FROM Lake.plays AS l, plays AS p"
    assert returned_types(sql, "db", types) == ("DOUBLE", "BIGINT")


def test_the_types_of_a_result_follow_from_glue() -> None:
    aggregates = "COUNT(*) AS n, MAX(played_at) AS last, AVG(score) AS a"
    sql = f"SELECT user_id, {aggregates} FROM plays GROUP BY 1"
    assert returned_types(sql, "db", glue) == ("VARCHAR", "BIGINT", "TIMESTAMP", "DOUBLE")
    # One table of which nothing is known hides no other.
    assert returned_types("SELECT p.score FROM other AS o, plays AS p", "db", glue) == ("BIGINT",)
    # Nor does a column that it may have.
    assert returned_types("SELECT 1 AS a FROM plays, other WHERE b = 1", "db", glue) == ("INTEGER",)
    for unknown in ("NOBODY_KNOWS(score)", "NULL"):
        with pytest.raises(SqlError, match="the type of 'a' is not known"):
            returned_types(f"SELECT {unknown} AS a FROM plays", "db", glue)
    # What only this look does not understand is an error of it alone.
    with pytest.raises(SqlError, match=r"^sqlglot does not understand the SQL: Alias already used"):
        returned_types("SELECT 1 AS one FROM plays p, users p", "db", glue)
