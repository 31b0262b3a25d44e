"""Cases of a report: a few rows in, the expected rows out, on the local Athena."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from athena_reports_cli.authoring.cases import CaseError, case_folders
from athena_reports_cli.local.local_endpoint import RemoteEndpointError
from athena_reports_cli.local.services import Services
from tests.unit.athena_reports_cli.authoring.scores import EXPECTED, PLAYS, SQL, run


def test_a_case_passes_by_its_rows_and_leaves_nothing(case: Path, services: Services) -> None:
    begun = time.monotonic()
    result = run(case)
    assert result.outcome == "passed"
    assert 0 <= result.seconds <= time.monotonic() - begun + 0.001
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
    assert result.problem.endswith("-user_id='B', score=''\n+user_id='B', score=NULL")


def test_what_came_out_is_accepted_and_passes_then(case: Path) -> None:
    (case / "expected.csv").unlink()
    missing = run(case)
    assert missing.problem == f"{case}/expected.csv is missing. Add --accept to write it."
    accepted = run(case, accept=True)
    assert (accepted.outcome, accepted.problem) == ("accepted", "")
    assert (case / "expected.csv").read_text() == EXPECTED
    assert run(case).outcome == "passed"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("period: 2025-06-16", ": scores: '2025-06-16' is not the id of a week"),
        (
            "period: 2025-06\ncadence: weekly",
            ": scores_weekly: '2025-06' is not the id of a week",
        ),
        ("period: 2025-06\ncadence: wekly", ': There is no report "scores_wekly".'),
        ("period: 2025-06-15\ncte: x", ", field 'cte': "),
        ("cadence: weekly", ", field 'period': "),
        # Not the last complete one, which is another one each week.
        ("period:", ", field 'period': '' is not valid"),
        ("", ": expected fields, such as `period: 2026-11-15`."),
        ('period: "2025-06-15', " cannot be read: while scanning a quoted scalar"),
        ("period: 2025-06-15 # \udcff", " cannot be read: 'utf-8' codec can't decode"),
    ],
)
def test_a_case_that_cannot_run_says_why(case: Path, text: str, problem: str) -> None:
    file = case / "case.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    result = run(case)
    assert result.outcome == "failed"
    assert result.problem.startswith(f"{file}{problem}")


def test_a_case_whose_rows_are_right_and_whose_check_fails_has_failed(case: Path) -> None:
    (case / "plays.csv").write_text(PLAYS + "c,1,2025-06-16 00:00:00,2025-06-16\n")
    accepted = run(case, accept=True)
    assert accepted.outcome == "failed"
    assert "was written, but a run would not publish it: Check" in accepted.problem
    result = run(case)
    assert result.outcome == "failed"
    assert "Check rows(at_most=2) failed: 3 rows" in result.problem


@pytest.mark.parametrize(
    ("expected", "difference"),
    [
        (
            EXPECTED.replace("3", "4"),
            ["@@ -2 +2 @@", "-user_id='A', score='4'", "+user_id='A', score='3'"],
        ),
        ('"user_id",score\n"B",\n', ["@@ -1,0 +2 @@", "+user_id='A', score='3'"]),
        (EXPECTED + "D,7\n", ["@@ -4 +3,0 @@", "-user_id='D', score='7'"]),
        (
            '"user","score"\n',
            [
                "@@ -1 +1,3 @@",
                "-user, score",
                "+user_id, score",
                "+user_id='A', score='3'",
                "+user_id='B', score=NULL",
            ],
        ),
        # Another way to write the same values is no difference.
        ('user_id,"score"\r\nA,"3"\r\nB,\r\n', []),
    ],
)
def test_rows_that_differ_are_told_as_a_diff(
    case: Path, expected: str, difference: list[str]
) -> None:
    file = case / "expected.csv"
    file.write_bytes(expected.encode())
    problem = run(case).problem
    if difference:
        lines = [f"{file}: the rows differ.", "--- expected", "+++ found", *difference]
        assert problem == "\n".join(lines)
    else:
        assert problem == ""


def test_of_a_long_difference_the_begin_is_told(case: Path) -> None:
    rows = "".join(f"X{number},{number}\n" for number in range(30))
    (case / "expected.csv").write_text(EXPECTED + rows)
    problem = run(case).problem
    assert problem.endswith("\n-user_id='X20', score='20'\n... and 9 lines more")


def test_a_query_that_athena_rejects_is_told_with_its_line(case: Path, sql_folder: Path) -> None:
    file = sql_folder / "scores.sql"
    file.write_text(SQL.replace("SUM(score) AS score", "SUM(score AS score"))
    problem = run(case).problem
    assert "Athena rejected the query" in problem
    assert f" The error is in {file}, line 6 (`SELECT user_id, SUM(score AS" in problem


@pytest.mark.parametrize(
    ("old", "new", "says", "place"),
    [
        ("FROM plays", "FROM plai", "TABLE_NOT_FOUND", "line 3 (`SELECT user_id, score FROM plai"),
        ("SUM(score)", "SUM(scor)", "COLUMN_NOT_FOUND", "line 6 (`SELECT user_id, SUM(scor) AS"),
    ],
)
def test_what_the_case_lacks_is_told_with_its_line_and_the_files_that_it_has(
    old: str, new: str, says: str, place: str, case: Path, sql_folder: Path
) -> None:
    file = sql_folder / "scores.sql"
    file.write_text(SQL.replace(old, new))
    problem = run(case).problem
    assert says in problem
    assert f" The error is in {file}, {place}" in problem
    assert problem.endswith(
        " Run the command again. Or, if the SQL is right, add the table or column to the case:"
        f" {case} has plays.csv."
    )


def test_a_value_that_cannot_be_read_does_not_name_a_task_of_no_run(
    case: Path, sql_folder: Path
) -> None:
    late = "SUM(score) AS score, MAX(TIMESTAMP '2025-10-26 02:30:00 Europe/Berlin') AS late"
    (sql_folder / "scores.sql").write_text(SQL.replace("SUM(score) AS score", late))
    assert run(case).problem.endswith("for example with CAST, then run the command again.")


def test_what_another_report_publishes_is_a_table_of_the_case(case: Path, sql_folder: Path) -> None:
    file = case.parents[2] / "dags" / "scores.py"
    text = file.read_text().replace("import Input", "import Published, daily")
    file.write_text(text.replace('Input("plays", "dt")', 'Published("days", daily("Asia/Tokyo"))'))
    (case / "plays.csv").unlink()
    (case / "days_daily.csv").write_text(
        "user_id string,score bigint,period string\na,3,2025-06-15\nb,,2025-06-21\nb,5,2025-06-22\n"
    )
    days = "FROM {{ inputs.days_daily.table }} WHERE {{ inputs.days_daily.partitions }}"
    (sql_folder / "scores.sql").write_text(f"SELECT user_id, score {days} ORDER BY user_id")
    assert run(case).problem == ""


def test_what_the_local_athena_does_not_do_is_not_run(case: Path, sql_folder: Path) -> None:
    (sql_folder / "scores.sql").write_text(SQL.replace("SUM(score)", "NUMERIC_HISTOGRAM(3, score)"))
    result = run(case)
    assert (result.outcome, "the function numeric_histogram" in result.problem) == (
        "not run",
        True,
    )


@pytest.mark.parametrize("service", ["athena", "glue", "s3"])
def test_a_service_that_is_not_a_local_one_is_never_written_to(
    service: str, case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service.upper()}", f"https://{service}.aws.invalid")
    with pytest.raises(
        RemoteEndpointError, match=f"The {service} endpoint of this shell is https://"
    ):
        run(case)


def test_a_case_that_is_not_there_is_named_beside_those_that_are(case: Path) -> None:
    root = case.parents[1]
    assert case_folders(root, ["scores"]) == case_folders(root, ["scores/bounds"]) == [case]
    assert case_folders(root, ["scores", "scores/bounds"]) == [case]
    for name in ("scores/bound", "bounds"):  # a case is named with its report
        with pytest.raises(CaseError) as unknown:
            case_folders(root, [name])
        assert str(unknown.value) == (f"{root} has no case {name}. Available: scores/bounds.")
    (root / "case.yaml").touch()
    (case / "older").mkdir()
    (case / "older" / "case.yaml").touch()
    assert case_folders(root, []) == [case]
    with pytest.raises(CaseError, match=r"has no cases\. A case is a folder with a case\.yaml\."):
        case_folders(case / "older", [])


def test_a_case_reads_the_partitions_of_late_events_as_a_run_does(case: Path) -> None:
    """The week ends on June 21, and its events may land for two days more."""
    file = case.parents[2] / "dags" / "scores.py"
    late = 'since="2025-01-01",\n    late_by=timedelta(days=2),'
    file.write_text(file.read_text().replace('since="2025-01-01",', late))
    landed = "b,7,2025-06-21 14:00:00,2025-06-23\nb,70,2025-06-21 14:00:00,2025-06-24\n"
    (case / "plays.csv").write_text(PLAYS + landed)
    (case / "expected.csv").write_text(EXPECTED.replace('"B",', '"B",7'))
    assert run(case).outcome == "passed"
