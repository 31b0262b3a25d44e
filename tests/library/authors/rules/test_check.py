"""The command `check`: what it prints, its exit code, and what it writes with --renew."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from athena_reports.authors.rules import check as command
from athena_reports.local.project import find_project
from tests.library.authors.rules.plays import DAG_FILE

ROOT = Path(__file__).resolve().parents[4]
SQL = """-- Where players are.
SELECT country FROM plays
WHERE {{ period.partitions("dt") }} AND {{ period.contains("played_at") }}
ORDER BY country
"""
GOLDEN = "tests/reports/plays/golden/weekly_2025-01-05.sql"
COMMAND = [sys.executable, "-m", "athena_reports", "check"]
RunRules = Callable[..., tuple[bool, list[str]]]


@pytest.fixture
def project(tmp_path: Path, sql_folder: Path) -> Path:
    """A project of one report that breaks no rule once its golden files are there."""
    root = tmp_path / "project"
    (root / "dags").mkdir(parents=True)
    (root / "dags" / "plays.py").write_text(DAG_FILE)
    (root / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (sql_folder / "plays.sql").write_text(SQL)
    return root


@pytest.fixture
def rules(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> RunRules:
    """The check in the project; it gives whether nothing was found, and the printed lines."""
    # Of the whole process, of which other tests run in this one.
    monkeypatch.setattr(command, "_set_environment", lambda *_: None)
    monkeypatch.setattr("gc.disable", lambda: None)

    def run(*, renew: bool = False) -> tuple[bool, list[str]]:
        capsys.readouterr()
        is_clean = command.check(find_project(project), renew=renew)
        printed = capsys.readouterr()
        assert printed.err == ""
        return is_clean, printed.out.splitlines()

    return run


def test_golden_files_are_written_with_renew_alone(project: Path, rules: RunRules) -> None:
    is_clean, lines = rules()
    assert not is_clean
    assert any("golden" in line for line in lines)
    assert not (project / "tests").exists()

    is_clean, lines = rules(renew=True)
    assert is_clean
    assert lines[0].endswith(GOLDEN)
    assert len(lines) == 2
    assert re.fullmatch(r"No finding in 1 DAG files, 1 DAGs of reports; \d+ s", lines[1])
    assert (project / GOLDEN).read_text().startswith("-- Where players are.\n")

    assert rules(renew=True)[1][0] == "The golden files are as they should be."
    assert rules()[0]


def test_findings_of_all_rules_are_counted_and_each_rule_says_why(
    project: Path, rules: RunRules, sql_folder: Path
) -> None:
    rules(renew=True)
    (project / "dags" / "plays.py").write_text(DAG_FILE.replace("**Rerun.**", "Rerun."))
    (sql_folder / "plays.sql").write_text(SQL.replace("country\n", "country, NOW()\n"))
    is_clean, lines = rules()
    assert not is_clean
    last = re.fullmatch(
        r"The rules are in athena_reports/authors/rules\. Findings: (\d+) in 1 DAG files, "
        r"1 DAGs of reports; \d+ s",
        lines[-1],
    )
    assert last is not None
    titles = [line for line in lines if re.match(r"[a-z_]+: [A-Z]", line)]
    assert len(titles) >= 3  # the page, the clock and the golden file
    findings = [line for line in lines if re.match(r"    \S", line)]
    assert int(last[1]) >= len(titles)
    assert any("Rerun" in line for line in findings)
    assert any("NOW" in line for line in findings)


@pytest.mark.ci
def test_of_many_findings_of_a_rule_the_first_ten_are_shown(project: Path, rules: RunRules) -> None:
    for number in range(13):
        name = f"plays_{number:02}"
        text = DAG_FILE.replace('name="plays"', f'name="{name}"').replace("**Rerun.**", "Rerun.")
        (project / "dags" / f"{name}.py").write_text(text)
    rules(renew=True)
    is_clean, lines = rules()
    assert not is_clean
    shown = [line for line in lines if re.match(r"    \S", line)]
    assert [re.findall(r"plays_\d\d", line)[0] for line in shown[:10]] == [
        f"plays_{number:02}" for number in range(10)
    ]
    assert shown[10:] == ["    ... and 3 more"]
    assert "Findings: 13 in 14 DAG files" in lines[-1]


@pytest.mark.ci
@pytest.mark.parametrize("environment", ["", "prd"])
def test_what_it_finds_does_not_depend_on_the_shell(environment: str) -> None:
    shell = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "plugins"),
        "ATHENA_REPORTS_ENV": environment,
        "ATHENA_REPORTS_NOTHING": "a setting that is none",
        "AIRFLOW__CORE__DAGS_FOLDER": "/nowhere",
    }
    done = subprocess.run(COMMAND, cwd=ROOT, env=shell, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith("No finding in ")


@pytest.mark.ci
def test_the_command_checks_the_project_that_it_is_run_in(project: Path) -> None:
    """From any folder of it, with its own SQL and no other, in the folders that it names."""
    shell = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "plugins")}
    settings = (project / "pyproject.toml").read_text()
    table = "[tool.athena-reports]\n"
    assert settings.count(table) == 1
    (project / "pyproject.toml").write_text(
        settings.replace(table, table + 'include = "shipped/beside"\n')
    )
    sql = project / "shipped" / "beside" / "sql"
    sql.mkdir(parents=True)
    # In an installation Airflow finds the plugin by its entry point.
    (project / "plugins").mkdir()
    shutil.copy(ROOT / "plugins" / "athena_reports_plugin.py", project / "plugins")
    (sql / "plays.sql").write_text(SQL)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, *words]
        return subprocess.run(command, cwd=sql, env=shell, capture_output=True, text=True)

    before = run()
    assert (before.returncode, before.stderr) == (1, "")
    assert f"{GOLDEN}: it is not there yet." in before.stdout
    renewed = run("--renew")
    assert (renewed.returncode, renewed.stderr) == (0, ""), renewed.stdout
    assert (project / GOLDEN).is_file()
    assert run().returncode == 0
