"""The command `check`: what it prints, its exit code, and what it writes with --renew."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from inspect import isfunction, signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from athena_reports.settings import settings
from athena_reports_cli.authoring.rules import check as command
from athena_reports_cli.authoring.rules import dag_rules, sql_rules
from athena_reports_cli.authoring.source_tables import (
    GlueTables,
    TableSchema,
    read_tables,
    write_tables,
)
from athena_reports_cli.local.project import Project, find_project
from athena_reports_cli.local.services import Services
from tests.support.shell import Shell
from tests.support.variables import kept_environment
from tests.unit.athena_reports_cli.authoring.rules.plays import DAG_FILE

ROOT = Path(__file__).resolve().parents[5]
SQL = """-- Where players are.
SELECT country FROM plays
WHERE {{ period.partitions("dt") }} AND {{ period.contains("played_at") }}
ORDER BY country
"""
DAG_FILE_WITHOUT_OWNER = DAG_FILE.replace('    owner="analytics",\n', "")
GOLDEN = "tests/reports/plays/golden/weekly_2025-01-05.sql"
COMMAND = [sys.executable, "-m", "athena_reports_cli", "check"]


@pytest.fixture
def project(tmp_path: Path, sql_folder: Path) -> Path:
    """A project of one report that breaks no rule once its golden files are there."""
    root = tmp_path / "project"
    (root / "dags").mkdir(parents=True)
    (root / "dags" / "plays.py").write_text(DAG_FILE)
    (root / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (sql_folder / "plays.sql").write_text(SQL)
    columns = {"country": "string", "played_at": "timestamp"}
    plays = TableSchema(environment="dev", columns=columns, partition_keys={"dt": "string"})
    write_tables({"plays": plays}, root)
    return root


@pytest.fixture
def in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running_services: Services
) -> None:
    """Keep a check from changing this process, in which other tests run, and from an engine."""

    @contextmanager
    def running(*_: Any, **__: Any) -> Iterator[Callable[[], str]]:
        yield lambda: running_services.endpoint_url

    monkeypatch.setattr(command, "starting_services", running)
    monkeypatch.setattr(command, "environment_of_rules", lambda _: nullcontext(str(tmp_path)))
    monkeypatch.setattr("gc.disable", lambda: None)


@pytest.fixture
def shell(
    project: Path,
    in_this_process: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    """The shell of an author, in the project."""
    monkeypatch.chdir(project)
    return Shell(monkeypatch, capsys)


def test_golden_files_are_written_only_with_renew_and_a_finding_gives_exit_code_1(
    project: Path, shell: Shell
) -> None:
    code, printed = shell("check")
    assert (code, shell.errors) == (1, "")
    assert f"{GOLDEN}: the file is missing." in printed
    assert not (project / "tests").exists()

    code, printed = shell("check", "--renew")
    assert (code, shell.errors) == (0, "")
    lines = printed.splitlines()
    assert lines[0].endswith(GOLDEN)
    assert len(lines) == 2
    assert re.fullmatch(r"No findings in 1 DAG file, 1 report DAG; \d+ s", lines[1])
    assert (project / GOLDEN).read_text().startswith("-- Where players are.\n")

    assert shell("check")[0] == 0

    (project / "dags" / "plays.py").write_text(DAG_FILE_WITHOUT_OWNER)
    code, printed = shell("check", "--renew")
    assert (code, shell.errors) == (1, "")
    assert "the report has no owner. Set owner=" in printed


def test_what_cannot_be_validated_is_counted_and_fails_with_strict_alone(
    sql_folder: Path, shell: Shell
) -> None:
    (sql_folder / "plays.sql").write_text(SQL.replace("FROM plays", "FROM raw.plays.plays"))
    shell("check", "--renew")
    code, printed = shell("check")
    assert code == 0
    reason, last = printed.splitlines()
    assert reason.startswith("not validated: plays: ")
    assert reason.endswith("Catalog 'raw' does not exist.")
    assert re.fullmatch(r"No findings in 1 DAG file, 1 report DAG, 1 not validated; \d+ s", last)
    assert shell("check", "--strict")[0] == 1


def test_named_reports_are_checked_and_json_has_the_findings(
    project: Path, sql_folder: Path, shell: Shell
) -> None:
    other = DAG_FILE_WITHOUT_OWNER.replace('name="plays"', 'name="others"')
    (project / "dags" / "others.py").write_text(other)
    (sql_folder / "plays.sql").write_text(SQL.replace("SELECT country", "SELECT contry"))
    code, _ = shell("check", "plays", "--renew", "--json")
    assert code == 1
    checked = json.loads(shell.output)
    (rule,) = checked["broken"]
    assert rule["rule"] == "reports_pass_a_dry_run"
    (finding,) = rule["findings"]
    assert finding.endswith(
        "line 2 (`SELECT contry FROM plays`): Column 'contry' cannot be resolved."
        " Did you mean country?"
    )
    code, printed = shell("check", "gone")
    assert code == 1
    assert 'There is no report "gone"' in printed


def test_a_finding_keeps_the_other_tables_of_the_file(project: Path, in_this_process: None) -> None:
    users = TableSchema(environment="stg", columns={"user_id": "string"})
    write_tables({**read_tables(project), "users": users}, project)
    (project / "dags" / "plays.py").write_text(DAG_FILE_WITHOUT_OWNER)
    types = {"country": "string", "played_at": "timestamp"}
    described = {
        "StorageDescriptor": {"Columns": [{"Name": name, "Type": types[name]} for name in types]},
        "PartitionKeys": [{"Name": "dt", "Type": "string"}],
    }
    glue: Any = SimpleNamespace(get_table=lambda **_: {"Table": described})
    names = settings().model_copy(update={"environment": "prd"})
    glue_tables = GlueTables(glue, names)
    assert command.check(find_project(project), glue_tables=glue_tables).findings
    tables = read_tables(project)
    assert (tables["plays"].environment, tables["users"]) == ("prd", users)


MODULES = (dag_rules, sql_rules)


def test_each_rule_that_is_written_is_looked_at() -> None:
    """A rule is a public function that takes a repository and returns its findings."""
    for module in MODULES:
        written = []
        for name, function in vars(module).items():
            if isfunction(function) and function.__module__ == module.__name__:
                parameters = list(signature(function).parameters)
                is_rule = parameters == ["repository"] and not name.startswith("_")
                if is_rule and signature(function).return_annotation == "list[str]":
                    written.append(name)
        assert [rule.__name__ for rule in module.RULES] == written
        assert written


def test_the_rules_of_every_module_are_shown_with_their_reason_and_findings(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, module in enumerate(MODULES):
        place = f"place {number}"

        def rule(_: object, place: str = place) -> list[str]:
            """Something would go wrong.

            Do another thing.
            """
            return [f"{place}, finding {count}\nin two lines" for count in range(2)]

        rule.__name__ = f"rule_{number}"
        monkeypatch.setattr(module, "RULES", [rule])
    code, printed = shell("check")
    assert code == 1
    lines = printed.splitlines()
    expected = []
    for number in range(2):
        expected += ["", f"rule_{number}: Something would go wrong. Do another thing."]
        for count in range(2):
            expected += [f"    place {number}, finding {count}", "    in two lines"]
    assert lines[:-2] == expected
    assert lines[-2] == ""
    assert re.fullmatch(r"4 findings in 1 DAG file, 1 report DAG; \d+ s", lines[-1])


def test_the_rules_know_the_project_and_nothing_of_the_shell(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.sql.mkdir(parents=True)
    shell = {
        "AIRFLOW__CORE__DAGS_FOLDER": "/elsewhere",
        "AIRFLOW__CORE__PARALLELISM": "1",
        "AWS_PROFILE": "production",
        "ATHENA_REPORTS_BUCKET": "ours",
        "OURS": "stays",
    }
    with kept_environment():
        os.environ |= shell
        with command.environment_of_rules(project):
            home = Path(os.environ["AIRFLOW_HOME"])
            assert home.is_dir()
            prefixes = ("AIRFLOW", "AWS_", "ATHENA_REPORTS_", "OURS")
            found = {name: os.environ[name] for name in os.environ if name.startswith(prefixes)}
        assert not home.exists()
    assert found == {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(tmp_path / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "ATHENA_REPORTS_ENV": "dev",
        "ATHENA_REPORTS_SQL_FOLDER": str(tmp_path / "include" / "sql"),
        # Nothing answers there.
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "OURS": "stays",
    }


def shell_of(environment: str) -> dict[str, str]:
    """A shell that names an environment, and what would mislead a check that heeded it."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}/plugins:{ROOT}/cli",
        "ATHENA_REPORTS_ENV": environment,
        "ATHENA_REPORTS_NOTHING": "a setting that is none",
        "AIRFLOW__CORE__DAGS_FOLDER": "/nowhere",
    }


@pytest.mark.full
@pytest.mark.parametrize("environment", ["", "prd"])
def test_the_reports_here_have_no_finding_whatever_the_shell_names(environment: str) -> None:
    done = subprocess.run(
        COMMAND, cwd=ROOT, env=shell_of(environment), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith("No findings in ")


@pytest.mark.ci
def test_the_command_checks_the_project_that_it_is_run_in(project: Path) -> None:
    """From any folder of it, with its own SQL and no other.

    The variables of the shell are ignored.
    """
    sql = project / "include" / "sql"
    sql.mkdir(parents=True, exist_ok=True)
    # In an installation Airflow finds the plugin by its entry point.
    (project / "plugins").mkdir()
    shutil.copy(ROOT / "plugins" / "athena_reports_plugin.py", project / "plugins")
    (sql / "plays.sql").write_text(SQL)
    (project / "dags" / "plays.py").write_text(DAG_FILE_WITHOUT_OWNER)

    command = [*COMMAND, "--renew"]
    done = subprocess.run(command, cwd=sql, env=shell_of("prd"), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert (project / GOLDEN).read_text().startswith("-- Where players are.\n")
    assert "owner" in done.stdout
    assert "1 finding in 1 DAG file, 1 report DAG" in done.stdout
