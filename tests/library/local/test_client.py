"""The client of a local Airflow; tests/e2e/test_runtime.py has it talk to a real one."""

from __future__ import annotations

import pytest

from athena_reports.local.client import AirflowClient, AirflowRuntimeError
from tests.library.local.airflow_of_runs import DAG_ID, AirflowOfRuns

OTHER = {"other": "success"}


@pytest.mark.parametrize(
    ("run_ids", "looks"),
    [
        # A scheduler makes the runs a moment after the DAG was unpaused.
        ([], [{}, {}, {"a": "queued"}, {"a": "running"}, {"a": "success"}]),
        ([], [{"a": "success", "b": "running"}, {"a": "success", "b": "failed"}]),
        (["a"], [{}, OTHER, OTHER | {"a": "running"}, OTHER | {"a": "success"}]),
        (["a", "b"], [{}, {"a": "success"}, {"a": "success", "b": "failed"}]),
        (["a"], [{"a": "success", "other": "running"}]),
    ],
    ids=["none yet", "two of all", "one beside another", "two that are named", "not the other"],
)
def test_runs_are_waited_for_until_they_are_there_and_have_ended(
    run_ids: list[str], looks: list[dict[str, str]], airflow: AirflowOfRuns, client: AirflowClient
) -> None:
    airflow.looks = looks
    runs = client.wait_for_runs(DAG_ID, run_ids, timeout_seconds=60)
    assert airflow.number_of_looks == len(looks)
    expected = {id_: state for id_, state in looks[-1].items() if not run_ids or id_ in run_ids}
    assert {run.run_id: run.state for run in runs} == expected


@pytest.mark.parametrize(("looks", "states"), [({}, ""), ({"a": "running"}, "a running")])
def test_runs_that_do_not_end_in_time_are_named_with_their_states(
    looks: dict[str, str], states: str, airflow: AirflowOfRuns, client: AirflowClient
) -> None:
    airflow.looks = [looks]
    with pytest.raises(AirflowRuntimeError, match=f"{DAG_ID} not done within 0 s: {states}$"):
        client.wait_for_runs(DAG_ID, timeout_seconds=0)
