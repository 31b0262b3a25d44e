"""Waiting for all runs of a DAG, as the demo does."""

from __future__ import annotations

import pytest

from athena_reports.local.client import AirflowClient, AirflowRuntimeError
from athena_reports.local.runs import Watch, finish
from tests.library.local.airflow_of_runs import DAG_ID, AirflowOfRuns


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
