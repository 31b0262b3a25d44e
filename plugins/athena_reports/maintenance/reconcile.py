"""Stops queries that nobody waits for: their worker was killed, their run timed out, the triggerer was down."""

from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.sdk import Context

from athena_reports.queries.execution import elapsed_since
from athena_reports.queries.submission import recent_submissions
from athena_reports.steps.airflow_errors import aws_errors

GRACE = timedelta(minutes=1)  # younger queries are left alone: their run may not have been saved yet


class AthenaReconcileOperator(AwsBaseOperator[AthenaHook]):
    """Stops the environment's running queries whose run has ended, is gone, or has started a newer one."""

    aws_hook_class = AthenaHook
    template_fields = ("workgroup", "environment")
    ui_color = "#e8d5b5"

    def __init__(self, *, workgroup: str, environment: str, grace: timedelta = GRACE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.workgroup, self.environment, self.grace = workgroup, environment, grace

    @aws_errors("athena_reports_reconciler")
    def execute(self, context: Context) -> list[str]:
        """Stop the unwanted queries, and return their query execution ids."""
        recent = [(each.marker, query) for each, query in recent_submissions(self.hook.get_conn(), self.workgroup)]
        stopped, newest = [], set()
        for marker, query in sorted(recent, key=lambda each: each[1].submitted_at, reverse=True):
            superseded = marker.owner in newest
            newest.add(marker.owner)
            is_old = elapsed_since(query.submitted_at) >= self.grace
            if marker.environment != self.environment or not query.is_running or not is_old:
                continue
            run: dict[str, Any] = {"dag_id": marker.dag_id, "run_ids": [marker.run_id]}
            if superseded or not context["ti"].get_dr_count(**run, states=["queued", "running"]):
                self.log.warning("Stopping query %s of %s, run %s.", query.id, marker.dag_id, marker.run_id)
                self.hook.stop_query(query.id)
                stopped.append(query.id)
        return stopped
