"""The check of a bundle in a twin: what is refused before there is a twin."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports.local.project import Project
from athena_reports.mwaa import DeployError
from athena_reports.mwaa.check import check_in_twin


def test_the_newest_airflow_of_an_index_that_does_not_answer_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_RETRIES", "0")
    project = Project.usual(tmp_path / "project")
    told: list[str] = []
    with pytest.raises(DeployError, match=r"finds no version of apache-airflow.*PIP_INDEX_URL="):
        check_in_twin(project, "newest", progress=told.append)
    assert told == []
    assert not project.root.exists()
