"""Waiting for runs, as the demo and the commands do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from athena_reports_cli.local import runs
from athena_reports_cli.local.client import AirflowClient, AirflowRuntimeError, TaskInstance
from athena_reports_cli.local.runs import (
    TimedProgress,
    follow_backfill,
    follow_run,
    require_success,
)
from tests.unit.athena_reports_cli.local.airflow_of_runs import DAG_ID, AirflowOfRuns, task_of


def test_a_run_that_fails_is_told_with_the_log_of_the_try_that_failed_for_good(
    airflow: AirflowOfRuns, client: AirflowClient
) -> None:
    airflow.looks = [{"a": "success", "b": "failed"}]
    airflow.tries = 3
    with pytest.raises(AirflowRuntimeError) as failed:
        require_success(client, client.run(DAG_ID, "b"))
    assert str(failed.value) == f"Run b of {DAG_ID} is failed.\ntransform: try 3 of transform"


def test_of_a_long_log_the_end_is_told(airflow: AirflowOfRuns, client: AirflowClient) -> None:
    airflow.looks = [{"a": "failed"}]
    airflow.events = 1000
    with pytest.raises(AirflowRuntimeError) as failed:
        require_success(client, client.run(DAG_ID, "a"))
    _, *events = str(failed.value).splitlines()
    assert events[0] == "transform: event 991"
    assert events[-2:] == ["event 999", "try 1 of transform"]


def test_the_exception_of_a_task_is_its_reason(
    airflow: AirflowOfRuns, client: AirflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = {"exc_type": "CheckError", "exc_value": "rows(at_least=1) failed", "frames": []}
    log = [{"event": "Task failed", "error_detail": [error]}, {"event": "Done", "error_detail": []}]
    monkeypatch.setattr(type(client), "log_events", lambda *_: log)
    airflow.looks = [{"a": "failed"}]
    with pytest.raises(AirflowRuntimeError, match=r"transform: CheckError: rows\("):
        require_success(client, client.run(DAG_ID, "a"))


def test_each_state_of_each_task_of_a_run_is_reported_once(
    airflow: AirflowOfRuns, client: AirflowClient
) -> None:
    airflow.looks = [{"a": "running"}, {"a": "running"}, {"a": "failed"}]
    lines: list[str] = []
    assert follow_run(client, DAG_ID, "a", lines.append).state == "failed"
    assert lines == ["run_query: success", "transform: failed", "publish: upstream_failed"]


def test_a_retry_is_reported_with_its_reason(
    airflow: AirflowOfRuns, client: AirflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = TaskInstance(**task_of("a", "run_query", "up_for_retry", 1))
    monkeypatch.setattr(type(client), "task_instances", lambda *_: [task])
    airflow.looks = [{"a": "running"}, {"a": "failed"}]
    lines: list[str] = []
    follow_run(client, DAG_ID, "a", lines.append)
    assert lines == ["run_query: up_for_retry after try 1 of run_query"]


def test_the_numbers_of_a_backfill_are_reported_when_they_change(
    airflow: AirflowOfRuns, client: AirflowClient
) -> None:
    """Beside a run of another period in the range."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    airflow.starts = {"a": start, "b": start + timedelta(days=14)}
    airflow.looks = [
        {},  # Airflow has made no run yet
        {"a": "queued", "other": "running"},
        {"a": "running", "b": "queued", "other": "running"},
        {"a": "running", "b": "queued", "other": "running"},
        {"a": "success", "b": "failed", "other": "running"},
    ]
    lines: list[str] = []
    runs = follow_backfill(client, DAG_ID, list(airflow.starts.values()), lines.append)
    assert [run.run_id for run in runs] == ["a", "b"]
    assert lines == [
        f"{DAG_ID}: {numbers}"
        for numbers in ("1 queued", "1 running, 1 queued", "1 success, 1 failed")
    ]


def test_what_happens_is_told_with_the_seconds_since_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = StringIO()
    console = Console(file=output, width=30)
    seconds = iter([100.0, 100.0, 112.34])
    monkeypatch.setattr(runs, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    progress = TimedProgress(console)
    progress("it begins [red]")
    progress("a long line is not broken, however long it is")
    assert output.getvalue().splitlines() == [
        "   0.0 s  it begins [red]",
        "  12.3 s  a long line is not broken, however long it is",
    ]
