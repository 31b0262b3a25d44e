"""The types that a query returns, as far as they are certain. The local Athena is the judge."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from athena_reports.rows.columns import glue_name
from athena_reports_cli.authoring.sql_parser import SqlError
from athena_reports_cli.authoring.sql_types import certain_types, returned_types
from local_athena.athena.catalog import Table, glue_type
from local_athena.athena.dialect import parse
from local_athena.athena.translate import translate
from tests.unit.athena_reports_cli.authoring.query_forms import RIGHT
from tests.unit.athena_reports_cli.authoring.query_forms import TABLES as TABLES_OF_FORMS

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


def types_of(sql: str) -> tuple[str, ...]:
    return certain_types(sql, "db", glue)


def types_of_athena(sql: str) -> tuple[str, ...]:
    """Glue's names of the types that the local Athena returns."""

    def table(database: str, name: str) -> Table:
        columns = {column: glue_type(kind) for column, kind in TABLES[name].items()}
        return Table(database, name, columns, {}, "s3://lake/", ())

    catalog: Any = SimpleNamespace(table=table)
    translation = translate(parse(sql, ()), catalog, "db")
    return tuple(glue_name(str(kind)) for kind in translation.types)


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
    assert all(types)
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
    assert all(types)
    assert types == types_of_athena(sql)


@pytest.mark.parametrize(
    "value",
    [
        *("price * 2", "ROUND(price, 1)", "1.5", "NULL", "MAX(level, 2)", "tags", "NOBODY(level)"),
        *("COALESCE(price, 0)", "IF(level > 1, ratio, score)", "played_at - INTERVAL '1' DAY"),
        *("LAG(level, 1, score) OVER (ORDER BY day)", "user_id || tags", "code + 1"),
        *(
            "(SELECT MAX(level) FROM plays)",
            "SUM(day)",
            "CAST(level AS DECIMAL)",
            "o.x",
            "-2147483648",
        ),
    ],
)
def test_of_what_is_not_certain_nothing_is_said(value: str) -> None:
    assert types_of(f"SELECT {value} AS x, level FROM plays AS p, other AS o") == ("", "int")


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
    assert not any(types_of(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CAST(n AS varchar) AS n, n AS raw FROM (VALUES (1)) AS v (n)",
        "SELECT DATE_FORMAT(seen_at, '%Y-%m-%d') AS seen_at, MAX(seen_at) AS last FROM other"
        " GROUP BY 1",
    ],
)
def test_an_alias_that_hides_a_column_does_not_give_its_type_to_another(sql: str) -> None:
    assert types_of(sql) == ("string", "")


def test_a_column_without_a_name_does_not_hide_one() -> None:
    sql = "SELECT score AS code, CAST(code AS VARCHAR), level FROM plays"
    assert types_of(sql) == ("bigint", "string", "int") == types_of_athena(sql)


@pytest.mark.parametrize("sql", [*RIGHT, "SELECT * FROM users JOIN plays USING (dt, user_id)"])
def test_a_certain_type_is_that_of_athena_in_each_form_of_a_query(
    sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, columns in TABLES_OF_FORMS.items():
        monkeypatch.setitem(TABLES, name, columns)
    monkeypatch.setitem(TABLES, "users", {**TABLES_OF_FORMS["users"], "dt": "string"})
    types = types_of(sql)
    if types:  # else not even their number is certain
        types_in_athena = types_of_athena(sql)
        certain = [kind and other for kind, other in zip(types, types_in_athena, strict=True)]
        assert list(types) == certain


def test_a_query_that_reads_itself_has_the_types_of_its_first_rows() -> None:
    """The local Athena does no recursion."""
    query = "SELECT CAST(1 AS BIGINT), 'a' UNION ALL SELECT n + 1, x || 'a' FROM t WHERE n < 4"
    assert types_of(f"WITH RECURSIVE t (n, x) AS ({query}) SELECT n, x FROM t") == (
        "bigint",
        "string",
    )
    # Of one without first rows nothing is known.
    assert types_of("WITH RECURSIVE t (n) AS (SELECT n + 1 FROM t) SELECT n FROM t") == ("",)


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT 1 AS one FROM plays p, users p", "sqlglot does not understand the SQL: "),
        (
            "SELECT * FROM plays MATCH_RECOGNIZE (MEASURES A.x AS x PATTERN (A) DEFINE A AS true)",
            "MATCH_RECOGNIZE is not understood.",
        ),
    ],
)
def test_sql_that_is_not_understood_is_an_error(sql: str, problem: str) -> None:
    for types in (certain_types, returned_types):
        with pytest.raises(SqlError) as refused:
            types(sql, "db", glue)
        assert str(refused.value).startswith(problem)


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
