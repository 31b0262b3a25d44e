from __future__ import annotations

import pytest

from airflow_local.services import environment_without


def test_what_a_started_process_inherits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_RUNTIME_URL",
        "GITHUB_TOKEN",
        "AWS_PROFILE",
        "OURS",
    ):
        monkeypatch.setenv(name, "x")
    inherited = environment_without("AWS_")
    assert "OURS" in inherited
    assert not [name for name in inherited if name.startswith(("ACTIONS_", "GITHUB_TOKEN", "AWS_"))]
