"""A local Airflow of which a test says what it does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from athena_reports.local.client import AirflowClient
from tests.library.local.airflow_of_runs import AirflowOfRuns
from tests.support.rest_api import rest_api


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowOfRuns]:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with rest_api({}, kind=AirflowOfRuns) as api:
        assert isinstance(api, AirflowOfRuns)
        yield api


@pytest.fixture
def client(airflow: AirflowOfRuns) -> AirflowClient:
    return AirflowClient(airflow.url, "admin", "secret")
