"""Waiting for all runs of a DAG, as the demo does."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from athena_reports_cli.local import runs
from athena_reports_cli.local.client import AirflowClient, AirflowRuntimeError
from athena_reports_cli.local.runs import TimedProgress, Watch, finish
from tests.unit.athena_reports_cli.local.airflow_of_runs import DAG_ID, AirflowOfRuns


def test_runs_that_succeed_are_waited_for(airflow: AirflowOfRuns, client: AirflowClient) -> None:
    airflow.looks = [{}, {"a": "running"}, {"a": "success", "b": "success"}]
    finish(client, DAG_ID, Watch(client, lambda _: None))
    assert airflow.number_of_looks == 3


def test_a_run_that_fails_is_told_with_the_log_of_the_try_that_failed_for_good(
    airflow: AirflowOfRuns, client: AirflowClient
) -> None:
    airflow.looks = [{"a": "success", "b": "failed"}]
    airflow.tries = 3
    with pytest.raises(AirflowRuntimeError) as failed:
        finish(client, DAG_ID, Watch(client, lambda _: None))
    problem, *logs = str(failed.value).splitlines()
    assert problem == f"run b of {DAG_ID} is failed."
    assert logs == ['{"event": "try 3 of transform"}']


def test_of_a_long_log_the_end_is_told(airflow: AirflowOfRuns, client: AirflowClient) -> None:
    airflow.looks = [{"a": "failed"}]
    airflow.events = 1000
    with pytest.raises(AirflowRuntimeError) as failed:
        finish(client, DAG_ID, Watch(client, lambda _: None))
    *_, last_event, last = str(failed.value).splitlines()
    assert (last_event, last) == ('{"event": "event 999"}', '{"event": "try 1 of transform"}')
    assert len(str(failed.value)) < 2100


def test_every_few_seconds_it_is_told_how_many_tasks_are_done(
    airflow: AirflowOfRuns, client: AirflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look takes a second here."""
    seconds = iter(range(1000))
    monkeypatch.setattr(runs, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    airflow.looks = [*({"a": "running"} for _ in range(12)), {"a": "success"}]
    lines: list[str] = []
    watch = Watch(client, lines.append)
    for look in airflow.looks:
        assert watch.all_finished(client.runs(DAG_ID)) == (look == {"a": "success"})
    # One of the three tasks of a run has succeeded.
    assert lines == ["1 of 3 tasks done"] * 2


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
