"""What `make up` starts; tests/unit/athena_reports_cli/local has its Airflow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from demo import up
from demo.lake import DEMO_PLAYS
from demo.run import CARRIER_JOBS, Job
from demo.up import jobs_until, plays_until


def test_the_plays_go_on_until_today_and_the_samples_are_backfilled_until_then() -> None:
    today = date(2026, 4, 1)
    dates = ("2025-08-30", "2026-04-01")
    # The plays of today are in the last partition.
    assert plays_until(today) == replace(DEMO_PLAYS, end=date(2026, 4, 2))
    assert jobs_until(today) == [
        Job("user_ranking", "weekly", "Asia/Tokyo", *dates),
        Job("user_ranking", "monthly", "Asia/Tokyo", *dates),
        *CARRIER_JOBS,
    ]


@pytest.mark.parametrize(("options", "port"), [([], 8080), (["--port", "8099"], 8099)])
def test_a_running_one_is_refused_before_services_start_and_else_it_stays_up_at_the_port(
    options: list[str], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["up", *options])
    done: list[Any] = []

    def noting(name: str) -> Callable[..., Any]:
        def note(*_: object, **given: object) -> Any:
            done.append((name, given))
            return nullcontext()

        return note

    steps = ["require_not_running", "require_free", "read_connections", "local_services"]
    steps += ["fill", "airflow_of", "stay_up"]
    for name in steps:
        monkeypatch.setattr(up, name, noting(name))
    monkeypatch.setattr(up, "jobs_of", lambda *_: [])
    up.main()
    assert [name for name, _ in done] == steps
    assert dict(done)["airflow_of"] == {"port": port}
