"""Waiting for runs, as the demo and the commands do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from athena_reports_cli.local import runs
from athena_reports_cli.local.client import (
    AirflowClient,
    AirflowRuntimeError,
    DagRun,
    TaskInstance,
)
from athena_reports_cli.local.runs import (
    TimedProgress,
    follow_backfill,
    follow_run,
    require_success,
)
from tests.support.rest_api import run_of, task_of

DAG_ID = "best_weekly"


class AirflowOfRuns(AirflowClient):
    """An Airflow whose runs have the next states at each look; the last ones repeat."""

    def __init__(self, *looks: dict[str, str], **starts: datetime) -> None:
        self.looks = list(looks)
        self.starts = starts
        self.tasks = {"run_query": ("success", 1), "transform": ("failed", 1), "publish": ("", 0)}
        self.log: list[dict[str, Any]] = []

    def request(self, method: str, path: str, *, params: Any = None, json: Any = None) -> Any:
        raise AssertionError(f"{method} {path} is not expected")

    def link(self, path: str) -> str:
        return path

    def runs(self, dag_id: str, **_: str) -> list[DagRun]:
        states = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        dates = {run_id: {"logical_date": self.starts.get(run_id)} for run_id in states}
        return [DagRun(**run_of(name, states[name], dag_id) | dates[name]) for name in states]

    def run(self, dag_id: str, run_id: str) -> DagRun:
        return next(run for run in self.runs(dag_id) if run.run_id == run_id)

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        assert dag_id == DAG_ID
        return [TaskInstance(**task_of(run_id, task, *of)) for task, of in self.tasks.items()]

    def log_events(
        self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int
    ) -> list[dict[str, Any]]:
        assert (dag_id, map_index) == (DAG_ID, -1)
        return [*self.log, {"event": f"try {try_number} of {task_id} of {run_id}"}]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_a_run_that_fails_is_told_with_the_log_of_the_try_that_failed_for_good() -> None:
    client = AirflowOfRuns({"a": "success", "b": "failed"})
    require_success(client, client.run(DAG_ID, "a"))
    client.tasks["transform"] = ("failed", 3)
    with pytest.raises(AirflowRuntimeError) as failed:
        require_success(client, client.run(DAG_ID, "b"))
    assert str(failed.value) == f"Run b of {DAG_ID} is failed.\ntransform: try 3 of transform of b"


def test_of_a_long_log_the_end_is_told() -> None:
    client = AirflowOfRuns({"a": "failed"})
    client.log = [{"event": f"event {number}"} for number in range(1000)]
    with pytest.raises(AirflowRuntimeError) as failed:
        require_success(client, client.run(DAG_ID, "a"))
    _, *events = str(failed.value).splitlines()
    assert events[0] == "transform: event 991"
    assert events[-2:] == ["event 999", "try 1 of transform of a"]


def test_the_exception_of_a_task_is_its_reason() -> None:
    client = AirflowOfRuns({"a": "failed"})
    error = {"exc_type": "CheckError", "exc_value": "rows(at_least=1) failed", "frames": []}
    client.log = [{"event": "Failed", "error_detail": [error]}, {"event": "", "error_detail": []}]
    with pytest.raises(AirflowRuntimeError, match=r"transform: CheckError: rows\("):
        require_success(client, client.run(DAG_ID, "a"))


def test_each_state_of_each_task_is_reported_once_and_a_retry_with_its_reason() -> None:
    client = AirflowOfRuns({"a": "running"}, {"a": "running"}, {"a": "failed"})
    client.tasks["transform"] = ("up_for_retry", 1)
    lines: list[str] = []
    assert follow_run(client, DAG_ID, "a", lines.append).state == "failed"
    assert lines == [
        "run_query: success",
        "transform: up_for_retry after try 1 of transform of a",
    ]


def test_a_run_that_goes_on_for_too_long_is_an_error() -> None:
    client = AirflowOfRuns({"a": "running"})
    with pytest.raises(AirflowRuntimeError, match=r"^Run a of .* is still running after 0 s\.$"):
        follow_run(client, DAG_ID, "a", lambda _: None, timeout_seconds=0)


def test_the_numbers_of_a_backfill_are_reported_when_they_change() -> None:
    """Beside a run of another period in the range."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    client = AirflowOfRuns(
        {},  # Airflow has made no run yet
        {"a": "queued", "other": "running"},
        {"a": "running", "b": "queued", "other": "running"},
        {"a": "running", "b": "queued", "other": "running"},
        {"a": "success", "b": "failed", "other": "running"},
        a=start,
        b=start + timedelta(days=14),
    )
    lines: list[str] = []
    found = follow_backfill(client, DAG_ID, list(client.starts.values()), lines.append)
    assert [run.run_id for run in found] == ["a", "b"]
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
