"""Somebody marks a task as success that has not done its work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from athena_reports import AthenaWaitSensor
from athena_reports_cli.local.services import Services
from tests.support.airflow_run import DagRun, TaskInstance
from tests.support.dag_files import load_dags
from tests.support.published import manifest_of
from tests.support.task_runner import execute, prepare, run_task

pytestmark = pytest.mark.usefixtures("plays_lake")
RUN = DagRun.manual(datetime(2025, 6, 18, 3, tzinfo=UTC))


def run_tasks(dag: DAG, xcoms: TaskInstance, names: Sequence[str]) -> None:
    for name in names:
        run_task(dag.get_task(name), xcoms, run=RUN, params={"period": "2025-03-09"})


@pytest.mark.parametrize(
    ("done", "fails", "cleared"),
    [
        ([], "wait_for_query", "run_query"),
        (["run_query", "wait_for_query"], "publish", "transform"),
    ],
)
def test_the_next_task_fails_for_good_and_says_what_to_clear(
    services: Services, dags_folder: Path, done: list[str], fails: str, cleared: str
) -> None:
    dag = load_dags(dags_folder / "top_users.py")["top_users_weekly"]
    names = [task.task_id for task in dag.topological_sort()]
    xcoms = TaskInstance(dag_id=dag.dag_id)
    run_tasks(dag, xcoms, done)
    with pytest.raises(AirflowFailException) as caught:
        run_tasks(dag, xcoms, [fails])

    message = str(caught.value)
    assert "top_users" in message
    assert "marked as success" in message
    (advised,) = re.findall(r"lear (\w+) and its downstream tasks", message)
    assert advised == cleared

    # The advice is followed.
    for name in names[names.index(advised) :]:
        for key in [key for key in xcoms.values if key[0] == name]:
            del xcoms.values[key]
    run_tasks(dag, xcoms, names[names.index(advised) :])
    assert manifest_of(services.s3, xcoms)["rows"] > 0


@pytest.mark.parametrize("missing", [None, "None"])
def test_a_wait_in_a_dag_of_ones_own_calls_nothing_without_a_query(
    services: Services, missing: str | None
) -> None:
    """A Jinja template makes the text `None` of a missing XCom."""
    with DAG("by_hand", schedule=None):
        sensor = AthenaWaitSensor(task_id="wait_for_query", query_execution_id=missing)
    task, context = prepare(sensor, TaskInstance(dag_id="by_hand"), "run-1")
    with pytest.raises(
        AirflowFailException, match=r"^by_hand: .*marked as success, clear run_query"
    ):
        execute(task, context)
