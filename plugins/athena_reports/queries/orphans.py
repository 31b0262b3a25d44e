"""Stops queries that nobody wants any more.

Whoever stops a task stops its query, but not every way of stopping leaves a process behind that could do it:
a worker that is killed between submitting and handing over, a DAG run that times out, a DAG that is deleted,
a deferred task under an Airflow that does not tell its trigger. What they leave running is found here, by the
marker in the SQL, a few minutes later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator

from athena_reports.queries.execution import QueryExecution, elapsed_since
from athena_reports.queries.submission import Marker, recent_executions

if TYPE_CHECKING:
    from airflow.sdk import Context

GRACE = timedelta(minutes=1)
"""By default a query younger than this is left alone: its run may not have been saved yet."""

IsActive = Callable[[Marker], bool]
"""Whether the run that a marker names is still queued or running."""


class AthenaReconcileOperator(AwsBaseOperator[AthenaHook]):
    """Stops the environment's running queries whose run has ended, is gone, or has started a newer one.

    Looks through the workgroup's latest executions (`submit.LOOK_BACK`). Queries of others are not touched.

    Args:
        workgroup: Athena workgroup.
        environment: Name of the environment whose queries are ours.
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
        """Stop what nobody wants, and return the query execution ids."""
        athena: Any = self.hook.get_conn()
        ti = context["ti"]

        def is_active(marker: Marker) -> bool:
            states = ["queued", "running"]
            return bool(ti.get_dr_count(dag_id=marker.dag_id, run_ids=[marker.run_id], states=states))

        unwanted = unwanted_executions(
            recent_executions(athena, self.workgroup),
            environment=self.environment,
            is_active=is_active,
            grace=self.grace,
        )
        for execution, marker in unwanted:
            self.log.warning(
                "Stopping query %s of %s, run %s: nobody waits for it.",
                execution.id,
                marker.dag_id,
                marker.run_id,
            )
            self.hook.stop_query(execution.id)
        return [execution.id for execution, _ in unwanted]


def unwanted_executions(
    responses: Iterable[Mapping[str, Any]],
    *,
    environment: str,
    is_active: IsActive,
    grace: timedelta = GRACE,
) -> list[tuple[QueryExecution, Marker]]:
    """Return the running executions that nobody wants any more.

    Args:
        responses: Executions as GetQueryExecution answers them, newest first.
        environment: Others' queries are left alone.
        is_active: Asks Airflow about a run.
        grace: Younger ones are left alone.
    """
    unwanted, newest = [], set()
    for response in responses:
        execution = QueryExecution.from_response(response)
        marker = Marker.find(response["QueryExecution"].get("Query", ""))
        if marker is None or marker.environment != environment:
            continue
        superseded = marker.owner in newest
        newest.add(marker.owner)
        if not execution.is_running or elapsed_since(execution.submitted_at) < grace:
            continue
        if superseded or not is_active(marker):
            unwanted.append((execution, marker))
    return unwanted
