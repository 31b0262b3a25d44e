"""A dry run tells a right report from a wrong one, and says what it cannot judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from athena_reports import Column, Input, Published, build_dag, checks, transforms
from athena_reports_cli.authoring import dry_run as module
from athena_reports_cli.authoring.dry_run import DryRun, Verdict, WrongReportError, shape_of
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.source_tables import TableSchema
from athena_reports_cli.authoring.trial import Aws
from athena_reports_cli.local.services import Services
from tests.support.calendars import WEEK, WEEKS
from tests.support.declared import MakeReport

PLAYS = TableSchema(
    environment="dev",
    columns={"user_id": "string", "score": "bigint", "tags": "array<string>"},
    partition_keys={"dt": "string"},
)
UNKNOWN = TableSchema(environment="dev", columns={})
TABLES = {
    ("database_dev", "plays"): PLAYS,
    ("database_dev", "others_weekly"): PLAYS,  # the name of a DAG, in the database of sources
    ("raw", "users"): PLAYS,
    ("raw", "delta"): UNKNOWN,
}
RIGHT = "SELECT user_id, SUM(score) AS score FROM plays GROUP BY user_id ORDER BY user_id"
TYPES = {"user_id": "string", "score": "bigint"}

Declare = Callable[..., DeclaredReport]
Judge = Callable[..., Verdict]


@pytest.fixture
def declare(make_report: MakeReport, sql_folder: Path) -> Declare:
    """Declares a report with SQL of its own."""

    def declare(sql: str, *, name: str = "plays", **fields: Any) -> DeclaredReport:
        (sql_folder / f"{name}.sql").write_text(sql)
        report = make_report(name=name, sql=f"{name}.sql", **fields)
        return DeclaredReport(build_dag(report, WEEKS))

    return declare


@pytest.fixture
def judge(services: Services) -> Judge:
    """Judges a report beside others."""

    def judge(*reports: DeclaredReport) -> Verdict:
        by_id = {declared.dag.dag_id: declared for declared in reports}
        find = lambda database, name: TABLES.get((database, name))  # noqa: E731
        return DryRun(services.endpoint_url, by_id, find).judge(reports[0], WEEK)

    return judge


def columns(types: dict[str, str]) -> dict[str, Column]:
    return {name: Column(kind, "it") for name, kind in types.items()}


def no_row(rows: Any, _: object) -> Any:
    return rows.limit(len(rows.fetchall()[0]))


def gone(rows: Any, _: object) -> Any:
    return rows.query("rows", "SELECT gone FROM rows")


NOT_READ = "An UNLOAD without rows"


@pytest.mark.parametrize(
    ("sql", "fields", "outcome", "problem"),
    [
        (RIGHT, {"columns": columns(TYPES)}, "valid", ""),
        (
            RIGHT,
            {"checks": [checks.rows(at_least=9), checks.change("score", within=0.1)]},
            "valid",
            "",
        ),
        (RIGHT.replace("plays", "raw.users"), {}, "valid", ""),
        (
            RIGHT.replace("SUM(score)", "\nSUM(scor)\n"),
            {"inputs": [Input("plays")]},
            "wrong",
            "plays.sql, line 2 (`SUM(scor)`): Column 'scor' cannot be resolved. Did you mean",
        ),
        (
            RIGHT.replace("AS score", "AS scored"),
            {"columns": columns(TYPES)},
            "wrong",
            "'score' is missing, declared as bigint; 'scored' is bigint, declared as no",
        ),
        (
            RIGHT,
            {"columns": columns(TYPES | {"score": "int"})},
            "wrong",
            "plays.sql, line 1: Check columns failed: The columns do not match the declaration:"
            " 'score' is",
        ),
        (
            RIGHT.replace("plays", "palys"),
            {"inputs": [Input("plays")]},
            "wrong",
            "no table palys. Did you mean plays? Correct the name, or run `athena-reports check",
        ),
        (RIGHT, {"inputs": [Input("gone")]}, "wrong", "tables.yaml has no table gone."),
        ("SELECT {{ lost }}", {}, "wrong", "plays.sql: line 1 of the SQL: lost is not defined"),
        ("SELECT 1 AS a, 2 AS a", {}, "wrong", "duplicate column a"),
        (
            RIGHT,
            {"checks": [checks.not_null("scored", severity="warn")]},
            "wrong",
            "column scored",
        ),
        (RIGHT, {"transform": gone}, "wrong", "transform 1 of 1 (gone) failed:"),
        (
            RIGHT,
            {"transform": transforms.each_row(lambda row: row, drops=["scored"])},
            "wrong",
            "it drops scored",
        ),
        (
            "USING EXTERNAL FUNCTION f(a varchar) RETURNS varchar LAMBDA 'l'"
            " SELECT f(user_id) AS a FROM plays",
            {},
            "not validated",
            "the local Athena does not support USING EXTERNAL FUNCTION",
        ),
        (
            RIGHT,
            {"transform": no_row},
            "not validated",
            "transform 1 of 1 (no_row) failed: IndexError",
        ),
        ("SELECT * FROM other.raw.users", {}, "not validated", "Catalog 'other' does not exist."),
        (
            "SELECT approx_set(score) AS a FROM plays",
            {},
            "not validated",
            "the local Athena does not support the function approx_set",
        ),
        (
            RIGHT,
            {"inputs": [Input("delta", database="raw")]},
            "not validated",
            "Glue has no columns for raw.delta.",
        ),
        (
            "SELECT tags FROM plays",
            {"unload": True, "columns": columns({"tags": "array<string>"})},
            "not validated",
            NOT_READ,
        ),
    ],
)
def test_a_report_is_valid_or_wrong_or_cannot_be_judged(
    sql: str, fields: dict[str, Any], outcome: str, problem: str, declare: Declare, judge: Judge
) -> None:
    verdict = judge(declare(sql, **fields))
    assert (verdict.outcome, problem in verdict.problem) == (outcome, True), verdict


def test_a_report_has_the_columns_that_another_one_returns(declare: Declare, judge: Judge) -> None:
    other = declare(RIGHT, name="others")
    sql = "SELECT score FROM {{ inputs.others_weekly.table }}"
    inputs = [Published("others", WEEKS)]
    reader = declare(sql, inputs=inputs, columns=columns({"score": "bigint"}))
    assert judge(reader, other).outcome == "valid"
    unknown = declare(RIGHT, name="others", transform=no_row)
    assert judge(reader, unknown).outcome == "not validated"
    wrong = declare(sql.replace("score", "tags"), inputs=inputs)
    assert judge(wrong, other).outcome == "wrong"  # a column of plays, which the other drops


def test_a_table_of_the_lake_with_the_name_of_a_dag_has_its_own_columns(
    declare: Declare, judge: Judge
) -> None:
    other = declare(RIGHT, name="others", columns=columns(TYPES))
    reader = declare("SELECT dt FROM others_weekly", inputs=[Input("others_weekly")])
    assert judge(reader, other).outcome == "valid"


def test_queries_that_differ_in_more_than_their_literals_have_two_shapes() -> None:
    week = "SELECT a FROM t1 WHERE dt IN ('2025-06-01', '2025-06-02') AND n > 10 AND x = 'u'"
    other = "SELECT a FROM t1 WHERE dt IN ('2025-06-08') AND n > 3 AND x = 'v w'"
    assert shape_of(week) == shape_of(other)
    for old, new in (("AND n", "OR n"), ("SELECT a", "SELECT b"), ("x = ", "x <> "), ("t1", "t2")):
        assert shape_of(week.replace(old, new)) != shape_of(week)


def test_a_dry_run_writes_into_no_account(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    @contextmanager
    def start(log: Path) -> Iterator[Services]:
        started.append(log)
        yield services

    monkeypatch.setattr(module, "local_services", start)
    nothing: Any = None
    for url, number in ((services.endpoint_url, 0), ("https://athena.us-east-1.amazonaws.com", 1)):
        athena = boto3.client("athena", region_name="us-east-1", endpoint_url=url)
        aws = Aws(athena=athena, glue=nothing, s3=nothing)
        with module.open_dry_run(aws, [], lambda *_: None):
            assert len(started) == number


@pytest.mark.parametrize(
    ("declared_columns", "outcome"), [(columns(TYPES), "valid"), ({}, "wrong")]
)
def test_a_report_that_reads_itself_has_the_columns_that_it_declares(
    declared_columns: dict[str, Column], outcome: str, declare: Declare, judge: Judge
) -> None:
    sql = "SELECT user_id, score FROM report_dev.plays_weekly ORDER BY user_id"
    assert judge(declare(sql, columns=declared_columns)).outcome == outcome


def test_a_wrong_report_ends_a_command_and_one_that_cannot_be_judged_does_not(
    services: Services, declare: Declare
) -> None:
    dry_run = DryRun(services.endpoint_url, {}, lambda *_: None)
    unjudged = dry_run.require_valid(declare("SELECT * FROM other.raw.users"), WEEK)
    assert unjudged.outcome == "not validated"
    with pytest.raises(WrongReportError, match=r"^plays_weekly, period .* No query was started\.$"):
        dry_run.require_valid(declare("SELECT 1 AS"), WEEK)
