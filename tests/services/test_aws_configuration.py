"""The AWS client of a task is configured wrongly, so no call ever reaches AWS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException
from airflow.sdk import DAG

from athena_reports import AthenaWaitSensor, RetentionPolicy
from athena_reports.maintenance.cleanup import clean_up_bucket
from athena_reports.settings import settings
from tests.support.airflow_run import TaskInstance
from tests.support.dag_files import load_dags
from tests.support.task_runner import execute, prepare


def run_query(dags_folder: Path) -> Any:
    dag = load_dags(dags_folder / "top_users.py")["top_users_weekly"]
    task, context = prepare(
        dag.get_task("run_query"),
        TaskInstance(dag_id=dag.dag_id),
        "run-1",
        params={"period": "2025-03-09"},
    )
    return execute(task, context)


def wait_for_query(_: Path) -> Any:
    with DAG("by_hand", schedule=None):
        sensor = AthenaWaitSensor(task_id="wait_for_query", query_execution_id="q-1")
    task, context = prepare(sensor, TaskInstance(dag_id="by_hand"), "run-1")
    return execute(task, context)


def clean_up(_: Path) -> Any:
    deployment = settings()
    return clean_up_bucket(
        bucket=deployment.report_bucket,
        environment="dev",
        database=deployment.report_database,
        policy=RetentionPolicy(),
    )


def misspell_the_profile(patch: pytest.MonkeyPatch, _: Path) -> None:
    patch.setenv("AWS_PROFILE", "reportz")


def misspell_the_region(patch: pytest.MonkeyPatch, _: Path) -> None:
    patch.setenv("AWS_DEFAULT_REGION", "us east 1")


@pytest.mark.parametrize(
    ("task", "mistake", "named"),
    [
        (run_query, misspell_the_profile, "reportz"),
        (run_query, misspell_the_region, "us east 1"),
        (wait_for_query, misspell_the_profile, "reportz"),
        (clean_up, misspell_the_profile, "reportz"),
    ],
)
@pytest.mark.usefixtures("services")
def test_the_task_fails_for_good_and_names_what_is_wrong(
    dags_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mistake: Callable[[pytest.MonkeyPatch, Path], None],
    named: str,
    task: Callable[[Path], Any],
) -> None:
    mistake(monkeypatch, tmp_path)
    with pytest.raises(AirflowException) as caught:
        task(dags_folder)

    message = str(caught.value)
    assert type(caught.value) is AirflowFailException, message
    assert named in message
    assert "Check the region, profile or credentials" in message
