"""The Airflow of `up` and of the demo before its start; tests/commands/test_up.py starts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports.local.project import Project
from athena_reports.local.services import Services
from athena_reports.local.up import airflow_of


@pytest.mark.parametrize("schedule", [True, False])
def test_an_airflow_has_what_the_project_and_the_services_say(
    schedule: bool, tmp_path: Path
) -> None:
    project = Project.usual(tmp_path)
    project.sql.mkdir(parents=True)
    services = Services("http://127.0.0.1:4566")
    home = None if schedule else tmp_path / "home"
    airflow = airflow_of(project, services, lambda _: None, home=home, port=8081, schedule=schedule)
    config = airflow.config
    assert config.environment == {
        **services.environment,
        "ATHENA_REPORTS_ENV": "dev",
        "ATHENA_REPORTS_SQL_FOLDER": str(tmp_path / "include" / "sql"),
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(schedule),
    }
    assert config.home == (home or tmp_path / ".airflow" / "up")
    assert (config.dags_folder, config.plugins_folder) == (project.dags, project.plugins)
    assert (config.port, config.supervised) == (8081, False)
