"""Waits for a query in the triggerer, and acts on how it ended."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from random import uniform
from typing import Any, NoReturn

from airflow.providers.amazon.aws.links.athena import AthenaQueryResultsLink
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow.sdk import Context, PokeReturnValue
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import error_kind
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.queries.execution import (
    QueryExecution,
    QueryState,
    console_url,
    get_query_execution,
)
from athena_reports.queries.failures import QueryFailedError, may_pass
from athena_reports.queries.request import QueryRequest
from athena_reports.queries.submission import Submitted
from athena_reports.steps.airflow_errors import report_errors, required_xcoms, run_label
from athena_reports.steps.execution_notes import ExecutionNotes, start_once, stop_unwanted

# Seconds before each successor. Each pause is shortened at random, by half at most, so that queries
# that failed together do not return together.
PAUSES_SECONDS = (1.0, 2.0, 4.0)
MAX_SUCCESSORS = len(PAUSES_SECONDS)
QUERY_TIMEOUT = timedelta(hours=1)
"""The time that a query has by default."""


class AthenaWaitSensor(AthenaSensor):
    """Waits until a query has succeeded, and holds neither a worker slot nor a process meanwhile.

    Asks Athena once; a query that is still running is then watched by the triggerer. Without a
    triggerer (`deferrable=False`) the task is rescheduled between two calls. A query that failed
    for a reason that may pass gets a successor, up to `MAX_SUCCESSORS`. A wait that gives up stops
    the query. Returns the `QueryExecution` that succeeded, as JSON.

    Args:
        timeout: Seconds, or a timedelta. A query that has not ended so long after it was submitted
            is stopped, and the task fails. Without a triggerer it counts from the first look of
            this try.
        mode: Without a triggerer, `reschedule` frees the worker between two calls, and `poke` holds
            it.
        poke_interval: Seconds, or a timedelta, before the second call without a triggerer. A
            triggerer asks once a second.
        exponential_backoff: Whether the pauses between the calls without a triggerer grow.
        max_wait: Seconds, or a timedelta: the longest of these pauses.
        submitted: What `AthenaSubmitOperator` pushed under the key `submitted`, for messages. Only
            the query that it names gets a successor.
        environment: Name of the environment, for messages.
        deferrable: Whether the triggerer waits.
        kwargs: Arguments of AthenaSensor; its `sleep_time` and `max_retries` have no effect. A wait
            that `soft_fail` or `never_fail` skips stops the query.
    """

    aws_hook_class = SharedSessionHook
    template_fields: Sequence[str] = ("submitted", *AthenaSensor.template_fields)

    def __init__(
        self,
        *,
        timeout: timedelta | float = QUERY_TIMEOUT,
        mode: str = "reschedule",
        poke_interval: timedelta | float = 1.0,
        exponential_backoff: bool = True,
        max_wait: timedelta | float = 30.0,
        submitted: Any = None,
        environment: str = "",
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            timeout=timeout,
            # In the other mode Airflow would ask for the start of a reschedule that never comes.
            mode="poke" if deferrable else mode,
            poke_interval=poke_interval,
            exponential_backoff=exponential_backoff,
            max_wait=max_wait,
            **kwargs,
        )
        self.submitted = submitted
        self.environment = environment
        self.deferrable = deferrable
        self._submitted_at = ""  # not known before Athena has answered once
        self._successors_left = 0

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Render the arguments. If run_query pushed nothing, the task fails for good."""
        with required_xcoms(self._no_query_problem):
            super().render_template_fields(context, jinja_env)

    def execute(self, context: Context) -> Any:
        """Ask once, then defer to the triggerer, or come back later."""
        # A Jinja template renders a missing XCom as `None`.
        if self.query_execution_id in (None, "", "None"):
            raise AirflowFailException(self._no_query_problem)
        self._begin(context)
        if self._may_have_successors():
            self._successors_left = MAX_SUCCESSORS
        with report_errors(f"{self._about}: "):
            stop_unwanted(self._hook, self._notes)
        return self._until_given_up(partial(super().execute, context))

    def poke(self, context: Context) -> PokeReturnValue:  # type: ignore[override]  # as BaseSensorOperator allows
        """Ask Athena once; defer if the query is running, or Athena not available."""
        # BaseSensorOperator decides by the class of an error whether `soft_fail` skips the task.
        with report_errors(f"{self._about}: "):
            execution = self._try_to_get_execution()
            result = None if execution is None else self._result_of(execution)
            if result is None and self.deferrable:
                self._defer()
            return PokeReturnValue(is_done=result is not None, xcom_value=result)

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Context) -> Any:
        """Go on after a deferral with the execution that the task was waiting for."""
        from athena_reports.steps.wait_trigger import AWAITED_XCOM

        self._begin(context)
        awaited_id = self._ti.xcom_pull(
            task_ids=self.task_id, key=AWAITED_XCOM, map_indexes=self._ti.map_index
        )
        if awaited_id:
            self.query_execution_id = awaited_id
        resume = partial(super().resume_execution, next_method, next_kwargs, context)
        return self._until_given_up(resume)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Go on when the trigger has seen the end of the query, or could not ask any more."""
        if "error" in event:
            raise AirflowException(f"{self._about}: {event['error']}")
        execution = QueryExecution.model_validate(event["query"])
        self.query_execution_id = execution.id
        self._successors_left = event["successors_left"]
        with report_errors(f"{self._about}: "):
            result = self._result_of(execution)
            if result is None:
                self._defer()
            return result

    def on_kill(self) -> None:
        """Leave the query running, which AthenaSensor would stop.

        A SIGTERM also comes from an evicted pod or a deployment, and the next try waits for the
        same execution. Once the task is deferred, its trigger stops the query.
        """

    def _begin(self, context: Context) -> None:
        self._ti = context["ti"]
        self._hook: Any = self.hook  # typed as AthenaSensor's
        self._notes = ExecutionNotes(context, chain=self.query_execution_id)

    @property
    def _submission(self) -> Submitted | None:
        return Submitted.from_xcom(self.submitted)

    @property
    def _about(self) -> str:
        submission = self._submission
        period = None if submission is None else submission.period
        return run_label(self.dag_id, period, self.environment)

    @property
    def _no_query_problem(self) -> str:
        return (
            f"{self.dag_id}: {self.task_id} has no query to wait for. "
            "If run_query was marked as success, clear run_query and its downstream tasks. "
            "In a custom DAG, pass query_execution_id=run_query.output and "
            "submitted=XComArg(run_query, key='submitted')."
        )

    def _may_have_successors(self) -> bool:
        submission = self._submission
        if submission is None or submission.query_execution_id != self.query_execution_id:
            return False
        # A task that Airflow reschedules forgets the successors unless it can note them: each poke
        # is a new start of the task.
        return self.deferrable or self._notes.are_kept

    def _get_execution(self) -> QueryExecution:
        return get_query_execution(self._hook.get_conn(), self.query_execution_id)

    def _try_to_get_execution(self) -> QueryExecution | None:
        try:
            return self._get_execution()
        except (ClientError, BotoCoreError) as error:
            if not error_kind(error).retryable:
                raise
            self.log.warning("No response from Athena: %s", error)
            return None

    def _result_of(self, execution: QueryExecution) -> dict[str, Any] | None:
        """Return the execution that succeeded as JSON; None if it or its successor is running."""
        if execution.is_running:
            self._submitted_at = execution.submitted_at
            self.log.info(execution.progress)
            return None
        if execution.state is QueryState.SUCCEEDED:
            self.log.info(execution.progress)
            return execution.model_dump(mode="json")
        if may_pass(execution) and self._successors_left:
            return self._result_of(self._successor_of(execution))
        failure = QueryFailedError(execution, about=self._about, link=self._link(execution))
        raise AirflowFailException(str(failure)) from failure

    def _link(self, execution: QueryExecution) -> str:
        domain = AthenaQueryResultsLink.get_aws_domain(self._hook.conn_partition)
        if not domain:
            return ""
        return console_url(execution.id, execution.region, domain)

    def _successor_of(self, failed: QueryExecution) -> QueryExecution:
        request = QueryRequest.from_response(self._hook.get_query_info(failed.id))
        token = request.token(failed.id)
        if not self._notes.find(token):  # it was not started before
            pause_seconds = PAUSES_SECONDS[-self._successors_left]
            time.sleep(pause_seconds * uniform(0.5, 1))
        self._successors_left -= 1
        self.query_execution_id = start_once(request, token, self._hook, self._notes)
        self.log.warning(
            "Query %s failed: %s. Retrying as query %s.",
            failed.id,
            failed.reason,
            self.query_execution_id,
        )
        return self._get_execution()

    def _defer(self) -> NoReturn:
        # Most steps' processes read this module and wait for nothing.
        from athena_reports.steps.wait_trigger import AWAITED_XCOM, AthenaWaitTrigger

        time_left = timedelta(seconds=self.timeout)
        if self._submitted_at:
            time_left -= datetime.now(UTC) - datetime.fromisoformat(self._submitted_at)
        if time_left <= timedelta(0):
            raise AirflowSensorTimeout("The wait timed out before the task could defer.")
        self._ti.xcom_push(key=AWAITED_XCOM, value=self.query_execution_id)
        trigger = AthenaWaitTrigger(
            query_execution_id=self.query_execution_id,
            successors_left=self._successors_left,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=time_left)

    def _until_given_up(self, wait: Callable[[], Any]) -> Any:
        """Return what a part of the wait returns; stop the query if the task gives it up.

        The task gives up at a time-out, and where `soft_fail` or `never_fail` skips it. After any
        other failure a retry waits for the query again, or the query has ended already.
        """
        try:
            with report_errors(f"{self._about}: "):
                return wait()
        except (AirflowSensorTimeout, AirflowSkipException) as error:
            with report_errors(f"{self._about}: "):
                execution = self._try_to_get_execution()
                # A query that has succeeded meanwhile is not thrown away.
                if execution is not None and execution.state is QueryState.SUCCEEDED:
                    return self._result_of(execution)
                # If Athena did not answer, this try may not know the successor that runs.
                for chain_id in {*self._notes.ids_of_chain(), self.query_execution_id}:
                    self._hook.stop_query(chain_id)
            if isinstance(error, AirflowSkipException):
                self.log.warning(
                    "Gave up on query %s: %s", self.query_execution_id, error.__cause__ or error
                )
                raise
            problem = (
                f"{self._about}: query {self.query_execution_id} timed out after "
                f"{timedelta(seconds=self.timeout)} and was stopped. Scan fewer partitions or "
                "columns, or increase `wait=` in build_dag. Then clear run_query."
            )
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(problem) from error
            raise AirflowFailException(problem) from error
