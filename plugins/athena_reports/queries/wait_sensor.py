"""Waits for a query in the triggerer, and acts on how it ended."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NoReturn

from airflow.providers.amazon.aws.links.athena import AthenaQueryResultsLink
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSensorTimeout
from airflow.sdk import Context, PokeReturnValue
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.errors import QueryError
from athena_reports.queries.airflow_errors import aws_errors, describe
from athena_reports.queries.execution import QueryExecution, QueryState, console_url, elapsed_since, get_query_execution
from athena_reports.queries.failures import Decision, call_verdict, execution_verdict, has_succeeded, is_current
from athena_reports.queries.ownership import Submission
from athena_reports.queries.submission import executions_of_intention, submit_once
from athena_reports.queries.wait_policy import WaitPolicy
from athena_reports.queries.wait_trigger import AthenaWaitTrigger

CLEAR_STOPS_WITHIN = timedelta(minutes=1)  # after a cleared wait has begun again; 2 s are usual


class AthenaWaitSensor(AthenaSensor):
    """Waits until a query has succeeded, and holds neither a worker slot nor a process meanwhile.

    Asks Athena once; a query that is still running is then watched by the triggerer. Without a triggerer
    (`deferrable=False`) the task is rescheduled between two calls. A query that Athena failed for a reason that passes
    is submitted again. Whoever stops the wait stops the query. Returns the `QueryExecution` that succeeded, as JSON.

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
        pause, timeout = self.policy.first_poll_seconds, self.policy.give_up_after.total_seconds()
        super().__init__(mode="reschedule", poke_interval=pause, timeout=timeout, **kwargs)
        self.period, self.environment, self.deferrable = period, environment, deferrable
        self._submitted_at = ""  # not known before Athena has answered once
        self._killed = False

    def execute(self, context: Context) -> Any:
        """Ask once, then defer to the triggerer, or come back later."""
        with self._translated_errors():
            # Clearing this task alone has stopped the query. Where the wait goes on, somebody has cancelled it.
            begins_again = self._was_cleared(context) and not context.get("task_reschedule_count")
            if begins_again and (execution := self._get_execution()).state is QueryState.CANCELLED:
                self._resubmit(execution)
            if not self.deferrable:
                return super().execute(context)
            found = self.poke(context)
            return found.xcom_value if found else self._defer()

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Go on when the trigger has seen the end of the query, or could not ask any more."""
        if "error" in event:
            raise AirflowException(f"{self._about}: {event['error']}")
        execution = QueryExecution.model_validate(event["query"])
        self.query_execution_id = execution.id
        if execution.state is QueryState.CANCELLED and execution.completed_at and self._was_cleared(context):
            stopped_after = datetime.fromisoformat(execution.completed_at) - context["ti"].start_date
            execution = self._resubmit(execution) if stopped_after < CLEAR_STOPS_WITHIN else execution
        found = self._conclude(execution)
        return found.xcom_value if found else self._defer()

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Context) -> Any:
        """Stop the query when the wait has timed out, unless it has succeeded while nobody looked."""
        with self._translated_errors():
            try:
                return super().resume_execution(next_method, next_kwargs, context)
            except AirflowSensorTimeout:
                if (execution := self._get_current()).state is not QueryState.SUCCEEDED:
                    raise
                return self._conclude(execution).xcom_value

    def poke(self, context: Context) -> PokeReturnValue:  # type: ignore[override]  # as BaseSensorOperator allows
        """Ask Athena once; a call that is not served is repeated at the next poke."""
        with aws_errors(self._about):
            try:
                execution = self._get_execution()
            except (ClientError, BotoCoreError) as error:
                if call_verdict(error).decision is not Decision.RETRY_CALL:
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
        return describe(self.dag_id, self.period["id"] if self.period else "", self.environment)

    def _was_cleared(self, context: Context) -> bool:
        return bool(context["ti"].max_tries > (self.retries or 0))  # a clear adds the tries so far

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
            region = self.hook.conn_region_name
            domain = AthenaQueryResultsLink.get_aws_domain(self.hook.conn_partition)
            link = console_url(execution.id, region, domain) if region and domain else ""
            raise AirflowFailException(f"{self._about}: {error} {link}") from error
        self._submitted_at = execution.submitted_at
        self.log.info(execution.progress)
        return PokeReturnValue(done, execution.model_dump(mode="json") if done else None)

    def _resubmit(self, execution: QueryExecution) -> QueryExecution:
        if (submission := Submission.from_response(self.hook.get_query_info(execution.id))) is None:
            raise QueryError(f"Query {execution.id} is {execution.state}, and not ours to submit again.")
        self.query_execution_id = submit_once(submission, self.hook, is_retry=True)
        if self._killed:  # during the pause before it
            self.on_kill()
        told = (execution.id, execution.state, execution.reason, self.query_execution_id)
        self.log.warning("Query %s is %s: %s. It was submitted again as %s.", *told)
        return self._get_execution()

    def _defer(self) -> NoReturn:
        left = self.policy.give_up_after - elapsed_since(self._submitted_at)
        if left <= timedelta(0):
            raise AirflowSensorTimeout("The wait is over before it could be handed over.")
        names = ("query_execution_id", "policy", "aws_conn_id", "region_name", "verify", "botocore_config")
        trigger = AthenaWaitTrigger(submitted_at=self._submitted_at, **{name: getattr(self, name) for name in names})
        self.defer(trigger=trigger, method_name="execute_complete", timeout=left)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        with aws_errors(self._about):
            try:
                yield
            except AirflowSensorTimeout as error:
                self.on_kill()
                problem = f"query {self.query_execution_id} had not ended after {self.policy.give_up_after}"
                way_out = "Make it lighter or raise the wait policy's give_up_after, then clear run_query."
                raise AirflowFailException(f"{self._about}: {problem}, so it was stopped. {way_out}") from error
