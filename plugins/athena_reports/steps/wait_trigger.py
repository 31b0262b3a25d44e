"""Waits for a query in the triggerer: many queries in one process, none in a worker."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

from airflow.providers.amazon.aws.triggers.athena import AthenaTrigger
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import TriggerEvent
from airflow.utils.state import TaskInstanceState
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.queries.execution import QueryExecution, elapsed_since
from athena_reports.queries.wait_policy import WaitPolicy

AWAITED_XCOM = "awaited_query"
"""What a deferred task waits for: the id of the query, pushed before each deferral."""

POLLS_PER_SECOND = 40.0  # GetQueryExecution by one triggerer at most; an account may make 100
MAX_FAILED_POLLS = 10  # in a row, then the task is asked to decide
# Long, since the first task state that a triggerer asks for takes seconds: it loads Airflow's API.
STOP_WITHIN_SECONDS = 120
_next_turn = 0.0  # the earliest time.monotonic() of the next call


class AthenaWaitTrigger(AthenaTrigger):
    """Fires when the query has ended, or when Athena does not answer any more.

    The payload is `{"query": <QueryExecution as JSON>}` or `{"error": <why>}`.
    """

    def __init__(
        self,
        query_execution_id: str,
        submitted_at: str,
        policy: WaitPolicy | dict[str, Any],
        **connection: Any,
    ) -> None:
        # The waiter of AthenaTrigger is not used, so its arguments have no effect.
        super().__init__(query_execution_id, waiter_delay=1, waiter_max_attempts=1, **connection)
        self.query_execution_id = query_execution_id
        self.submitted_at = submitted_at
        self.policy = WaitPolicy.model_validate(policy)
        self._athena: Any = None
        self._stopping: asyncio.Task[None] | None = None
        self._open_clients = AsyncExitStack()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the metadata database keeps while the task is deferred."""
        fields = {
            "query_execution_id": self.query_execution_id,
            "submitted_at": self.submitted_at,
            "policy": self.policy.model_dump(mode="json"),
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", fields

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until the query has ended; the task has asked just now, so a pause comes first.

        The client stays open afterwards, for `on_kill`. `cleanup` closes it.

        A failed call is repeated, whatever the error is. What it means is decided by the task: its
        next try asks Athena itself.
        """
        submitted_at = self.submitted_at
        failed_polls = 0
        problem: Exception | None = None
        athena = await self._client()
        while failed_polls < MAX_FAILED_POLLS:
            elapsed_seconds = elapsed_since(submitted_at).total_seconds()
            pause_seconds = self.policy.pause_after(elapsed_seconds)
            pause_seconds *= 1 + failed_polls  # longer after each failure in a row
            await asyncio.sleep(pause_seconds)
            await _turn()
            try:
                response = await athena.get_query_execution(
                    QueryExecutionId=self.query_execution_id
                )
            except (ClientError, BotoCoreError) as error:
                problem = error
                failed_polls += 1
                self.log.warning("Athena did not answer (%d in a row): %s", failed_polls, error)
                continue
            failed_polls = 0
            execution = QueryExecution.from_response(response, athena.meta.region_name)
            if not execution.is_running:
                yield TriggerEvent({"query": execution.model_dump(mode="json")})
                return
            submitted_at = execution.submitted_at
            self.log.info(execution.progress)
        yield TriggerEvent(
            {"error": f"Athena could not be asked about {self.query_execution_id}: {problem}"}
        )

    async def on_kill(self) -> None:
        """Stop the query if its task no longer waits for it. Airflow calls this from 3.3 on.

        Airflow calls it when somebody fails, clears or marks the task. After a clear it does so
        only when the new try is scheduled (`Trigger.clean_unused` passes over tasks without a
        state), so that one may have deferred already. Airflow also calls it when another triggerer
        has taken the trigger over, because this triggerer's heartbeat was late
        (https://github.com/apache/airflow/issues/73454). The query that the task waits for tells
        these cases apart.

        Airflow cancels the trigger again at each sync of the triggerer, about every second, until
        it has ended (`TriggerRunnerSupervisor.cancelling_triggers`), and after
        `triggerer.on_kill_timeout`. That must not end a stop that is still at work, so the work is
        done in a task of its own.
        """
        self._stopping = asyncio.create_task(self._stop_unless_awaited())
        await self._stop_has_ended()
        self._stopping.result()

    async def cleanup(self) -> None:
        """Close the client. Airflow calls this last, however the trigger has ended."""
        # Airflow calls `on_kill` in `asyncio.wait_for`, which in Python 3.11 does not wait for it
        # after a second cancel. So the stop may still be at work, and it needs the client.
        await self._stop_has_ended()
        await self._open_clients.aclose()

    async def _stop_has_ended(self) -> None:
        """Wait for the stop, if one has begun. Cancels of this task do not end the wait."""
        while self._stopping is not None and not self._stopping.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([self._stopping])

    async def _client(self) -> Any:
        """Return the client, which is opened at the first call."""
        if self._athena is None:
            self._athena = await self._open_clients.enter_async_context(
                await self.hook().get_async_conn()
            )
        return self._athena

    async def _stop_unless_awaited(self) -> None:
        query_id = self.query_execution_id
        awaited_query: str | None = None
        async with asyncio.timeout(STOP_WITHIN_SECONDS):
            try:
                state = await self._task_state()
                if state == TaskInstanceState.DEFERRED:
                    awaited_query = await self._awaited_query()
            except Exception as error:
                # The query may still be wanted, and a query that is stopped has to be paid again.
                problem = f"it is not known whether its task waits for it ({error!r})"
                advice = "The reconciler stops it if nobody wants it."
                self.log.warning("Query %s is left running: %s. %s", query_id, problem, advice)
                return
            if awaited_query == query_id:
                self.log.info(
                    "Query %s is left running: its task still waits for it, in another trigger.",
                    query_id,
                )
                return
            if awaited_query is not None:
                reason = f"waits for query {awaited_query} now"
            elif state is not None:
                reason = f"is {state}"
            else:
                reason = "was cleared or deleted"
            self.log.warning("Stopping query %s: its task %s.", query_id, reason)
            athena = await self._client()
            await athena.stop_query_execution(QueryExecutionId=query_id)

    async def _task_state(self) -> str | None:
        """Ask Airflow for the state of the task.

        None if the task was cleared, or is gone with its run.
        """
        task: Any = self.task_instance
        request = GetTaskStates(
            dag_id=task.dag_id,
            run_ids=[task.run_id],
            task_ids=[task.task_id],
            map_index=task.map_index,
        )
        response: Any = await task_runner.SUPERVISOR_COMMS.asend(request)
        key = task.task_id
        if task.map_index >= 0:
            key = f"{task.task_id}_{task.map_index}"  # as Airflow names the state of a mapped task
        states: dict[str, str | None] = response.task_states.get(task.run_id, {})
        return states.get(key)

    async def _awaited_query(self) -> str:
        """Ask Airflow for the query that the deferred task waits for.

        It is another one than that of this trigger if the run was cleared.
        """
        task: Any = self.task_instance
        query_id: str | None = await XCom.aget_one(
            key=AWAITED_XCOM,
            dag_id=task.dag_id,
            run_id=task.run_id,
            task_id=task.task_id,
            map_index=task.map_index,
        )
        if query_id is None:
            raise LookupError(f"it has no XCom {AWAITED_XCOM}")
        return query_id


async def _turn() -> None:
    """Wait until a call may be made: those of a triggerer are 1 / POLLS_PER_SECOND seconds apart.

    All its triggers share one event loop, so `_next_turn` needs no lock.
    """
    global _next_turn
    now = time.monotonic()
    turn = max(now, _next_turn)
    _next_turn = turn + 1 / POLLS_PER_SECOND
    if turn > now:
        await asyncio.sleep(turn - now)
