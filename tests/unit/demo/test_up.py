"""What `make up` starts; tests/unit/athena_reports_cli/local has its Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine

from demo import up
from demo.lake import DEMO_PLAYS
from demo.plays import PlaysSpec
from demo.run import CARRIER_JOBS, PROJECT, Job


@pytest.mark.parametrize(("options", "port"), [([], 8080), (["--port", "8099"], 8099)])
@time_machine.travel("2026-03-31 15:30:00+00:00", tick=False)  # April 1 in Tokyo
def test_the_plays_go_on_until_today_and_the_samples_are_backfilled_until_then(
    options: list[str], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["up", *options])
    done: list[Any] = []
    services = object()
    connections = object()
    airflow = SimpleNamespace(client=object())

    @contextmanager
    def local_services(log: object) -> Iterator[object]:
        done.append(("services", log))
        yield services
        done.append("services have ended")

    def fill(services: object, environment: str, _: object, plays: PlaysSpec) -> None:
        done.append(("filled", services, environment, plays))

    def airflow_of(
        project: object, services: object, _: object, connections: object, **options: object
    ) -> object:
        done.append(("airflow", project, services, connections, options))
        return nullcontext(airflow)

    def jobs_of(given: object, jobs: list[Job]) -> list[Job]:
        assert given is airflow
        return jobs

    def start(client: object, job: Job) -> bool:
        assert client is airflow.client
        done.append(job)
        return True

    def stay_up(airflow: object, services: object, project: object, _: object) -> None:
        done.append(("stays", airflow, services, project))

    monkeypatch.setattr(up, "require_not_running", lambda project: done.append(project))
    monkeypatch.setattr(up, "require_free", lambda port: done.append(("port", port)))

    def read_connections(project: object) -> object:
        done.append(("connections", project))
        return connections

    monkeypatch.setattr(up, "read_connections", read_connections)
    monkeypatch.setattr(up, "local_services", local_services)
    monkeypatch.setattr(up, "fill", fill)
    monkeypatch.setattr(up, "airflow_of", airflow_of)
    monkeypatch.setattr(up, "jobs_of", jobs_of)
    monkeypatch.setattr(up, "start", start)
    monkeypatch.setattr(up, "stay_up", stay_up)
    up.main()

    # The plays of today are in the last partition. Of the jobs, April 1 is the last date.
    dates = ("2025-08-30", "2026-04-01")
    assert done == [
        PROJECT,
        ("port", port),
        ("connections", PROJECT),
        ("services", PROJECT.airflow / "local-aws.log"),
        ("filled", services, "dev", replace(DEMO_PLAYS, end=date(2026, 4, 2))),
        ("airflow", PROJECT, services, connections, {"port": port}),
        Job("user_ranking", "weekly", "Asia/Tokyo", *dates),
        Job("user_ranking", "monthly", "Asia/Tokyo", *dates),
        *CARRIER_JOBS,
        ("stays", airflow, services, PROJECT),
        "services have ended",
    ]
