"""The two tasks of a hand-written DAG, submit and wait."""

from typing import Any

import pytest
from airflow.sdk import DAG

from athena_reports.queries.submission import Submitted
from athena_reports.steps import run_query
from athena_reports.steps.run_query import AthenaSubmitOperator
from athena_reports.steps.wait_for_query import AthenaWaitSensor
from tests.support.calendars import WEEK, WEEKS


def pushed_by_run_query(id_: str) -> dict[str, Any]:
    """What run_query pushes beside the id of its execution."""
    submitted = Submitted(period=WEEK, query_execution_id=id_, sql_sha256="")
    return submitted.model_dump(mode="json")


def submit_task(query: str = "SELECT 1 AS a", **fields: Any) -> Any:
    usual: dict[str, Any] = {"database": "database_dev", "workgroup": "dev", "environment": "dev"}
    usual |= {"output_location": "s3://results/", "cadence": WEEKS, "retries": 3}
    with DAG("plays_weekly", schedule=None):
        return AthenaSubmitOperator(task_id="run_query", query=query, **usual | fields)


def submitted(given: Any, query: str = "SELECT 1 AS a", **fields: Any) -> str:
    """Run one try of run_query."""
    task = submit_task(query, **fields)
    task.render_template_fields(given)
    id_: str = task.execute(given)
    return id_


def wait_task(id_: str = "q-1", **fields: Any) -> Any:
    usual: dict[str, Any] = {"environment": "dev", "retries": 3}
    usual["submitted"] = pushed_by_run_query(id_)
    with DAG("plays_weekly", schedule=None):
        return AthenaWaitSensor(task_id="wait_for_query", query_execution_id=id_, **usual | fields)


def hand_on(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    """Let run_query hand on other facts than those of the query that it runs."""
    monkeypatch.setattr(run_query, "Submitted", lambda **named: Submitted(**named | facts))
