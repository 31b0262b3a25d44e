"""What `make up` starts."""

from __future__ import annotations

import datetime as dt
import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from airflow_local.runtime import AirflowConfig
from demo import run, up
from demo.plays import PlaysSpec


def test_airflow_keeps_its_schedule_on_a_lake_that_goes_on_until_today(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without it, no asset event would ever start a DAG;
    without data, the runs that it makes would fail.
    """
    configs: list[AirflowConfig] = []
    lakes: list[PlaysSpec] = []

    class Runtime:
        def __init__(self, config: AirflowConfig, **_: Any) -> None:
            configs.append(config)

        def __enter__(self) -> NoReturn:
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None:
            raise AssertionError("it was never entered")

    services = SimpleNamespace(environment={}, endpoint_url="http://127.0.0.1:4566")
    monkeypatch.setattr(up, "local_services", lambda _: nullcontext(services))
    monkeypatch.setattr(
        up, "fill", lambda _services, _environment, _progress, plays: lakes.append(plays)
    )
    monkeypatch.setattr(run, "AirflowRuntime", Runtime)
    monkeypatch.setattr(sys, "argv", ["up", "--port", "8081"])

    with pytest.raises(SystemExit):
        up.main()
    (config,), (lake,) = configs, lakes
    assert config.environment.get("AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE", "True") == "True"
    assert config.port == 8081
    assert lake.end > dt.datetime.now(dt.UTC).date()
