"""No error of this package that a retry cannot correct is left to Airflow's retries,
whichever task meets it.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from athena_reports import (
    Input,
    Report,
    build_cleanup,
    build_dag,
    build_restatement,
    notify,
)
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.delivery.deliver import DeliverOperator
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.errors import AthenaReportsError
from athena_reports.maintenance.undelivered import PublishedDelivery
from athena_reports.publication.manifest import PlannedDelivery, Version
from athena_reports.queries.execution import QueryExecution
from athena_reports.settings import settings
from athena_reports.steps.prepared_version import PreparedVersion
from tests.support.airflow_run import context
from tests.support.calendars import WEEK, WEEKS
from tests.support.notifiers import Recorder
from tests.support.tasks import pushed_by_run_query

QUERY = QueryExecution(id="q-1", submitted_at="2025-06-16T00:00:00.000+00:00", statement="SELECT")
PREPARED = PreparedVersion(
    query=QUERY,
    version=Version(version="v", ordered=True, rows=0, columns=(), objects=()),
    checks=(),
)
PLANNED = PublishedDelivery(
    folder_uri="s3://reports/plays/weekly/",
    period_id=WEEK.id,
    version="v",
    submitted_at=QUERY.submitted_at,
    published_at=QUERY.submitted_at,
    delivery=PlannedDelivery(
        channels=("topic",), until=QUERY.submitted_at, correct_until=QUERY.submitted_at
    ),
)
SUBMITTED = pushed_by_run_query("q-1")
GIVEN: dict[str, dict[str, Any]] = {
    "wait_for_inputs": {},
    "run_query": {},
    "wait_for_query": {"query_execution_id": "q-1", "submitted": SUBMITTED},
    "transform": {"op_kwargs": {"query": QUERY.model_dump(), "submitted": SUBMITTED}},
    "publish": {"prepared": PREPARED.model_dump(), "submitted": SUBMITTED},
    "clean_up": {},
    "find": {},
    "deliver": {"planned": [PLANNED.model_dump()]},
    "topic": {},
}


def dags() -> list[DAG]:
    inputs = [Input("plays", wait=timedelta(days=36500))]
    plays = Report(name="plays", sql="plays.sql", since="2025-01-01", inputs=inputs)
    with DAG("plays_weekly_deliver", schedule=None) as deliveries:
        DeliverOperator(
            task_id="topic",
            report=plays,
            cadence=WEEKS,
            channel=notify("topic", Recorder()),
            delivery_policy=DeliveryPolicy(timedelta(days=7), timedelta(days=60), "published"),
            deployment=settings(),
        )
    maintenance = [build_cleanup(), build_restatement()]
    return [build_dag(plays, WEEKS), deliveries, *maintenance]


@pytest.mark.usefixtures("sql_folder")
@pytest.mark.parametrize("task_id", GIVEN)
@pytest.mark.parametrize("where", ["client", "call"])
def test_an_error_of_ours_is_final_in_every_task(
    task_id: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        """Whatever is called, or asked for, fails."""

        meta: Any = None

        def __getattr__(self, name: str) -> Any:
            raise AthenaReportsError("of ours")

    def get_client_type(*_: Any, **__: Any) -> Any:
        return Client() if where == "call" else Client().anything

    (task,) = (task for dag in dags() for task in dag.tasks if task.task_id == task_id)
    monkeypatch.setattr(AwsGenericHook, "get_client_type", get_client_type)
    monkeypatch.setattr(SharedSessionHook, "client", get_client_type)
    given = context()
    given["params"] |= {"stale": False}
    if task_id == "topic":
        given["dag_run"] = replace(given["dag_run"], partition_key=WEEK.id)
    if task_id in ("wait_for_inputs", "run_query"):
        task.render_template_fields(given)
    for name, value in GIVEN[task_id].items():
        setattr(task, name, value)
    with pytest.raises(AirflowFailException, match="of ours"):
        task.execute(given)


@pytest.mark.usefixtures("sql_folder")
def test_no_task_is_left_out() -> None:
    of_airflow = {"restate"}
    ids = {task.task_id for dag in dags() for task in dag.tasks}
    assert ids == GIVEN.keys() | of_airflow
