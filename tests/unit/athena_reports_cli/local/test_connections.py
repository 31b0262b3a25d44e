"""The connections and variables of a local Airflow: those of a file, and those of the shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_reports_cli.local.connections import (
    ConnectionsError,
    connections_of_up,
    use_connections,
)
from athena_reports_cli.local.project import Project
from tests.support.paths import ROOT
from tests.support.variables import kept_environment

SECRET = "s3cr3t"
SMTP = f"smtp://reports:{SECRET}@mail.example.com:587?from_email=reports%40example.com"
SLACK = f'{{"conn_type": "slack", "password": "{SECRET}=="}}'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.usual(tmp_path)


@pytest.fixture(autouse=True)
def shell() -> Iterator[None]:
    """A shell with neither connections nor variables, but that of the local services."""
    with kept_environment():
        for name in list(os.environ):
            if name.startswith(("AIRFLOW_CONN_", "AIRFLOW_VAR_")):
                del os.environ[name]
        os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = "aws://"
        yield


def write(project: Project, text: str) -> None:
    (project.root / ".airflow.env").write_text(text, encoding="utf-8")


def read(project: Project, *, use_shell: bool = False) -> tuple[dict[str, str], list[str]]:
    """The connections and variables of `up`, and its warnings."""
    warnings: list[str] = []
    return connections_of_up(project, use_shell=use_shell, warn=warnings.append), warnings


def test_without_a_file_there_are_none(project: Project) -> None:
    assert read(project) == ({}, [])


def test_the_file_has_them_a_line_each(project: Project) -> None:
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
    assert read(project) == (expected, [])


@pytest.mark.parametrize(
    "line",
    [
        SMTP,
        f"SMTP_DEFAULT={SMTP}",
        f"AIRFLOW_CONN_={SMTP}",
        f"AIRFLOW_CONN_SMTP_DEFAULT = {SMTP}",
        f"AIRFLOW_CONN_smtp_default={SMTP}",  # Airflow looks for capital letters
        f"export AIRFLOW_CONN_SMTP_DEFAULT={SMTP}",
        f"AIRFLOW_CONN_SMTP_DEFAULT='{SMTP}'",
        f'AIRFLOW_CONN_SMTP_DEFAULT="{SMTP}"',
        f"AIRFLOW_CONN_SMTP_DEFAULT={SECRET}",
        "AIRFLOW_CONN_SMTP_DEFAULT=",
        f"AIRFLOW_CONN_SLACK={SLACK[:-1]}",
        f"AIRFLOW_CONN_SMTP_DEFAULT=smtp://reports:{SECRET}/@mail.example.com:587",
        f"AIRFLOW_CONN_SMTP_DEFAULT=smtp://reports:{SECRET}#1@mail.example.com:587",
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
        read(project)
    assert str(wrong.value) == (
        f"{project.root / '.airflow.env'}, line 3 is neither a connection nor a variable of"
        " Airflow. Write AIRFLOW_CONN_<ID>=<URI or JSON>, or AIRFLOW_VAR_<KEY>=<value>: names in"
        " capital letters, no spaces around the =, no quotes around the value. In a URI, encode"
        " special characters: / of a password is %2F."
    )
    assert SECRET not in repr(wrong.value.__context__)


def test_a_name_that_is_set_twice_is_told(project: Project) -> None:
    write(project, f"AIRFLOW_CONN_FIRST={SMTP}\nAIRFLOW_CONN_FIRST={SMTP}\n")
    with pytest.raises(ConnectionsError, match=r"line 2 sets AIRFLOW_CONN_FIRST again\. Remove"):
        read(project)


def test_a_byte_order_mark_is_not_part_of_the_first_name(project: Project) -> None:
    (project.root / ".airflow.env").write_bytes("AIRFLOW_VAR_TEAM=sales".encode("utf-8-sig"))
    assert read(project) == ({"AIRFLOW_VAR_TEAM": "sales"}, [])


def test_a_file_of_another_encoding_is_told_without_its_text(project: Project) -> None:
    (project.root / ".airflow.env").write_bytes(f"AIRFLOW_VAR_A={SECRET}é".encode("latin-1"))
    with pytest.raises(ConnectionsError, match=r"\.airflow\.env is not UTF-8\. Save it as UTF-8\."):
        read(project)


@pytest.mark.parametrize(
    "ignoring",
    [".gitignore", "cli/athena_reports_cli/authoring/templates/project/gitignore.jinja"],
    ids=["of this repository", "of a new project"],
)
def test_git_ignores_the_file(ignoring: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / ignoring, tmp_path / ".gitignore")
    (tmp_path / ".airflow.env").touch()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    command = ["git", "status", "--short", "--untracked-files=all"]
    listed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert listed.stdout == "?? .gitignore\n"


def test_those_of_the_shell_are_named_and_used_only_on_demand(project: Project) -> None:
    write(project, "AIRFLOW_VAR_TEAM=sales\nAIRFLOW_VAR_OTHER=1\n")
    of_shell = {"AIRFLOW_CONN_SMTP_DEFAULT": SMTP, "AIRFLOW_VAR_TEAM": SECRET}
    os.environ |= of_shell | {"AIRFLOW__CORE__PARALLELISM": "9", "AIRFLOW_HOME": "/elsewhere"}

    connections, (warning,) = read(project)
    assert connections == {"AIRFLOW_VAR_TEAM": "sales", "AIRFLOW_VAR_OTHER": "1"}
    assert warning == (
        "`up` does not use AIRFLOW_CONN_SMTP_DEFAULT, AIRFLOW_VAR_TEAM of this shell, since a local"
        " run could then reach real people. Write them into .airflow.env, or add"
        " --shell-connections."
    )

    connections, warnings = read(project, use_shell=True)
    assert connections == {"AIRFLOW_VAR_OTHER": "1", **of_shell}
    assert warnings == []


def test_a_command_has_those_of_the_file_unless_its_shell_has_others(project: Project) -> None:
    write(project, f"AIRFLOW_CONN_SMTP_DEFAULT={SMTP}\nAIRFLOW_VAR_TEAM=sales\n")
    os.environ["AIRFLOW_VAR_TEAM"] = "of the shell"
    use_connections(project)
    assert os.environ["AIRFLOW_CONN_SMTP_DEFAULT"] == SMTP
    assert os.environ["AIRFLOW_VAR_TEAM"] == "of the shell"
