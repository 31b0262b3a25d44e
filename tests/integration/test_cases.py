"""Cases of a report: a few rows in, the expected rows out, on the local Athena."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_local.services import Services
from athena_reports.authors.cases import CaseResult, case_folders, run_case
from athena_reports.authors.report_files import declared_reports
from athena_reports.authors.trial import Aws

REPORT = """
from datetime import timedelta
from athena_reports import Input, Report, build_dag, checks, monthly, transforms, weekly

scores = Report(
    name="scores", sql="scores.sql", since="2025-01-01", inputs=[Input("plays", "dt")],
    checks=[checks.rows(at_most=2)],
    transform=transforms.each_row(lambda row: row | {"user_id": row["user_id"].upper()}),
)
scores_weekly = build_dag(scores, weekly("sunday", "Asia/Tokyo"))
scores_monthly = build_dag(scores, monthly("Asia/Tokyo"))
"""
SQL = """-- scores
WITH current AS (
    SELECT user_id, score FROM plays -- SELECT in a comment
    WHERE {{ period.partitions("dt") }} AND {{ period.contains("at") }}
)
SELECT user_id, SUM(score) AS score FROM current GROUP BY user_id ORDER BY user_id
"""
PLAYS = """user_id string,score bigint,at timestamp,dt string
a,1,2025-06-14 15:00:00,2025-06-14
a,2,2025-06-21 14:59:59.999,2025-06-21
b,,2025-06-16 00:00:00,2025-06-16
b,5,2025-06-21 15:00:00,2025-06-21
"""
EXPECTED = '"user_id",score\n"A",3\n"B",\n'


@pytest.fixture
def case(
    tmp_path: Path, sql_folder: Path, services: Services, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A case that passes, of a report of its own."""
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "scores.py").write_text(REPORT)
    (sql_folder / "scores.sql").write_text(SQL)
    folder = tmp_path / "reports" / "scores" / "bounds"
    folder.mkdir(parents=True)
    for name, text in {
        "case.yaml": "period: 2025-06-15",
        "plays.csv": PLAYS,
        "expected.csv": EXPECTED,
    }.items():
        (folder / name).write_text(text)
    return folder


def run(folder: Path, *, accept: bool = False) -> CaseResult:
    return run_case(folder, declared_reports(), Aws.connect(), accept=accept)


def test_a_case_passes_by_its_rows_and_leaves_nothing(case: Path, services: Services) -> None:
    assert run(case).outcome == "passed"
    assert not [
        each
        for each in services.glue.get_databases()["DatabaseList"]
        if each["Name"].startswith("case_")
    ]
    assert (
        services.s3.list_objects_v2(Bucket="athena-report-dev", Prefix="_cases/")["KeyCount"] == 0
    )


def test_null_and_the_empty_text_are_two_values(case: Path) -> None:
    (case / "expected.csv").write_text(EXPECTED.replace('"B",', '"B",""'))
    result = run(case)
    assert result.outcome == "failed"
    assert (result.expected[2], result.found[2]) == (("B", ""), ("B", None))


def test_what_came_out_is_accepted_and_passes_then(case: Path) -> None:
    (case / "expected.csv").unlink()
    assert run(case).problem.endswith("expected.csv is missing. --accept writes what came out.")
    assert run(case, accept=True).outcome == "accepted"
    assert (case / "expected.csv").read_text() == EXPECTED
    assert run(case).outcome == "passed"


def test_the_rows_of_a_cte_are_those_before_transform_and_checks(case: Path) -> None:
    (case / "case.yaml").write_text("period: 2025-06-15\ncte: current")
    (case / "expected.csv").write_text('"user_id",score\n"a",1\n"a",2\n"b",\n')
    assert run(case).outcome == "passed"


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("case.yaml", "period: 2025-06-16", "no week begins on '2025-06-16'"),
        ("case.yaml", "period: 2025-06\ncadence: weekly", "'2025-06' is not the id of a week"),
        ("case.yaml", "period: 2025-06-15\nreport: x", "Extra inputs are not permitted"),
        (
            "case.yaml",
            "period: 2025-06-15\ncte: curent",
            "The SQL has no CTE 'curent'. It has current.",
        ),
        ("plays.csv", "user_id,score\na,1\n", "each column of the header needs a type"),
        (
            "plays.csv",
            "user_id string,score bigint,at timestamp\na,1,2025-06-16\n",
            "has no column dt",
        ),
        ("plays.csv", PLAYS.replace("a,1", "a,one"), "Could not convert string 'one' to INT64"),
        (
            "plays.csv",
            PLAYS + "c,1,2025-06-16 00:00:00,2025-06-16\n",
            "Check rows(at_most=2) failed: There are 3 rows",
        ),
        ("plays.csv", PLAYS + "c,1\n", "does not read as CSV"),
    ],
)
def test_a_case_that_cannot_pass_says_why(case: Path, file: str, text: str, problem: str) -> None:
    (case / file).write_text(text)
    result = run(case)
    assert result.outcome == "failed"
    if "Check" in problem:  # a failed check is told once the rows are right
        result = run(case, accept=True) and run(case)
    assert problem in result.problem


def test_a_table_without_rows_is_a_table(case: Path) -> None:
    (case / "plays.csv").write_text(PLAYS.partition("\n")[0] + "\n")
    (case / "expected.csv").write_text("user_id,score\n")
    assert run(case).outcome == "passed"


def test_what_the_local_athena_does_not_do_is_not_run(case: Path, sql_folder: Path) -> None:
    (sql_folder / "scores.sql").write_text(
        SQL.replace("SUM(score)", "APPROX_MOST_FREQUENT(3, score, 10)")
    )
    result = run(case)
    assert (result.outcome, "the function approx_most_frequent" in result.problem) == (
        "not run",
        True,
    )


def test_an_account_is_never_written_to(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports, aws = declared_reports(), Aws.connect()
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(Exception, match="Cases write their tables into the local services"):
        run_case(case, reports, aws)


def test_a_case_that_is_not_there_is_named_beside_those_that_are(case: Path) -> None:
    root = case.parents[1]
    assert case_folders(root, ["scores"]) == case_folders(root, ["scores/bounds"]) == [case]
    with pytest.raises(Exception, match=r"no such case .* It has: scores/bounds"):
        case_folders(root, ["scores/bound"])
