"""What an author reads says where the mistake is, and what to write there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from athena_reports_cli.authoring.report_files import declared_reports
from athena_reports_cli.authoring.rules.dag_rules import Repository, every_file_can_be_imported
from athena_reports_cli.local.project import Project
from tests.support.flown import Flown
from tests.support.shell import Shell
from tests.unit.athena_reports_cli.authoring.scores import REPORT, SQL, run


def report(**fields: str) -> str:
    """The file of the report with other fields."""
    text = REPORT
    for name, value in fields.items():
        text = re.sub(rf"    {name}=.*\n", "", text)
        text = text.replace("    since=", f"    {name}={value},\n    since=")
    return text.replace("import Input,", "import Column, Input,")


def test_an_unknown_column_is_told_with_its_file_and_line(case: Path, sql_folder: Path) -> None:
    file = sql_folder / "scores.sql"
    file.write_text(SQL.replace("SUM(score)", "SUM(scor)"))
    problem = run(case).problem
    assert f" The error is in {file}, line 6 (`SELECT user_id, SUM(scor) AS score" in problem
    assert problem.endswith(
        " Run the command again. Or, if the SQL is right, add the table or column to the case:"
        f" {case} has plays.csv."
    )
    assert "lear run_query" not in problem


def test_a_syntax_error_is_told_with_its_file_and_line(case: Path, sql_folder: Path) -> None:
    file = sql_folder / "scores.sql"
    file.write_text(SQL.replace("SUM(score) AS score", "SUM(score AS score"))
    problem = run(case).problem
    assert problem.startswith("scores_weekly, period 2025-06-15: Athena rejected the query: ")
    assert f" The error is in {file}, line 6 (`SELECT user_id, SUM(score AS score" in problem


@pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
def test_a_value_that_cannot_be_read_does_not_name_a_task_of_no_run(
    shell: Shell, flown: Flown
) -> None:
    file = flown.root / "sql" / "flown.sql"
    late = "SUM(distance) AS distance, MAX(TIMESTAMP '2025-10-26 02:30:00 Europe/Berlin') AS late"
    file.write_text(file.read_text().replace("SUM(distance) AS distance", late))
    code, printed = shell("preview", "flown", "2013-03-11", "--run")
    assert code == 1
    printed = " ".join(printed.split())
    assert printed.endswith("for example with CAST, then run the command again.")


@pytest.mark.parametrize(
    ("check", "column"),
    [
        ('checks.unique("user", "score")', "user"),
        ('checks.not_null("scor")', "scor"),
        ('checks.in_range("scor", at_least=0)', "scor"),
        ('checks.change("scor", within=0.5)', "scor"),
    ],
)
def test_a_check_on_a_missing_column_names_the_columns_that_there_are(
    check: str, column: str, case: Path
) -> None:
    (case.parents[2] / "dags" / "scores.py").write_text(report(checks=f"[{check}]"))
    problem = run(case).problem
    name = check.removeprefix("checks.").partition("(")[0]
    assert problem.startswith(f"Check {name}(")
    assert problem.endswith(
        f"Cannot run this check: column {column} does not exist. The columns are user_id, score."
    )


def test_a_column_that_is_not_as_declared_fails_its_case(case: Path) -> None:
    columns = '{"user_id": Column("string", "who"), "score": Column("int", "points")}'
    (case.parents[2] / "dags" / "scores.py").write_text(report(columns=columns))
    accepted = run(case, accept=True)
    assert accepted.outcome == "failed"
    problem = run(case).problem
    assert problem.startswith("Check columns failed: ")
    assert accepted.problem.endswith(problem)
    assert "'score' is bigint, declared as int" in problem


@pytest.mark.parametrize(
    ("cadence", "problem"),
    [
        (
            'weekly("SUNDAY", "Asia/Tokyo")',
            "first_day 'SUNDAY' is not valid",
        ),
        ('weekly("sunday", "Asia/Tokio")', "'Asia/Tokio' is not an IANA time zone"),
        ('monthly("Tokyo")', "'Tokyo' is not an IANA time zone"),
    ],
)
def test_a_mistake_in_a_cadence_names_its_line_and_what_to_write(
    cadence: str, problem: str, case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As `check` has it: the whole traceback.
    monkeypatch.setenv("AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH", "50")
    root = case.parents[2]
    file = root / "dags" / "scores.py"
    text = "# For Airflow.\n" + REPORT.replace('weekly("sunday", "Asia/Tokyo")', cadence)
    file.write_text(text)
    line = text[: text.index(cadence)].count("\n") + 1

    (broken_file,) = declared_reports().broken_files
    told = broken_file.problem
    assert told.startswith(f"{file}, line {line}: ")
    assert told.endswith(f" (`{text.splitlines()[line - 1]}`)")
    assert problem in told
    assert every_file_can_be_imported(Repository(Project(root))) == [told]
