"""Stops queries that nobody waits for.

Their worker was killed, their run has timed out, the triggerer was down, or an author's command
died.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.sdk import Context

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3, S3Error
from athena_reports.queries.execution import QueryExecution, elapsed_since
from athena_reports.queries.lease import is_expired
from athena_reports.queries.ownership import AuthorMarker, Marker
from athena_reports.queries.submission import recent_submissions
from athena_reports.steps.airflow_errors import aws_errors

GRACE = timedelta(minutes=1)  # the run of a younger query may not have been saved yet

_MarkedQuery = tuple[Marker | AuthorMarker, QueryExecution]


class AthenaReconcileOperator(AwsBaseOperator[SharedSessionHook]):
    """Stops running queries of the environment that nobody waits for.

    Nobody waits for the query of a task if its run has ended or is gone, or if the task has started
    a newer query. Nobody waits for the query of an author if its marker and its lease have expired.

    Args:
        workgroup: The workgroup whose latest queries are looked through.
        environment: Name of the environment. Queries of other environments are left alone.
        grace: Younger queries are left alone.
        bucket_owner: Account id that must own the bucket of the leases; empty for any.
        **kwargs: Arguments of `AwsBaseOperator`, such as `task_id` and `aws_conn_id`.
    """

    aws_hook_class = SharedSessionHook
    template_fields = ("workgroup", "environment")
    ui_color = "#e8d5b5"

    def __init__(
        self,
        *,
        workgroup: str,
        environment: str,
        grace: timedelta = GRACE,
        bucket_owner: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.workgroup = workgroup
        self.environment = environment
        self.grace = grace
        self.bucket_owner = bucket_owner

    def execute(self, context: Context) -> list[str]:
        """Stop the unwanted queries, and return their query execution ids.

        Raises:
            AirflowFailException: A call was refused for a reason that does not pass.
            AirflowException: A call was not served.
        """
        stopped = []
        lease_error = None
        with aws_errors(self.dag_id, task=self.task_id):
            queries = self._newest_first()
            for marker, query in self._unwanted(queries, context["ti"]):
                self.log.warning(
                    "Stopping query %s of %s, run %s.", query.id, marker.dag_id, marker.run_id
                )
                self.hook.stop_query(query.id)
                stopped.append(query.id)
            s3 = S3(self.hook.client("s3"), self.bucket_owner)
            for author_marker, query in self._of_authors(queries):
                # A lease that cannot be looked for fails the task, but only when all other queries
                # were looked at.
                try:
                    if not is_expired(author_marker, query, s3):
                        continue
                except S3Error as error:
                    lease_error = error
                    continue
                self.log.warning(
                    "Stopping query %s of %s, command %s.",
                    query.id,
                    author_marker.author,
                    author_marker.command,
                )
                self.hook.stop_query(query.id)
                stopped.append(query.id)
            if lease_error is not None:
                raise lease_error
        return stopped

    def _unwanted(
        self, queries: list[_MarkedQuery], ti: Any
    ) -> Iterator[tuple[Marker, QueryExecution]]:
        """Yield the running queries of tasks that nobody waits for, the newest first."""
        # All queries count here, those that have ended too: a newer one shows that its owner no
        # longer waits for an older one.
        owners_with_a_newer_query = set()
        for marker, query in queries:
            if not isinstance(marker, Marker):
                continue
            is_superseded = marker.owner in owners_with_a_newer_query
            owners_with_a_newer_query.add(marker.owner)
            if not self._may_be_stopped(marker, query):
                continue
            if is_superseded or not _is_active(ti, marker):
                yield marker, query

    def _of_authors(
        self, queries: list[_MarkedQuery]
    ) -> Iterator[tuple[AuthorMarker, QueryExecution]]:
        """Yield the queries of authors that may be stopped."""
        for marker, query in queries:
            if isinstance(marker, AuthorMarker) and self._may_be_stopped(marker, query):
                yield marker, query

    def _may_be_stopped(self, marker: Marker | AuthorMarker, query: QueryExecution) -> bool:
        """Return whether a query is running, of this environment, and old enough."""
        is_of_environment = marker.environment == self.environment
        is_young = elapsed_since(query.submitted_at) < self.grace
        return is_of_environment and query.is_running and not is_young

    def _newest_first(self) -> list[_MarkedQuery]:
        queries: list[_MarkedQuery] = []
        for submission, query in recent_submissions(self.hook.get_conn(), self.workgroup):
            queries.append((submission.marker, query))
        return sorted(queries, key=_submitted_at, reverse=True)


def _submitted_at(marked_query: _MarkedQuery) -> str:
    _, query = marked_query
    return query.submitted_at


def _is_active(ti: Any, marker: Marker) -> bool:
    """Whether Airflow still has the run of a query, and the run has not ended."""
    count = ti.get_dr_count(
        dag_id=marker.dag_id, run_ids=[marker.run_id], states=["queued", "running"]
    )
    return bool(count)
