"""A column that surely does not exist is an error before anything is paid; the rest is told."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pandas as pd
import pytest
from botocore.config import Config

from athena_reports import Column, Input, build_dag, transforms, weekly
from athena_reports.settings import settings
from athena_reports_cli.authoring.column_check import ColumnError, check_columns
from athena_reports_cli.authoring.report_files import DeclaredReport
from tests.support.declared import MakeReport

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

PLAYS = {"user_id": "string", "score": "bigint", "played_at": "timestamp"}
BIGINT = Column("bigint", "a number")
STRING = Column("string", "a text")
WEEKS = weekly("sunday", "Asia/Tokyo")


def create(
    glue: GlueClient,
    database: str,
    name: str,
    columns: list[dict[str, Any]],
    *,
    type_of_dt: str = "string",
    **parameters: str,
) -> None:
    table: Any = {
        "Name": name,
        "Parameters": parameters,
        "PartitionKeys": [{"Name": "dt", "Type": type_of_dt}],
        "StorageDescriptor": {"Columns": columns},
    }
    glue.create_table(DatabaseName=database, TableInput=table)


class Author:
    """An author who declares a report, and holds it against Glue."""

    def __init__(self, glue: GlueClient, folder: Path, make_report: MakeReport) -> None:
        self.glue, self.folder, self.make_report = glue, folder, make_report

    def check(self, sql: str, **fields: Any) -> tuple[str, ...]:
        (self.folder / "plays.sql").write_text(sql)
        report = self.make_report(inputs=[Input("plays", "dt")], **fields)
        declared = DeclaredReport(build_dag(report, WEEKS))
        return check_columns(declared, WEEKS.period("2025-06-15"), self.glue)

    def refusal(self, sql: str, **fields: Any) -> str:
        with pytest.raises(ColumnError) as refused:
            self.check(sql, **fields)
        return str(refused.value)


@pytest.fixture
def author(
    glue: GlueClient,
    database: str,
    sql_folder: Path,
    make_report: MakeReport,
    monkeypatch: pytest.MonkeyPatch,
) -> Author:
    monkeypatch.setenv("ATHENA_REPORTS_DATABASE", database)
    monkeypatch.chdir(sql_folder.parent)
    settings.cache_clear()
    columns = [{"Name": name, "Type": kind} for name, kind in PLAYS.items()]
    create(glue, database, "plays", columns)
    return Author(glue, sql_folder, make_report)


def test_an_unknown_column_is_named_with_its_line_in_the_template_and_those_near_it(
    author: Author, database: str
) -> None:
    problem = author.refusal(
        "{% set top = 3 %}\n\nSELECT user_id, SUM(scroe) AS score\nFROM plays AS p\n"
        "WHERE {{ inputs.plays.partitions_of('p') }}\n  AND p.usr IS NOT NULL\nGROUP BY user_id"
    )
    lines = problem.splitlines()
    assert lines == [
        f"sql/plays.sql, line 3: there is no column 'scroe' in {database}.plays AS p. Did you mean"
        " score? The columns are user_id, score, played_at, dt.",
        f"sql/plays.sql, line 6: there is no column 'p.usr' in {database}.plays AS p. Did you mean"
        " user_id? The columns are user_id, score, played_at, dt.",
        "No query was started. Correct the SQL.",
    ]


def test_the_line_is_known_whatever_a_run_waits_for_and_reads(author: Author) -> None:
    sql = (
        "SELECT user_id\nFROM plays\nWHERE {{ inputs.plays.partitions }}\n AND {{ params.x }} > usr"
    )
    problem = author.refusal(sql, late_by=timedelta(hours=100), params={"x": 1})
    assert problem.startswith("sql/plays.sql, line 4: there is no column 'usr' in ")


def test_up_to_three_similar_names_are_proposed_whatever_the_case(
    author: Author, glue: GlueClient, database: str
) -> None:
    create(glue, database, "scores", [{"Name": f"score_{n}", "Type": "int"} for n in range(1, 6)])
    problem = author.refusal('SELECT "SCORE_0" FROM scores')
    assert "there is no column 'SCORE_0' in" in problem
    assert re.search(r"\. Did you mean score_\d or score_\d or score_\d\? The columns are", problem)
    assert "Did you mean" not in author.refusal("SELECT x FROM scores")


@pytest.mark.parametrize("end", [";", " ;\n", "; -- all of them", ";\n/* all */"])
def test_what_follows_the_query_changes_nothing(end: str, author: Author) -> None:
    assert author.check(f"SELECT user_id FROM plays{end}") == ()
    assert "there is no column 'usr'" in author.refusal(f"SELECT usr FROM plays{end}")


def test_a_name_that_only_order_by_can_use_is_told_apart(author: Author) -> None:
    problem = author.refusal("SELECT user_id AS u FROM plays GROUP BY u ORDER BY u")
    assert "there is no column 'u'" in problem
    assert "Only ORDER BY can use a name that the SELECT gives" in problem
    assert "Only ORDER BY" not in author.refusal("SELECT usr FROM plays")


def test_where_the_line_is_not_known_that_of_the_rendered_sql_is_named(author: Author) -> None:
    sql = "{% set s %}ab{% endset %}SELECT {{ s | length }} AS n,\n scroe FROM plays"
    assert "plays.sql, line 2 of the rendered SQL: there is" in author.refusal(sql)


def test_a_table_of_many_columns_does_not_flood_the_message(
    author: Author, glue: GlueClient, database: str
) -> None:
    create(glue, database, "narrow", [{"Name": f"c{n}", "Type": "int"} for n in range(29)])
    assert author.refusal("SELECT x FROM narrow").splitlines()[0].endswith("c28, dt.")
    create(glue, database, "wide", [{"Name": f"c{n}", "Type": "int"} for n in range(300)])
    problem = author.refusal("SELECT x FROM wide")
    assert "The columns are c0, c1," in problem
    assert problem.splitlines()[0].endswith("c29 and 271 more.")


def test_what_glue_does_not_know_for_certain_is_only_told(
    author: Author, glue: GlueClient, database: str
) -> None:
    create(glue, database, "linked", [])
    create(glue, database, "delta", [{"Name": "old", "Type": "int"}], table_type="DELTA")
    of_spark = {"spark.sql.sources.provider": "delta"}
    create(glue, database, "delta_of_spark", [{"Name": "old", "Type": "int"}], **of_spark)
    for table in ("linked", "absent", "delta", "delta_of_spark", "other_database.plays"):
        name = table if "." in table else f"{database}.{table}"
        assert author.check(f"SELECT anything FROM {table}") == (f"the columns of {name}",)
    (told,) = author.check("SELECT user_id FROM plays WHERE (")
    assert "sqlglot cannot read the SQL" in told


def test_a_column_that_an_iceberg_table_had_once_is_unknown(
    author: Author, glue: GlueClient, database: str
) -> None:
    old: Any = {"Name": "old", "Type": "int", "Parameters": {"iceberg.field.current": "false"}}
    create(glue, database, "iceberg", [{"Name": "new", "Type": "int"}, old])
    assert author.check("SELECT new FROM iceberg") == ()
    assert "'old'" in author.refusal("SELECT old FROM iceberg")


SQL = "SELECT user_id, score FROM plays ORDER BY 1"


def upper(rows: Any, _: Any) -> Any:
    return rows.select("upper(user_id) AS user_id, score, score * 2 AS double_score")


def renamed(rows: Any, _: Any) -> Any:
    return rows.select("user_id AS USER_ID, score AS Score")


PIVOT = "PIVOT r ON user_id USING count(*)"


def pivoted(rows: Any, _: Any) -> Any:
    return rows.query("r", f"{PIVOT} GROUP BY score")


def needs_rows(rows: Any, _: Any) -> Any:
    return rows.limit(rows.fetchall()[0][1])


def drops_by_value(rows: Any, _: Any) -> Any:
    return rows.select("user_id") if not rows.fetchall() else rows


def misspells(rows: Any, _: Any) -> Any:
    return rows.select("user_id, scroe AS score")


def misspells_both(rows: Any, _: Any) -> Any:
    return rows.select("user AS user_id, scroe AS score")


def numbered(rows: Any, _: Any) -> Any:
    return rows.select("*, row_number() OVER () AS number")


def names_another(rows: Any, _: Any) -> Any:
    return rows.query("r", "SELECT user_id, r.points AS score FROM r")


def names_a_pivoted(rows: Any, _: Any) -> Any:
    return rows.query("r", f"SELECT ann AS score FROM ({PIVOT})")


def names_a_value(rows: Any, _: Any) -> Any:
    values = ", ".join(f"1 AS {user_id}" for user_id, _ in rows.fetchall())
    return rows.query("r", f"SELECT ann AS score FROM (SELECT {values or 'score'} FROM r)")


def names_an_indicator(rows: Any, _: Any) -> Any:
    users = [user_id for user_id, _ in rows.fetchall()]
    indicators = "".join(f", user_id = '{user}' AS is_{user}" for user in users)
    return rows.select(f"*{indicators}").select("user_id, is_ann AS score")


def indicators(rows: Any, _: Any) -> Any:
    return pd.get_dummies(rows.df(), columns=["user_id"])


def numbers_several(rows: Any, _: Any) -> Any:
    return rows.select("*, 1 AS one") if len(rows) > 1 else rows.select("user_id")


def decorated(rows: Any, period: Any) -> Any:
    return names_a_pivoted(rows, period)


class Maker:
    """Its methods are transforms."""

    def misspell(self, rows: Any, period: Any) -> Any:
        return misspells(rows, period)

    def name_a_pivoted(self, rows: Any, period: Any) -> Any:
        return names_a_pivoted(rows, period)

    __call__ = misspell


def loses_by_value(rows: Any, _: Any) -> Any:
    return rows.select("user_id") if rows.fetchall() else rows.select("user_id, 1 AS one")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"columns": {"user_id": STRING, "score": BIGINT}}, ""),
        ({"columns": {"score": BIGINT, "user_id": STRING}}, ""),
        ({"columns": {"Score": BIGINT, "USER_ID": STRING}}, ""),  # Athena's are in lower case
        ({"columns": {"user_id": STRING}}, "it has 'score', declared as no column"),
        (
            {"columns": {"user_id": STRING, "score": BIGINT, "rank": BIGINT}},
            "it lacks 'rank'",
        ),
        (
            {"columns": {"user_id": STRING, "points": BIGINT}},
            "it lacks 'points', and it has 'score', declared as no column",
        ),
        (
            {"columns": {"user_id": STRING, "Score": Column("integer", "a number")}},
            "'Score' is bigint, declared as int",
        ),
        # With transforms, those that they make of no rows.
        ({"columns": {"user_id": STRING}, "transform": drops_by_value}, ""),
        (
            {
                "columns": {"user_id": STRING, "score": BIGINT, "double_score": BIGINT},
                "transform": upper,
            },
            "",
        ),
        (
            {"columns": {"user_id": STRING, "score": BIGINT}, "transform": upper},
            "it has 'double_score', declared as no column",
        ),
        ({"columns": {"user_id": STRING, "score": BIGINT}, "transform": renamed}, ""),
        (
            {"columns": {"user_id": STRING, "rank": BIGINT}, "transform": renamed},
            "it lacks 'rank', and it has 'Score', declared as no column",
        ),
        (
            {
                "columns": {"user_id": STRING, "score": BIGINT},
                "transform": transforms.each_row(lambda row: row, adds={"grade": "varchar"}),
            },
            "it has 'grade', declared as no column",
        ),
        (
            {
                "columns": {"user_id": STRING, "score": STRING, "grade": BIGINT},
                "transform": transforms.each_row(lambda row: row, adds={"grade": "varchar"}),
            },
            "'score' is bigint, declared as string, and 'grade' is string, declared as bigint",
        ),
    ],
)
def test_the_returned_columns_are_those_that_the_report_declares(
    author: Author, fields: dict[str, Any], problem: str
) -> None:
    if not problem:
        not_checked = ()
        if "transform" in fields:  # what a function of the author returns may depend on the rows
            not_checked = ("the types of all columns against columns=",)
        assert author.check(SQL, **fields) == not_checked
        return
    refusal = author.refusal(SQL, **fields)
    maker, place = "sql/plays.sql", "in the SQL (AS)"
    if "transform" in fields:
        maker, place = f"{maker} with the transforms", f"{place} or in the transform"
    assert refusal == (
        f"{maker} gives other columns than the report 'plays' declares: {problem}. No query was"
        f" started. CAST or name them {place}, or correct columns= of the report."
    )


@pytest.mark.parametrize(
    ("sql", "transform", "reason"),
    [
        (SQL, pivoted, "the transforms may make other columns of other rows"),
        (SQL, drops_by_value, "the transforms may make other columns of other rows"),
        (SQL, loses_by_value, "the transforms may make other columns of other rows"),
        (
            SQL,
            [transforms.each_row(lambda row: row), pivoted],
            "the transforms may make other columns of other rows",
        ),
        (SQL, needs_rows, "transform 1 of 1 (needs_rows) failed: IndexError"),
        (SQL, names_a_pivoted, 'failed: BinderException: Binder Error: Referenced column "ann"'),
        (SQL, decorated, 'failed: BinderException: Binder Error: Referenced column "ann"'),
        (
            SQL,
            Maker().name_a_pivoted,
            'failed: BinderException: Binder Error: Referenced column "ann"',
        ),
        (
            SQL,
            partial(names_an_indicator),
            'failed: BinderException: Binder Error: Referenced column "is_ann"',
        ),
        (SQL, indicators, "the transforms may make other columns of other rows"),
        (SQL, numbers_several, "the transforms may make other columns of other rows"),
        (
            SQL,
            [indicators, transforms.each_row(lambda row: row, drops=["user_id_ann"])],
            "transform 2 of 2 (each_row) failed: it drops user_id_ann",
        ),
        (SQL, names_a_value, 'failed: BinderException: Binder Error: Referenced column "ann"'),
        (
            SQL,
            lambda rows, _: rows.select("nobody(user_id)"),
            "failed: CatalogException: Catalog Error: Scalar Function with name nobody",
        ),
        ("SELECT user_id, NOBODY(score) AS score FROM plays", upper, "the type of 'score'"),
        ("SELECT user_id, score FROM absent", upper, "is not known"),
        ("SELECT * FROM absent", upper, "the returned columns against columns="),
        # sqlglot does not see that USING gives one column of both.
        (
            "SELECT * FROM (plays AS a JOIN plays AS b USING (user_id))",
            upper,
            "the types of the columns are not known.",
        ),
        ("SELECT * FROM absent", None, "the returned columns against columns="),
    ],
)
def test_columns_that_are_not_certain_are_told_and_not_refused(
    author: Author, sql: str, transform: Any, reason: str
) -> None:
    columns = {"user_id": STRING, "score": BIGINT}
    told = author.check(sql, columns=columns, transform=transform, logic_version="1")[-1]
    assert told.startswith("the returned columns against columns=")
    assert reason in told


def test_types_of_a_table_with_a_type_that_athena_has_not_are_told(
    author: Author, glue: GlueClient, database: str
) -> None:
    create(glue, database, "odd", [{"Name": "score", "Type": "uniontype<int>"}])
    told = author.check("SELECT dt FROM odd", columns={"dt": STRING})
    assert told == ("the types of all columns against columns=",)


@pytest.mark.parametrize(
    ("transform", "place", "problem"),
    [
        (
            misspells,
            f"{__file__}, line {misspells.__code__.co_firstlineno + 1}: ",
            "transform 1 of 1 (misspells) names a column 'scroe', which its rows do not have."
            " Did you mean score?",
        ),
        (
            [numbered, names_another],
            f"{__file__}, line {names_another.__code__.co_firstlineno + 1}: ",
            "transform 2 of 2 (names_another) names a column 'points', which its rows do not have.",
        ),
        (
            partial(misspells),
            f"{__file__}, line {misspells.__code__.co_firstlineno + 1}: ",
            "transform 1 of 1 (misspells) names a column 'scroe', which its rows do not have."
            " Did you mean score?",
        ),
        (
            Maker(),
            f"{__file__}, line {misspells.__code__.co_firstlineno + 1}: ",
            "transform 1 of 1 (Maker) names a column 'scroe', which its rows do not have."
            " Did you mean score?",
        ),
        (
            Maker().misspell,
            f"{__file__}, line {misspells.__code__.co_firstlineno + 1}: ",
            "transform 1 of 1 (misspell) names a column 'scroe', which its rows do not have."
            " Did you mean score?",
        ),
        (
            misspells_both,
            f"{__file__}, line {misspells_both.__code__.co_firstlineno + 1}: ",
            "transform 1 of 1 (misspells_both) names a column 'scroe', which its rows do not have."
            " Did you mean score?",
        ),
        (
            transforms.each_row(lambda row: row, drops=["scor"]),
            "",
            "transform 1 of 1 (each_row) names a column 'scor', which its rows do not have. Did you"
            " mean score?",
        ),
        (
            transforms.movement(rank="score", previous_rank="previous_score"),
            "",
            "transform 1 of 1 (movement) names a column 'previous_score', which its rows do not"
            " have.",
        ),
    ],
)
def test_a_transform_that_names_a_column_which_is_not_there_is_refused(
    author: Author, transform: Any, place: str, problem: str
) -> None:
    columns = {"user_id": STRING, "score": BIGINT}
    assert author.refusal(SQL, columns=columns, transform=transform, logic_version="1") == (
        f"{place}{problem} The SQL returns user_id, score. No query was started. Correct the"
        " transform, or the SQL."
    )


@pytest.mark.parametrize(
    ("sql", "fields", "names"),
    [
        ("SELECT user_id, score * 1.5 AS score FROM plays", {}, "score"),
        ("SELECT ARRAY_AGG(user_id) AS user_id, MAX(score) AS score FROM plays", {}, "user_id"),
        (SQL, {"transform": renamed}, "all columns"),
        (SQL, {"unload": True}, "all columns"),
        (
            "SELECT user_id, score * 1.5 AS score FROM plays",
            {"transform": transforms.each_row(lambda row: row, adds={"score": "bigint"})},
            "all columns",
        ),
    ],
)
def test_types_that_are_not_certain_are_told_and_not_refused(
    author: Author, sql: str, fields: dict[str, Any], names: str
) -> None:
    columns = {"user_id": STRING, "score": BIGINT}
    told = author.check(sql, columns=columns, **fields)
    assert told == (f"the types of {names} against columns=",)


def test_a_partial_of_a_transform_of_this_package_gives_the_same_types_for_any_rows(
    author: Author,
) -> None:
    grades: Any = transforms.each_row(lambda row: row, adds={"grade": "varchar"}, drops=["score"])
    columns = {"user_id": STRING, "grade": BIGINT}
    refusal = author.refusal(SQL, columns=columns, transform=partial(grades), logic_version="1")
    assert "'grade' is string, declared as bigint" in refusal


def test_types_are_those_of_the_places_of_the_columns(author: Author) -> None:
    """sqlglot would call the second one `dt`."""
    sql = "SELECT score AS dt, CAST(dt AS VARCHAR) FROM plays"
    assert author.check(sql, columns={"dt": BIGINT, "_col1": STRING}) == ()
    refusal = author.refusal(sql, columns={"dt": STRING, "_col1": STRING})
    assert "'dt' is bigint, declared as string" in refusal


def test_of_many_columns_without_a_certain_type_not_all_are_listed(author: Author) -> None:
    values = ", ".join(f"score * 1.5 AS c{number}" for number in range(31))
    columns = {"user_id": STRING, **{f"c{number}": BIGINT for number in range(31)}}
    (told,) = author.check(f"SELECT user_id, {values} FROM plays", columns=columns)
    assert told.startswith("the types of c0, c1, ")
    assert told.endswith(", c29 and 1 more against columns=")


def test_transforms_are_tried_with_nested_columns_as_texts_as_a_result_has_them(
    author: Author,
) -> None:
    sql = "SELECT user_id, ARRAY_AGG(score) AS scores, ROW(1, 'a') AS pair FROM plays GROUP BY 1"

    def first(rows: Any, _: Any) -> Any:
        return rows.select("rtrim(scores, ']') || ltrim(pair, '{') AS n")

    refusal = author.refusal(sql, columns={"score": BIGINT}, transform=first)
    assert "it lacks 'score', and it has 'n', declared as no column" in refusal


def test_a_partition_key_has_the_type_that_glue_has(
    author: Author, glue: GlueClient, database: str
) -> None:
    def doubled(rows: Any, _: Any) -> Any:
        return rows.select("dt * 2 AS n")

    create(glue, database, "numbered", [{"Name": "user_id", "Type": "string"}], type_of_dt="int")
    refusal = author.refusal(
        "SELECT dt FROM numbered", columns={"score": BIGINT}, transform=doubled
    )
    assert "it lacks 'score', and it has 'n', declared as no column" in refusal


def test_a_glue_that_does_not_answer_is_only_told(author: Author, database: str) -> None:
    config = Config(retries={"total_max_attempts": 1})
    author.glue = boto3.client("glue", endpoint_url="http://127.0.0.1:9", config=config)
    told = author.check("SELECT anything FROM plays", columns={"anything": BIGINT})
    types = "the types of all columns against columns="
    assert told == (f"the columns of {database}.plays", types)


def test_without_a_promise_no_transform_is_run(author: Author) -> None:
    assert author.check(SQL, transform=needs_rows) == ()
