"""Waits for a query in the triggerer, and acts on how it ended."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
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
from airflow.sdk.exceptions import AirflowRescheduleException
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import error_kind
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.queries.execution import (
    QueryExecution,
    QueryState,
    console_url,
    elapsed_since,
    get_query_execution,
)
from athena_reports.queries.failures import Decision, QueryFailedError, execution_verdict
from athena_reports.queries.request import QueryRequest
from athena_reports.queries.submission import Submitted
from athena_reports.steps.airflow_errors import aws_errors, describe, required_xcoms
from athena_reports.steps.execution_notes import ExecutionNotes, start_once, stop_unwanted

# Seconds before each successor. Each pause is shortened at random, by half at most, so that queries
# that failed together do not return together.
PAUSES_SECONDS = (1.0, 2.0, 4.0)
MAX_SUCCESSORS = len(PAUSES_SECONDS)
_FINAL = (AirflowFailException, AirflowSensorTimeout)  # no retry follows
QUERY_TIMEOUT = timedelta(hours=1)
"""How long a query is waited for, if nothing else is said."""

# Without a triggerer: each pause between two calls is a fifth longer than the one before.
_FIRST_PAUSE_SECONDS = 1.0
_PAUSE_GROWTH = 1.2
_LONGEST_PAUSE_SECONDS = 60.0


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
        submitted: What `AthenaSubmitOperator` pushed under the key `submitted`, for messages. Only
            the query that it names gets a successor.
        environment: Name of the environment, for messages.
        deferrable: Whether the triggerer waits.
        poke_interval: Seconds, or a timedelta, between two calls without a triggerer. None for
            pauses that grow from a second to a minute. A triggerer asks once a second.
        sleep_time: Refused, as `poke_interval` takes its place.
        max_retries: Refused, as `timeout` takes its place.
        kwargs: Arguments of AthenaSensor. A wait that `soft_fail` or `never_fail` skips stops the
            query. `exponential_backoff` and `max_wait` are refused, as the pauses grow anyway.

    Raises:
        ValueError: A refused argument is given, here or in `default_args`.
    """

    aws_hook_class = SharedSessionHook
    template_fields: Sequence[str] = ("submitted", *AthenaSensor.template_fields)

    def __init__(
        self,
        *,
        timeout: timedelta | float = QUERY_TIMEOUT,
        mode: str = "reschedule",
        submitted: Any = None,
        environment: str = "",
        deferrable: bool = True,
        poke_interval: timedelta | float | None = None,
        sleep_time: int | None = None,
        max_retries: int | None = None,
        **kwargs: Any,
    ) -> None:
        # Before the arguments are looked at: it also takes some of them from `default_args`.
        super().__init__(
            mode=mode,
            poke_interval=_FIRST_PAUSE_SECONDS if poke_interval is None else poke_interval,
            timeout=timeout,
            **kwargs,
        )
        refused: list[str] = []
        if sleep_time is not None:
            refused.append("sleep_time")
        if max_retries is not None:
            refused.append("max_retries")
        if self.exponential_backoff:
            refused.append("exponential_backoff")
        if self.max_wait is not None:
            refused.append("max_wait")
        if refused:
            advice = "poke_interval and timeout say when to ask and when to give up."
            raise ValueError(f"{self.task_id}: leave out {', '.join(refused)}. {advice}")
        self.has_fixed_pauses = poke_interval is not None
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
        self._successors_left = self._allowed_successors
        with self._translated_errors():
            stop_unwanted(self._hook, self._notes)
            if not self.deferrable:
                return super().execute(context)
            outcome = self.poke(context)
            if not outcome.is_done:
                self._defer()
            return outcome.xcom_value

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Go on when the trigger has seen the end of the query, or could not ask any more."""
        if "error" in event:
            raise AirflowException(f"{self._about}: {event['error']}")
        execution = QueryExecution.model_validate(event["query"])
        self.query_execution_id = execution.id
        self._successors_left = event["successors_left"]
        outcome = self._conclude(execution)
        if not outcome.is_done:
            self._defer()
        return outcome.xcom_value

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Context) -> Any:
        """Go on after a deferral. A wait that has timed out succeeds if its query has meanwhile.

        Otherwise `_translated_errors` stops the query.
        """
        from athena_reports.steps.wait_trigger import AWAITED_XCOM

        self._begin(context)
        awaited_id = self._ti.xcom_pull(
            task_ids=self.task_id, key=AWAITED_XCOM, map_indexes=self._ti.map_index
        )
        if awaited_id:
            self.query_execution_id = awaited_id
        with self._translated_errors():
            try:
                return super().resume_execution(next_method, next_kwargs, context)
            except (AirflowSensorTimeout, AirflowSkipException):
                # A skip is what `soft_fail` or `never_fail` makes of a failure, such as a time-out.
                execution = self._get_execution()
                if execution.state is not QueryState.SUCCEEDED:
                    raise
                return self._conclude(execution).xcom_value

    def poke(self, context: Context) -> PokeReturnValue:  # type: ignore[override]  # as BaseSensorOperator allows
        """Ask Athena once; a call that is not served is repeated at the next poke."""
        # BaseSensorOperator calls this without a triggerer. It decides by the class of an error
        # whether `soft_fail` skips the task, so errors are translated here already.
        with aws_errors(self._about):
            try:
                execution = self._get_execution()
            except (ClientError, BotoCoreError) as error:
                if not error_kind(error).retryable:
                    raise
                self.log.warning("Athena did not answer: %s", error)
                return PokeReturnValue(is_done=False)
            return self._conclude(execution)

    def on_kill(self) -> None:
        """Leave the query running, which AthenaSensor would stop.

        A SIGTERM also comes from an evicted pod or a deployment, and the next try waits for the
        same execution. Once the task is deferred, its trigger stops the query.
        """

    def _get_next_poke_interval(self, started_at: Any, run_duration: Any, poke_count: int) -> float:
        """Return the pause in seconds; BaseSensorOperator asks for it without a triggerer."""
        if self.has_fixed_pauses:
            return float(self.poke_interval)
        return pause_after(run_duration())

    @property
    def _about(self) -> str:
        period = None
        if self.submitted:
            period = Submitted.model_validate(self.submitted).period
        return describe(self.dag_id, period, self.environment)

    @property
    def _no_query_problem(self) -> str:
        about = describe(self.dag_id, None, self.environment)
        problem = f"{about}: {self.task_id} has no query to wait for."
        advice = "If run_query was marked as success, clear run_query and its downstream tasks."
        by_hand = (
            "In a DAG of your own, give query_execution_id=run_query.output and "
            "submitted=XComArg(run_query, key='submitted')."
        )
        return f"{problem} {advice} {by_hand}"

    @property
    def _allowed_successors(self) -> int:
        """How many successors the query may get, which the task was told to wait for.

        A task that Airflow reschedules forgets them unless it can note them: each poke is a new
        start of the task.
        """
        if not self.submitted or not (self.deferrable or self._notes.are_kept):
            return 0
        submitted = Submitted.model_validate(self.submitted)
        if submitted.query_execution_id != self.query_execution_id:
            return 0
        return MAX_SUCCESSORS

    def _begin(self, context: Context) -> None:
        self._ti = context["ti"]
        self._hook: Any = self.hook  # typed as AthenaSensor's
        self._notes = ExecutionNotes(context, chain=self.query_execution_id)

    def _get_execution(self) -> QueryExecution:
        return get_query_execution(self._hook.get_conn(), self.query_execution_id)

    def _conclude(self, execution: QueryExecution) -> PokeReturnValue:
        """Decide what the state of an execution means for the wait."""
        if execution.is_running:
            self._submitted_at = execution.submitted_at
            self.log.info(execution.progress)
            return PokeReturnValue(is_done=False)

        if execution.state is QueryState.SUCCEEDED:
            self.log.info(execution.progress)
            return PokeReturnValue(is_done=True, xcom_value=execution.model_dump(mode="json"))

        verdict = execution_verdict(execution)
        if verdict.decision is Decision.RESUBMIT and self._successors_left:
            return self._conclude(self._successor_of(execution))

        failure = QueryFailedError(execution, about=self._about, link=self._link(execution))
        raise AirflowFailException(str(failure)) from failure

    def _link(self, execution: QueryExecution) -> str:
        region = self.hook.conn_region_name
        domain = AthenaQueryResultsLink.get_aws_domain(self.hook.conn_partition)
        if not region or not domain:
            return ""
        return console_url(execution.id, region, domain)

    def _successor_of(self, failed: QueryExecution) -> QueryExecution:
        """Return the execution after one that has failed; start it if that was not done before."""
        request = QueryRequest.from_response(self._hook.get_query_info(failed.id))
        token = request.token(failed.id)
        if not self._notes.find(token):
            time.sleep(PAUSES_SECONDS[-self._successors_left] * uniform(0.5, 1))
        self._successors_left -= 1
        self.query_execution_id = start_once(request, token, self._hook, self._notes)
        self.log.warning(
            "Query %s failed: %s. Waiting for its successor %s.",
            failed.id,
            failed.reason,
            self.query_execution_id,
        )
        return self._get_execution()

    def _defer(self) -> NoReturn:
        # Most steps' processes read this module and wait for nothing.
        from athena_reports.steps.wait_trigger import AWAITED_XCOM, AthenaWaitTrigger

        time_left = timedelta(seconds=self.timeout) - elapsed_since(self._submitted_at)
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

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Translate errors, and stop the query when the task gives up before the query has ended.

        The task gives up, and the query is stopped, in these cases:

        - The wait has timed out: the task fails for good.
        - `never_fail` skips the task at any failure, `soft_fail` at a final one. BaseSensorOperator
          may have turned the failure into a skip already.

        Any other failure is raised as it is: a retry waits for the query again, or the query has
        ended already.
        """
        try:
            with aws_errors(self._about):
                yield
        except AirflowRescheduleException:  # not a failure: the task comes back later
            raise
        except AirflowException as error:
            failure = _failure_behind(error)
            is_timed_out = isinstance(failure, AirflowSensorTimeout)
            is_skipped = isinstance(error, AirflowSkipException) or self._skips(failure)
            if not is_timed_out and not is_skipped:
                raise
            with aws_errors(self._about):
                # If Athena did not answer, this try may not know the successor that runs.
                for id_ in dict.fromkeys([*self._notes.ids_of_chain(), self.query_execution_id]):
                    self._hook.stop_query(id_)
            problem = str(failure)
            if is_timed_out:
                problem = self._time_out_problem()
            if is_skipped:
                raise AirflowSkipException(problem) from error
            raise AirflowFailException(problem) from error

    def _skips(self, failure: BaseException) -> bool:
        if self.never_fail:
            return True
        is_final = isinstance(failure, _FINAL)
        return bool(self.soft_fail) and is_final

    def _time_out_problem(self) -> str:
        query = f"{self._about}: query {self.query_execution_id}"
        problem = (
            f"{query} had not ended after {timedelta(seconds=self.timeout)}, so it was stopped."
        )
        advice = (
            "Make it lighter or wait longer for it (`wait=` of build_dag), then clear run_query."
        )
        return f"{problem} {advice}"


def _failure_behind(error: AirflowException) -> BaseException:
    """Return the failure that BaseSensorOperator made a skip of; else the error itself."""
    if isinstance(error, AirflowSkipException) and error.__cause__ is not None:
        return error.__cause__
    return error


def pause_after(elapsed_seconds: float) -> float:
    """Return the seconds until the next call of a wait without a triggerer.

    The pause follows from the time that this try has lasted. So each process that it is
    rescheduled to keeps to the same schedule.
    """
    elapsed = max(elapsed_seconds, 0.0)
    # Pauses p, pf, pf^2, ... add up to e = p(f^n - 1)/(f - 1).
    # So the next one, pf^n, is p + (f - 1)e.
    pause = _FIRST_PAUSE_SECONDS + (_PAUSE_GROWTH - 1) * elapsed
    return min(pause, _LONGEST_PAUSE_SECONDS)
