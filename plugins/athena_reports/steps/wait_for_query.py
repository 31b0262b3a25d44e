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

from athena_reports.aws.errors import call_verdict
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.errors import QueryError
from athena_reports.queries.execution import QueryExecution, QueryState, console_url, elapsed_since, get_query_execution
from athena_reports.queries.failures import (
    CANCELLED,
    Decision,
    execution_verdict,
    has_succeeded,
    is_current,
)
from athena_reports.queries.ownership import Submission
from athena_reports.queries.submission import Submitted, executions_of_intention, submit_once
from athena_reports.queries.wait_policy import WaitPolicy
from athena_reports.steps.airflow_errors import aws_errors, describe
from athena_reports.steps.run_query import RETRIED_XCOM
from athena_reports.steps.wait_trigger import AWAITED_XCOM, AthenaWaitTrigger

CLEAR_STOPS_WITHIN = timedelta(minutes=1)  # after a cleared wait has begun again; 2 s are usual
_FINAL = (AirflowFailException, AirflowSensorTimeout)  # no retry follows
_POLICY_INSTEAD = "Its policy has first_poll_seconds, factor, longest_pause_seconds and give_up_after instead."


class AthenaWaitSensor(AthenaSensor):
    """Waits until a query has succeeded, and holds neither a worker slot nor a process meanwhile.

    Asks Athena once; a query that is still running is then watched by the triggerer. Without a triggerer
    (`deferrable=False`) the task is rescheduled between two calls. A query that Athena failed for a reason that passes
    is submitted again. Whoever stops the wait stops the query. Returns the `QueryExecution` that succeeded, as JSON.

    Args:
        policy: When to ask, and when to give up; None for the default policy, or what the next two say.
        poke_interval: Seconds, or a timedelta, between two calls. Give either a policy or this.
        timeout: Seconds, or a timedelta, until the query is stopped. Give either a policy or this.
        mode: Without a triggerer, `reschedule` frees the worker between two calls, and `poke` holds it.
        submitted: What `AthenaSubmitOperator` pushed under the key `submitted`, for the UI and for messages.
        environment: Name of the environment, for messages.
        deferrable: Whether the triggerer waits.
        kwargs: Arguments of AthenaSensor. A wait that `soft_fail` or `never_fail` skips stops the query. The policy
            takes the place of `sleep_time`, `max_retries`, `exponential_backoff` and `max_wait`.
    """

    aws_hook_class = SharedSessionHook
    template_fields: Sequence[str] = ("submitted", *AthenaSensor.template_fields)

    def __init__(
        self,
        *,
        policy: WaitPolicy | None = None,
        poke_interval: timedelta | float | None = None,
        timeout: timedelta | float | None = None,
        mode: str = "reschedule",
        submitted: Any = None,
        environment: str = "",
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        self.policy = policy or _policy(poke_interval, timeout)
        pause, time_out = self.policy.first_poll_seconds, self.policy.give_up_after
        super().__init__(mode=mode, poke_interval=pause, timeout=time_out, **kwargs)
        given: dict[str, Any] = {"exponential_backoff": self.exponential_backoff or None, "max_wait": self.max_wait}
        given |= {"poke_interval": poke_interval, "timeout": timeout} if policy else {}
        if refused := [name for name, value in given.items() if value is not None]:
            raise ValueError(f"{self.task_id}: leave out {', '.join(refused)}. {_POLICY_INSTEAD}")
        self.submitted, self.environment, self.deferrable = submitted, environment, deferrable
        self._submitted_at = ""  # not known before Athena has answered once
        self._killed = False
        self._was_rescheduled = False  # whether this try has looked before, without a triggerer

    def execute(self, context: Context) -> Any:
        """Ask once, then defer to the triggerer, or come back later."""
        self._ti = context["ti"]
        self._was_rescheduled = bool(context.get("task_reschedule_count"))
        with self._translated_errors():
            if not self.deferrable:
                return super().execute(context)
            found = self.poke(context)
            return found.xcom_value if found else self._defer()

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Go on when the trigger has seen the end of the query, or could not ask any more."""
        self._ti = context["ti"]
        if "error" in event:
            raise AirflowException(f"{self._about}: {event['error']}")
        execution = QueryExecution.model_validate(event["query"])
        self.query_execution_id = execution.id
        found = self._conclude(execution)
        return found.xcom_value if found else self._defer()

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Context) -> Any:
        """Stop the query when the wait has timed out, unless it has succeeded while nobody looked."""
        with self._translated_errors():
            try:
                return super().resume_execution(next_method, next_kwargs, context)
            except (AirflowSensorTimeout, AirflowSkipException):
                if (execution := self._get_current()).state is not QueryState.SUCCEEDED:
                    raise
                return self._conclude(execution).xcom_value

    def poke(self, context: Context) -> PokeReturnValue:  # type: ignore[override]  # as BaseSensorOperator allows
        """Ask Athena once; a call that is not served is repeated at the next poke."""
        with aws_errors(self._about):
            try:
                execution = self._get_execution()
            except (ClientError, BotoCoreError) as error:
                if not call_verdict(error).retryable:
                    raise
                self.log.warning("Athena did not answer: %s", error)
                return PokeReturnValue(is_done=False)
            return self._conclude(execution)

    def on_kill(self) -> None:
        """Stop the query, and what it was submitted again as: a new process knows only the first id."""
        self._killed = True
        found = executions_of_intention(self.hook.get_conn(), self.query_execution_id)
        for running in dict.fromkeys(each.id for each in found if each.is_running):
            self.hook.stop_query(running)

    def _get_next_poke_interval(self, started_at: Any, run_duration: Any, poke_count: int) -> float:
        return self.policy.pause_after(run_duration())

    @property
    def _about(self) -> str:
        period = None
        if self.submitted:
            period = Submitted.model_validate(self.submitted).period
        return describe(self.dag_id, period, self.environment)

    @property
    def _was_cleared(self) -> bool:
        return bool(self._ti.max_tries > (self.retries or 0))  # a clear adds the tries so far

    def _may_be_stopped_by_airflow(self, execution: QueryExecution) -> bool:
        return self._may_be_stopped_by_clear(execution) or self._may_be_stopped_by_earlier_try(execution)

    def _may_be_stopped_by_clear(self, execution: QueryExecution) -> bool:
        """Whether a clear of this task alone may have done it.

        The trigger of the cleared try stops the query a moment before or after the new try begins. A query that is
        cancelled later was cancelled by somebody.
        """
        if not self._was_cleared or self._was_rescheduled or not execution.completed_at:
            return False
        stopped_after: timedelta = datetime.fromisoformat(execution.completed_at) - self._ti.start_date
        return stopped_after < CLEAR_STOPS_WITHIN

    def _may_be_stopped_by_earlier_try(self, execution: QueryExecution) -> bool:
        """Whether a try, of this task or of the submit, that was killed or taken for dead may have done it."""
        if self._ti.try_number > 1 and not self._was_cleared:
            return True
        submission = Submission.from_response(self.hook.get_query_info(execution.id))
        if submission is None:
            return False
        marker = submission.marker
        return bool(self._ti.xcom_pull(task_ids=marker.task_id, map_indexes=marker.map_index, key=RETRIED_XCOM))

    def _get_execution(self) -> QueryExecution:
        return get_query_execution(self.hook.get_conn(), self.query_execution_id)

    def _get_current(self) -> QueryExecution:
        own, *others = executions_of_intention(self.hook.get_conn(), self.query_execution_id)
        execution = next(filter(is_current, [own, *others]), own)
        self.query_execution_id = execution.id
        return execution

    def _conclude(self, execution: QueryExecution) -> PokeReturnValue:
        try:
            done = has_succeeded(execution)
        except QueryError as error:
            if execution.state is QueryState.FAILED and execution_verdict(execution).decision is Decision.RESUBMIT:
                return self._conclude(self._resubmit(execution))
            if execution.state is QueryState.CANCELLED and (current := self._get_current()).id != execution.id:
                return self._conclude(current)
            if execution_verdict(execution) == CANCELLED and self._may_be_stopped_by_airflow(execution):
                return self._conclude(self._resubmit(execution))
            region = self.hook.conn_region_name
            domain = AthenaQueryResultsLink.get_aws_domain(self.hook.conn_partition)
            link = console_url(execution.id, region, domain) if region and domain else ""
            raise AirflowFailException(f"{self._about}: {error} {link}") from error
        self._submitted_at = execution.submitted_at
        self.log.info(execution.progress)
        return PokeReturnValue(done, execution.model_dump(mode="json") if done else None)

    def _resubmit(self, execution: QueryExecution) -> QueryExecution:
        if (submission := Submission.from_response(self.hook.get_query_info(execution.id))) is None:
            raise QueryError(f"Query {execution.id} is {execution.state}, and this run did not submit it.")
        hook: Any = self.hook  # typed as AthenaSensor's
        self.query_execution_id = submit_once(submission, hook, is_retry=True)
        if self._killed:  # during the pause before it
            self.on_kill()
        told = (execution.id, execution.state, execution.reason, self.query_execution_id)
        self.log.warning("Query %s is %s: %s. It was submitted again as %s.", *told)
        return self._get_execution()

    def _defer(self) -> NoReturn:
        left = self.policy.give_up_after - elapsed_since(self._submitted_at)
        if left <= timedelta(0):
            raise AirflowSensorTimeout("The wait timed out before the task could defer.")
        names = ("query_execution_id", "policy", "aws_conn_id", "region_name", "verify", "botocore_config")
        self._ti.xcom_push(key=AWAITED_XCOM, value=self.query_execution_id)
        trigger = AthenaWaitTrigger(submitted_at=self._submitted_at, **{name: getattr(self, name) for name in names})
        self.defer(trigger=trigger, method_name="execute_complete", timeout=left)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        with aws_errors(self._about):
            try:
                with aws_errors(self._about):
                    yield
            except AirflowRescheduleException:
                raise
            except AirflowException as error:
                is_skipped = isinstance(error, AirflowSkipException)  # by the class that this one derives from
                reason = error.__cause__ if is_skipped and error.__cause__ else error
                timed_out = isinstance(reason, AirflowSensorTimeout)
                is_skipped |= self.never_fail or (self.soft_fail and isinstance(reason, _FINAL))
                if not timed_out and not is_skipped:
                    raise
                self.on_kill()
                problem = str(reason)
                if timed_out:
                    problem = f"{self._about}: query {self.query_execution_id} had not ended after "
                    problem += f"{self.policy.give_up_after}, so it was stopped. Make it lighter or raise the wait "
                    problem += "policy's give_up_after, then clear run_query."
                raise (AirflowSkipException if is_skipped else AirflowFailException)(problem) from error


def _policy(poke_interval: timedelta | float | None, timeout: timedelta | float | None) -> WaitPolicy:
    options: dict[str, Any] = {} if timeout is None else {"give_up_after": timeout}
    if poke_interval is not None:
        seconds = poke_interval.total_seconds() if isinstance(poke_interval, timedelta) else poke_interval
        options |= {"first_poll_seconds": seconds, "longest_pause_seconds": seconds, "factor": 1.0}
    return WaitPolicy(**options)
