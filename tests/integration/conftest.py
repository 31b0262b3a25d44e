"""The local AWS services with small lakes, and a way to run a report's DAG in this process."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_local.services import Services, local_services
from demo.lake import seed_flights, seed_plays
from demo.plays import PlaysSpec

ENVIRONMENT = "dev"
PLAYS = PlaysSpec(dt.date(2025, 1, 1), dt.date(2025, 7, 2), events=40_000, users=2_000, seed=11)


@pytest.fixture(scope="session")
def running_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with local_services(tmp_path_factory.mktemp("local-aws") / "log") as services:
        services.prepare(ENVIRONMENT)
        yield services


@pytest.fixture
def services(running_services: Services, monkeypatch: pytest.MonkeyPatch) -> Services:
    """The services, reached as any AWS client reaches them: by the environment's endpoint."""
    for name, value in running_services.environment.items():
        monkeypatch.setenv(name, value)
    return running_services


@pytest.fixture(scope="session")
def flights_lake(running_services: Services) -> None:
    seed_flights(running_services, ENVIRONMENT)


@pytest.fixture(scope="session")
def plays_lake(running_services: Services) -> PlaysSpec:
    seed_plays(running_services, ENVIRONMENT, PLAYS)
    return PLAYS


@pytest.fixture(scope="session")
def dags_folder() -> Path:
    return Path(__file__).resolve().parents[2] / "dags"
