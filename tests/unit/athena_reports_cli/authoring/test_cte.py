import duckdb
import pytest

from athena_reports_cli.authoring.cte import CteError, select_from
from athena_reports_cli.authoring.sql_parser import SqlError

CTES = """-- WITH nothing AS (SELECT 0)
WITH first AS (SELECT 'SELECT)' AS text /* nothing AS ( */),
"second one"(text) AS (SELECT text || '''' FROM first WHERE text IN (SELECT text FROM first)),
numbers AS (VALUES (1), (2))
"""


@pytest.mark.parametrize(
    "main",
    [
        'SELECT text AS last FROM "second one"',
        "values (3)",
        "TABLE numbers",
        "(SELECT text FROM first) UNION ALL (SELECT 'x')",
        "((SELECT 1))",
    ],
)
@pytest.mark.parametrize(
    ("cte", "rows"),
    [("first", [("SELECT)",)]), ("second one", [("SELECT)'",)]), ("numbers", [(1,), (2,)])],
)
def test_the_rows_are_those_of_the_cte_whatever_stands_in_texts_comments_and_parentheses(
    main: str, cte: str, rows: list[tuple[object]]
) -> None:
    assert duckdb.sql(select_from(cte, CTES + main)).fetchall() == rows


@pytest.mark.parametrize(("cte", "rows"), [("numbers", [1, 2, 3]), ("doubled", [2, 4, 6])])
def test_a_recursive_with_has_its_ctes_too(cte: str, rows: list[int]) -> None:
    ctes = """WITH RECURSIVE numbers(n) AS (
        SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3
    ), doubled AS (SELECT 2 * n FROM numbers)"""
    found = duckdb.sql(select_from(cte, f"{ctes} SELECT n FROM numbers")).fetchall()
    assert sorted(number for (number,) in found) == rows
    with pytest.raises(CteError, match=r"no CTE 'RECURSIVE'. It has numbers, doubled\."):
        select_from("RECURSIVE", f"{ctes} SELECT n FROM numbers")


@pytest.mark.parametrize("cte", ["nothing", "second", "last", "text"])
def test_a_cte_that_is_not_there_is_named_beside_those_that_are(cte: str) -> None:
    with pytest.raises(CteError, match=f"no CTE '{cte}'. It has first, second one, numbers."):
        select_from(cte, CTES + 'SELECT text AS last FROM "second one"')


def test_a_name_is_that_of_the_sql_in_its_case() -> None:
    sql = "WITH First AS (SELECT 1 AS n), b AS (SELECT (2) AS n) SELECT 3"
    assert duckdb.sql(select_from("First", sql)).fetchall() == [(1,)]
    with pytest.raises(CteError, match=r"no CTE 'first'. It has First, b\."):
        select_from("first", sql)


@pytest.mark.parametrize("sql", ["", "SELECT 1", "-- WITH a AS (SELECT 1)\nSELECT 1"])
def test_sql_without_ctes_has_none(sql: str) -> None:
    with pytest.raises(CteError, match="no CTE 'a': it does not begin with WITH"):
        select_from("a", sql)


@pytest.mark.parametrize("sql", ["WITH", "WITH RECURSIVE"])
def test_a_with_without_ctes_has_none(sql: str) -> None:
    with pytest.raises(CteError, match=r"no CTE 'a'. It has none\."):
        select_from("a", sql)


def test_sql_that_does_not_end_cannot_be_read() -> None:
    with pytest.raises(SqlError, match=r"^sqlglot cannot read the SQL: ") as unread:
        select_from("a", "WITH a AS (SELECT 'open)\nSELECT 1")
    assert "\n" not in str(unread.value)
