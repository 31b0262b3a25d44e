"""What the commands of authors have in common, and options that no other file of tests has."""

from __future__ import annotations

import io
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.dag_files import load_dags
from tests.support.flown import DAG_ID, REPORT, Flown
from tests.support.paths import ROOT
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
FLIGHTS = """carrier string,distance bigint,time_hour timestamp,dt string
AA,100,2013-03-12 12:00:00,2013-03-12
"""
CASE = {
    "case.yaml": "period: 2013-03-11",
    "flights.csv": FLIGHTS,
    "expected.csv": '"carrier",flights,distance\n"AA",1,100\n',
}


@pytest.mark.parametrize(
    "arguments",
    [
        ["preview", "flown", "2013-03-11"],
        ["status", "flown"],
        ["docs", "flown"],
        ["costs", "flown"],
        ["check-account"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_only_looks_pays_nothing(arguments: list[str], shell: Shell, flown: Flown) -> None:
    before = flown.queries().keys()
    code, printed = shell(*arguments)
    assert code == 0, printed
    assert "flown" in printed or "flights" in printed
    assert flown.queries().keys() == before


WITHOUT_SQLGLOT = """
import sys
sys.modules["sqlglot"] = None
from athena_reports.authors.command_line import main
main()
"""


def test_a_command_that_reads_sql_says_that_its_parser_is_not_installed(flown: Flown) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        program = ("-c", WITHOUT_SQLGLOT)
        with flown.start(*arguments, program=program) as process:
            printed, errors = process.communicate("")
        return process.returncode, printed, errors

    pinned = (ROOT / "dev" / "pins" / "local.txt").read_text()
    (requirement,) = re.findall(r"^sqlglot==[\d.]+", pinned, re.MULTILINE)
    for command in ("preview", "plan"):
        code, _, errors = run(command, DAG_ID)
        assert code == 1
        assert errors.strip() == (
            "This command reads SQL with sqlglot, which is not installed."
            f" Install it: python -m pip install {requirement}"
        )
    code, printed, errors = run("docs", DAG_ID)
    assert code == 0, errors
    assert "flights" in printed


def test_a_preview_that_runs_pays_one_query_and_shows_its_rows(shell: Shell, flown: Flown) -> None:
    before = flown.queries().keys()
    code, printed = shell("preview", "flown", "2013-03-11")
    assert code == 0, printed
    assert "Nothing was run." in printed
    code, printed = shell("preview", "flown", "2013-03-11", "--run")
    assert code == 0, printed
    assert "10 of 15 rows" in printed
    assert "Nothing is published." in printed
    (query,) = (query for query_id, query in flown.queries().items() if query_id not in before)
    assert query["Status"]["State"] == "SUCCEEDED"


@pytest.mark.parametrize(("severity", "expected"), [("fail", 1), ("warn", 0)])
def test_a_failed_check_is_an_exit_code_after_all_is_shown(
    severity: str, expected: int, shell: Shell, flown: Flown
) -> None:
    file = flown.root / "dags" / "flown.py"
    check = f'checks=[checks.rows(at_most=3, severity="{severity}"), '
    file.write_text(file.read_text().replace("checks=[", check))
    code, _ = shell("preview", "flown", "2013-03-11", "--run")
    assert code == expected
    assert "Nothing is published." in shell.output
    code, _ = shell("plan", "flown", "--last", "1", "--yes", "--json")
    assert code == expected
    (period,) = json.loads(shell.output)["periods"]
    assert bool(period["failed"]) == bool(expected)


def test_a_period_without_rows_is_one_that_would_not_be_published(
    shell: Shell, flown: Flown
) -> None:
    flown.edit("GROUP BY", "AND distance < 0 GROUP BY")
    code, _ = shell("plan", "flown", "--last", "1", "--yes")
    assert code == 1
    assert "2013-03-18 would not be published. There are no rows" in shell.output
    code, _ = shell("preview", "flown", "2013-03-18", "--run")
    assert code == 1
    assert "It would not be published. There are no rows" in shell.output


def test_the_folder_that_is_named_counts_more_than_the_one_of_the_shell(
    shell: Shell, flown: Flown, tmp_path: Path
) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "other.py").write_text(REPORT.replace('name="flown"', 'name="other"'))
    assert shell("docs", "flown")[0] == 0
    code, printed = shell("--dags", str(tmp_path / "others"), "docs", "other")
    assert code == 0, printed
    assert "other_weekly" in printed
    code, printed = shell("--dags", str(tmp_path / "others"), "docs", "flown")
    assert code == 1
    assert "There is no report 'flown'" in printed


def test_costs_name_the_file_whose_reports_are_not_among_them(flown: Flown) -> None:
    (flown.root / "dags" / "broken.py").write_text(
        "from athena_reports import build_dag\nthis is no Python\n"
    )
    done = flown.run("costs", "--json")
    assert done.returncode == 1  # after all is shown
    assert json.loads(done.stdout)["reports"].keys() == {DAG_ID}
    assert "broken.py cannot be imported: SyntaxError" in done.stderr


@pytest.fixture
def case(flown: Flown) -> Path:
    """A case of the report that passes, in a folder of its own."""
    folder = flown.root / "cases" / "flown" / "bounds"
    folder.mkdir(parents=True)
    for name, text in CASE.items():
        (folder / name).write_text(text)
    return folder


def test_a_case_that_fails_is_an_exit_code_until_it_is_accepted(shell: Shell, case: Path) -> None:
    root = ("--folder", str(case.parents[1]))
    expected = (case / "expected.csv").read_text()
    code, printed = shell("test", *root)
    assert (code, printed.splitlines()[-1]) == (0, "1 passed"), printed

    (case / "expected.csv").write_text(expected.replace("100", "101"))
    code, printed = shell("test", "flown", *root)
    assert code == 1
    assert printed.splitlines()[-1] == "1 failed"
    code, printed = shell("test", "flown/bounds", *root, "--json")
    assert code == 1
    (result,) = json.loads(printed)
    assert (result["outcome"], result["expected"][1][2], result["found"][1][2]) == (
        "failed",
        "101",
        "100",
    )

    code, printed = shell("test", *root, "--accept")
    assert (code, printed.splitlines()[-1]) == (0, "1 accepted"), printed
    assert (case / "expected.csv").read_text() == expected


def test_what_the_local_athena_does_not_run_is_an_exit_code(
    shell: Shell, flown: Flown, case: Path
) -> None:
    flown.edit("SUM(distance)", "APPROX_MOST_FREQUENT(3, distance, 10)")
    code, printed = shell("test", "--folder", str(case.parents[1]))
    assert code == 1
    assert printed.splitlines()[-1] == "1 not run"


def test_a_misspelt_case_beside_a_right_one_is_told(shell: Shell, case: Path) -> None:
    code, printed = shell("test", "flown/bounds", "flown/bound", "--folder", str(case.parents[1]))
    assert code == 1
    assert "no such case" in printed
    assert "flown/bound." in printed
    assert "It has: flown/bounds." in printed


def test_a_new_report_is_asked_for_and_has_what_was_answered(
    shell: Shell, flown: Flown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(flown.root)
    answers = ["plays", "user_id", "played_at", "2025-01-01", "us"]  # in the order of the options
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{answer}\n" for answer in answers)))
    options = ("--until", "2025-06-30", "--partition", "day", "--timezone", "Asia/Tokyo")
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", "include/sql")
    (flown.root / "include" / "sql").mkdir(parents=True)
    code, printed = shell("new", "busy_users", *options)
    assert code == 0, printed
    dag = load_dags(flown.root / "dags" / "busy_users.py")["busy_users_weekly"]
    (table,) = dag.get_task("run_query").inputs
    assert (table.table, table.columns) == ("plays", ("day",))
    assert dag.owner == "us"
    assert dag.timetable.cadence.zone.key == "Asia/Tokyo"
    assert dag.start_date == datetime(2024, 12, 31, 15, tzinfo=UTC)
    assert dag.end_date is not None
    sql = (flown.root / "include" / "sql" / "busy_users.sql").read_text()
    assert "user_id" in sql
    assert 'period.contains("played_at")' in sql


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "said"),
    [
        (["user_rankin"], {}, 1, "There is no report 'user_rankin'"),
        (["--months", "0"], {}, 2, "--months"),
        ([], {"AWS_DEFAULT_REGION": ""}, 1, "You must specify a region"),
        (
            [],
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            1,
            "Unable to locate credentials",
        ),
    ],
)
def test_what_is_wrong_is_one_message(
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variables: dict[str, str],
    code: int,
    said: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    ended, _ = shell("costs", *arguments)
    assert ended == code
    assert said in shell.errors
