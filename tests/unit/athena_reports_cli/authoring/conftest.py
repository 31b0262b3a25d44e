"""The case that the tests of cases change."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports_cli.local.services import Services
from tests.unit.athena_reports_cli.authoring import scores


@pytest.fixture
def case(
    tmp_path: Path, sql_folder: Path, services: Services, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of a case that passes, of a report of its own."""
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    return scores.write(tmp_path, sql_folder)
