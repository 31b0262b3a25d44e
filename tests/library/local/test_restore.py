"""What Docker Compose starts for the kept tables; tests/integration/test_load.py restores some."""

from __future__ import annotations

import pytest

from athena_reports.local import restore


@pytest.mark.parametrize("endpoint", [None, ""])
def test_without_an_endpoint_nothing_is_restored_and_that_is_no_success(
    endpoint: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Airflow starts when the command has succeeded, and would have no tables."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    if endpoint is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert restore.main() == 2
    assert capsys.readouterr().out.startswith("AWS_ENDPOINT_URL is not set.")
