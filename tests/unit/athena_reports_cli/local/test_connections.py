"""The connections and variables of a local Airflow, from a file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from athena_reports_cli.local.connections import ConnectionsError, read_connections
from athena_reports_cli.local.project import Project
from tests.support.paths import ROOT

SECRET = "s3cr3t"
SMTP = f"smtp://reports:{SECRET}@mail.example.com:587?from_email=reports%40example.com"
SLACK = f'{{"conn_type": "slack", "password": "{SECRET}=="}}'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def write(project: Project, text: str) -> None:
    (project.root / ".airflow.env").write_text(text, encoding="utf-8")


def test_the_file_has_them_a_line_each(project: Project) -> None:
    assert read_connections(project) == {}  # without a file
    lines = [
        "# who gets mails",
        f"AIRFLOW_CONN_SMTP_DEFAULT={SMTP}",
        "",
        f"  AIRFLOW_CONN_SLACK-API.2={SLACK}\r",
        "AIRFLOW_VAR_TEAM=売上 = sales # 1",
        "AIRFLOW_VAR_EMPTY=",
    ]
    write(project, "\n".join(lines))
    expected = {
        "AIRFLOW_CONN_SMTP_DEFAULT": SMTP,
        "AIRFLOW_CONN_SLACK-API.2": SLACK,
        "AIRFLOW_VAR_TEAM": "売上 = sales # 1",
        "AIRFLOW_VAR_EMPTY": "",
    }
    assert read_connections(project) == expected


@pytest.mark.parametrize(
    "line",
    [
        SMTP,
        f"SMTP_DEFAULT={SMTP}",
        f"AIRFLOW_CONN_={SMTP}",
        f"AIRFLOW_CONN_SMTP_DEFAULT = {SMTP}",
        f"AIRFLOW_CONN_smtp_default={SMTP}",  # Airflow looks for capital letters
        f"export AIRFLOW_CONN_SMTP_DEFAULT={SMTP}",
        "AIRFLOW_VAR_TEAM",
        f"AIRFLOW__SMTP__SMTP_PASSWORD={SECRET}",
        f'"password": "{SECRET}"}}',  # of JSON in several lines
    ],
)
def test_a_wrong_line_is_told_by_its_number_and_never_by_its_text(
    line: str, project: Project
) -> None:
    write(project, f"AIRFLOW_CONN_FIRST={SMTP}\n\n{line}\n")
    with pytest.raises(ConnectionsError) as wrong:
        read_connections(project)
    assert str(wrong.value) == (
        f"{project.root / '.airflow.env'}, line 3 is neither an Airflow connection nor a"
        " variable. Use AIRFLOW_CONN_<ID>=<URI or JSON> or AIRFLOW_VAR_<KEY>=<value>, with an"
        " upper-case name, no spaces around the = and no quotes around the value."
    )
    assert SECRET not in repr(wrong.value.__context__)


@pytest.mark.parametrize(
    "ignoring",
    [".gitignore", "cli/athena_reports_cli/authoring/templates/project/gitignore.jinja"],
)
def test_git_ignores_the_file(ignoring: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / ignoring, tmp_path / ".gitignore")
    (tmp_path / ".airflow.env").touch()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    command = ["git", "status", "--short", "--untracked-files=all"]
    listed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert listed.stdout == "?? .gitignore\n"
