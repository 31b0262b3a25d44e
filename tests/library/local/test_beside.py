"""The folders that Airflow has in a command; tests/commands/test_services.py has the services."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from athena_reports.local.beside import configure_airflow
from athena_reports.local.project import Project
from tests.support.variables import kept_environment

VARIABLES = {
    "AIRFLOW_HOME": ".airflow",
    "AIRFLOW__CORE__DAGS_FOLDER": "dags",
    "AIRFLOW__CORE__PLUGINS_FOLDER": "plugins",
    "ATHENA_REPORTS_SQL_FOLDER": "include/sql",
}


def configured(project: Project, **shell: str) -> dict[str, str | None]:
    """What is set of the variables after a shell that has set some."""
    with kept_environment():
        for name in (*VARIABLES, "AIRFLOW__CORE__LOAD_EXAMPLES"):
            os.environ.pop(name, None)
        os.environ |= shell
        configure_airflow(project)
        assert os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
        return {name: os.environ.get(name) for name in VARIABLES}


def test_airflow_has_the_folders_of_the_project(tmp_path: Path) -> None:
    project = Project.usual(tmp_path)
    project.sql.mkdir(parents=True)
    expected = {name: str(tmp_path / folder) for name, folder in VARIABLES.items()}
    assert configured(project) == expected
    assert configured(project, **dict.fromkeys(VARIABLES, "")) == expected


@pytest.mark.parametrize("name", VARIABLES)
def test_what_the_shell_names_stays(name: str, tmp_path: Path) -> None:
    project = Project.usual(tmp_path)
    project.sql.mkdir(parents=True)
    expected: dict[str, str | None] = {}
    expected |= {other: str(tmp_path / folder) for other, folder in VARIABLES.items()}
    expected[name] = "/elsewhere"
    if name == "AIRFLOW__CORE__DAGS_FOLDER":  # other DAG files have their SQL elsewhere too
        expected["ATHENA_REPORTS_SQL_FOLDER"] = None
    assert configured(project, **{name: "/elsewhere"}) == expected


def test_without_a_folder_of_sql_the_library_looks_by_itself(tmp_path: Path) -> None:
    assert configured(Project.usual(tmp_path))["ATHENA_REPORTS_SQL_FOLDER"] is None
