"""Stops queries that nobody waits for.

Their worker was killed, their run has timed out, or the triggerer was down.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.sdk import Context

from athena_reports.queries.execution import QueryExecution, elapsed_since
from athena_reports.queries.ownership import Marker
from athena_reports.queries.submission import recent_submissions
from athena_reports.steps.airflow_errors import aws_errors

GRACE = timedelta(minutes=1)  # the run of a younger query may not have been saved yet


class AthenaReconcileOperator(AwsBaseOperator[AthenaHook]):
    """Stops running queries of the environment that nobody waits for.

    The run of such a query has ended, is gone, or has started a newer query.

    Args:
        workgroup: The workgroup whose latest queries are looked through.
        environment: Name of the environment. Queries of other environments are left alone.
        grace: Younger queries are left alone.
        **kwargs: Arguments of `AwsBaseOperator`, such as `task_id` and `aws_conn_id`.
    """

    aws_hook_class = AthenaHook
    template_fields = ("workgroup", "environment")
    ui_color = "#e8d5b5"

    def __init__(
        self, *, workgroup: str, environment: str, grace: timedelta = GRACE, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.workgroup = workgroup
        self.environment = environment
        self.grace = grace

    def execute(self, context: Context) -> list[str]:
        """Stop the unwanted queries, and return their query execution ids."""
        stopped = []
        with aws_errors(self.dag_id, task=self.task_id):
            for marker, query in self._unwanted(context["ti"]):
                self.log.warning(
                    "Stopping query %s of %s, run %s.", query.id, marker.dag_id, marker.run_id
                )
                self.hook.stop_query(query.id)
                stopped.append(query.id)
        return stopped

    def _unwanted(self, ti: Any) -> Iterator[tuple[Marker, QueryExecution]]:
        """Yield the environment's running queries that nobody waits for, the newest first."""
        # All queries count here, those that have ended too: a newer one shows that its owner no
        # longer waits for an older one.
        owners_with_a_newer_query = set()
        for marker, query in self._newest_first():
            is_superseded = marker.owner in owners_with_a_newer_query
            owners_with_a_newer_query.add(marker.owner)
            if marker.environment != self.environment or not query.is_running:
                continue
            if elapsed_since(query.submitted_at) < self.grace:
                continue
            if is_superseded or not _is_active(ti, marker):
                yield marker, query

    def _newest_first(self) -> list[tuple[Marker, QueryExecution]]:
        queries = []
        for submission, query in recent_submissions(self.hook.get_conn(), self.workgroup):
            queries.append((submission.marker, query))
        return sorted(queries, key=lambda pair: pair[1].submitted_at, reverse=True)


def _is_active(ti: Any, marker: Marker) -> bool:
    """Whether Airflow still has the run of a query, and the run has not ended."""
    count = ti.get_dr_count(
        dag_id=marker.dag_id, run_ids=[marker.run_id], states=["queued", "running"]
    )
    return bool(count)
