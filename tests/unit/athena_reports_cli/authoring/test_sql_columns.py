"""Which columns of a query surely do not exist: all that Athena would refuse, and nothing else.

The local Athena is the judge of each form: it runs what is not refused here, and refuses the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from sqlglot import exp

from athena_reports_cli.authoring.sql_columns import QueryColumns, query_columns
from athena_reports_cli.authoring.sql_parser import DIALECT, KEYWORDS, SqlError, parse_query
from local_athena.athena.catalog import Table, glue_type
from local_athena.athena.dialect import parse
from local_athena.athena.errors import QueryFailed
from local_athena.athena.translate import translate
from tests.unit.athena_reports_cli.authoring.query_forms import RIGHT, TABLES


def glue(database: str, name: str) -> Mapping[str, str] | None:
    # Glue is not asked for a table function, which has no name, nor for a metadata table such as
    # "plays$files".
    assert name
    assert "$" not in name
    if database != "db":
        return None
    return TABLES.get(name)


def columns_of(sql: str) -> QueryColumns:
    return query_columns(sql, "db", glue)


def refusal_of_athena(sql: str) -> str:
    """Return why the local Athena refuses a query; empty if it does not."""

    def table(database: str, name: str) -> Table:
        types = glue(database, name)
        if types is None:
            raise QueryFailed("TABLE_NOT_FOUND", name)
        columns = {column: glue_type(kind) for column, kind in types.items()}
        keys = {name: columns.pop(name) for name in ["dt"] if name in columns}
        return Table(database, name, columns, keys, "s3://lake/", ())

    catalog: Any = SimpleNamespace(table=table)
    try:
        translate(parse(sql, ()), catalog, "db")
    except QueryFailed as error:
        return str(error)
    return ""


# The local Athena does not do these, but Athena does. Of the last ones the columns are not known.
RIGHT_IN_ATHENA = [
    "SELECT CURRENT_DATE AS d FROM plays",
    "SELECT plays.score, db.plays.dt FROM db.plays",
    'SELECT "$path" FROM plays',
    "SELECT info.city, n.info.place.lat, db.nested.info.city FROM db.nested n, db.nested",
    "SELECT TRANSFORM(tags, t -> t || CAST(id AS VARCHAR)) AS a FROM nested",
    "SELECT REDUCE(tags, 0, (s, x) -> s + length(x), s -> s) AS a FROM nested",
    "SELECT id, tag, n FROM nested CROSS JOIN UNNEST(tags) WITH ORDINALITY AS t (tag, n)",
    "SELECT t.k, v FROM nested, UNNEST(attributes) AS t (k, v)",
    "SELECT JSON_VALUE(user_id, 'lax $.a' RETURNING int) AS a FROM plays",
    "SELECT LISTAGG(user_id, ',') WITHIN GROUP (ORDER BY score) AS a FROM plays",
    "SELECT SUM(score) OVER w AS s FROM plays WINDOW w AS (PARTITION BY user_id ORDER BY dt)",
    "SELECT user_id, GROUPING(user_id) AS g FROM plays GROUP BY GROUPING SETS ((user_id), ())",
    "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 4) SELECT n FROM t",
    "SELECT p.user_id, one FROM plays p CROSS JOIN LATERAL (SELECT p.score AS one) AS l",
    "SELECT * FROM plays TABLESAMPLE BERNOULLI (10)",
    "SELECT name, score FROM plays JOIN (users CROSS JOIN nested) USING (user_id)",
    "(SELECT user_id AS u FROM plays) ORDER BY (SELECT MAX(name) AS n FROM users), u",
    "SELECT NORMALIZE(user_id, NFD) AS a, POSITION('a' IN user_id) AS b FROM plays",
    "SELECT score FROM plays FOR TIMESTAMP AS OF TIMESTAMP '2024-01-01 00:00:00' WHERE old = 1",
    "SELECT a, b FROM plays AS p (a, b, c, d, e)",
    "SELECT info.city FROM nested AS city",
    "SELECT info AS x FROM nested ORDER BY x.city",
    "SELECT anything FROM unknown_table",
    "SELECT * FROM unknown_table ORDER BY anything",
    "SELECT anything, score FROM plays, other.plays AS o",
    "SELECT p FROM plays AS p, other.plays AS o",
    "SELECT (score), user_id AS u FROM plays ORDER BY u",
    "SELECT anything FROM plays, federated.db.plays AS f",
    'SELECT file FROM "plays$files"',
    "SELECT made FROM TABLE(system.query(query => 'SELECT 1 AS made')), plays",
]


# Athena refuses these for another reason, and says so: to name a column would mislead.
REFUSED_FOR_ANOTHER_REASON = [
    "SELECT a FROM plays PIVOT (SUM(score) FOR dt IN ('a'))",
    "SELECT y FROM (plays LATERAL VIEW EXPLODE(a) t AS y)",
    "SELECT old FROM plays AT (TIMESTAMP => a)",
    "SELECT anything",
]


@pytest.mark.parametrize("sql", [*RIGHT, *RIGHT_IN_ATHENA, *REFUSED_FOR_ANOTHER_REASON])
def test_what_can_be_right_is_not_refused(sql: str) -> None:
    assert columns_of(sql).unknown == ()


@pytest.mark.parametrize("sql", RIGHT)
def test_what_is_taken_for_right_is_not_refused_by_athena(sql: str) -> None:
    assert refusal_of_athena(sql) == ""


WRONG = [
    ("SELECT scroe FROM plays", ["scroe"]),
    ("SELECT p.scroe, P.usr FROM plays AS p", ["p.scroe", "p.usr"]),
    ('SELECT "scroe" FROM plays', ["scroe"]),
    ('SELECT "date" FROM plays', ["date"]),
    ("SELECT scroe FROM AwsDataCatalog.db.plays", ["scroe"]),
    ('SELECT scroe FROM "AwsDataCatalog".db.plays', ["scroe"]),
    ("SELECT date.score FROM plays", ["date.score"]),
    ("SELECT x.p FROM plays AS p", ["x.p"]),
    ("SELECT x.plays.scroe FROM plays", ["x.plays.scroe"]),
    ("SELECT plays.plays FROM plays", ["plays.plays"]),
    ("SELECT user_id FROM plays WHERE scroe > 1 ORDER BY dtt", ["scroe", "dtt"]),
    ("SELECT SUM(score) AS s, usr FROM plays GROUP BY usr", ["usr", "usr"]),
    ("SELECT plays.score FROM plays AS p", ["plays.score"]),
    ("SELECT user_id AS u FROM plays GROUP BY u", ["u"]),
    ("SELECT user_id AS u FROM plays WHERE u = 'a'", ["u"]),
    ("WITH a AS (SELECT user_id FROM plays) SELECT score FROM a", ["score"]),
    ("WITH a (x) AS (SELECT user_id FROM plays) SELECT user_id FROM a", ["user_id"]),
    ("WITH Totals AS (SELECT user_id FROM plays) SELECT score FROM totals", ["score"]),
    ("WITH a AS (SELECT usr FROM plays) SELECT * FROM a", ["usr"]),
    ("SELECT s.score FROM (SELECT user_id FROM plays) AS s", ["s.score"]),
    ("SELECT name FROM plays JOIN users USING (usr)", ["usr"]),
    ("SELECT name FROM plays p JOIN users u ON p.user_id = u.id", ["u.id"]),
    ("SELECT 1 FROM plays WHERE EXISTS (SELECT 1 FROM users WHERE user_id = scroe)", ["scroe"]),
    ("SELECT user_id FROM plays WHERE user_id IN (SELECT usr FROM users)", ["usr"]),
    ("SELECT RANK() OVER (ORDER BY scroe) AS r FROM plays", ["scroe"]),
    # The ORDER BY of a window, of an aggregate or of a subquery knows no alias of the SELECT.
    ("SELECT score AS s, RANK() OVER (ORDER BY s) AS r FROM plays ORDER BY s", ["s"]),
    ("SELECT score AS s, RANK() OVER (PARTITION BY s) AS r FROM plays ORDER BY s", ["s"]),
    ("SELECT MAX(dt) AS s, ARRAY_AGG(dt ORDER BY s) AS d FROM plays ORDER BY s", ["s"]),
    ("SELECT 1 AS s, (SELECT dt FROM plays ORDER BY s LIMIT 1) AS d ORDER BY s", ["s"]),
    ("SELECT user_id AS u FROM plays UNION ALL SELECT nam FROM users", ["nam"]),
    ("SELECT user_id AS u FROM plays UNION ALL SELECT name FROM users ORDER BY name", ["name"]),
    ("SELECT IF(scroe > 1, 'a') AS a, COALESCE(usr, 'b') AS b FROM plays", ["scroe", "usr"]),
    ("SELECT id, t.tgs FROM nested CROSS JOIN UNNEST(tgas) AS t (tag)", ["t.tgs", "tgas"]),
    ("SELECT TRANSFORM(tags, t -> t || othr) AS a FROM nested", ["othr"]),
    ("SELECT inf.city FROM nested", ["inf.city"]),
    ("SELECT name FROM nested JOIN unknown USING (id) JOIN users USING (usr)", ["usr"]),
    ("SELECT p FROM plays AS p", ["p"]),  # a table is no column
]


def shouted(sql: str) -> str:
    """A query with each of its names in quotes and capitals, which are the same for Athena."""
    query = parse_query(sql)
    for identifier in query.find_all(exp.Identifier):
        if identifier.name.lower() not in KEYWORDS:
            identifier.set("this", identifier.name.upper())
            identifier.set("quoted", True)
    return query.sql(DIALECT)


@pytest.mark.parametrize("sql", [*RIGHT, *RIGHT_IN_ATHENA, *(sql for sql, _ in WRONG)])
def test_capitals_and_quotes_change_nothing(sql: str) -> None:
    def told(columns: QueryColumns) -> QueryColumns:
        """The result without the places, and with names in lower case."""
        unknown = []
        for column in columns.unknown:
            sources = tuple(without_case(source) for source in column.sources)
            column = column._replace(name=column.name.lower(), start=0, sources=sources)
            unknown.append(column)
        not_checked = tuple(without_case(text) for text in columns.not_checked)
        return QueryColumns(tuple(unknown), columns.returned, not_checked)

    def without_case(text: str) -> str:
        return text.lower() if "the CTE" in text else text

    assert told(columns_of(shouted(sql))) == told(columns_of(sql))


@pytest.mark.parametrize(("sql", "names"), WRONG)
def test_what_athena_refuses_is_named(sql: str, names: list[str]) -> None:
    unknown = columns_of(sql).unknown
    assert [column.name.lower() for column in unknown] == names
    for column in unknown:
        assert sql[column.start :].strip('"').lower().startswith(column.name.lower())
    if "nested" not in sql:
        assert "COLUMN_NOT_FOUND" in refusal_of_athena(sql)


def test_a_problem_names_what_was_looked_through_and_its_columns() -> None:
    sql = (
        "WITH a AS (SELECT user_id AS u FROM plays) SELECT x FROM a JOIN users AS b ON a.u = b.name"
    )
    (unknown,) = columns_of(sql).unknown
    assert unknown.sources == ("the CTE a", "db.users AS b")
    assert unknown.columns == ("u", "user_id", "name", "country")
    assert not unknown.is_alias
    (alias,) = columns_of("SELECT user_id AS u FROM plays GROUP BY u").unknown
    assert alias.is_alias
    (field,) = columns_of("SELECT user_id AS u FROM plays WHERE u.user_id = 'a'").unknown
    assert not field.is_alias
    # A name behind an alias is of that table alone.
    sql = "SELECT p.name FROM plays AS p JOIN users AS u ON p.user_id = u.user_id"
    (unknown,) = columns_of(sql).unknown
    assert unknown.sources == ("db.plays AS p",)
    assert unknown.columns == tuple(TABLES["plays"])
    # What is named twice is listed once, and a column without a name not at all.
    sql = "WITH a AS (SELECT user_id, COUNT(*) FROM plays GROUP BY 1) SELECT x FROM a, a AS b"
    (unknown,) = columns_of(sql).unknown
    assert (unknown.sources, unknown.columns) == (("the CTE a",), ("user_id",))
    (unknown,) = columns_of("SELECT x FROM (SELECT user_id FROM plays)").unknown
    assert (unknown.sources, unknown.columns) == (("a subquery",), ("user_id",))
    # Without a table, what the query returns is all that it can name.
    (unknown,) = columns_of("SELECT 1 AS one ORDER BY two").unknown
    assert unknown.sources == ("the columns that are returned",)
    assert unknown.columns == ("one",)


@pytest.mark.parametrize(
    ("sql", "returned"),
    [
        ("SELECT user_id, SUM(score) AS s, COUNT(*) FROM plays GROUP BY 1", "user_id s _col2"),
        ("SELECT *, 1 FROM users", "user_id name country _col3"),
        ("SELECT * FROM plays JOIN users USING (user_id)", None),
        ("SELECT u.* FROM plays p JOIN users u ON p.user_id = u.user_id", "user_id name country"),
        (
            "WITH a (x) AS (SELECT 1) SELECT a.*, x AS y, (x + 1), CAST(x AS VARCHAR) FROM a",
            "x y _col2 _col3",
        ),
        ("SELECT user_id AS a FROM plays UNION SELECT name FROM users", "a"),
        ("SELECT user_id, (SELECT MAX(name) FROM users) AS n FROM plays", "user_id n"),
        (
            "SELECT * FROM users AS u CROSS JOIN users AS v",
            "user_id name country user_id name country",
        ),
    ],
)
def test_the_names_of_a_result_are_those_that_athena_gives(sql: str, returned: str | None) -> None:
    names = columns_of(sql).returned
    assert names is not None
    catalog: Any = SimpleNamespace(
        table=lambda database, name: Table(
            database,
            name,
            {column: glue_type(kind) for column, kind in TABLES[name].items()},
            {},
            "s3://lake/",
            (),
        )
    )
    assert names == tuple(translate(parse(sql, ()), catalog, "db").names)
    if returned is not None:
        assert names == tuple(returned.split())


@pytest.mark.parametrize("sql", ["SELECT * FROM other", "SELECT p.*, o.* FROM plays p, other o"])
def test_the_names_of_unknown_columns_are_not_known(sql: str) -> None:
    columns = columns_of(sql)
    assert columns.returned is None
    assert columns.not_checked == ("the columns of db.other" + " AS o" * ("o.*" in sql),)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT (score) FROM plays",  # whether it has the name is not documented
        "SELECT (db.nested.info.place.lat) FROM db.nested",
        "SELECT p.* FROM plays p JOIN users u USING (user_id)",
        "SELECT (info).* FROM nested",
        "SELECT x.* FROM plays p",
        "SELECT *",
        "SELECT * FROM nested CROSS JOIN UNNEST(tags)",
        "SELECT * FROM nested CROSS JOIN UNNEST(tags) WITH ORDINALITY",
    ],
)
def test_names_that_are_not_certain_are_not_known(sql: str) -> None:
    columns = columns_of(sql)
    assert (columns.unknown, columns.returned) == ((), None)


@pytest.mark.parametrize("alias", ["", " AS t"])
def test_what_a_table_function_returns_is_told_as_not_checked(alias: str) -> None:
    sql = f"SELECT made FROM TABLE(system.query(query => 'SELECT 1 AS made')){alias}"
    assert columns_of(sql).not_checked == (f"the columns of a table function{alias}",)


def test_fields_are_not_checked() -> None:
    assert columns_of("SELECT n.info.town FROM nested n").not_checked == ("the fields of info",)
    columns = columns_of("SELECT info AS x FROM nested ORDER BY x.town")
    assert columns.not_checked == ("the fields of x",)
    assert columns_of("SELECT db.nested.info.place.lat FROM db.nested").returned == ("lat",)


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("", "sqlglot does not read the SQL as one query."),
        ("SELECT ((", "sqlglot cannot read the SQL: "),
        (f"SELECT {'(' * 2_000}1{')' * 2_000}", "sqlglot cannot read the SQL: maximum recursion"),
        ("SELECT 'open", "sqlglot cannot read the SQL: "),
        ("SELECT 1; SELECT 2", "sqlglot does not read the SQL as one query."),
        ("DROP TABLE plays", "sqlglot does not read the SQL as one query."),
        ("TABLE plays", "sqlglot does not read the SQL as one query."),
        ("TABLE plays UNION SELECT 1", "sqlglot does not read TABLE as a query. Write SELECT"),
        ("table plays UNION SELECT 1", "sqlglot does not read TABLE as a query. Write SELECT"),
        (
            "SELECT * FROM plays MATCH_RECOGNIZE (MEASURES A.x AS x PATTERN (A) DEFINE A AS true)",
            "MATCH_RECOGNIZE is not understood.",
        ),
        ("SELECT 1 FROM plays, plays", "sqlglot does not understand the SQL: "),
        (
            " UNION ALL ".join(["SELECT score FROM plays"] * 600),
            "sqlglot does not understand the SQL: maximum recursion depth exceeded",
        ),
    ],
)
def test_what_cannot_be_read_says_so(sql: str, problem: str) -> None:
    with pytest.raises(SqlError) as refused:
        columns_of(sql)
    assert str(refused.value).startswith(problem)
    assert "\n" not in str(refused.value)
