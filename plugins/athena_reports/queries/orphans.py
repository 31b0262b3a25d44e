"""Stops queries that nobody waits for any more.

Whoever stops a task stops its query, but some ways of stopping leave no process that could do it: a worker
is killed between submitting and deferring, a run times out, the triggerer is down. Such queries are found by
the marker in their SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator

from athena_reports.queries.execution import QueryExecution, elapsed_since
from athena_reports.queries.ownership import Marker, Submission
from athena_reports.queries.submission import recent_executions

if TYPE_CHECKING:
    from airflow.sdk import Context

GRACE = timedelta(minutes=1)
"""Younger queries are left alone by default: their run may not have been saved yet."""


class AthenaReconcileOperator(AwsBaseOperator[AthenaHook]):
    """Stops the environment's running queries whose run has ended, is gone, or has started a newer one.

    Args:
        workgroup: Athena workgroup; its latest `submission.LOOK_BACK` executions are looked through.
        environment: Name of the environment whose queries are ours; queries of others are not touched.
        grace: Younger queries are left alone.
    """

    aws_hook_class = AthenaHook
    template_fields = ("workgroup", "environment")
    ui_color = "#e8d5b5"

    def __init__(self, *, workgroup: str, environment: str, grace: timedelta = GRACE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.workgroup = workgroup
        self.environment = environment
        self.grace = grace

    def execute(self, context: Context) -> list[str]:
        """Stop the unwanted queries, and return their query execution ids."""
        ti = context["ti"]

        def is_active(marker: Marker) -> bool:
            states = ["queued", "running"]
            return bool(ti.get_dr_count(dag_id=marker.dag_id, run_ids=[marker.run_id], states=states))

        responses = recent_executions(self.hook.get_conn(), self.workgroup)
        unwanted = unwanted_executions(responses, environment=self.environment, is_active=is_active, grace=self.grace)
        for query_execution_id, marker in unwanted:
            about = (query_execution_id, marker.dag_id, marker.run_id)
            self.log.warning("Stopping query %s of %s, run %s: nobody waits for it.", *about)
            self.hook.stop_query(query_execution_id)
        return [query_execution_id for query_execution_id, _ in unwanted]


def unwanted_executions(
    responses: Iterable[Mapping[str, Any]],
    *,
    environment: str,
    is_active: Callable[[Marker], bool],
    grace: timedelta,
) -> list[tuple[str, Marker]]:
    """Return id and marker of the running executions that nobody waits for any more.

    Args:
        responses: Executions as GetQueryExecution answers them, in any order.
        environment: Whose queries may be stopped.
        is_active: Whether the run that a marker names is queued or running.
        grace: Younger queries are left alone.
    """
    ours = [
        (QueryExecution.from_response(response), submission.marker)
        for response in responses
        if (submission := Submission.from_response(response)) and submission.marker.environment == environment
    ]
    unwanted, newest = [], set()
    for execution, marker in sorted(ours, key=lambda each: each[0].submitted_at, reverse=True):
        superseded = marker.owner in newest
        newest.add(marker.owner)
        if not execution.is_running or elapsed_since(execution.submitted_at) < grace:
            continue
        if superseded or not is_active(marker):
            unwanted.append((execution.id, marker))
    return unwanted
