"""The last two tasks of a run, transform and publish, as a worker runs them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset
from airflow.sdk.execution_time.context import OutletEventAccessors

from athena_reports.inputs.coverage import InputCoverage
from athena_reports.periods.calendar import Period
from athena_reports.queries.submission import Submitted
from athena_reports.steps.publish import S3PublishOperator
from athena_reports.steps.transform import Recipe, transform_result
from tests.support.airflow_run import TaskInstance
from tests.support.calendars import WEEK

SQL = "SELECT rank, 'ä' FROM plays"


def submitted(
    inputs: tuple[InputCoverage, ...] = (), period: Period = WEEK, ran: str = "", **query: Any
) -> dict[str, Any]:
    """What run_query handed on; `ran` is the logic of the query."""
    handed_on = Submitted(period=period, sql_sha256="5ql", inputs=inputs, query_logic=ran, **query)
    return handed_on.model_dump(mode="json")


def transformed(
    query: dict[str, Any] | None,
    bucket: str,
    *,
    inputs: tuple[InputCoverage, ...] = (),
    period: Period = WEEK,
    ran: str = "",
    reads_previous: bool = False,
    **recipe: Any,
) -> dict[str, Any]:
    usual: dict[str, Any] = {"report": "plays", "bucket": bucket, "formats": ["csv"]}
    handed_on = submitted(inputs, period, ran, reads_previous=reads_previous)
    return transform_result(query, handed_on, recipe=Recipe(**usual | recipe))


def published(
    prepared: dict[str, Any],
    bucket: str,
    *,
    inputs: tuple[InputCoverage, ...] = (),
    period: Period = WEEK,
    max_tries: int = 3,
    ran: str = "",
    late_by: timedelta = timedelta(0),
    reads_previous: bool = False,
    **arguments: Any,
) -> dict[str, Any]:
    with DAG("plays_weekly", schedule=None):
        task = S3PublishOperator(
            task_id="publish",
            prepared=prepared,
            submitted=submitted(
                inputs, period, ran, late_by=late_by, reads_previous=reads_previous
            ),
            bucket=bucket,
            report="plays",
            environment="dev",
            **arguments,
        )
    context: Any = {
        "run_id": "run-1",
        "ti": TaskInstance("publish", max_tries=max_tries, bundle_version="4f0c9d2"),
        "outlet_events": OutletEventAccessors(),
    }
    returned = task.execute(context)
    # Airflow makes an event for each outlet that the task has now.
    events = {outlet.name: context["outlet_events"][outlet] for outlet in task.outlets}
    assert [event.extra for event in events.values()] == [returned] * len(events)
    return returned | {"keys": {name: event.partition_keys for name, event in events.items()}}


ASSETS: dict[str, Any] = {
    "outlets": [Asset("plays_weekly")],
    "keyed_outlets": [Asset("plays_weekly_periods")],
}
ONE_EVENT_EACH = {"plays_weekly": set(), "plays_weekly_periods": {"2025-06-08"}}
