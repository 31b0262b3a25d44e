"""The command line for authors, in this process,
and a report with published weeks that it may look at.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_local.services import Services
from athena_reports.authors.command_line import main
from athena_reports.settings import settings
from tests.integration import flown as flown_report
from tests.integration.flown import Flown
from tests.integration.runner import load_dags, run_dag


class Shell:
    """Runs a command of `python -m athena_reports` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = monkeypatch, capsys
        self.output, self.errors = "", ""  # what the last command printed

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code, and what was printed:
        where it failed, on standard error if anything.
        """
        self._patch.setattr(sys, "argv", ["athena_reports", *arguments])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        code = int(stopped.value.code or 0)
        printed = self._capsys.readouterr()
        self.output, self.errors = printed
        return code, (printed.err or printed.out) if code else printed.out

    def json(self, *arguments: str) -> Any:
        code, printed = self(*arguments, "--json")
        assert code == 0, printed
        return json.loads(printed)


@pytest.fixture
def shell(
    services: Services,
    dags_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    for name in ("AIRFLOW__LOGGING__LOGGING_LEVEL", "PYTHONWARNINGS"):
        monkeypatch.setenv(name, "")  # put back after the command has set them
    yield Shell(monkeypatch, capsys)
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def published_weeks(
    running_services: Services, flights_lake: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The published weeks of the report `flown`; nothing publishes them again."""
    root = tmp_path_factory.mktemp("published") / "flown"
    flown_report.write(root)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_services.environment.items():
            patch.setenv(name, value)
        patch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(root / "sql"))
        settings.cache_clear()
        dag = load_dags(root / "dags" / "flown.py")[flown_report.DAG_ID]
        for week in flown_report.WEEKS:
            run_dag(dag, period=week)
    settings.cache_clear()


@pytest.fixture
def flown(
    services: Services,
    published_weeks: None,
    dags_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Flown:
    """A folder with the report `flown`, which `shell` looks at too."""
    root = tmp_path / "flown"
    flown_report.write(root)
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(root / "dags"))
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(root / "sql"))
    return Flown(root, services)
