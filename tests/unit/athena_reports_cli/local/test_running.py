"""Where the other commands of a project find its `up`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from athena_reports_cli.local.project import Project
from athena_reports_cli.local.running import Running, announced, find_running

RUNNING = Running("http://127.0.0.1:8080", "admin", "secret", {"AWS_ENDPOINT_URL": "http://x"})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.airflow.mkdir()
    return project


def test_it_is_found_as_long_as_it_runs(project: Project) -> None:
    file = project.airflow / "up.json"
    assert find_running(project) is None
    file.write_text(json.dumps("of one that was killed, and that told more than the next one" * 9))
    assert find_running(project) is None
    with announced(RUNNING, project):
        assert find_running(project) == RUNNING
        assert find_running(project) == RUNNING  # whoever looks takes nothing
    assert find_running(project) is None
    assert not file.exists()
    with announced(RUNNING, project):
        assert file.stat().st_mode & 0o777 == 0o600  # it has the password


def test_what_one_that_was_killed_has_told_is_not_taken_for_one_that_runs(
    project: Project,
) -> None:
    (project.airflow / "up.json").write_text(json.dumps(RUNNING._asdict()))
    assert find_running(project) is None
