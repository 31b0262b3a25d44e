"""Waits for a query in the triggerer, and acts on how it ended."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
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
from athena_reports.errors import QueryError
from athena_reports.queries.execution import (
    QueryExecution,
    QueryState,
    console_url,
    elapsed_since,
    get_query_execution,
)
from athena_reports.queries.failures import (
    CANCELLED,
    Decision,
    QueryFailedError,
    execution_verdict,
    is_current,
)
from athena_reports.queries.ownership import Marker, Submission
from athena_reports.queries.submission import Submitted, executions_of_intention, submit_once
from athena_reports.steps.airflow_errors import aws_errors, describe, required_xcoms
from athena_reports.steps.execution_notes import TaskStateNotes
from athena_reports.steps.run_query import RETRIED_XCOM

# A query that is cancelled so soon after a cleared wait began again was stopped by the clear. The
# trigger of the cleared try usually stops it within 2 s.
CLEAR_STOPS_WITHIN = timedelta(minutes=1)
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
    triggerer (`deferrable=False`) the task is rescheduled between two calls. A query that Athena
    failed for a reason that passes is submitted again. Whoever stops the wait stops the query.
    Returns the `QueryExecution` that succeeded, as JSON.

    Args:
        timeout: Seconds, or a timedelta. A query that has not ended so long after it was submitted
            is stopped, and the task fails. Without a triggerer it counts from the first look of
            this try.
        mode: Without a triggerer, `reschedule` frees the worker between two calls, and `poke` holds
            it.
        submitted: What `AthenaSubmitOperator` pushed under the key `submitted`, for the UI and for
            messages.
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
        self._killed = False
        self._was_rescheduled = False  # whether this try has looked before, without a triggerer

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Render the arguments. If run_query pushed nothing, the task fails for good."""
        with required_xcoms(self._no_query_problem):
            super().render_template_fields(context, jinja_env)

    def execute(self, context: Context) -> Any:
        """Ask once, then defer to the triggerer, or come back later."""
        # A Jinja template renders a missing XCom as `None`.
        if self.query_execution_id in (None, "", "None"):
            raise AirflowFailException(self._no_query_problem)
        self._context = context
        self._ti = context["ti"]
        self._was_rescheduled = bool(context.get("task_reschedule_count"))
        with self._translated_errors():
            if not self.deferrable:
                return super().execute(context)
            outcome = self.poke(context)
            if not outcome.is_done:
                self._defer()
            return outcome.xcom_value

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Go on when the trigger has seen the end of the query, or could not ask any more."""
        self._context = context
        self._ti = context["ti"]
        if "error" in event:
            raise AirflowException(f"{self._about}: {event['error']}")
        execution = QueryExecution.model_validate(event["query"])
        self.query_execution_id = execution.id
        outcome = self._conclude(execution)
        if not outcome.is_done:
            self._defer()
        return outcome.xcom_value

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Context) -> Any:
        """Go on after a deferral. A wait that has timed out succeeds if its query has meanwhile.

        Otherwise `_translated_errors` stops the query.
        """
        with self._translated_errors():
            try:
                return super().resume_execution(next_method, next_kwargs, context)
            except (AirflowSensorTimeout, AirflowSkipException):
                # A skip is what `soft_fail` or `never_fail` makes of a failure, such as a time-out.
                execution = self._get_current()
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
        """Stop each running execution of the query.

        If the query was submitted again, `query_execution_id` may still be the id of the first
        execution: a new process has only that one.
        """
        self._killed = True
        running_ids: list[str] = []
        for execution in executions_of_intention(self.hook.get_conn(), self.query_execution_id):
            # The execution itself comes first, and may come again among the recent ones.
            if execution.is_running and execution.id not in running_ids:
                running_ids.append(execution.id)
        for running_id in running_ids:
            self.hook.stop_query(running_id)

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
    def _was_cleared(self) -> bool:
        retries = self.retries or 0
        return bool(self._ti.max_tries > retries)  # a clear adds the tries so far to max_tries

    def _may_be_stopped_by_airflow(self, execution: QueryExecution) -> bool:
        """Whether it may not have been a person who cancelled the query."""
        if self._may_be_stopped_by_clear(execution):
            return True
        return self._may_be_stopped_by_earlier_try(execution)

    def _may_be_stopped_by_clear(self, execution: QueryExecution) -> bool:
        """Whether a clear of this task, but not of the submitting one, may have stopped the query.

        The trigger of the cleared try stops the query a moment before or after the new try begins.
        A query that is cancelled later was cancelled by somebody.
        """
        if not self._was_cleared or self._was_rescheduled or not execution.completed_at:
            return False
        stopped_at = datetime.fromisoformat(execution.completed_at)
        stopped_after: timedelta = stopped_at - self._ti.start_date
        return stopped_after < CLEAR_STOPS_WITHIN

    def _may_be_stopped_by_earlier_try(self, execution: QueryExecution) -> bool:
        """Whether an earlier try that was killed, or taken for dead, may have stopped the query.

        It may be a try of this task, or of the task that submitted the query.
        """
        if self._ti.try_number > 1 and not self._was_cleared:
            return True
        submission = Submission.from_response(self.hook.get_query_info(execution.id))
        if submission is None or not isinstance(submission.marker, Marker):
            return False
        was_retried = self._ti.xcom_pull(
            task_ids=submission.marker.task_id,
            map_indexes=submission.marker.map_index,
            key=RETRIED_XCOM,
        )
        return bool(was_retried)

    def _get_execution(self) -> QueryExecution:
        return get_query_execution(self.hook.get_conn(), self.query_execution_id)

    def _get_current(self) -> QueryExecution:
        """Return the execution of the intention to wait for, and take its id from now on."""
        executions = list(executions_of_intention(self.hook.get_conn(), self.query_execution_id))
        current = executions[0]  # the execution itself, if there is none to wait for
        for execution in executions:
            if is_current(execution):
                current = execution
                break
        self.query_execution_id = current.id
        return current

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
        if verdict.decision is Decision.RESUBMIT:
            return self._conclude(self._resubmit(execution))

        if execution.state is QueryState.CANCELLED:
            # The query may have been submitted again under an id that this process does not know.
            current = self._get_current()
            is_replaced = current.id != execution.id
            if is_replaced:
                return self._conclude(current)

        # By the verdict, not the state: Athena also cancels a query that exceeds the scan limit,
        # and gives some cancelled queries the state FAILED.
        is_cancelled = verdict == CANCELLED
        if is_cancelled and self._may_be_stopped_by_airflow(execution):
            return self._conclude(self._resubmit(execution))

        failure = QueryFailedError(execution, about=self._about, link=self._link(execution))
        raise AirflowFailException(str(failure)) from failure

    def _link(self, execution: QueryExecution) -> str:
        region = self.hook.conn_region_name
        domain = AthenaQueryResultsLink.get_aws_domain(self.hook.conn_partition)
        if not region or not domain:
            return ""
        return console_url(execution.id, region, domain)

    def _resubmit(self, execution: QueryExecution) -> QueryExecution:
        """Return the execution to wait for after this one; it is started if there is none yet."""
        submission = Submission.from_response(self.hook.get_query_info(execution.id))
        if submission is None or not isinstance(submission.marker, Marker):
            raise QueryError(
                f"Query {execution.id} is {execution.state}, and this run did not submit it."
            )
        hook: Any = self.hook  # typed as AthenaSensor's
        notes = TaskStateNotes(
            self._context, submission.marker.generation, known_ids=(execution.id,)
        )
        self.query_execution_id = submit_once(submission, hook, is_retry=True, notes=notes)
        if self._killed:
            # The kill came while `submit_once` paused, so `on_kill` did not stop the new execution.
            self.on_kill()
        self.log.warning(
            "Query %s is %s: %s. It was submitted again as %s.",
            execution.id,
            execution.state,
            execution.reason,
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
                self.on_kill()
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
