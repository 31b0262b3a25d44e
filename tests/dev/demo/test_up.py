"""What `make up` starts."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from airflow_local.runtime import AirflowConfig
from demo import run, up


def test_airflow_keeps_its_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, no asset event would ever start a DAG."""
    configs: list[AirflowConfig] = []

    class Runtime:
        def __init__(self, config: AirflowConfig, **_: Any) -> None:
            configs.append(config)

        def __enter__(self) -> NoReturn:
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None:
            raise AssertionError("it was never entered")

    services = SimpleNamespace(environment={}, endpoint_url="http://127.0.0.1:4566")
    monkeypatch.setattr(up, "local_services", lambda _: nullcontext(services))
    monkeypatch.setattr(up, "fill", lambda *_: None)
    monkeypatch.setattr(run, "AirflowRuntime", Runtime)
    monkeypatch.setattr(sys, "argv", ["up", "--port", "8081"])

    assert up.main() == 0
    (config,) = configs
    assert config.environment.get("AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE", "True") == "True"
    assert config.port == 8081
