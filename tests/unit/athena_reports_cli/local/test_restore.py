"""What Docker Compose starts for the kept tables; tests/services/test_load.py restores some."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from athena_reports_cli.local import lake, restore


def test_without_an_endpoint_nothing_is_restored_and_that_is_no_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Airflow starts when `python -m` has succeeded, and would have no tables."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    module = restore.__name__
    monkeypatch.delitem(sys.modules, module)  # runpy warns of a module that is imported already
    problem = "^AWS_ENDPOINT_URL is not set. Set it to the address of the local services.$"
    with pytest.raises(SystemExit, match=problem):
        runpy.run_module(module, run_name="__main__")


def test_a_project_that_keeps_no_table_restores_none(tmp_path: Path) -> None:
    nowhere: Any = None
    lines: list[str] = []
    lake.restore(tmp_path / ".lake", nowhere, lines.append)
    assert lines == []
    assert not (tmp_path / ".lake").exists()
