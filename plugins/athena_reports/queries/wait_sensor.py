"""Waits for a query in the triggerer, and acts on how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.amazon.aws.links.athena import AthenaQueryResultsLink
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSensorTimeout
from airflow.sdk import PokeReturnValue
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.errors import QueryError
from athena_reports.queries.airflow_errors import aws_errors, describe, error_verdict
from athena_reports.queries.execution import QueryExecution, QueryState, console_url, elapsed_since
from athena_reports.queries.failures import Decision, execution_verdict, has_succeeded
from athena_reports.queries.ownership import Submission
from athena_reports.queries.submission import current_execution, stop_all, submit_once
from athena_reports.queries.submit_operator import starter
from athena_reports.queries.wait_policy import WaitPolicy
from athena_reports.queries.wait_trigger import AthenaWaitTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

CLEAR_STOPS_WITHIN = timedelta(minutes=1)
"""How long after a cleared wait has begun again its old trigger may still stop the query; 2 s are usual."""


class AthenaWaitSensor(AthenaSensor):
    """Waits until a query has succeeded, and holds neither a worker slot nor a process meanwhile.

    Asks Athena once; a query that is still running is then watched by the triggerer. Without a triggerer
    (`deferrable=False`) the task is rescheduled between two calls. A query that Athena failed for a reason
    that passes is submitted again. Whoever stops the wait stops the query.

    Returns the `QueryExecution` that succeeded, as JSON.

    Args:
        policy: When to ask, and when to give up; None for the default policy.
        period: The period as `AthenaSubmitOperator` pushed it, for the UI and for messages.
        environment: Name of the environment, for messages.
        deferrable: Whether the triggerer waits.
        kwargs: Arguments of AthenaSensor.
    """

    template_fields: Sequence[str] = ("period", *AthenaSensor.template_fields)

    def __init__(
        self,
        *,
        policy: WaitPolicy | None = None,
        period: Any = None,
        environment: str = "",
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        self.policy = policy or WaitPolicy()
        super().__init__(
            mode="reschedule",
            poke_interval=self.policy.first_poll_seconds,
            timeout=self.policy.give_up_after.total_seconds(),
            **kwargs,
        )
        self.period = period
        self.environment = environment
        self.deferrable = deferrable
        self._submitted_at = ""  # not known before Athena has answered once

    def execute(self, context: Context) -> Any:
        """Ask once, then defer to the triggerer, or come back later."""
        self._renew_if_cleared(context)
        with self._stopping_on_timeout():
            if not self.deferrable:
                return super().execute(context)
            if found := self.poke(context):
                return found.xcom_value
            return self._defer()

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Go on when the trigger has seen the end of the query, or could not ask any more."""
        if "error" in event:
            raise AirflowException(f"{self._about}: {event['error']}")
        execution = QueryExecution.model_validate(event["query"])
        self.query_execution_id = execution.id
        if self._was_stopped_by_clear(execution, context["ti"]):
            execution = self._resubmit(execution)
        if found := self._conclude(execution):
            return found.xcom_value
        return self._defer()

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Context) -> Any:
        """Stop the query when the wait has timed out, unless it has succeeded while nobody looked."""
        with self._stopping_on_timeout():
            try:
                return super().resume_execution(next_method, next_kwargs, context)
            except AirflowSensorTimeout:
                execution = self._current()
                if execution.state is not QueryState.SUCCEEDED:
                    raise
                return self._conclude(execution).xcom_value

    def poke(self, context: Context) -> PokeReturnValue:  # type: ignore[override]  # as BaseSensorOperator allows
        """Ask Athena once; a call that is not served is repeated at the next poke.

        Raises:
            AirflowFailException: The query failed for good, was cancelled, or is in an unknown state.
        """
        with aws_errors(self._about):
            try:
                execution = self._look()
            except (ClientError, BotoCoreError) as error:
                if error_verdict(error).decision is not Decision.RETRY_CALL:
                    raise
                self.log.warning("Athena did not answer: %s", error)
                return PokeReturnValue(is_done=False)
        return self._conclude(execution)

    def on_kill(self) -> None:
        """Stop the query, and what it was submitted again as: a new process knows only the first id."""
        stop_all(self.hook.get_conn(), self._response())

    def _get_next_poke_interval(self, started_at: Any, run_duration: Any, poke_count: int) -> float:
        return self.policy.pause_after(run_duration())

    @property
    def _about(self) -> str:
        return describe(self.dag_id, self.period["id"] if self.period else "", self.environment)

    def _link(self, query_execution_id: str) -> str:
        region = self.hook.conn_region_name
        domain = AthenaQueryResultsLink.get_aws_domain(self.hook.conn_partition)
        return console_url(query_execution_id, region, domain) if region and domain else ""

    def _response(self) -> Any:
        athena: Any = self.hook.get_conn()
        return athena.get_query_execution(QueryExecutionId=self.query_execution_id)

    def _look(self) -> QueryExecution:
        return QueryExecution.from_response(self._response())

    def _current(self) -> QueryExecution:
        with aws_errors(self._about):
            response = self._response()
            current = current_execution(self.hook.get_conn(), response)
        execution = current or QueryExecution.from_response(response)
        self.query_execution_id = execution.id
        return execution

    def _conclude(self, execution: QueryExecution) -> PokeReturnValue:
        try:
            done = has_succeeded(execution)
        except QueryError as error:
            if execution.state is QueryState.FAILED:
                if execution_verdict(execution).decision is Decision.RESUBMIT:
                    return self._conclude(self._resubmit(execution))
            elif execution.state is QueryState.CANCELLED:
                current = self._current()
                if current.id != execution.id:
                    return self._conclude(current)
            raise AirflowFailException(f"{self._about}: {error} {self._link(execution.id)}") from error
        self._submitted_at = execution.submitted_at
        self.log.info(execution.progress)
        return PokeReturnValue(done, execution.model_dump(mode="json") if done else None)

    def _renew_if_cleared(self, context: Context) -> None:
        # Clearing this task alone has stopped the query. Where the wait goes on, somebody has cancelled it.
        begins = not context.get("task_reschedule_count")
        if begins and self._was_cleared(context["ti"]):
            with aws_errors(self._about):
                execution = self._look()
                if execution.state is QueryState.CANCELLED:
                    self._resubmit(execution)

    def _was_cleared(self, ti: Any) -> bool:
        return bool(ti.max_tries > (self.retries or 0))  # a clear adds the tries so far

    def _was_stopped_by_clear(self, execution: QueryExecution, ti: Any) -> bool:
        if execution.state is not QueryState.CANCELLED or not execution.completed_at:
            return False
        stopped_at = datetime.fromisoformat(execution.completed_at)
        return self._was_cleared(ti) and stopped_at < ti.start_date + CLEAR_STOPS_WITHIN

    def _resubmit(self, execution: QueryExecution) -> QueryExecution:
        with aws_errors(self._about):
            submission = Submission.from_response(self._response())
            if submission is None:
                raise QueryError(f"Query {execution.id} is {execution.state}, and not ours to submit again.")
            self.query_execution_id = submit_once(
                submission, athena=self.hook.get_conn(), start=starter(self.hook), is_retry=True
            )
            said = (execution.id, execution.state, execution.reason, self.query_execution_id)
            self.log.warning("Query %s is %s: %s. It was submitted again as %s.", *said)
            return self._look()

    def _defer(self) -> NoReturn:
        left = self.policy.give_up_after - elapsed_since(self._submitted_at)
        if left <= timedelta(0):
            raise AirflowSensorTimeout("The wait is over before it could be handed over.")
        self.defer(
            trigger=AthenaWaitTrigger(
                query_execution_id=self.query_execution_id,
                submitted_at=self._submitted_at,
                policy=self.policy,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            timeout=left,
        )

    @contextmanager
    def _stopping_on_timeout(self) -> Iterator[None]:
        try:
            yield
        except AirflowSensorTimeout as error:
            with aws_errors(self._about):
                self.on_kill()
            raise AirflowFailException(
                f"{self._about}: query {self.query_execution_id} had not ended after "
                f"{self.policy.give_up_after}, so it was stopped. Make it lighter, or give the report a wait "
                f"policy with a later give_up_after, then clear run_query with all that is downstream."
            ) from error
