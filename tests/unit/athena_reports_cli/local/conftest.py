"""A local Airflow of which a test says what it does, and a guard of this machine."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from athena_reports_cli.local.client import AirflowClient, RestAirflow
from tests.support.rest_api import rest_api
from tests.unit.athena_reports_cli.local.airflow_of_runs import AirflowOfRuns


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowOfRuns]:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with rest_api({}, kind=AirflowOfRuns) as api:
        assert isinstance(api, AirflowOfRuns)
        yield api


@pytest.fixture
def client(airflow: AirflowOfRuns) -> AirflowClient:
    return RestAirflow(airflow.url, login=("admin", "secret"))


@pytest.fixture(autouse=True)
def _this_machine_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test kill this process or those above it.

    With a mistake in `processes` the first of them would be followed by all others of the machine.
    """
    kill = psutil.Process.kill

    def kill_another(process: psutil.Process) -> None:
        this = psutil.Process()
        assert process not in (this, *this.parents()), f"{process} would be killed"
        kill(process)

    monkeypatch.setattr(psutil.Process, "kill", kill_another)


@pytest.fixture
def _proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell with a proxy, which is not for this machine."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
