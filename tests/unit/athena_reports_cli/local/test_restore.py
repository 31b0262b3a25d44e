"""What Docker Compose starts for the kept tables; tests/services/test_load.py restores some."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from athena_reports_cli.local import lake, restore


@pytest.mark.parametrize("endpoint", [None, ""])
def test_without_an_endpoint_nothing_is_restored_and_that_is_no_success(
    endpoint: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Airflow starts when `python -m` has succeeded, and would have no tables."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    if endpoint is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    module = restore.__name__
    monkeypatch.delitem(sys.modules, module)  # runpy warns of a module that is imported already
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 2
    assert capsys.readouterr().out == (
        "AWS_ENDPOINT_URL is not set. Set it to the address of the local services.\n"
    )


def test_a_project_that_keeps_no_table_restores_none(tmp_path: Path) -> None:
    nowhere: Any = None
    lines: list[str] = []
    lake.restore(tmp_path / ".lake", nowhere, lines.append)
    assert lines == []
    assert not (tmp_path / ".lake").exists()
